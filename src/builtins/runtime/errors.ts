// SPDX-License-Identifier: Apache-2.0
//
// Errors on their way between isolates and the host: what leaves, what comes in, and which of them the runtime made.

import { weakMapGet, weakMapSet } from "../internal/intrinsics.ts";
import { cleanStack } from "../internal/stack.ts";
import { DOMException } from "../web/dom_exception.ts";

// Errors made by the runtime, with their code. A Worker cannot add to this: its own `code` property proves nothing.
const faults = new WeakMap<object, string>();

const nativeErrors: Readonly<Record<string, ErrorConstructor>> = {
  Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError,
};
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

export function newDataCloneError(message: string): DOMException {
  return new DOMException(message, "DataCloneError");
}

// An error that came from somewhere else, as the caller sees it.
export function errorFromHost(fault: string, name: string, message: string, remote: boolean): Error {
  const constructor = nativeErrors[name];
  const error = constructor === undefined ? new Error(message) : new constructor(message);
  if (constructor === undefined && name !== "") {
    Object.defineProperty(error, "name", { value: name, enumerable: false, configurable: true, writable: true });
  }
  if (fault !== "") mark(error, fault);
  if (remote) Object.assign(error, { remote: true });
  return error;
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
