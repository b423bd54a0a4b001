// SPDX-License-Identifier: Apache-2.0
//
// performance.now (https://w3c.github.io/hr-time/#sec-performance). For tenants the time stands still between I/O.

import { illegalConstructor, illegalInvocation } from "../internal/errors.ts";
import { webClass } from "../internal/web_class.ts";
import { EventTarget } from "./events.ts";

const token: unique symbol = Symbol("performance");

export class Performance extends EventTarget {
  #brand = true;

  constructor(secret?: typeof token) {
    if (secret !== token) throw illegalConstructor();
    super();
  }

  // Times are since the epoch, as Date.now() gives them, so that they can be compared between isolates.
  get timeOrigin(): number {
    if (!(#brand in this)) throw illegalInvocation();
    return 0;
  }

  now(): number {
    if (!(#brand in this)) throw illegalInvocation();
    return ops.performance_now();
  }

  toJSON(): { timeOrigin: number } {
    return { timeOrigin: this.timeOrigin };
  }
}

webClass(Performance, "Performance", (performance) => ({ timeOrigin: performance.timeOrigin }));

export const performance = new Performance(token);
