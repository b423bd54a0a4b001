// SPDX-License-Identifier: Apache-2.0
//
// Dispatch: an event finds its handler among the Worker's exports, and its outcome finds the way back.

import { isObject } from "../internal/convert.ts";
import { jsonParse, mapDelete, mapForEach, mapGet, mapSet, promiseResolve, promiseThen, SafeMap } from "../internal/intrinsics.ts";
import { takeBodyForSend } from "../web/body.ts";
import { abortRequest, type Request, requestFromHost } from "../web/request.ts";
import { isResponse, type Response, responseHeadersBlockOf, statusOf, statusTextOf } from "../web/response.ts";
import { endGroups } from "../web/console_later.ts";
import { tellOfRejection } from "../web/events_later.ts";
import { outgoing } from "./bodies.ts";
import { forgetProps, noteProps } from "./caller_props.ts";
import { ExecutionContext } from "./context.ts";
import { describe, faultError, isOwnError, unattributedError } from "./errors.ts";
import { kObjectEntrypoint, setExports } from "./exports.ts";
import { forgetSourcesOf } from "./loader_later.ts";
import { leave } from "../internal/gates.ts";
import { native } from "./native.ts";
import type { Receiver } from "./rpc/receiver.ts";
import { answerUpgrade, dropUpgrade, takeUpgrade } from "./sockets/upgrades.ts";
import { settings } from "./settings.ts";
import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from "./workers_module.ts";

type Handler = (event: unknown, env: unknown, ctx: ExecutionContext) => unknown;
type Entrypoint =
  | { kind: "object"; value: Record<string, unknown> }
  | { kind: "class"; value: EntrypointClass };
type EntrypointClass = new (ctx: unknown, env: unknown) => Record<string, unknown>;

const kOnEntrypoint = 0;
const kOnExport = 1;
const kOnActor = 3;
const kFetch: readonly string[] = ["fetch"];

const entrypoints = new SafeMap<string, Entrypoint>();
const requests = new SafeMap<number, Request>();
// Exported classes whose instances the runtime itself makes: not entrypoints.
const engineClasses = new SafeMap<string, { base: EngineBase; value: EntrypointClass }>();
// none: any other class; an object of it answers fetch() only.
type EngineBase = "DurableObject" | "WorkflowEntrypoint" | "none";

// Takes the exports of the main module. Returns a complaint when one of them is no entrypoint.
export function adopt(namespace: Record<string, unknown>): string | undefined {
  for (const name of Object.keys(namespace)) {
    const value = namespace[name];
    if (typeof value === "function") {
      if (extendsClass(value, WorkerEntrypoint)) mapSet(entrypoints, name, { kind: "class", value: value as never });
      else if (extendsClass(value, DurableObject)) setEngineClass(name, "DurableObject", value);
      else if (extendsClass(value, WorkflowEntrypoint)) setEngineClass(name, "WorkflowEntrypoint", value);
      else if (name === "default") {
        return "Uncaught TypeError: The default export is a function; it must be an object with handlers, such as " +
          "{ fetch() {} }, or a class that extends WorkerEntrypoint.";
      } else {
        setEngineClass(name, "none", value);
      }
    } else if (typeof value === "object" && value !== null) {
      mapSet(entrypoints, name, { kind: "object", value: value as Record<string, unknown> });
    } else {
      return `Uncaught TypeError: Incorrect type for map entry '${name}': the provided value is not of type ` +
        "'function or ExportedHandler'.";
    }
  }
  const objects: string[] = [];
  const classes: string[] = [];
  mapForEach(entrypoints, (entrypoint: Entrypoint, name: string) => {
    (entrypoint.kind === "object" ? objects : classes).push(name);
  });
  // As the contract lists them: the default first.
  objects.sort((a, b) => Number(b === "default") - Number(a === "default"));
  const actors: string[] = [];
  mapForEach(engineClasses, ({ base, value }: { base: EngineBase; value: object }, name: string) => {
    if (base === "DurableObject" || (base === "none" && isClass(value))) actors.push(name);
  });
  setExports([...objects, ...classes], actors);
  return undefined;
}

function extendsClass(value: object, base: object): boolean {
  return value === base || Object.prototype.isPrototypeOf.call(base, value);
}

// Written as a class: a function's prototype could be replaced.
function isClass(value: object): boolean {
  return Object.getOwnPropertyDescriptor(value, "prototype")?.writable === false;
}

function setEngineClass(name: string, base: EngineBase, value: object): void {
  mapSet(engineClasses, name, { base, value: value as never });
}

// The class of an actor, and whether its objects can be called over RPC.
export function actorClassOf(name: string): { value: EntrypointClass; isRpc: boolean } {
  const found = mapGet(engineClasses, name === "" ? "default" : name);
  if (found === undefined || found.base === "WorkflowEntrypoint") {
    throw unattributedError(
      name === "" || name === "default" ? "Worker has no default actor class." : `Worker has no such actor class: ${name}`);
  }
  return { value: found.value, isRpc: found.base === "DurableObject" };
}

// A dispatcher may call run() of a tenant's workflow class.
function workflowClass(name: string): Entrypoint | undefined {
  const found = mapGet(engineClasses, name);
  return found?.base === "WorkflowEntrypoint" ? { kind: "class", value: found.value } : undefined;
}

// The entrypoint of this name, for one invocation.
function receiverFor(name: string, id: number, props: unknown): Receiver {
  const entrypoint = mapGet(entrypoints, name === "" ? "default" : name) ?? workflowClass(name);
  if (entrypoint === undefined) {
    const isDefault = name === "" || name === "default";
    throw faultError("ERR_NO_ENTRYPOINT",
      isDefault ? "Worker has no default entrypoint." : `Worker has no such entrypoint: ${name}`);
  }
  if (props !== undefined) noteProps(id, props);
  const ctx = new ExecutionContext(id, props);
  const isClass = entrypoint.kind === "class";
  return { self: isClass ? new entrypoint.value(ctx, settings.env) : entrypoint.value, isClass, ctx };
}

export function handlerOf(self: object, name: string): Handler {
  const handler = (self as Record<string, unknown>)[name];
  if (typeof handler !== "function") throw new Error(`Handler does not export a ${name}() function.`);
  return handler as Handler;
}

// Called by the host for each request.
export function dispatchFetch(
  id: number, entrypoint: string, props: unknown, method: string, url: string, block: string, body: number, cf: string,
): void {
  try {
    if (entrypoint === kObjectEntrypoint) {
      const request = requestFromHost(method, url, block, takeUpgrade(id, method, block, body), cf);
      answerFetch(id, parts.actors().objectOf(props).fetch(request));
      return;
    }
    const { self, ctx } = receiverFor(entrypoint, id, props);
    const handler = handlerOf(self, "fetch");
    const request = requestFromHost(method, url, block, takeUpgrade(id, method, block, body), cf);
    mapSet(requests, id, request);
    answerFetch(id, Reflect.apply(handler, self, [request, settings.env, ctx]));
  } catch (error) {
    fail(id, error);
  }
}

function answerFetch(id: number, result: unknown): void {
  promiseThen(promiseResolve(result), (value: unknown) => respond(id, value), (error: unknown) => fail(id, error));
}

// Called by the host for a request to an object that was given away, or to what an earlier call returns.
export function dispatchFetchOn(
  answer: number, on: number, target: number, method: string, url: string, block: string, body: number, cf: string,
): void {
  try {
    const request = requestFromHost(method, url, block, takeUpgrade(answer, method, block, body), cf);
    if (on === kOnActor) {
      mapSet(requests, answer, request);
      answerFetch(answer, parts.actors().fetchActor(answer, target, request));
      return;
    }
    const rpc = parts.rpc();
    const call = (): unknown =>
      on === kOnExport ? rpc.callExport(target, kFetch, [request]) : rpc.callResult(target, kFetch, [request]);
    answerFetch(answer, throughGate(on, target, call));
  } catch (error) {
    fail(answer, error);
  }
}

// Called by the host for each RPC call. `args` undefined: a property is read.
export function dispatchRpc(
  answer: number, on: number, entrypoint: string, props: unknown, target: number, path: readonly string[],
  args: unknown[] | undefined,
): void {
  if (on === kOnActor) return parts.actors().callActor(answer, target, path, args);
  const rpc = parts.rpc();
  rpc.answerWith(answer, on === kOnEntrypoint, () => {
    switch (on) {
      case kOnEntrypoint:
        if (entrypoint === kObjectEntrypoint) return rpc.callValue(parts.actors().objectOf(props), path, args);
        return rpc.callEntrypoint(receiverFor(entrypoint, answer, props), path, args);
      case kOnExport:
        return throughGate(on, target, () => rpc.callExport(target, path, args));
      default:
        return throughGate(on, target, () => rpc.callResult(target, path, args));
    }
  });
}

// A call on an object or result that is an actor's waits while the actor lets nothing in.
function throughGate(on: number, target: number, call: () => unknown): unknown {
  const rpc = parts.rpc();
  const gate = on === kOnExport ? rpc.gateOfExport(target) : rpc.gateOfAnswer(target);
  return gate === undefined ? call() : gate.admit(native.invocation(), call);
}

// Called by the host with an event that the runtime itself delivers. What comes with it: bytes that an engine has kept,
// and a handle.
export function dispatchRuntimeEvent(
  invocation: number, entrypoint: string, props: unknown, name: string, detail: string, payload?: Uint8Array,
  capability = 0, actor = 0, body = 0,
): void {
  if (actor !== 0) return parts.actors().eventOfActor(invocation, actor, name, detail, payload, body);
  parts.rpc().answerWith(invocation, true, () => {
    if (entrypoint === kObjectEntrypoint) {
      const argument = name === "tail" ? tailEvents(detail) : jsonParse(detail);
      const result = parts.rpc().callValue(parts.actors().objectOf(props), [name], [argument]);
      return promiseThen(promiseResolve(result), () => undefined);
    }
    if (name === "workflow") {
      const make = (): object => receiverFor(entrypoint, invocation, props).self;
      return parts.workflows().startRun(make, jsonParse(detail) as never, payload, capability);
    }
    const { self, isClass, ctx } = receiverFor(entrypoint, invocation, props);
    const handler = handlerOf(self, name);
    const argument = name === "tail" ? tailEvents(detail) : jsonParse(detail);
    const result: unknown = Reflect.apply(handler, self, isClass ? [argument] : [argument, settings.env, ctx]);
    return promiseThen(promiseResolve(result), () => undefined);
  });
}

// What tail() is called with.
function tailEvents(detail: string): unknown {
  const events = jsonParse(detail) as { event?: { request?: object } | null }[];
  for (const { event } of events) {
    if (!isObject(event?.request)) continue;
    const request = event.request;
    Object.defineProperty(request, "getUnredacted", { value: () => request, configurable: true, writable: true });
  }
  return events;
}

function respond(id: number, value: unknown): void {
  try {
    mapDelete(requests, id);
    if (!isResponse(value)) {
      throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
    }
    const response: Response = value;
    if (answerUpgrade(id, response, (error) => fail(id, error))) return;
    const out = outgoing(takeBodyForSend(response as never), id, false, true);
    native.respond(id, statusOf(response), statusTextOf(response), responseHeadersBlockOf(response), out.kind,
      out.value, out.length);
  } catch (error) {
    fail(id, error);
  }
}

function fail(id: number, error: unknown): void {
  mapDelete(requests, id);
  dropUpgrade(id);
  const { fault, name, message, stack } = describe(error);
  native.report_failure(id, fault, `Uncaught ${stack}`);
  const { detail } = parts.rpc().describeThrown(error, name, message);
  native.fail(id, fault, name, message, stack, isOwnError(error, fault), detail);
}

// Called by the host when the caller has gone away, or the invocation must end.
export function cancelInvocation(id: number): void {
  const request = mapGet(requests, id);
  mapDelete(requests, id);
  if (request !== undefined) abortRequest(request);
}

// Called by the host when an invocation that keeps something here is over.
export function endInvocation(id: number): void {
  leave(id);
  forgetSourcesOf(id);
  forgetProps(id);
  dropUpgrade(id);
  endGroups(id);
}

// https://html.spec.whatwg.org/multipage/webappapis.html#unhandled-promise-rejections: a listener that prevents the
// default keeps the rejection out of the log.
export function unhandledRejection(reason: unknown, promise: Promise<unknown>): void {
  if (tellOfRejection("unhandledrejection", reason, promise)) {
    native.report_exception(`Uncaught (in promise) ${describe(reason).stack}`);
  }
}

export function rejectionHandled(reason: unknown, promise: Promise<unknown>): void {
  tellOfRejection("rejectionhandled", reason, promise);
}
