// SPDX-License-Identifier: Apache-2.0
//
// DurableObjectState: the `ctx` of an actor.

import { isObject, toText } from "../../internal/convert.ts";
import { badArgument, illegalConstructor, illegalInvocation } from "../../internal/errors.ts";
import { gateHere } from "../../internal/gates.ts";
import { apply, defineProperty, promiseReject, promiseResolve, promiseThen } from "../../internal/intrinsics.ts";
import { webClass } from "../../internal/web_class.ts";
import { clearTimer, setTimer } from "../../web/timers.ts";
import { holdFor } from "../context.ts";
import { engineCall } from "../engine_calls.ts";
import { workerExports } from "../exports.ts";
import { native } from "../native.ts";
import { type DurableObjectStorage, makeStorage } from "../storage/storage.ts";
import type { Actor } from "./actor.ts";
import { Facets, newFacetsView } from "./facets.ts";
import { Section } from "./section.ts";

const kName = "DurableObjectState";
const kSectionMillisMax = 30000;
const kTooLong = "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was canceled and " +
  "the Durable Object was reset.";
const kOwnActor = 7;
const secret = {};

let actorOf: (state: unknown) => Actor;

export class DurableObjectState {
  readonly #actor: Actor;
  declare readonly storage: DurableObjectStorage;

  static {
    actorOf = (state) => {
      if (!isObject(state) || !(#actor in state)) throw illegalInvocation();
      return state.#actor;
    };
  }

  constructor(given: object, actor: Actor) {
    if (given !== secret) throw illegalConstructor();
    this.#actor = actor;
    const own = { enumerable: true, configurable: true };
    const facets = new Facets(actor);
    actor.facets = facets;
    defineProperty(this, "facets", { value: newFacetsView(facets), ...own });
    defineProperty(this, "container", { value: undefined, ...own });
    defineProperty(this, "storage", { value: makeStorage(actor.number, new Host(actor)), ...own });
    defineProperty(this, "id", { value: actor.makeId(), ...own });
    defineProperty(this, "props", { value: actor.props, ...own });
    defineProperty(this, "exports", { value: workerExports(), ...own });
  }

  waitUntil(...args: unknown[]): void {
    const actor = actorOf(this);
    if (args.length === 0) throw badArgument("waitUntil", kName, 1, "Promise");
    holdFor(native.invocation() || actor.invocation, args[0]);
  }

  blockConcurrencyWhile(...args: unknown[]): Promise<unknown> {
    const actor = actorOf(this);
    const body = args[0];
    if (typeof body !== "function") return promiseReject(badArgument("blockConcurrencyWhile", kName, 1, "function"));
    return block(actor, body as () => unknown);
  }

  acceptWebSocket(...args: unknown[]): void {
    parts.sockets().acceptFor(actorOf(this), args);
  }

  getWebSockets(...args: unknown[]): unknown[] {
    const actor = actorOf(this);
    return parts.sockets().socketsOf(actor, args[0] === undefined ? undefined : toText(args[0]));
  }

  getTags(...args: unknown[]): string[] {
    actorOf(this);
    return parts.sockets().tagsOf(args[0]);
  }

  setWebSocketAutoResponse(...args: unknown[]): void {
    parts.sockets().setAutoResponse(actorOf(this), args[0]);
  }

  getWebSocketAutoResponse(): unknown {
    return parts.sockets().autoResponseOf(actorOf(this));
  }

  getWebSocketAutoResponseTimestamp(...args: unknown[]): Date | null {
    actorOf(this);
    return parts.sockets().stampOf(args[0]);
  }

  setHibernatableWebSocketEventTimeout(...args: unknown[]): void {
    parts.sockets().setEventTimeout(actorOf(this), args[0]);
  }

  getHibernatableWebSocketEventTimeout(): number | null {
    return parts.sockets().eventTimeoutOf(actorOf(this));
  }

  abort(reason?: unknown, options?: unknown): never {
    const actor = actorOf(this);
    const { retryAlarm = true } = isObject(options) ? (options as { retryAlarm?: unknown }) : {};
    const message = reason === undefined ? "Application called abort() to reset Durable Object." : textOf(reason);
    actor.resetWith("Error", message, retryAlarm === false && actor.retriesAlarm !== undefined);
    throw new Error(message);
  }
}

webClass(DurableObjectState, kName, ({ id }: DurableObjectState & { id?: unknown }) => ({ id }));

function textOf(reason: unknown): string {
  try {
    return String(reason);
  } catch {
    return "The reason of abort() has no text.";
  }
}

export function newState(actor: Actor): DurableObjectState {
  return new DurableObjectState(secret, actor);
}

// The section that the running code is in, or the actor's own gate.
function sectionHere(actor: Actor): Section {
  const gate = gateHere();
  return gate instanceof Section && gate.owner === actor ? gate : actor.gate;
}

function block(actor: Actor, body: () => unknown): Promise<unknown> {
  return sectionHere(actor).critical(() => {
    const timer = setTimer(() => actor.resetWith("Error", kTooLong), kSectionMillisMax, true);
    let result: Promise<unknown>;
    try {
      result = promiseResolve(apply(body, undefined, []));
    } catch (error) {
      result = promiseReject(error);
    }
    return promiseThen(result, (value: unknown) => {
      clearTimer(timer);
      return value;
    }, (error: unknown) => {
      clearTimer(timer);
      actor.reset(error);
      throw error;
    });
  });
}

// What its storage asks of an actor.
class Host {
  readonly #actor: Actor;

  constructor(actor: Actor) {
    this.#actor = actor;
  }

  hasAlarm(): boolean {
    const { instance, state } = this.#actor;
    // In its constructor there is no instance yet, but its class is at work.
    if (instance === null) return state !== null && this.#actor.hasAlarmMethod;
    return typeof (instance as { alarm?: unknown }).alarm === "function";
  }

  critical<T>(run: () => Promise<T>): Promise<T> {
    return sectionHere(this.#actor).critical(run);
  }

  deleteFacets(): void {
    this.#actor.facets?.deleteAll();
  }
}

export function askOwn(actor: Actor, operation: string, detail: object): Promise<Readonly<Record<string, unknown>>> {
  return promiseThen(engineCall(kOwnActor, 0, actor.number, operation, detail),
    (answer: { detail: Readonly<Record<string, unknown>> }) => answer.detail) as Promise<Readonly<Record<string, unknown>>>;
}
