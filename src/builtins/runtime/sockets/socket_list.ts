// SPDX-License-Identifier: Apache-2.0
//
// The list of an actor's WebSockets, as the supervisor keeps it: src/supervisor/actors/socket_list.h draws the entries.

import { apply, subarray } from "../../internal/intrinsics.ts";

const kClientClosed = 1;
const kActorClosed = 2;
const kAttachment = 4;
const kCountBytes = 4;
const kIndexBytes = 8;
const kFixedBytes = 13;

export interface Entry {
  readonly credit: number;
  readonly stamp: number;
  readonly hasClientClosed: boolean;
  readonly hasActorClosed: boolean;
  readonly tags: string[];
  readonly attachment: Uint8Array | null;
}

function u16(list: Uint8Array, at: number): number {
  return list[at]! | list[at + 1]! << 8;
}

function u32(list: Uint8Array, at: number): number {
  return (u16(list, at) | u16(list, at + 2) << 16) >>> 0;
}

const scratch = new DataView(new ArrayBuffer(8));
const { setUint8, getFloat64 } = DataView.prototype;

function f64(list: Uint8Array, at: number): number {
  for (let i = 0; i < 8; i++) apply(setUint8, scratch, [i, list[at + i]]);
  return apply(getFloat64, scratch, [0, true]) as number;
}

// One part of the list.
export class ListPart {
  readonly count: number;
  readonly #list: Uint8Array;

  constructor(list: Uint8Array) {
    this.#list = list;
    this.count = u32(list, 0);
  }

  numberAt(index: number): number {
    return u32(this.#list, kCountBytes + index * kIndexBytes);
  }

  // Undefined: that socket is not in this part.
  find(number: number): Entry | undefined {
    let from = 0;
    let to = this.count;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const found = this.numberAt(middle);
      if (found === number) return this.#read(middle);
      if (found < number) from = middle + 1;
      else to = middle;
    }
    return undefined;
  }

  #read(index: number): Entry {
    const list = this.#list;
    const at = kCountBytes + this.count * kIndexBytes + u32(list, kCountBytes + index * kIndexBytes + 4);
    const flags = list[at + 12]!;
    const tags: string[] = [];
    let next = at + kFixedBytes;
    for (let left = list[next++]!; left > 0; left--) {
      const bytes = u16(list, next);
      tags[tags.length] = ops.utf8_decode(subarray(list, next + 2, next + 2 + bytes), false)!;
      next += 2 + bytes;
    }
    const attachment = (flags & kAttachment) === 0 ? null : subarray(list, next + 2, next + 2 + u16(list, next));
    return {
      credit: u32(list, at), stamp: f64(list, at + 4), tags, attachment,
      hasClientClosed: (flags & kClientClosed) !== 0, hasActorClosed: (flags & kActorClosed) !== 0,
    };
  }
}
