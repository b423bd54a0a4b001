// SPDX-License-Identifier: Apache-2.0
//
// Streams in messages. The bytes of a ReadableStream travel as a body. A WritableStream is an object with two methods,
// so that every write waits for its reader; when nobody holds it any more and it was not closed, it is aborted.

import { copyBytes, exactBuffer, isBytes, promiseThen } from "../../internal/intrinsics.ts";
import { encodeUtf8 } from "../../web/utf8.ts";
import type { ReadableStream, WritableStream, WritableStreamDefaultWriter } from "../../web/streams.ts";
import {
  isDisturbed, isLocked, isWritableLocked, newWritable, promisedLength, reclaimSource, streamFromNative,
} from "../../web/streams_later.ts";
import { outgoing } from "../bodies.ts";
import { native } from "../native.ts";
import { addExport } from "./exported.ts";
import type { Held } from "./stubs.ts";

const kLost = "ReadableStream received over RPC disconnected prematurely.";
const kWriterLost = "WritableStream received over RPC was disconnected because the remote execution context has ended.";
const kNotBytes = "This TransformStream is being used as a byte stream, but received an object of " +
  "non-ArrayBuffer/ArrayBufferView type on its writable side.";

export function lockedReadable(): TypeError {
  return new TypeError("The ReadableStream has been locked to a reader.");
}

// Gives a stream away; returns the place of its bytes.
export function sendReadable(stream: ReadableStream<unknown>): number {
  if (isLocked(stream)) throw lockedReadable();
  if (isDisturbed(stream)) throw new TypeError("This ReadableStream is disturbed.");
  const body = reclaimSource(stream) ?? { kind: "stream" as const, stream, length: promisedLength(stream) };
  const out = outgoing(body, native.invocation(), true);
  return native.payload_stream(out.kind, out.value, out.length);
}

export function receivedReadable(body: number): ReadableStream<Uint8Array> {
  return streamFromNative(body, kLost);
}

// What others call to write. Chunks come one by one, each when the one before has been taken.
function sinkOf(writer: WritableStreamDefaultWriter<unknown>): object {
  let isEnded = false;
  // A plain object of functions: that is what can be called.
  return {
    write: (chunk: unknown): Promise<void> => writer.write(chunk),
    close(): Promise<void> {
      isEnded = true;
      return writer.close();
    },
    [Symbol.dispose](): void {
      if (isEnded) return;
      promiseThen(writer.abort(new Error(kWriterLost)), undefined, () => {});
    },
  };
}

export function sendWritable(stream: WritableStream<unknown>): number {
  if (isWritableLocked(stream)) throw new TypeError("This WritableStream is currently locked to a writer.");
  return native.payload_export(addExport(sinkOf(stream.getWriter())));
}

export function receivedWritable(held: Held): WritableStream<unknown> {
  const ask = (name: string, args: unknown[]): Promise<unknown> => held.send([name], args).promise();
  return newWritable({
    write(chunk: unknown) {
      if (typeof chunk !== "string" && !isBytes(chunk)) throw new TypeError(kNotBytes);
      const bytes = typeof chunk === "string" ? encodeUtf8(chunk) : copyBytes(chunk);
      return ask("write", [exactBuffer(bytes)]) as Promise<void>;
    },
    async close() {
      await ask("close", []);
      held.dispose();
    },
    // Whoever made the stream learns that nobody will close it; the reason stays here.
    abort() {
      held.dispose();
    },
  });
}
