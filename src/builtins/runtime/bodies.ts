// SPDX-License-Identifier: Apache-2.0
//
// Bodies on their way out: text, bytes and native bodies go as they are; a JavaScript stream is pumped into a writer.

import { isBytes, mapDelete, mapGet, mapSet, promiseThen, SafeMap, viewOf } from "../internal/intrinsics.ts";
import { encodeUtf8 } from "../web/utf8.ts";
import type { SendableBody } from "../web/body.ts";
import type { ReadableStream, ReadableStreamDefaultReader } from "../web/streams.ts";
import { gated } from "../internal/gates.ts";
import { native } from "./native.ts";

export interface OutgoingBody {
  kind: number;  // as ops want it
  value: unknown;
  length: number;  // promised by a stream, -1 when not
}

const kUnwanted = "The reader of this stream wants no more.";
const kNone: OutgoingBody = { kind: 0, value: undefined, length: -1 };

// Makes a body ready to leave for the invocation that sends it. Pumping goes on after this returns.
// `allowText`: a stream may give strings, as those in messages may.
// `isResponse`: as long as it is read, no deadline of the background ends it.
export function outgoing(body: SendableBody, invocation: number, allowText = false, isResponse = false): OutgoingBody {
  switch (body.kind) {
    case "none":
      return kNone;
    case "text":
      return { kind: 1, value: body.text, length: -1 };
    case "bytes":
      return { kind: 2, value: body.bytes, length: -1 };
    case "native":
      return { kind: 3, value: body.handle, length: -1 };
    case "stream": {
      const writer = native.stream_open(invocation);
      const isAnswer = native.hold_stream(invocation, isResponse);
      const release = (): void => native.release(invocation, isAnswer);
      promiseThen(pump(body.stream, writer, allowText), release, release);
      return { kind: 4, value: writer, length: body.length };
    }
  }
}

// Readers of streams that are being pumped, by their writers.
const pumped = new SafeMap<number, ReadableStreamDefaultReader<unknown>>();

// Called by the host: whoever read what is written here wants no more. Who waits in stream_write() is told there.
export function writerStopped(writer: number): void {
  const reader = mapGet(pumped, writer);
  if (reader !== undefined) promiseThen(reader.cancel(kUnwanted), undefined, () => {});
}

async function pump(stream: ReadableStream<unknown>, writer: number, allowText: boolean): Promise<void> {
  const reader = stream.getReader();
  mapSet(pumped, writer, reader);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const chunk = allowText && typeof value === "string" ? encodeUtf8(value) : value;
      if (!isBytes(chunk)) {
        throw new TypeError("This TransformStream is being used as a byte stream, but received an object of non-ArrayBuffer/ArrayBufferView type on its writable side.");
      }
      let goOn = native.stream_write(writer, viewOf(chunk));
      if (typeof goOn !== "boolean") goOn = await gated(goOn);
      if (!goOn) {
        await reader.cancel(kUnwanted);
        native.stream_end(writer, undefined);
        return;
      }
    }
    native.stream_end(writer, undefined);
  } catch (error) {
    native.stream_end(writer, error instanceof Error ? error.message || "stream failed" : "stream failed");
    reader.cancel(error).catch(() => {});
  } finally {
    mapDelete(pumped, writer);
  }
}
