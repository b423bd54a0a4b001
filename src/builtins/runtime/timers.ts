// SPDX-License-Identifier: Apache-2.0
//
// Timers as the host sees them: what a callback throws is reported, and ends nothing.

import { clearTimer, fireTimer as fire } from "../web/timers.ts";
import { describe } from "./errors.ts";
import { native } from "./native.ts";

export function fireTimer(id: number): void {
  try {
    fire(id);
  } catch (error) {
    native.report_exception(`Uncaught ${describe(error).stack}`);
  }
}

// The invocation that started the timer is over.
export function dropTimer(id: number): void {
  clearTimer(id);
}
