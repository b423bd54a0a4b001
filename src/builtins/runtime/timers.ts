// SPDX-License-Identifier: Apache-2.0
//
// Timers as the host sees them: what a callback throws is reported, and ends nothing.

import { clearTimer, fireTimer as fire, frameOfTimer } from "../web/timers.ts";
import { describe } from "./errors.ts";
import { gateOf } from "../internal/gates.ts";
import { native } from "./native.ts";

export function fireTimer(id: number): void {
  const frame = frameOfTimer(id);
  const gate = frame === undefined ? undefined : gateOf(frame ?? native.get_current());
  if (gate === undefined) fireNow(id);
  else gate.enter(() => fireNow(id));
}

function fireNow(id: number): void {
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
