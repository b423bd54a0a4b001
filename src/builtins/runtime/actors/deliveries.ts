// SPDX-License-Identifier: Apache-2.0
//
// What comes in for an actor: its opening and closing, calls, requests and events. The instance is made with the first of
// these, and again after an error of its constructor.

import { apply, jsonParse, promiseResolve, promiseThen } from "../../internal/intrinsics.ts";
import type { Request } from "../../web/request.ts";
import { actorClassOf, handlerOf } from "../dispatch.ts";
import { describe } from "../errors.ts";
import { native } from "../native.ts";
import { settings } from "../settings.ts";
import { alarmBegins, alarmEnds, ownAlarm } from "../storage/storage.ts";
import { Actor, addActor, findActor } from "./actor.ts";
import { askOwn, newState } from "./state.ts";

const kNoRpc = "The receiving Durable Object does not support RPC, because its class was not declared with `extends " +
  "DurableObject`. In order to enable RPC, make sure your class extends the special class `DurableObject`, which can be " +
  "imported from the module \"cloudflare:workers\".";

// Called by the host before the first delivery.
export function openActor(
  number: number, className: string, props: unknown, id: string, name: string | undefined, _isFacet: boolean, depth: number,
): void {
  addActor(new Actor(number, className, props, id, name, depth));
}

// Called by the host. With a reason it was ended from outside; else nothing of it runs.
export function closeActor(number: number, _reason: string | undefined): void {
  findActor(number)?.end();
}

// Called by the host: what it has written is lost.
export function actorBroken(number: number, message: string, code: string): void {
  findActor(number)?.resetWith("Error", message, false, code);
}

function actorFor(number: number): Actor {
  const actor = findActor(number);
  if (actor === undefined) throw new Error("This object is not open here.");
  return actor;
}

// Lets an invocation in: makes the instance if there is none, then waits for the gate.
function enter(actor: Actor, invocation: number, run: (instance: object) => unknown): unknown {
  actor.join(invocation);
  if (actor.instance === null) construct(actor);
  return actor.gate.admit(invocation, () => run(actor.instance!));
}

function construct(actor: Actor): void {
  const { value, isRpc } = actorClassOf(actor.className);
  actor.isRpc = isRpc;
  try {
    actor.hasAlarmMethod = typeof (value.prototype as { alarm?: unknown } | undefined)?.alarm === "function";
    actor.state = newState(actor);
    actor.instance = new value(actor.state, settings.env);
  } catch (error) {
    actor.reset(error);
    throw error;
  }
}

export function callActor(answer: number, number: number, path: readonly string[], args: unknown[] | undefined): void {
  const rpc = parts.rpc();
  let actor: Actor | undefined;
  let isItsOwn = false;  // the error is of its code, not of the way there
  rpc.answerWith(answer, true, () => {
    actor = actorFor(number);
    return enter(actor, answer, (self) => {
      if (!actor!.isRpc) throw new TypeError(kNoRpc);
      return rpc.callMember(self, path, args, () => {
        isItsOwn = true;
      });
    });
  }, () => (isItsOwn ? { durableObjectId: actor!.shownId } : undefined));
}

export function fetchActor(answer: number, number: number, request: Request): unknown {
  return enter(actorFor(number), answer, (self) => apply(handlerOf(self, "fetch"), self, [request]));
}

// ---- Events

interface AlarmDetail {
  retryCount: number;
  isRetry: boolean;
  isLast: boolean;
  now: number;
}

export function eventOfActor(
  answer: number, number: number, name: string, detail: string, payload: Uint8Array | undefined, body: number,
): void {
  if (name === "socket") return hearSocket(answer, number, detail, payload, body);
  parts.rpc().answerWith(answer, true, () => {
    const actor = actorFor(number);
    return enter(actor, answer, (self) => {
      if (name === "alarm") return alarm(actor, self, jsonParse(detail) as AlarmDetail);
      if (name === "facetAlarm") {
        const { name: facet, isSocket = false } = jsonParse(detail) as { name: string; isSocket?: boolean };
        return actor.facets!.wake(facet, self, isSocket);
      }
      throw new Error("There is no such event of an object.");
    });
  });
}

// A message of a WebSocket, or its end. Nobody reads the answer; it says that the next one may come.
function hearSocket(
  answer: number, number: number, detail: string, payload: Uint8Array | undefined, body: number,
): void {
  const done = (): void => native.rpc_return(answer, undefined);
  const failed = (error: unknown): void => {
    native.report_exception(`Uncaught ${describe(error).stack}`);
    done();
  };
  try {
    const actor = actorFor(number);
    actor.join(answer);
    const letIn = (run: (self: object) => unknown): unknown => {
      native.set_current(answer);
      return enter(actor, answer, run);
    };
    promiseThen(promiseResolve(parts.sockets().arrived(actor, jsonParse(detail) as never, payload, body, letIn)), done, failed);
  } catch (error) {
    failed(error);
  }
}

// The database knows best: what wakes the actor may be late or early.
function alarm(actor: Actor, self: object, { retryCount, isRetry, isLast, now }: AlarmDetail): unknown {
  const { storage } = actor.state!;
  const at = ownAlarm(storage);
  if (at === null || at > now) {
    void promiseThen(askOwn(actor, "alarm", { at }), undefined, () => {});
    return undefined;
  }
  alarmBegins(storage);
  actor.retriesAlarm = true;
  const end = (isOver: boolean): void => {
    actor.retriesAlarm = undefined;
    if (!actor.isOver) alarmEnds(storage, isOver);
  };
  let result: Promise<unknown>;
  try {
    const info = { retryCount, isRetry, scheduledTime: at };
    result = promiseResolve(apply(handlerOf(self, "alarm"), self, [info]));
  } catch (error) {
    end(isLast);
    throw error;
  }
  return promiseThen(result, () => end(true), (error: unknown) => {
    end(isLast);
    throw error;
  });
}
