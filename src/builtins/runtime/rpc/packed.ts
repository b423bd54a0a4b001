// SPDX-License-Identifier: Apache-2.0
//
// Values that are kept by the host: env and props. When capabilities ride along, what it gives is a number, which must
// be given back when nobody can use it any more.

import { native } from "../native.ts";
import { transfer } from "./message.ts";

// Made at the first number: one made for the snapshot would not live.
let owners: FinalizationRegistry<number> | undefined;

// Serialises a value for as long as `owner` lives.
export function packKept(owner: object, value: unknown): Packed {
  let packed: Packed | undefined;
  transfer("kept", value, (given) => {
    packed = native.pack(given, 2);
  });
  if (typeof packed === "number") {
    owners ??= new FinalizationRegistry((number) => native.pack_drop(number));
    owners.register(owner, packed);
  }
  return packed!;
}

export function packedSize(packed: Packed): number {
  return typeof packed === "number" ? native.pack_size(packed) : packed.byteLength;
}
