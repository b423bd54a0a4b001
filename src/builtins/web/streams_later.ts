// SPDX-License-Identifier: Apache-2.0
//
// Streams, for the core: the part "streams" is made when one is needed. Until then no value can be a stream.

import type { ReadableStream, UnderlyingSink, WritableStream } from "./streams.ts";

// What an untouched stream stands for.
export type StreamSource =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "native"; readonly handle: number; readonly failure?: string };

export interface StreamFunctions {
  isReadableStream(value: unknown): value is ReadableStream<unknown>;
  isWritableStream(value: unknown): value is WritableStream<unknown>;
  isWritableLocked(stream: WritableStream<unknown>): boolean;
  newWritable(sink: UnderlyingSink<unknown>): WritableStream<unknown>;
  streamFromNativeBody(handle: number, failure: string): ReadableStream<Uint8Array>;
  isLocked(stream: ReadableStream<unknown>): boolean;
  isDisturbed(stream: ReadableStream<unknown>): boolean;
  promisedLength(stream: ReadableStream<unknown>): number;
  readAllBytes(stream: ReadableStream<unknown>): Promise<Uint8Array>;
  reclaimSource(stream: ReadableStream<unknown>): StreamSource | undefined;
  streamFromIterable(values: AsyncIterable<unknown>): ReadableStream<unknown>;
  streamFromSource(source: StreamSource): ReadableStream<Uint8Array>;
}

let made: StreamFunctions | undefined;

// The part says that it is there.
export function adoptStreams(functions: StreamFunctions): void {
  made = functions;
}

function streams(): StreamFunctions {
  if (made === undefined) parts.streams();
  return made!;
}

export function isReadableStream(value: unknown): value is ReadableStream<unknown> {
  return made !== undefined && made.isReadableStream(value);
}

export function isLocked(stream: ReadableStream<unknown>): boolean {
  return streams().isLocked(stream);
}

export function isDisturbed(stream: ReadableStream<unknown>): boolean {
  return streams().isDisturbed(stream);
}

export function promisedLength(stream: ReadableStream<unknown>): number {
  return streams().promisedLength(stream);
}

export function readAllBytes(stream: ReadableStream<unknown>): Promise<Uint8Array> {
  return streams().readAllBytes(stream);
}

export function reclaimSource(stream: ReadableStream<unknown>): StreamSource | undefined {
  return streams().reclaimSource(stream);
}

export function streamFromIterable(values: AsyncIterable<unknown>): ReadableStream<unknown> {
  return streams().streamFromIterable(values);
}

export function streamFromSource(source: StreamSource): ReadableStream<Uint8Array> {
  return streams().streamFromSource(source);
}

export function isWritableStream(value: unknown): value is WritableStream<unknown> {
  return made !== undefined && made.isWritableStream(value);
}

export function isWritableLocked(stream: WritableStream<unknown>): boolean {
  return streams().isWritableLocked(stream);
}

export function newWritable(sink: UnderlyingSink<unknown>): WritableStream<unknown> {
  return streams().newWritable(sink);
}

// A stream of a native body (0: of nothing) whose every failure has the same text.
export function streamFromNative(handle: number, failure: string): ReadableStream<Uint8Array> {
  return streams().streamFromNativeBody(handle, failure);
}
