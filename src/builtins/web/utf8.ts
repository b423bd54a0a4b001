// SPDX-License-Identifier: Apache-2.0
//
// UTF-8, as bodies have it.

import { toUsv } from "../internal/convert.ts";
import { charCodeAt, slice } from "../internal/intrinsics.ts";

// The decoding of bodies: UTF-8, with replacement, without a BOM.
export function decodeUtf8(bytes: Uint8Array): string {
  const text = ops.utf8_decode(bytes, false)!;
  return text !== "" && charCodeAt(text, 0) === 0xfeff ? slice(text, 1) : text;
}

export function encodeUtf8(text: string): Uint8Array {
  return ops.utf8_encode(toUsv(text));
}
