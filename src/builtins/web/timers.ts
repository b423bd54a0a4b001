// SPDX-License-Identifier: Apache-2.0
//
// setTimeout and its kin (https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timers). The host counts
// the time and calls fireTimer(id); what to do then is kept here. A timer belongs to the invocation that started it and
// ends with it.

import { badArgument, requireInvocation } from "../internal/errors.ts";
import { apply, isArray, mapDelete, mapGet, mapSet, promiseResolve, promiseThen, SafeMap } from "../internal/intrinsics.ts";

interface Timer {
  callback: (...args: unknown[]) => unknown;
  args: readonly unknown[] | null;
  delay: number;
  repeats: boolean;
  frame: unknown;  // of async_frame.ts, null when the host's number of the invocation is all there is
  isFree: boolean;  // waits at no gate
}

const global = "ServiceWorkerGlobalScope";
const timers = new SafeMap<number, Timer>();
let lastId = 0;

// Milliseconds as a whole number that fits 32 bits; what does not is "at once", as browsers do.
function toDelay(value: unknown): number {
  const delay = Number(value) | 0;
  return delay > 0 ? delay : 0;
}

function start(callback: unknown, delay: unknown, args: readonly unknown[] | null, repeats: boolean, isFree = false): number {
  requireInvocation();
  const id = ++lastId;
  const current = ops.get_current();
  const timer: Timer = {
    callback: callback as Timer["callback"],
    args,
    delay: toDelay(delay),
    repeats,
    frame: isArray(current) ? current : null,
    isFree,
  };
  ops.timer_start(id, timer.delay);  // Throws when the invocation has too many: then there is nothing to forget.
  mapSet(timers, id, timer);
  return id;
}

// A timer of the runtime itself. `isFree`: of what keeps the gates of actors (internal/gates.ts).
export function setTimer(callback: () => void, delay: number, isFree = false): number {
  return start(callback, delay, null, false, isFree);
}

// The frame of a timer that is to pass a gate, null when the host's number is all there is of it; undefined: it passes none.
export function frameOfTimer(id: number): unknown {
  const timer = mapGet(timers, id);
  return timer === undefined || timer.isFree ? undefined : timer.frame;
}

export function clearTimer(id: number): void {
  if (mapDelete(timers, id)) ops.timer_cancel(id);
}

export function setTimeout(callback: (...args: never[]) => unknown, delay?: number, ...args: unknown[]): number {
  if (typeof callback !== "function") throw badArgument("setTimeout", global, 1, "function");
  return start(callback, delay, args.length === 0 ? null : args, false);
}

export function setInterval(callback: (...args: never[]) => unknown, delay?: number, ...args: unknown[]): number {
  if (typeof callback !== "function") throw badArgument("setInterval", global, 1, "function");
  return start(callback, delay, args.length === 0 ? null : args, true);
}

export function clearTimeout(id?: number): void {
  if (id !== undefined && id !== null) clearTimer(Number(id));
}

export function clearInterval(id?: number): void {
  if (id !== undefined && id !== null) clearTimer(Number(id));
}

// Called by the host when a delay has passed. What the callback throws is the caller's to report.
export function fireTimer(id: number): void {
  const timer = mapGet(timers, id);
  if (timer === undefined) return;
  if (!timer.repeats) mapDelete(timers, id);
  if (timer.frame !== null) ops.set_current(timer.frame);
  try {
    apply(timer.callback, undefined, timer.args ?? []);
  } finally {
    if (timer.repeats && mapGet(timers, id) === timer) ops.timer_start(id, timer.delay);
  }
}

export function queueMicrotask(callback: () => unknown): void {
  if (typeof callback !== "function") throw badArgument("queueMicrotask", global, 1, "function");
  promiseThen(promiseResolve(), () => {
    apply(callback, undefined, []);
  });
}
