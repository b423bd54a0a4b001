// SPDX-License-Identifier: Apache-2.0
//
// Transform streams: the vendor's IdentityTransformStream and FixedLengthStream, which carry bytes from one side to the
// other, and the text coders of https://encoding.spec.whatwg.org/#interface-textdecoderstream.

import { isObject, toText } from "../internal/convert.ts";
import { badConstructorArgument, illegalInvocation } from "../internal/errors.ts";
import {
  byteLengthOf, charCodeAt, copyBytes, isBytes, slice, viewOf, SafePromise,
} from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { TextDecoder, TextDecoderOptions } from "./encoding.ts";
import {
  promiseLength, ReadableStream, type ReadableByteStreamController, TransformStream, WritableStream,
} from "./streams.ts";

interface Pipe {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<unknown>;
}

// A pipe of bytes: a write is done when the reader has taken it. `expected` is the promised number of bytes, -1: any.
function makePipe(expected: number): Pipe {
  let controller!: ReadableByteStreamController;
  let sink!: { error(reason: unknown): void };
  let wanted: (() => void) | null = null;
  let isWanted = false;
  let seen = 0;

  const readable = new ReadableStream<Uint8Array>({
    type: "bytes",
    start(given) {
      controller = given;
    },
    pull() {
      isWanted = true;
      wanted?.();
      wanted = null;
    },
    cancel(reason) {
      isWanted = true;
      sink.error(reason);
      wanted?.();
    },
  });

  function demand(): Promise<void> | undefined {
    if (isWanted) return undefined;
    return new SafePromise((resolve) => (wanted = resolve));
  }

  function fail(message: string): TypeError {
    const error = new TypeError(message);
    controller.error(error);
    return error;
  }

  const writable = new WritableStream<unknown>({
    start(given) {
      sink = given;
    },
    async write(chunk) {
      if (typeof chunk !== "string" && !isBytes(chunk)) {
        throw fail(
          "This TransformStream is being used as a byte stream, but received an object of " +
            "non-ArrayBuffer/ArrayBufferView type on its writable side.",
        );
      }
      const bytes = typeof chunk === "string" ? ops.utf8_encode(chunk) : copyBytes(viewOf(chunk));
      const length = byteLengthOf(bytes);
      if (length === 0) return;
      seen += length;
      if (expected >= 0 && seen > expected) {
        throw fail("Attempt to write too many bytes through a FixedLengthStream.");
      }
      await demand();
      isWanted = false;
      controller.enqueue(bytes as Uint8Array<ArrayBuffer>);
      // Taken at once by a read that waited, or still in the queue: then its pull says when it is gone.
      if (controller.desiredSize !== null && controller.desiredSize < 0) await demand();
    },
    close() {
      if (expected >= 0 && seen < expected) {
        throw fail("FixedLengthStream did not see all expected bytes before close().");
      }
      controller.close();
      controller.byobRequest?.respond(0);
    },
    abort(reason) {
      controller.error(reason);
    },
  });
  return { readable, writable };
}

export class IdentityTransformStream extends TransformStream<unknown, Uint8Array> {
  #pipe: Pipe;

  constructor(..._strategy: unknown[]) {
    super();
    const expected = fixedLength;
    fixedLength = -1;
    this.#pipe = makePipe(expected);
    if (expected >= 0) promiseLength(this.#pipe.readable, expected);
  }

  override get readable(): ReadableStream<Uint8Array> {
    if (!(#pipe in this)) throw illegalInvocation();
    return this.#pipe.readable;
  }

  override get writable(): WritableStream<unknown> {
    if (!(#pipe in this)) throw illegalInvocation();
    return this.#pipe.writable;
  }
}

// Handed from FixedLengthStream to the constructor of its base, which a tenant can call with anything.
let fixedLength = -1;

export class FixedLengthStream extends IdentityTransformStream {
  constructor(length: number | bigint, ..._strategy: unknown[]) {
    if (typeof length !== "bigint" && typeof length !== "number") {
      throw badConstructorArgument("FixedLengthStream", 1, "bigint");
    }
    const expected = Number(length);
    if (expected < 0) {
      throw new TypeError(
        "The value cannot be converted because it is negative and this API expects a positive bigint.",
      );
    }
    if (!Number.isSafeInteger(expected)) {
      throw new TypeError("FixedLengthStream requires an integer expected length less than 2^53.");
    }
    fixedLength = expected;
    super();
  }
}

webClass(IdentityTransformStream, "IdentityTransformStream", (s) => ({ readable: s.readable, writable: s.writable }));
webClass(FixedLengthStream, "FixedLengthStream", (s) => ({ readable: s.readable, writable: s.writable }));

// ---- Text

export class TextEncoderStream {
  #transform: TransformStream<unknown, Uint8Array>;

  constructor() {
    let high = "";  // The first half of a surrogate pair whose second half is in the next chunk.
    this.#transform = new TransformStream<unknown, Uint8Array>({
      transform(chunk, controller) {
        let text = high + toText(chunk);
        high = "";
        if (text !== "" && (charCodeAt(text, text.length - 1) & 0xfc00) === 0xd800) {
          high = slice(text, text.length - 1);
          text = slice(text, 0, text.length - 1);
        }
        if (text !== "") controller.enqueue(ops.utf8_encode(text));
      },
      flush(controller) {
        if (high !== "") controller.enqueue(ops.utf8_encode("\ufffd"));
      },
    });
  }

  static #of(stream: TextEncoderStream): TransformStream<unknown, Uint8Array> {
    if (!isObject(stream) || !(#transform in stream)) throw illegalInvocation();
    return stream.#transform;
  }

  get encoding(): string {
    TextEncoderStream.#of(this);
    return "utf-8";
  }

  get readable(): ReadableStream<Uint8Array> {
    return TextEncoderStream.#of(this).readable;
  }

  get writable(): WritableStream<unknown> {
    return TextEncoderStream.#of(this).writable;
  }
}

export class TextDecoderStream {
  #decoder: TextDecoder;
  #transform: TransformStream<ArrayBuffer | ArrayBufferView, string>;

  constructor(label: string = "utf-8", options: TextDecoderOptions = {}) {
    const decoder = new (parts.encoding().TextDecoder)(label, options);
    this.#decoder = decoder;
    this.#transform = new TransformStream<ArrayBuffer | ArrayBufferView, string>({
      transform(chunk, controller) {
        if (!isBytes(chunk)) throw new TypeError("A chunk of a TextDecoderStream must be an ArrayBuffer or a view.");
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== "") controller.enqueue(text);
      },
    });
  }

  static #check(stream: TextDecoderStream): TextDecoderStream {
    if (!isObject(stream) || !(#decoder in stream)) throw illegalInvocation();
    return stream;
  }

  get encoding(): string { return TextDecoderStream.#check(this).#decoder.encoding; }
  get fatal(): boolean { return TextDecoderStream.#check(this).#decoder.fatal; }
  get ignoreBOM(): boolean { return TextDecoderStream.#check(this).#decoder.ignoreBOM; }
  get readable(): ReadableStream<string> { return TextDecoderStream.#check(this).#transform.readable; }

  get writable(): WritableStream<ArrayBuffer | ArrayBufferView> {
    return TextDecoderStream.#check(this).#transform.writable;
  }
}

webClass(TextEncoderStream, "TextEncoderStream", (s) => ({ readable: s.readable, writable: s.writable }));
webClass(TextDecoderStream, "TextDecoderStream", (s) => ({ encoding: s.encoding, readable: s.readable, writable: s.writable }));
