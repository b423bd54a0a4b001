// SPDX-License-Identifier: Apache-2.0
//
// scheduler.wait(ms, {signal}): a timer as a promise.

import { badArgument, badField, illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { SafePromise } from "../internal/intrinsics.ts";
import { webClass } from "../internal/web_class.ts";
import type { AbortSignal } from "./abort.ts";
import { isAbortSignal } from "./events_later.ts";
import { clearTimer, setTimer } from "./timers.ts";

const token: unique symbol = Symbol("scheduler");

export class Scheduler {
  #brand = true;

  constructor(secret?: typeof token) {
    if (secret !== token) throw illegalConstructor();
  }

  async wait(delay: number, options: { signal?: AbortSignal } = {}): Promise<void> {
    if (!(#brand in this)) throw illegalInvocation();
    if (arguments.length === 0) throw badArgument("wait", "Scheduler", 1, "number");
    const signal = options?.signal;
    if (signal === undefined || signal === null) {
      return new SafePromise((resolve) => setTimer(resolve, delay));
    }
    if (!isAbortSignal(signal)) throw badField("signal", "WaitOptions", "AbortSignal");
    signal.throwIfAborted();
    return new SafePromise((resolve, reject) => {
      const stop = (): void => {
        clearTimer(id);
        reject(signal.reason);
      };
      const id = setTimer(() => {
        signal.removeEventListener("abort", stop);
        resolve();
      }, delay);
      signal.addEventListener("abort", stop, { once: true });
    });
  }
}

webClass(Scheduler, "Scheduler");

export const scheduler = new Scheduler(token);
