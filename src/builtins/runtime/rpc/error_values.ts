// SPDX-License-Identifier: Apache-2.0
//
// Errors in messages, as values and as what a call has thrown: class, message, and from 2026-04-21 on also the name, the
// own properties and the cause.

import { isObject } from "../../internal/convert.ts";
import {
  defineProperty, getOwnPropertyDescriptor, isView, objectKeys, ownKeys, viewOf,
} from "../../internal/intrinsics.ts";
import { DOMException } from "../../web/dom_exception.ts";
import { errorOf, markFromHost, nativeErrorOf } from "../errors.ts";
import { native } from "../native.ts";
import { isEnabled } from "../settings.ts";
import { currentMessage, mark, needsMarker, transfer } from "./message.ts";

export interface ReducedError {
  kind: "error" | "dom" | "old";
  name: string;
  message: string;
  own?: Record<string, unknown>;  // own properties, with the cause
  stack?: string;  // of one that is stored
}

// What rides with a thrown error beside its name and message.
export interface ThrownDetail {
  kind: "error" | "dom" | "object";
  name?: string;  // when it is another one than the host was told
  own?: Record<string, unknown>;
  value?: unknown;  // of kind object: what was thrown
}

export function isNativeError(value: object): value is Error {
  // Not in the intrinsics: V8 adds it when it brings the snapshot to life.
  return (Error as unknown as { isError(value: unknown): boolean }).isError(value) || value instanceof DOMException;
}

function isEnhanced(): boolean {
  return isEnabled("enhanced_error_serialization", "legacy_error_serialization", "2026-04-21");
}

// The own properties of an error, as data. `isAllowed` says what may be left out when it cannot be sent.
function ownOf(error: object, isTold: boolean): Record<string, unknown> | undefined {
  let own: Record<string, unknown> | undefined;
  for (const key of ownKeys(error)) {
    if (typeof key !== "string" || key === "stack" || key === "message" || key === "name") continue;
    let value: unknown;
    try {
      value = (error as Record<string, unknown>)[key];
    } catch (problem) {
      if (isTold) throw problem;
      continue;
    }
    own ??= {};
    defineProperty(own, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return own;
}

// An error inside a message. Throws what the error's own getters throw.
export function reduceError(error: Error): ReducedError {
  if (error instanceof DOMException) return { kind: "dom", name: error.name, message: error.message };
  const name = String(error.name);
  const message = String(error.message);
  if (!isEnhanced()) {
    const cause = getOwnPropertyDescriptor(error, "cause");
    const old: ReducedError = { kind: "old", name: nativeErrorOf(name) === undefined ? "Error" : name, message };
    if (cause !== undefined && "value" in cause) old.own = { cause: sendable(cause.value) };
    return old;
  }
  const own = ownOf(error, true);
  if (own !== undefined) {
    for (const key of objectKeys(own)) own[key] = sendable(own[key]);
  }
  return { kind: "error", name, message, own };
}

// An error that its own Worker keeps.
export function reduceStoredError(error: Error): ReducedError {
  const reduced = reduceError(error);
  const { stack } = error;
  if (typeof stack === "string") reduced.stack = stack;
  return reduced;
}

// A property's value with markers where the serialiser needs them.
function sendable(value: unknown): unknown {
  const message = currentMessage();
  return message !== null && needsMarker(message.purpose, value) ? mark(message, value) : value;
}

export function reviveError(data: ReducedError): Error {
  const { kind, name, message, own } = data;
  if (typeof name !== "string" || typeof message !== "string") throw new TypeError("An error that was received cannot be read.");
  if (kind === "dom") return new DOMException(message, name);
  const error = errorOf(name, message);
  // The frames are those of the runtime: where a value was received says nothing.
  const stack = typeof data.stack === "string" ? data.stack : message === "" ? name : `${name}: ${message}`;
  defineProperty(error, "stack", { value: stack, writable: true, enumerable: false, configurable: true });
  if (isObject(own)) takeOver(error, own, kind !== "old");
  return error;
}

function takeOver(error: object, own: Record<string, unknown>, enumerable: boolean): void {
  const keys = objectKeys(own);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (key === "stack" || key === "message") continue;
    defineProperty(error, key, { value: own[key], writable: true, enumerable, configurable: true });
  }
}

// ---- Thrown

const { captureStackTrace } = Error as unknown as { captureStackTrace(target: object, above: unknown): void };

export interface Thrown {
  name: string;
  message: string;
  detail: Uint8Array | undefined;
}

// What rpc_fail is to say of a thrown value. Never throws.
// `marks`: properties that the runtime adds.
export function describeThrown(
  thrown: unknown, name: string, message: string, marks?: Record<string, unknown>,
): Thrown {
  const described = describeOwn(thrown, name, message, marks);
  if (marks !== undefined && described.detail === undefined) described.detail = pack({ kind: "error", own: marks });
  return described;
}

function describeOwn(thrown: unknown, name: string, message: string, marks: Record<string, unknown> | undefined): Thrown {
  if (!isObject(thrown)) return { name: "Error", message, detail: undefined };
  if (thrown instanceof DOMException) return { name, message, detail: pack({ kind: "dom" }) };
  if (typeof thrown === "function") return { name: "Error", message: String(thrown), detail: undefined };
  const isError = isNativeError(thrown);
  if (!isEnhanced()) {
    if (!isError) return { name: "Error", message: "#<Object>", detail: undefined };
    if (nativeErrorOf(name) !== undefined) return { name, message, detail: undefined };
    return { name: "Error", message: name === "" ? message : `${name}: ${message}`, detail: undefined };
  }
  if (!isError) {
    return { name, message, detail: pack({ kind: "object", value: thrown }) ?? packPlain("object", thrown) };
  }
  let own = ownOf(thrown, false);
  if (own === undefined) return { name, message, detail: undefined };
  if (marks !== undefined) own = { ...own, ...marks };
  return { name, message, detail: pack({ kind: "error", own }) ?? packPlain("error", own) };
}

// Instances of the Worker's own classes become plain objects; with anything that has no copy, all properties are lost.
function packPlain(kind: "error" | "object", value: object): Uint8Array | undefined {
  try {
    const plain = native.structured_clone(value, []);
    return pack(kind === "object" ? { kind, value: plain } : { kind, own: plain as Record<string, unknown> });
  } catch {
    return undefined;
  }
}

// Bytes, when nothing but data is in it. Errors inside are reduced like everywhere: their stacks stay here.
export function pack(detail: ThrownDetail): Uint8Array | undefined {
  try {
    let packed: Packed | undefined;
    transfer("kept", detail, (given) => {
      packed = native.pack(given, 2);
    });
    if (typeof packed !== "number") return packed;
    native.pack_drop(packed);
  } catch {
    // Told by the result.
  }
  return undefined;
}

// The error of a call that has failed elsewhere.
// `above`: the function below which its stack begins.
export function errorOfCall(
  fault: string, name: string, message: string, remote: boolean, detail: unknown, above: unknown,
): object {
  const error = thrownError(name, message, detail, above);
  markFromHost(error, fault, remote);
  return error;
}

function unpack(detail: unknown): Partial<ThrownDetail> {
  if (!isView(detail)) return {};
  try {
    const given = native.deserialize(viewOf(detail));
    return isObject(given) ? given : {};
  } catch {
    return {};  // The rest of the error is good enough.
  }
}

function thrownError(name: string, message: string, detail: unknown, above: unknown): object {
  const given = unpack(detail);
  if (given.kind === "dom") return new DOMException(message, name);
  if (given.kind === "object" && isObject(given.value)) return given.value;
  const error = errorOf(typeof given.name === "string" ? given.name : name, message);
  if (isObject(given.own)) takeOver(error, given.own, true);
  captureStackTrace(error, above);
  return error;
}

