// SPDX-License-Identifier: Apache-2.0
//
// Events and signals, for the core and for other parts: the part "events" is made when one is needed. Until then no value
// can be a signal, and nobody listens.

import type { AbortSignal } from "./abort.ts";

let isSignal: ((value: unknown) => value is AbortSignal) | undefined;
let tell: ((type: string, reason: unknown, promise: Promise<unknown>) => boolean) | undefined;

// The part says that it is there.
export function adoptSignals(is: (value: unknown) => value is AbortSignal): void {
  isSignal = is;
}

export function adoptGlobalEvents(how: (type: string, reason: unknown, promise: Promise<unknown>) => boolean): void {
  tell = how;
}

export function isAbortSignal(value: unknown): value is AbortSignal {
  return isSignal !== undefined && isSignal(value);
}

// False when a listener prevented the default.
export function tellOfRejection(type: string, reason: unknown, promise: Promise<unknown>): boolean {
  return tell === undefined || tell(type, reason, promise);
}
