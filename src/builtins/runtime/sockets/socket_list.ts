// SPDX-License-Identifier: Apache-2.0
//
// The list of an actor's WebSockets, as the supervisor keeps it: src/supervisor/actors/socket_list.h draws the entries.

import { byteLengthOf, subarray } from "../../internal/intrinsics.ts";

const kClientClosed = 1;
const kActorClosed = 2;
const kAttachment = 4;
const kFixedBytes = 17;

// An entry that nobody has asked for yet, and what was told of it since.
export interface Listed {
  readonly list: Uint8Array;
  readonly at: number;
  granted: number;
  stamp: number;
}

export interface Entry {
  readonly number: number;
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
  for (let i = 0; i < 8; i++) Reflect.apply(setUint8, scratch, [i, list[at + i]]);
  return Reflect.apply(getFloat64, scratch, [0, true]) as number;
}

// Where each entry stands, by its socket's number.
export function forEachListed(list: Uint8Array, add: (number: number, listed: Listed) => void): void {
  const end = byteLengthOf(list);
  for (let at = 0; at < end;) {
    add(u32(list, at), { list, at, granted: 0, stamp: 0 });
    const flags = list[at + 16]!;
    let next = at + kFixedBytes;
    for (let left = list[next++]!; left > 0; left--) next += 2 + u16(list, next);
    if ((flags & kAttachment) !== 0) next += 2 + u16(list, next);
    at = next;
  }
}

export function readListed({ list, at, granted, stamp }: Listed): Entry {
  const flags = list[at + 16]!;
  const tags: string[] = [];
  let next = at + kFixedBytes;
  for (let left = list[next++]!; left > 0; left--) {
    const bytes = u16(list, next);
    tags[tags.length] = ops.utf8_decode(subarray(list, next + 2, next + 2 + bytes), false)!;
    next += 2 + bytes;
  }
  const attachment = (flags & kAttachment) === 0 ? null : subarray(list, next + 2, next + 2 + u16(list, next));
  return {
    number: u32(list, at), credit: u32(list, at + 4) + granted, stamp: stamp === 0 ? f64(list, at + 8) : stamp, tags, attachment,
    hasClientClosed: (flags & kClientClosed) !== 0, hasActorClosed: (flags & kActorClosed) !== 0,
  };
}
