// SPDX-License-Identifier: Apache-2.0
//
// Bodies on their way out: text, bytes and native bodies go as they are; a JavaScript stream is pumped into a writer.

import { isBytes, promiseThen, viewOf } from "../internal/intrinsics.ts";
import type { SendableBody } from "../web/body.ts";
import type { ReadableStream } from "../web/streams.ts";
import { native } from "./native.ts";

export interface OutgoingBody {
  kind: number;  // as ops want it
  value: unknown;
  length: number;  // promised by a stream, -1 when not
}

const kNone: OutgoingBody = { kind: 0, value: undefined, length: -1 };

// Makes a body ready to leave for the invocation that sends it. Pumping goes on after this returns.
export function outgoing(body: SendableBody, invocation: number): OutgoingBody {
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
      native.hold(invocation);
      const release = (): void => native.release(invocation);
      promiseThen(pump(body.stream, writer), release, release);
      return { kind: 4, value: writer, length: body.length };
    }
  }
}

async function pump(stream: ReadableStream<unknown>, writer: number): Promise<void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!isBytes(value)) {
        throw new TypeError("This TransformStream is being used as a byte stream, but received an object of non-ArrayBuffer/ArrayBufferView type on its writable side.");
      }
      let goOn = native.stream_write(writer, viewOf(value));
      if (typeof goOn !== "boolean") goOn = await goOn;
      if (!goOn) {
        await reader.cancel("The reader of this stream wants no more.");
        native.stream_end(writer, undefined);
        return;
      }
    }
    native.stream_end(writer, undefined);
  } catch (error) {
    native.stream_end(writer, error instanceof Error ? error.message || "stream failed" : "stream failed");
    reader.cancel(error).catch(() => {});
  }
}
