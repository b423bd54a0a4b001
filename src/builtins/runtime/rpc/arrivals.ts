// SPDX-License-Identifier: Apache-2.0
//
// The stubs that came with the value that the host has just read: whoever takes the value owns them.

import type { Held } from "./stubs.ts";

let arrived: Held[] = [];

export function stubArrived(held: Held): void {
  arrived[arrived.length] = held;
}

export function takeArrived(): readonly Held[] {
  if (arrived.length === 0) return kNone;
  const taken = arrived;
  arrived = [];
  return taken;
}

const kNone: readonly Held[] = [];
