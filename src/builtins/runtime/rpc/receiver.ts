// SPDX-License-Identifier: Apache-2.0
//
// Calls that come in: on an entrypoint, on an object that was given away, or on what an earlier call has returned or will
// return. Results are kept until the caller says that it will not ask for more of them.

import { isObject } from "../../internal/convert.ts";
import { type Gate, gateHere } from "../../internal/gates.ts";
import {
  apply, mapDelete, mapForEach, mapGet, mapSet, promiseResolve, promiseThen, SafeMap,
} from "../../internal/intrinsics.ts";
import { toRequest } from "../../web/request.ts";
import type { ExecutionContext } from "../context.ts";
import { describe, isOwnError } from "../errors.ts";
import { native } from "../native.ts";
import { settings } from "../settings.ts";
import { takeArrived } from "./arrivals.ts";
import { describeThrown } from "./error_values.ts";
import { exported } from "./exported.ts";
import { farCall } from "./far.ts";
import { follow, kindOf, notAFunction } from "./members.ts";
import { transfer } from "./message.ts";
import { type Held, proxyOf } from "./stubs.ts";

// An entrypoint in one invocation.
export interface Receiver {
  self: object;
  isClass: boolean;
  ctx: ExecutionContext;
}

interface Answer {
  // What the call has returned; a promise while it has not.
  result: unknown;
  isWaiting: boolean;
  // Stubs that went to the caller: calls on the result may still need them here.
  given: readonly Held[];
  gate: Gate | undefined;
}

// What an error of a call is told to be, beside what it is; asked when there is one.
type Marks = () => Record<string, unknown> | undefined;

const answers = new SafeMap<number, Answer>();
const nothing = (): void => {};

// Calls on objects that are not answered yet, and the invocation in which each runs.
const open = new SafeMap<number, number>();

// Answers a call with what `run` returns.
export function answerWith(answer: number, isOnEntrypoint: boolean, run: () => unknown, marks?: Marks): void {
  const parameters = takeArrived();
  if (!isOnEntrypoint) mapSet(open, answer, native.invocation());
  let result: unknown;
  try {
    result = run();
  } catch (error) {
    fail(answer, error, parameters, marks);
    return;
  }
  if (!isObject(result)) {
    succeed(answer, result, parameters);
    return;
  }
  const promise = promiseResolve(result);
  mapSet(answers, answer, { result: promise, isWaiting: true, given: [], gate: gateHere() });
  promiseThen(promise, (value: unknown) => succeed(answer, value, parameters),
    (error: unknown) => fail(answer, error, parameters, marks));
}

function succeed(answer: number, value: unknown, parameters: readonly Held[]): void {
  mapDelete(open, answer);
  try {
    let given: readonly Held[] = [];
    if (isObject(value)) given = transfer("result", value, (sent) => native.rpc_return(answer, sent));
    else native.rpc_return(answer, value);
    mapSet(answers, answer, { result: value, isWaiting: false, given, gate: gateHere() });
    release(parameters, given);
  } catch (error) {
    fail(answer, error, parameters);
  }
}

function fail(answer: number, error: unknown, parameters: readonly Held[], marks?: Marks): void {
  mapDelete(open, answer);
  const { fault, name, message, stack } = describe(error);
  const thrown = describeThrown(error, name, message, marks?.());
  const failed = Promise.reject(error);
  promiseThen(failed, undefined, nothing);
  mapSet(answers, answer, { result: failed, isWaiting: true, given: [], gate: undefined });
  native.rpc_fail(answer, fault, thrown.name, thrown.message, stack, isOwnError(error, fault), thrown.detail);
  release(parameters, []);
}

// ctx.abort(): ends an invocation, and with it all calls that run in it.
export function abortInvocation(invocation: number, reason: unknown): void {
  const error: unknown = reason === undefined
    ? new Error("Worker execution was aborted due to call to ctx.abort().") : reason;
  const answersOfIt: number[] = [];
  mapForEach(open, (of: number, answer: number) => {
    if (of === invocation) answersOfIt[answersOfIt.length] = answer;
  });
  for (let i = 0; i < answersOfIt.length; i++) fail(answersOfIt[i]!, error, []);
  const { fault, name, message, stack } = describe(error);
  const thrown = describeThrown(error, name, message);
  native.abort_invocation(invocation, fault, thrown.name, thrown.message, stack, false, thrown.detail);
}

// What came as parameters ends with the call, unless it has gone on as part of the result.
function release(parameters: readonly Held[], given: readonly Held[]): void {
  for (let i = 0; i < parameters.length; i++) {
    if (!given.includes(parameters[i]!)) parameters[i]!.dispose();
  }
}

// Called by the host: nobody will call upon this result any more.
export function finishAnswer(answer: number): void {
  const found = mapGet(answers, answer);
  if (found === undefined) return;
  mapDelete(answers, answer);
  for (let i = 0; i < found.given.length; i++) found.given[i]!.dispose();
}

// A member of an actor's instance. `begins`: its own code is about to run.
export function callMember(
  self: object, path: readonly string[], args: unknown[] | undefined, begins: () => void,
): unknown {
  if (args !== undefined && path.length === 1 && path[0] === "fetch") {
    const { fetch } = self as { fetch?: unknown };
    if (typeof fetch !== "function") throw new Error("Handler does not export a fetch() function.");
    const request = toRequest(args[0], args[1]);
    begins();
    return apply(fetch, self, [request]);
  }
  const member = follow(self, "entrypoint", path);
  if (args === undefined && (member.rest === null || member.rest.length === 0)) return member.value;
  if (member.rest !== null) return proxyOf(farCall(member.value as object, member.rest, args));
  if (typeof member.value !== "function") throw notAFunction(path);
  begins();
  return apply(member.value, member.holder, args!);
}

// A member of an entrypoint.
export function callEntrypoint(receiver: Receiver, path: readonly string[], args: unknown[] | undefined): unknown {
  const { self, isClass, ctx } = receiver;
  if (args !== undefined && path.length === 1 && path[0] === "fetch") return callFetch(receiver, args);
  const member = follow(self, isClass ? "entrypoint" : "handlers", path);
  if (args === undefined && (member.rest === null || member.rest.length === 0)) return member.value;
  if (member.rest !== null) return proxyOf(farCall(member.value as object, member.rest, args));
  const { value } = member;
  if (typeof value !== "function") throw notAFunction(path);
  if (isClass || path.length !== 1) return apply(value, member.holder, args!);
  return callHandler(value as Handler, self, path[0]!, args!, ctx);
}

type Handler = (arg: unknown, env: unknown, ctx: ExecutionContext) => unknown;

// A function of an exported object gets its one argument, env and ctx.
function callHandler(handler: Handler, self: object, name: string, args: unknown[], ctx: ExecutionContext): unknown {
  if (handler.length > 3) {
    throw new TypeError(`Cannot call handler function "${name}" over RPC because it has the wrong number of arguments. ` +
      "A simple function handler can only be called over RPC if it has exactly the arguments (arg, env, ctx), where only " +
      "the first argument comes from the client. To support multi-argument RPC functions, use class-based syntax " +
      "(extending WorkerEntrypoint) instead.");
  }
  if (args.length !== 1) {
    throw new TypeError(`Attempted to call RPC function "${name}" with the wrong number of arguments. When calling a ` +
      "top-level handler function that is not declared as part of a class, you must always send exactly one argument. In " +
      "order to support variable numbers of arguments, the server must use class-based syntax (extending " +
      "WorkerEntrypoint) instead.");
  }
  return apply(handler, self, [args[0], settings.env, ctx]);
}

// fetch by way of RPC, as on the promise of a stub: its arguments are those of fetch().
function callFetch({ self, ctx }: Receiver, args: unknown[]): unknown {
  const handler = (self as { fetch?: unknown }).fetch;
  if (typeof handler !== "function") throw new Error("Handler does not export a fetch() function.");
  return apply(handler, self, [toRequest(args[0], args[1]), settings.env, ctx]);
}

// The gate of the code that has made or will make the result.
export function gateOfAnswer(answer: number): Gate | undefined {
  return mapGet(answers, answer)?.gate;
}

// A member of an object that was given away.
export function callExport(id: number, path: readonly string[], args: unknown[] | undefined): unknown {
  const object = exported(id);
  if (object === undefined) throw new Error("The execution context which hosts this callback is no longer running.");
  return callValue(object, path, args);
}

// A member of what an earlier call returns.
export function callResult(answer: number, path: readonly string[], args: unknown[] | undefined): unknown {
  const found = mapGet(answers, answer);
  if (found === undefined) throw new Error("The execution context which hosts this callback is no longer running.");
  if (!found.isWaiting) return callValue(found.result, path, args);
  return promiseThen(found.result as Promise<unknown>, (value: unknown) => callValue(value, path, args));
}

export function callValue(object: unknown, path: readonly string[], args: unknown[] | undefined): unknown {
  const member = follow(object, kindOf(object), path);
  if (args === undefined && (member.rest === null || member.rest.length === 0)) return member.value;
  if (member.rest !== null) return proxyOf(farCall(member.value as object, member.rest, args));
  if (typeof member.value !== "function") throw notAFunction(path);
  return apply(member.value, path.length === 0 ? undefined : member.holder, args!);
}
