// SPDX-License-Identifier: Apache-2.0
//
// Body: what Request and Response share (https://fetch.spec.whatwg.org/#body-mixin). A body stays what it was given as,
// text, bytes or a native handle, and becomes a stream only when somebody looks at `.body`: the usual request and
// response go in and out without one.

import { isObject, toUsv } from "../internal/convert.ts";
import { illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { gated } from "../internal/gates.ts";
import { charCodeAt, concatBytes, copyBytes, exactBuffer, isBytes, isWellFormed, jsonParse, SafeUint8Array, slice, toWellFormed } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { Blob } from "./blob.ts";
import type { FormData } from "./form_data.ts";
import { isBlob, isFormData } from "./forms_later.ts";
import { headerOf, type Headers } from "./headers.ts";
import { isSearchParams, paramsText } from "./params_later.ts";
import type { ReadableStream } from "./streams.ts";
import {
  isDisturbed, isLocked, isReadableStream, promisedLength, readAllBytes, reclaimSource, type StreamSource,
  streamFromIterable, streamFromSource,
} from "./streams_later.ts";
import type { URLSearchParams } from "./url_search_params.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

export type BodyInit =
  string | ArrayBuffer | ArrayBufferView | Blob | FormData | URLSearchParams | ReadableStream<Uint8Array> | null;

export interface BodyState {
  kind: "none" | "text" | "bytes" | "native" | "stream";
  // Of kind text, bytes, native (its number) and stream. While `view` is undisturbed the value is still the body.
  value: string | Uint8Array | number | ReadableStream<unknown> | null;
  // What `.body` has shown of a text, bytes or native body.
  view: ReadableStream<unknown> | null;
  // The Content-Type that goes with what the body was made of; null: none.
  contentType: string | null;
  used: boolean;
}

export type SendableBody =
  | { kind: "none" }
  | { kind: "text"; text: string }
  | { kind: "bytes"; bytes: Uint8Array }
  | { kind: "native"; handle: number; failure?: string }
  | { kind: "stream"; stream: ReadableStream<unknown>; length: number };  // length: promised, -1 when not

const kNone: SendableBody = { kind: "none" };
const kUsed = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.";
const kLocked = "This ReadableStream is currently locked to a reader.";

export const bodyToken: unique symbol = Symbol("body");

export let bodyOf: (owner: Body) => BodyState;
export let isBody: (value: unknown) => value is Body;

export class Body {
  #state: BodyState;

  static {
    bodyOf = (owner) => {
      if (!isObject(owner) || !(#state in owner)) throw illegalInvocation();
      return owner.#state;
    };
    isBody = (value): value is Body => isObject(value) && #state in value;
  }

  constructor(secret?: typeof bodyToken, state?: BodyState) {
    if (secret !== bodyToken || state === undefined) throw illegalConstructor();
    this.#state = state;
  }

  get body(): ReadableStream<Uint8Array> | null {
    return showStream(bodyOf(this)) as ReadableStream<Uint8Array> | null;
  }

  get bodyUsed(): boolean {
    return isUsed(bodyOf(this));
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return exactBuffer(await consumeBytes(bodyOf(this)));
  }

  async bytes(): Promise<Uint8Array> {
    return consumeBytes(bodyOf(this));
  }

  async text(): Promise<string> {
    return consumeText(bodyOf(this));
  }

  async json(): Promise<unknown> {
    return jsonParse(await consumeText(bodyOf(this)));
  }

  async formData(): Promise<FormData> {
    const type = headerOf((this as unknown as { headers: Headers }).headers, "content-type");
    return parts.forms().parseForm(await consumeBytes(bodyOf(this)), type);
  }

  async blob(): Promise<Blob> {
    const type = headerOf((this as unknown as { headers: Headers }).headers, "content-type");
    return parts.forms().blobFromBytes(await consumeBytes(bodyOf(this)), type ?? "");
  }
}

webClass(Body, "Body");

// ---- Making

export function noBody(): BodyState {
  return { kind: "none", value: null, view: null, contentType: null, used: false };
}

export function nativeBody(handle: number): BodyState {
  return { kind: handle === 0 ? "none" : "native", value: handle, view: null, contentType: null, used: false };
}

export function textBody(text: string, contentType: string | null): BodyState {
  return { kind: "text", value: text, view: null, contentType, used: false };
}

function bytesBody(bytes: Uint8Array, contentType: string | null): BodyState {
  return { kind: "bytes", value: bytes, view: null, contentType, used: false };
}

// https://fetch.spec.whatwg.org/#concept-bodyinit-extract
export function extractBody(init: unknown): BodyState {
  if (typeof init === "string") {
    return textBody(isWellFormed(init) ? init : toWellFormed(init), "text/plain;charset=UTF-8");
  }
  if (init === null || init === undefined) return noBody();
  if (typeof init === "object") {
    if (isBytes(init)) return bytesBody(copyBytes(init), null);
    if (isReadableStream(init)) return streamBody(init);
    if (isSearchParams(init)) return textBody(paramsText(init), "application/x-www-form-urlencoded;charset=UTF-8");
    if (isBlob(init)) {
      const { bytesOfBlob, typeOfBlob } = parts.forms();
      return bytesBody(bytesOfBlob(init), typeOfBlob(init) || null);
    }
    if (isFormData(init)) {
      const { bytes, type } = parts.forms().encodeMultipart(init);
      return bytesBody(bytes, type);
    }
    const iterate = (init as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator];
    if (typeof iterate === "function") {
      return streamBody(streamFromIterable(init as AsyncIterable<unknown>));
    }
  }
  return textBody(toUsv(init), "text/plain;charset=UTF-8");
}

function streamBody(stream: ReadableStream<unknown>): BodyState {
  if (isDisturbed(stream)) {
    throw new TypeError(
      "This ReadableStream is disturbed (has already been read from), and cannot be used as a body.",
    );
  }
  if (isLocked(stream)) {
    throw new TypeError("This ReadableStream is locked to a reader, and cannot be used as a body.");
  }
  return { kind: "stream", value: stream, view: stream, contentType: null, used: false };
}

// ---- Looking

export function isUsed(state: BodyState): boolean {
  return state.used || (state.view !== null && isDisturbed(state.view));
}

function sourceOf(state: BodyState): StreamSource | null {
  switch (state.kind) {
    case "text":
      return { kind: "text", text: state.value as string };
    case "bytes":
      return { kind: "bytes", bytes: state.value as Uint8Array };
    case "native":
      return { kind: "native", handle: state.value as number };
    default:
      return null;
  }
}

function showStream(state: BodyState): ReadableStream<unknown> | null {
  if (state.kind === "none") return null;
  if (state.view !== null) return state.view;
  const stream = streamFromSource(sourceOf(state)!);
  state.view = stream;
  // Of a body that was read before: a stream that is locked and has been read.
  if (state.used) void reclaimSource(stream);
  return stream;
}

// ---- Taking

// The body for good, as what it is; throws when somebody else has it.
export function takeBody(state: BodyState): SendableBody {
  if (state.kind === "none") return kNone;
  if (isUsed(state)) throw new TypeError(kUsed);
  if (state.view !== null) return takeView(state, state.view);
  state.used = true;
  return sourceOf(state)!;
}

function takeView(state: BodyState, view: ReadableStream<unknown>): SendableBody {
  if (isLocked(view)) throw new TypeError(kLocked);
  state.used = true;
  return reclaimSource(view) ?? { kind: "stream", stream: view, length: promisedLength(view) };
}

// The next bytes of a native body. `failure`: the text of every failure, where the real one is nobody's business.
export async function pullBody(handle: number, failure: string | undefined): Promise<Uint8Array | undefined> {
  const pulled = gated(ops.body_pull(handle));  // Throws when the body belongs to another invocation.
  if (failure === undefined) return pulled;
  try {
    return await pulled;
  } catch {
    throw new Error(failure);
  }
}

async function readAllNative(handle: number, failure: string | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = await pullBody(handle, failure);
    if (chunk === undefined) return concatBytes(chunks);
    chunks[chunks.length] = chunk;
  }
}

async function consumeBytes(state: BodyState): Promise<Uint8Array> {
  const body = takeBody(state);
  switch (body.kind) {
    case "none":
      return new SafeUint8Array(0);
    case "text":
      return encodeUtf8(body.text);
    case "bytes":
      return copyBytes(body.bytes);
    case "native":
      return ops.body_take_bytes(body.handle) ?? readAllNative(body.handle, body.failure);
    case "stream":
      return readAllBytes(body.stream);
  }
}

async function consumeText(state: BodyState): Promise<string> {
  const body = takeBody(state);
  switch (body.kind) {
    case "none":
      return "";
    case "text":
      return charCodeAt(body.text, 0) === 0xfeff ? slice(body.text, 1) : body.text;
    case "bytes":
      return decodeUtf8(body.bytes);
    case "native":
      return ops.body_take_text(body.handle) ?? decodeUtf8(await readAllNative(body.handle, body.failure));
    case "stream":
      return decodeUtf8(await readAllBytes(body.stream));
  }
}

// A second body of the same content. The first goes on as before.
export function copyBody(state: BodyState): BodyState {
  if (state.kind === "none") return noBody();
  if (isUsed(state) || (state.view !== null && isLocked(state.view))) {
    throw new TypeError(isUsed(state) ? kUsed : kLocked);
  }
  const { kind, contentType } = state;
  if (kind === "text") return textBody(state.value as string, contentType);
  if (kind === "bytes") return bytesBody(state.value as Uint8Array, contentType);  // Never written to: shared.
  if (kind === "native") {
    const copy = ops.body_copy(state.value as number);
    if (copy !== 0) return nativeBody(copy);
  }
  const [mine, theirs] = showStream(state)!.tee();
  state.kind = "stream";
  state.value = mine;
  state.view = mine;
  return { kind: "stream", value: theirs, view: theirs, contentType, used: false };
}

// The body of `state` under a new owner; the old one has used it.
export function moveBody(state: BodyState): BodyState {
  const body = takeBody(state);
  switch (body.kind) {
    case "none":
      return noBody();
    case "text":
      return textBody(body.text, state.contentType);
    case "bytes":
      return bytesBody(body.bytes, state.contentType);
    case "native":
      return nativeBody(body.handle);
    case "stream":
      return { kind: "stream", value: body.stream, view: body.stream, contentType: state.contentType, used: false };
  }
}

// ---- For the runtime

// How the body of a request or response leaves. It counts as used from here on.
export function takeBodyForSend(owner: Body): SendableBody {
  return takeBody(bodyOf(owner));
}
