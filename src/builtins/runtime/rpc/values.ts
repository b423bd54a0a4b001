// SPDX-License-Identifier: Apache-2.0
//
// Objects that V8 has no format for: reduce() makes a tag and plain data of one, revive() the object again. What cannot
// be data rides beside the bytes; the data says at which place.

import { isObject } from "../../internal/convert.ts";
import { getOwnPropertyDescriptor, getPrototypeOf, hasOwn, isArray, isBytes, viewOf } from "../../internal/intrinsics.ts";
import { platformClassOf } from "../../internal/web_class.ts";
import { isAbortSignal } from "../../web/events_later.ts";
import { isBlob, isFile } from "../../web/forms_later.ts";
import { bodyOf, isUsed, takeBody } from "../../web/body.ts";
import { blockOf, headersFromBlock, isHeaders } from "../../web/headers.ts";
import {
  cfTextOf, givenSignalOf, isRequest, methodOf, redirectOf, type Request, requestFromParts, requestHeadersBlockOf, urlOf,
} from "../../web/request.ts";
import {
  isResponse, type Response, responseFromParts, responseHeadersBlockOf, statusOf, statusTextOf,
} from "../../web/response.ts";
import { isLocked, isReadableStream, isWritableStream } from "../../web/streams_later.ts";
import { outgoing } from "../bodies.ts";
import { kDynamicStub, newDataCloneError } from "../errors.ts";
import { isFetcher, kFetcher, targetForGiving } from "../fetcher.ts";
import type { DurableObjectClass } from "../loader.ts";
import { isEngineClass, targetOfClass } from "../loader_later.ts";
import { native } from "../native.ts";
import { isUncalledExport } from "../exports.ts";
import { addExport } from "./exported.ts";
import { arrive, heldHandle } from "./held.ts";
import { isNativeError, type ReducedError, reduceError, reduceStoredError, reviveError } from "./error_values.ts";
import { areStubsDuplicated, beforeWhatCannotBeUndone, currentMessage, Marker, type Message } from "./message.ts";
import { isTarget } from "./members.ts";
import { classNameOf, internalsOf, heldBy } from "./stubs.ts";
import { lockedReadable, receivedReadable, receivedWritable, sendReadable, sendWritable } from "./streams.ts";

// Tags of the format. Values in actors' storage have kError in them: it may not change.
const kStub = 1;
const kError = 3;
const kHeaders = 4;
const kRequest = 5;
const kResponse = 6;
const kBlob = 7;
const kReadable = 8;
const kWritable = 9;

const kModeKept = 2;
const kModeStored = 3;
const kBadProxy = "Proxy could not be serialized because it is not a valid RPC receiver type. The Proxy must emulate " +
  "either a plain object or an RpcTarget, as indicated by the Proxy's prototype chain.";

type Reduced = readonly [tag: number, data: unknown];

// Called by the host's serialiser. mode: 1 RPC, 2 env and props, 3 storage.
export function reduce(object: object, mode: number): Reduced {
  if (mode === kModeStored) {
    if (!isNativeError(object)) throw refusal(object);
    return [kError, reduceStoredError(object)];
  }
  const message = currentMessage();
  if (message === null) throw refusal(object);
  if (object instanceof Marker) return reduceMarked(object.value, message);
  if (isFetcher(object)) return [kFetcher, sendFetcher(object)];
  if (isNativeError(object)) return [kError, reduceError(object)];
  if (isHeaders(object)) return [kHeaders, blockOf(object)];
  if (isBlob(object) && !isFile(object)) return [kBlob, [parts.forms().bytesOfBlob(object), parts.forms().typeOfBlob(object)]];
  if (mode === kModeKept) {
    if (isTarget(object)) throw newDataCloneError("Remote RPC references can only be serialized for RPC.");
    if (isReadableStream(object)) throw newDataCloneError("ReadableStream can only be serialized for RPC.");
    if (isWritableStream(object)) throw newDataCloneError("WritableStream can only be serialized for RPC.");
    if (isAbortSignal(object)) throw noSignals();
    if (isEngineClass(object)) throw refusalOfClass(object);
    throw refusal(object);
  }
  if (isTarget(object)) return [kStub, exportObject(object, message)];
  if (isRequest(object)) return [kRequest, reduceRequest(object, message)];
  if (isResponse(object)) return [kResponse, reduceResponse(object, message)];
  if (isReadableStream(object)) {
    beforeWhatCannotBeUndone(message);
    return [kReadable, sendReadable(object)];
  }
  if (isWritableStream(object)) {
    beforeWhatCannotBeUndone(message);
    return [kWritable, sendWritable(object)];
  }
  if (isAbortSignal(object)) throw noSignals();
  if (isEngineClass(object)) throw refusalOfClass(object);
  throw refusal(object);
}

function noSignals(): Error {
  return newDataCloneError("AbortSignal serialization is not enabled.");
}

function refusalOf(name: string): Error {
  return newDataCloneError(`Could not serialize object of type "${name}". This type does not support serialization.`);
}

function refusalOfClass(object: DurableObjectClass): Error {
  return targetOfClass(object).kind === 1 ? newDataCloneError(kDynamicStub) : refusal(object);
}

function refusal(object: object): Error {
  return refusalOf(platformClassOf(object) ?? ownClassOf(object));
}

// The name of the class of the Worker's own, found without running its code.
function ownClassOf(object: object): string {
  for (let at: object | null = object; at !== null && !native.is_proxy(at); at = getPrototypeOf(at) as object | null) {
    const maker: unknown = getOwnPropertyDescriptor(at, "constructor")?.value;
    if (typeof maker !== "function") continue;
    const name: unknown = native.is_proxy(maker) ? "" : getOwnPropertyDescriptor(maker, "name")?.value;
    return typeof name === "string" && name !== "" ? name : "Object";
  }
  return "Object";
}

function reduceMarked(value: object, message: Message): Reduced {
  const held = heldBy(value);
  if (held !== undefined) {
    if (message.purpose === "kept") {
      throw newDataCloneError("RpcStub cannot be serialized in this context because it is not a persistent stub.");
    }
    const place = native.payload_capability(held.handle());
    message.stubs[message.stubs.length] = held;
    return [kStub, place];
  }
  const internals = native.is_proxy(value) ? internalsOf(value) : undefined;
  if (internals !== undefined) throw refusalOf(classNameOf(internals));
  if (isFetcher(value)) return [kFetcher, sendFetcher(value)];
  if (isUncalledExport(value)) throw refusal(value);
  if (typeof value !== "function" && getPrototypeOf(value) !== Object.prototype && !isTarget(value)) {
    throw newDataCloneError(kBadProxy);
  }
  return [kStub, exportObject(value, message)];
}

function sendFetcher(fetcher: object): number {
  if (isUncalledExport(fetcher)) throw refusalOf("LoopbackServiceStub");
  const target = targetForGiving(fetcher);
  if (target.kind === 1) throw newDataCloneError(kDynamicStub);
  if (target.kind === 3) return native.payload_entrypoint(target.entrypoint, target.props);
  return native.payload_capability(target.capability);
}

// A function or target of this Worker. Each message makes a new reference to it.
function exportObject(value: object, message: Message): number {
  const subject = message.purpose === "arguments" && areStubsDuplicated() ? duplicateOf(value, message) : value;
  const id = addExport(subject);
  message.exports[message.exports.length] = id;
  return native.payload_export(id);
}

// The value itself, or what its own dup() gives.
function duplicateOf(value: object, message: Message): object {
  const isFunction = typeof value === "function";
  if (isFunction && !hasOwn(value, "dup")) return value;
  const { dup } = value as { dup?: unknown };
  if (typeof dup !== "function") return value;
  beforeWhatCannotBeUndone(message);
  const copy: unknown = Reflect.apply(dup, value, []);
  const isSame = isFunction ? typeof copy === "function" : isObject(copy) && isTarget(copy);
  if (isSame) return copy as object;
  throw newDataCloneError(isFunction
    ? "Couldn't create a stub for the function because it has a dup() method which did not return another function. " +
      "Either remove the dup() method or make sure it returns a function."
    : "Couldn't create a stub for the RcpTarget because it has a dup() method which did not return another RpcTarget. " +
      "Either remove the dup() method or make sure it returns an RpcTarget.");
}

// ---- Requests and responses. The body's place, or -1.

function sendBody(owner: Request | Response, message: Message): number {
  const state = bodyOf(owner as never);
  if (state.kind !== "none") {
    if (isUsed(state) || (state.view !== null && isLocked(state.view))) throw lockedReadable();
    beforeWhatCannotBeUndone(message);
  }
  const body = takeBody(state);
  if (body.kind === "none") return -1;
  const out = outgoing(body, native.invocation());
  return native.payload_stream(out.kind, out.value, out.length);
}

function takeStream(place: unknown): number {
  return place === -1 ? 0 : native.payload_take_stream(number(place));
}

function reduceRequest(request: Request, message: Message): unknown[] {
  if (givenSignalOf(request) !== null) throw noSignals();
  return [methodOf(request), urlOf(request), requestHeadersBlockOf(request), redirectOf(request), cfTextOf(request),
    sendBody(request, message)];
}

function reduceResponse(response: Response, message: Message): unknown[] {
  return [statusOf(response), statusTextOf(response), responseHeadersBlockOf(response), response.type,
    sendBody(response, message)];
}

// ---- The other way

// Called by the host's deserialiser. The data comes from another Worker's built-ins, but is not to be trusted more than
// that Worker is: a wrong shape throws. V8 is in the middle of its reading, so no code of this Worker may run in here:
// no iterators and nothing else that it could have replaced.
export function revive(tag: number, data: unknown): unknown {
  switch (tag) {
    case kStub:
      return arrive(native.payload_take_capability(number(data)));
    case kError:
      return reviveError(data as ReducedError);
    case kHeaders:
      return headersFromBlock(text(data), "none");
    case kBlob: {
      const bytes = part(data, 0);
      if (!isBytes(bytes)) throw unreadable();
      return parts.forms().blobFromBytes(viewOf(bytes), text(part(data, 1)));
    }
    case kRequest:
      return requestFromParts(text(part(data, 0)), text(part(data, 1)), text(part(data, 2)),
        part(data, 3) === "manual" ? "manual" : "follow", text(part(data, 4)), takeStream(part(data, 5)));
    case kResponse:
      return responseFromParts(number(part(data, 0)), text(part(data, 1)), text(part(data, 2)),
        part(data, 3) === "error" ? "error" : "default", takeStream(part(data, 4)));
    case kReadable:
      return receivedReadable(native.payload_take_stream(number(data)));
    case kWritable:
      return receivedWritable(heldHandle(native.payload_take_capability(number(data))));
    default:
      throw unreadable();
  }
}

function unreadable(): TypeError {
  return new TypeError("A value that was received cannot be read: it has another form than it should.");
}

function part(list: unknown, index: number): unknown {
  if (!isArray(list) || !hasOwn(list, index)) throw unreadable();
  return (list as unknown[])[index];
}

function text(value: unknown): string {
  if (typeof value !== "string") throw unreadable();
  return value;
}

function number(value: unknown): number {
  if (typeof value !== "number") throw unreadable();
  return value;
}

