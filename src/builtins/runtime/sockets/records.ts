// SPDX-License-Identifier: Apache-2.0
//
// Records: the messages of a WebSocket inside a byte stream. src/supervisor/websocket/record.h draws them.

import { concatBytes, byteLengthOf, setBytes, subarray, SafeUint8Array } from "../../internal/intrinsics.ts";
import type { Arrival } from "../../web/web_socket.ts";

const kText = 1;
const kBytes = 2;
const kClose = 3;
const kBroken = 4;
const kGoesOn = 0x80;
const kHeadBytes = 5;

function writeHead(record: Uint8Array, kind: number, length: number): void {
  record[0] = kind;
  record[1] = length;
  record[2] = length >>> 8;
  record[3] = length >>> 16;
  record[4] = length >>> 24;
}

function recordOf(kind: number, payload: Uint8Array): Uint8Array {
  const length = byteLengthOf(payload);
  const record = new SafeUint8Array(kHeadBytes + length);
  writeHead(record, kind, length);
  setBytes(record, payload, kHeadBytes);
  return record;
}

// What is said when the socket is over has no record: the stream just ends.
export function encode(arrival: Arrival): Uint8Array | null {
  switch (arrival.kind) {
    case "text": {
      const { text } = arrival;
      if (text.length > 4096) return recordOf(kText, ops.utf8_encode(text));
      const record = new SafeUint8Array(kHeadBytes + text.length * 3);
      const written = ops.utf8_encode_into(text, subarray(record, kHeadBytes));
      writeHead(record, kText, written);
      return subarray(record, 0, kHeadBytes + written);
    }
    case "bytes":
      return recordOf(kBytes, arrival.bytes);
    case "close": {
      const reason = ops.utf8_encode(arrival.reason);
      const record = recordOf(kClose, concatBytes([new SafeUint8Array(2), reason]));
      record[kHeadBytes] = arrival.code;
      record[kHeadBytes + 1] = arrival.code >>> 8;
      return record;
    }
    case "gone":
      return recordOf(kBroken, new SafeUint8Array(0));
    default:
      return null;
  }
}

// Takes arrivals from bytes that come in any pieces.
export class RecordReader {
  readonly #head = new SafeUint8Array(kHeadBytes);
  #headBytes = 0;
  #remaining = 0;
  #payload: Uint8Array[] = [];  // of the record, and of the records before it that go on in it
  #isOver = false;

  // Null: what comes is not a stream of records.
  take(chunk: Uint8Array): Arrival[] | null {
    const arrivals: Arrival[] = [];
    const length = byteLengthOf(chunk);
    for (let at = 0; at < length && !this.#isOver;) {
      if (this.#headBytes < kHeadBytes) {
        this.#head[this.#headBytes++] = chunk[at++]!;
        if (this.#headBytes < kHeadBytes) continue;
        const head = this.#head;
        this.#remaining = (head[1]! | head[2]! << 8 | head[3]! << 16 | head[4]! << 24) >>> 0;
      }
      const count = this.#remaining < length - at ? this.#remaining : length - at;
      if (count > 0) this.#payload[this.#payload.length] = subarray(chunk, at, at + count);
      at += count;
      this.#remaining -= count;
      if (this.#remaining > 0) continue;
      this.#headBytes = 0;
      const first = this.#head[0]!;
      if ((first & kGoesOn) !== 0) continue;
      const arrival = this.#finish(first);
      if (arrival === null) return null;
      arrivals[arrivals.length] = arrival;
    }
    return arrivals;
  }

  #finish(kind: number): Arrival | null {
    const bytes = this.#payload.length === 0 ? new SafeUint8Array(0) : concatBytes(this.#payload);
    this.#payload = [];
    switch (kind) {
      case kText:
        return { kind: "text", text: textOf(bytes) };
      case kBytes:
        return { kind: "bytes", bytes };
      case kClose: {
        this.#isOver = true;
        if (byteLengthOf(bytes) < 2) return null;
        return { kind: "close", code: bytes[0]! | bytes[1]! << 8, reason: textOf(subarray(bytes, 2)) };
      }
      case kBroken:
        this.#isOver = true;
        return byteLengthOf(bytes) === 0 ? { kind: "gone" } : { kind: "failed", why: textOf(bytes) };
      default:
        return null;
    }
  }
}

function textOf(bytes: Uint8Array): string {
  return ops.utf8_decode(bytes, false)!;
}

