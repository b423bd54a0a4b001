// SPDX-License-Identifier: Apache-2.0
//
// The part "streams": all classes of streams. Made when a Worker first names one of them or looks at a `.body`.

export {
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
} from "./streams.ts";
export { FixedLengthStream, IdentityTransformStream, TextDecoderStream, TextEncoderStream } from "./transform_streams.ts";
