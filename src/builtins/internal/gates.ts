// SPDX-License-Identifier: Apache-2.0
//
// Gates: what waits while an actor is in a critical section. Whatever comes from outside (a reply, a timer, a chunk) is
// delivered through the gate of the code that asked for it. Code of no actor has no gate, and pays one comparison.

import { promiseThen, SafePromise } from "./intrinsics.ts";

export interface Gate {
  readonly owner: Owner;
  // Runs it now, or when its turn has come; never, when the actor is no more.
  enter(run: () => void): void;
  // As enter(), of a call that has come in for the actor as `invocation`: what it returns, or a promise of that.
  admit(invocation: number, run: () => unknown): unknown;
}

// The actor behind it.
export interface Owner {
  // A source of a Worker that it may load (runtime/loader.ts) has come, or can be named by none of its values any more.
  sourceCame(source: number): void;
  sourceUnnamed(source: number): void;
  // One of its invocations that is not over, or the last one.
  readonly invocation: number;
}

let gateFor: ((frame: unknown) => Gate | undefined) | null = null;
let forget: ((invocation: number) => void) | null = null;

// Called when the first actor is opened: which gate belongs to a frame (runtime/async_frame.ts), and who is to hear that
// an invocation is over.
export function adoptGates(find: (frame: unknown) => Gate | undefined, left: (invocation: number) => void): void {
  gateFor = find;
  forget = left;
}

export function leave(invocation: number): void {
  forget?.(invocation);
}

export function gateHere(): Gate | undefined {
  return gateFor === null ? undefined : gateFor(ops.get_current());
}

export function gateOf(frame: unknown): Gate | undefined {
  return gateFor === null ? undefined : gateFor(frame);
}

export function enter(gate: Gate | undefined, run: () => void): void {
  if (gate === undefined) run();
  else gate.enter(run);
}

// What the host resolves by itself, seen through the gate of whoever waits for it.
export function gated<T>(promise: Promise<T>): Promise<T> {
  const gate = gateHere();
  if (gate === undefined) return promise;
  return new SafePromise<T>((resolve, reject) => {
    promiseThen(promise, (value: T) => gate.enter(() => resolve(value)),
      (error: unknown) => gate.enter(() => reject(error)));
  });
}
