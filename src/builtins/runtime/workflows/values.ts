// SPDX-License-Identifier: Apache-2.0
//
// Values that an instance keeps: bytes in the journal. A stream of bytes is kept in pieces, and given back as a stream.

import { byteLengthOf, isBytes, setBytes, SafeUint8Array, subarray, viewOf } from "../../internal/intrinsics.ts";
import type { ReadableStream, ReadableStreamDefaultReader } from "../../web/streams.ts";
import { streamFromIterable } from "../../web/streams_later.ts";
import { native } from "../native.ts";

const kPieceBytes = 262144;
const kChunkBytesMax = 16777216;

export interface StoredStream {
  value: number;
  chunks: number;
  size: number;
}

export function pack(value: unknown): Uint8Array {
  return native.serialize(value);
}

export function unpack(bytes: Uint8Array | undefined): unknown {
  return bytes === undefined || byteLengthOf(bytes) === 0 ? undefined : native.deserialize(bytes);
}

// Reads all of a stream and gives it away in pieces. `keep` says under which number; `isWanted` whether to go on.
export async function storeStream(
  stream: ReadableStream<unknown>, keep: (piece: Uint8Array, index: number, value: number) => Promise<number>,
  isWanted: () => boolean,
): Promise<StoredStream> {
  const reader = stream.getReader();
  const stored: StoredStream = { value: 0, chunks: 0, size: 0 };
  const piece = new SafeUint8Array(kPieceBytes);
  let filled = 0;
  const flush = async (): Promise<void> => {
    stored.value = await keep(subarray(piece, 0, filled), stored.chunks++, stored.value);
    stored.size += filled;
    filled = 0;
  };
  try {
    while (isWanted()) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!isBytes(value)) throw new TypeError("A stream that a step returns must be one of bytes.");
      const bytes = viewOf(value);
      const length = byteLengthOf(bytes);
      if (length > kChunkBytesMax) throw new TypeError("A chunk of the stream that a step returned is larger than 16 MiB.");
      for (let at = 0; at < length;) {
        const taken = length - at < kPieceBytes - filled ? length - at : kPieceBytes - filled;
        setBytes(piece, subarray(bytes, at, at + taken), filled);
        at += taken;
        filled += taken;
        if (filled === kPieceBytes) await flush();
      }
    }
    if (filled > 0 || stored.chunks === 0) await flush();
  } catch (error) {
    cancel(reader, error);
    throw error;
  }
  return stored;
}

function cancel(reader: ReadableStreamDefaultReader<unknown>, reason: unknown): void {
  reader.cancel(reason).catch(() => {});
}

// A fresh stream of what was kept.
export function readStored(stored: StoredStream, read: (index: number) => Promise<Uint8Array>): ReadableStream<unknown> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < stored.chunks; index++) {
      const bytes = await read(index);
      if (byteLengthOf(bytes) > 0) yield bytes;
    }
  };
  return streamFromIterable(pieces());
}
