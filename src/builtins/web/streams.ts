// SPDX-License-Identifier: Apache-2.0
//
// Streams (https://streams.spec.whatwg.org/): the classes of the web-streams-polyfill package, and what the runtime
// makes of native bodies and of bytes at hand.

import {
  ByteLengthQueuingStrategy,
  CountQueuingStrategy,
  ReadableByteStreamController,
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest,
  ReadableStreamDefaultController,
  ReadableStreamDefaultReader,
  TransformStream,
  TransformStreamDefaultController,
  WritableStream,
  WritableStreamDefaultController,
  WritableStreamDefaultWriter,
  type UnderlyingSink,
} from "web-streams-polyfill";

import { isObject } from "../internal/convert.ts";
import { byteLengthOf, concatBytes, isBytes, viewOf, weakMapGet, weakMapSet } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import { pullBody } from "./body.ts";
import { encodeUtf8 } from "./utf8.ts";
import { adoptStreams, type StreamSource } from "./streams_later.ts";

export * from "web-streams-polyfill";

// The package keeps its state in plain properties; these are the ones that bodies ask for.
interface Internals {
  _disturbed: boolean;
  _state: "readable" | "closed" | "errored";
}

webClass(ByteLengthQueuingStrategy, "ByteLengthQueuingStrategy", (s) => ({ highWaterMark: s.highWaterMark }));
webClass(CountQueuingStrategy, "CountQueuingStrategy", (s) => ({ highWaterMark: s.highWaterMark }));
webClass(ReadableByteStreamController, "ReadableByteStreamController", () => ({}));
webClass(ReadableStream, "ReadableStream", (s) => ({ locked: s.locked, state: (s as unknown as Internals)._state }));
webClass(ReadableStreamBYOBReader, "ReadableStreamBYOBReader", () => ({}));
webClass(ReadableStreamBYOBRequest, "ReadableStreamBYOBRequest", (r) => ({ view: r.view }));
webClass(ReadableStreamDefaultController, "ReadableStreamDefaultController", () => ({}));
webClass(ReadableStreamDefaultReader, "ReadableStreamDefaultReader", () => ({}));
webClass(TransformStream, "TransformStream", (s) => ({ readable: s.readable, writable: s.writable }));
webClass(TransformStreamDefaultController, "TransformStreamDefaultController", () => ({}));
webClass(WritableStream, "WritableStream", (s) => ({ locked: s.locked, state: (s as unknown as Internals)._state }));
webClass(WritableStreamDefaultController, "WritableStreamDefaultController", () => ({}));
webClass(WritableStreamDefaultWriter, "WritableStreamDefaultWriter", () => ({}));

const lockedOf = Object.getOwnPropertyDescriptor(ReadableStream.prototype, "locked")!.get!;

// Brand check by the package's own getter.
export function isReadableStream(value: unknown): value is ReadableStream<unknown> {
  if (!isObject(value)) return false;
  try {
    lockedOf.call(value);
    return true;
  } catch {
    return false;
  }
}

const writableLockedOf = Object.getOwnPropertyDescriptor(WritableStream.prototype, "locked")!.get!;

export function isWritableStream(value: unknown): value is WritableStream<unknown> {
  if (!isObject(value)) return false;
  try {
    writableLockedOf.call(value);
    return true;
  } catch {
    return false;
  }
}

export function isLocked(stream: ReadableStream<unknown>): boolean {
  return lockedOf.call(stream) as boolean;
}

export function isDisturbed(stream: ReadableStream<unknown>): boolean {
  return (stream as unknown as Internals)._disturbed;
}

// ---- Streams over what the runtime holds

// What untouched streams stand for. A stream made only because somebody looked at `.body` gives it back, so that
// looking costs neither the bytes their way around JavaScript nor a native body its own.
const sources = new WeakMap<object, StreamSource>();
const lengths = new WeakMap<object, number>();

// `failure`: the text of every failure, where the real one is nobody's business.
export function streamFromNativeBody(handle: number, failure?: string): ReadableStream<Uint8Array> {
  const pullChunk = async (): Promise<Uint8Array | undefined> => (handle === 0 ? undefined : pullBody(handle, failure));
  const stream = new ReadableStream<Uint8Array>({
    type: "bytes",
    async pull(controller) {
      // A pull that gave nothing would not be repeated, and a byte stream refuses empty chunks: go on to the next.
      let chunk = await pullChunk();
      while (chunk !== undefined && byteLengthOf(chunk) === 0) chunk = await pullChunk();
      if (chunk === undefined) {
        controller.close();
        controller.byobRequest?.respond(0);
      } else {
        controller.enqueue(chunk as Uint8Array<ArrayBuffer>);
      }
    },
    cancel() {
      if (handle !== 0) ops.body_cancel(handle);
    },
  });
  if (handle !== 0) weakMapSet(sources, stream, failure === undefined ? { kind: "native", handle } : { kind: "native", handle, failure });
  return stream;
}

export function streamFromSource(source: StreamSource): ReadableStream<Uint8Array> {
  if (source.kind === "native") return streamFromNativeBody(source.handle, source.failure);
  const stream = new ReadableStream<Uint8Array>({
    type: "bytes",
    pull(controller) {
      const bytes = source.kind === "text" ? encodeUtf8(source.text) : source.bytes;
      // The stream detaches what it is given; a copy of the body may share these bytes.
      if (byteLengthOf(bytes) > 0) controller.enqueue(source.kind === "text" ? bytes as Uint8Array<ArrayBuffer> : bytes.slice());
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
  weakMapSet(sources, stream, source);
  return stream;
}

// The source of a stream that nobody has touched; the stream is locked for good and the source is the caller's. Else
// undefined, and the stream is as it was.
export function reclaimSource(stream: ReadableStream<unknown>): StreamSource | undefined {
  const source = weakMapGet(sources, stream) as StreamSource | undefined;
  if (source === undefined || isLocked(stream) || isDisturbed(stream)) return undefined;
  new ReadableStreamDefaultReader(stream);
  (stream as unknown as Internals)._disturbed = true;
  return source;
}

// The number of bytes that a stream has promised to give, -1 when it has not.
export function promisedLength(stream: ReadableStream<unknown>): number {
  return (weakMapGet(lengths, stream) as number | undefined) ?? -1;
}

export function promiseLength(stream: ReadableStream<unknown>, length: number): void {
  weakMapSet(lengths, stream, length);
}

// Reads a stream of bytes to its end.
export async function readAllBytes(stream: ReadableStream<unknown>): Promise<Uint8Array> {
  const reader = new ReadableStreamDefaultReader(stream);
  const chunks: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!isBytes(value)) {
      const error = new TypeError("This ReadableStream did not return bytes.");
      reader.cancel(error).catch(() => {});
      throw error;
    }
    chunks[chunks.length] = viewOf(value);
  }
  return concatBytes(chunks);
}

adoptStreams({
  isReadableStream, isLocked, isDisturbed, promisedLength, readAllBytes, reclaimSource, streamFromSource,
  streamFromIterable: (values) => ReadableStream.from(values),
  streamFromNativeBody, isWritableStream,
  isWritableLocked: (stream) => writableLockedOf.call(stream) as boolean,
  newWritable: (sink) => new WritableStream(sink),
});
