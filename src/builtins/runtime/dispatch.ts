// SPDX-License-Identifier: Apache-2.0
//
// Dispatch: an event finds its handler among the Worker's exports, and its outcome finds the way back.

import { mapDelete, mapForEach, mapGet, mapSet, promiseResolve, promiseThen, SafeMap } from "../internal/intrinsics.ts";
import { takeBodyForSend } from "../web/body.ts";
import { abortRequest, type Request, requestFromHost } from "../web/request.ts";
import { isResponse, type Response, responseHeadersBlockOf, statusOf, statusTextOf } from "../web/response.ts";
import { endGroups } from "../web/console.ts";
import { PromiseRejectionEvent } from "../web/event_classes.ts";
import { dispatch, hasListeners } from "../web/events.ts";
import { globalEvents } from "../web/index.ts";
import { outgoing } from "./bodies.ts";
import { ExecutionContext } from "./context.ts";
import { describe, faultError } from "./errors.ts";
import { setExports } from "./exports.ts";
import { forgetSourcesOf } from "./loader.ts";
import { native } from "./native.ts";
import { settings } from "./settings.ts";
import { WorkerEntrypoint } from "./workers_module.ts";

type Handler = (request: Request, env: unknown, ctx: ExecutionContext) => unknown;
type Entrypoint =
  | { kind: "object"; value: Record<string, unknown> }
  | { kind: "class"; value: new (ctx: unknown, env: unknown) => Record<string, unknown> };

const entrypoints = new SafeMap<string, Entrypoint>();
const requests = new SafeMap<number, Request>();

// Takes the exports of the main module. Returns a complaint when one of them is no entrypoint.
export function adopt(namespace: Record<string, unknown>): string | undefined {
  for (const name of Object.keys(namespace)) {
    const value = namespace[name];
    if (typeof value === "function") {
      const isEntrypoint = (value as unknown) === WorkerEntrypoint ||
        Object.prototype.isPrototypeOf.call(WorkerEntrypoint, value);
      if (isEntrypoint) mapSet(entrypoints, name, { kind: "class", value: value as never });
      else if (name === "default") {
        return "Uncaught TypeError: The default export is a function; it must be an object with handlers, such as " +
          "{ fetch() {} }, or a class that extends WorkerEntrypoint.";
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
  setExports([...objects, ...classes]);
  return undefined;
}

function handlerFor(name: string, id: number, props: unknown): { handler: Handler; self: object; ctx: ExecutionContext } {
  const entrypoint = mapGet(entrypoints, name === "" ? "default" : name);
  if (entrypoint === undefined) {
    const isDefault = name === "" || name === "default";
    throw faultError("ERR_NO_ENTRYPOINT",
      isDefault ? "Worker has no default entrypoint." : `Worker has no such entrypoint: ${name}`);
  }
  const ctx = new ExecutionContext(id, props);
  const self = entrypoint.kind === "class" ? new entrypoint.value(ctx, settings.env) : entrypoint.value;
  const handler = self["fetch"];
  if (typeof handler !== "function") throw new Error("Handler does not export a fetch() function.");
  return { handler: handler as Handler, self, ctx };
}

// Called by the host for each request.
export function dispatchFetch(
  id: number, entrypoint: string, props: unknown, method: string, url: string, block: string, body: number, cf: string,
): void {
  try {
    const { handler, self, ctx } = handlerFor(entrypoint, id, props);
    const request = requestFromHost(method, url, block, body, cf);
    mapSet(requests, id, request);
    const result = Reflect.apply(handler, self, [request, settings.env, ctx]);
    promiseThen(promiseResolve(result), (value: unknown) => respond(id, value), (error: unknown) => fail(id, error));
  } catch (error) {
    fail(id, error);
  }
}

function respond(id: number, value: unknown): void {
  try {
    mapDelete(requests, id);
    if (!isResponse(value)) {
      throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
    }
    const response: Response = value;
    const out = outgoing(takeBodyForSend(response as never), id);
    native.respond(id, statusOf(response), statusTextOf(response), responseHeadersBlockOf(response), out.kind,
      out.value, out.length);
  } catch (error) {
    fail(id, error);
  }
}

function fail(id: number, error: unknown): void {
  mapDelete(requests, id);
  const { fault, name, message, stack } = describe(error);
  native.report_exception(`Uncaught ${stack}`);
  native.fail(id, fault, name, message, stack, fault === "");
}

// Called by the host when the caller has gone away, or the invocation must end.
export function cancelInvocation(id: number): void {
  const request = mapGet(requests, id);
  mapDelete(requests, id);
  if (request !== undefined) abortRequest(request);
}

// Called by the host when an invocation that keeps something here is over.
export function endInvocation(id: number): void {
  forgetSourcesOf(id);
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

// False when a listener prevented the default.
function tellOfRejection(type: string, reason: unknown, promise: Promise<unknown>): boolean {
  if (!hasListeners(globalEvents, type)) return true;
  const cancelable = type === "unhandledrejection";
  return dispatch(globalEvents, new PromiseRejectionEvent(type, { promise, reason, cancelable }));
}
