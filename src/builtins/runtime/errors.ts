// SPDX-License-Identifier: Apache-2.0
//
// Errors on their way between isolates and the host: what leaves, what comes in, and which of them the runtime made.

import { weakMapGet, weakMapSet } from "../internal/intrinsics.ts";
import { cleanStack } from "../internal/stack.ts";
import { DOMException } from "../web/dom_exception.ts";

// Errors made by the runtime, with their code. A Worker cannot add to this: its own `code` property proves nothing.
const faults = new WeakMap<object, string>();

const nativeErrors: Readonly<Record<string, ErrorConstructor>> = {
  __proto__: null as never,
  Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError,
  AggregateError: AggregateError as unknown as ErrorConstructor,
};

// The language's own class of errors with this name.
export function nativeErrorOf(name: string): ErrorConstructor | undefined {
  // V8 adds this one when it brings the snapshot back to life.
  if (name === "SuppressedError") return (globalThis as { SuppressedError?: unknown }).SuppressedError as ErrorConstructor;
  return nativeErrors[name];
}
// Codes after which the same call may be sent again at once.
const retryable: readonly string[] = ["ERR_RUNNER_LOST", "ERR_ISOLATE_LOST", "ERR_OVERLOADED"];

export function faultError(code: string, message: string): Error {
  const error = new Error(message);
  mark(error, code);
  return error;
}

function mark(error: Error, code: string): void {
  weakMapSet(faults, error, code);
  Object.defineProperty(error, "code", { value: code, enumerable: true, configurable: true, writable: true });
  if (retryable.includes(code)) Object.assign(error, { retryable: true });
  if (code === "ERR_OVERLOADED") Object.assign(error, { overloaded: true });
}

// Errors of the runtime that have no code and are not told as a callee's own.
const unattributed = new WeakMap<object, true>();

export function unattributedError(message: string): Error {
  const error = new Error(message);
  weakMapSet(unattributed, error, true);
  return error;
}

// Is what was thrown the callee's own?
export function isOwnError(thrown: unknown, fault: string): boolean {
  return fault === "" && (typeof thrown !== "object" || thrown === null || weakMapGet(unattributed, thrown) !== true);
}

export const kDynamicStub = "Entrypoints to dynamically-loaded workers cannot be transferred to other Workers, because the system " +
  "does not know how to reload this Worker from scratch. Instead, have the parent Worker expose an entrypoint which " +
  "constructs the dynamic worker and forwards to it.";

export function newDataCloneError(message: string): DOMException {
  return new DOMException(message, "DataCloneError");
}

// An error of the language's class of that name; any other name becomes its own property.
export function errorOf(name: string, message: string): Error {
  const known = nativeErrorOf(name);
  if (known !== undefined) return makeNative(known, message);
  const error = new Error(message);
  if (name !== "") Object.defineProperty(error, "name", { value: name, enumerable: true, configurable: true, writable: true });
  return error;
}

function makeNative(known: ErrorConstructor, message: string): Error {
  const make = known as unknown as new (...args: unknown[]) => Error;
  switch (known.length) {
    case 2:  // AggregateError
      return new make([], message);
    case 3:  // SuppressedError
      return new make(undefined, undefined, message);
    default:
      return new make(message);
  }
}

// An error that came from somewhere else, as the caller sees it.
export function errorFromHost(fault: string, name: string, message: string, remote: boolean): Error {
  const error = errorOf(name, message);
  markFromHost(error, fault, remote);
  return error;
}

export function markFromHost(error: object, fault: string, remote: boolean): void {
  if (fault !== "") mark(error as Error, fault);
  if (remote) Object.assign(error, { remote: true });
}

export interface Failure {
  fault: string;
  name: string;
  message: string;
  stack: string;
}

function textOf(read: () => unknown): string {
  try {
    const value = read();
    return typeof value === "string" ? value : String(value);
  } catch {
    return "";
  }
}

// What is told of a thrown value. Getters of hostile objects may run and throw: they harm only their own isolate.
export function describe(thrown: unknown): Failure {
  if (typeof thrown !== "object" || thrown === null) {
    const message = textOf(() => thrown);
    return { fault: "", name: "Error", message, stack: message };
  }
  const error = thrown as { name?: unknown; message?: unknown; stack?: unknown };
  const fault = (weakMapGet(faults, thrown) as string | undefined) ?? "";
  const name = "name" in error ? textOf(() => error.name) : "Error";
  const message = "message" in error ? textOf(() => error.message) : textOf(() => thrown);
  const stack = "stack" in error ? cleanStack(textOf(() => error.stack)) : "";
  return { fault, name, message, stack: stack === "" ? `${name}: ${message}` : stack };
}
