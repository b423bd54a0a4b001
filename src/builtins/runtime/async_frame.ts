// SPDX-License-Identifier: Apache-2.0
//
// Values that follow the flow of control through awaits, callbacks and timers. They travel in what V8 carries along with
// every continuation: the number of the invocation, or an array of it and of pairs [number, key, value, key, value …].
// The host reads only the number.

import { arraySlice, isArray } from "../internal/intrinsics.ts";

function pairsOf(frame: unknown): readonly unknown[] {
  return isArray(frame) ? (frame as unknown[]) : [frame];
}

// The value that the nearest runWith() around the running code gave to `key`; undefined when none did.
export function valueFor(key: object): unknown {
  const pairs = ops.get_current();
  if (!isArray(pairs)) return undefined;
  for (let i = 1; i < pairs.length; i += 2) {
    if (pairs[i] === key) return pairs[i + 1];
  }
  return undefined;
}

// Calls `run`; it and all that comes of it see `value` under `key`.
export function runWith<T>(key: object, value: unknown, run: () => T): T {
  const before = ops.get_current();
  const pairs = arraySlice(pairsOf(before));
  let at = 1;
  while (at < pairs.length && pairs[at] !== key) at += 2;
  pairs[at] = key;
  pairs[at + 1] = value;
  ops.set_current(pairs);
  try {
    return run();
  } finally {
    ops.set_current(before);
  }
}
