// SPDX-License-Identifier: Apache-2.0
//
// The alarm as ctx.storage and a transaction offer it, and what it looks like while its handler runs: gone, unless it is
// set anew. In the database it stays until the handler has succeeded.

import { badArgument } from "../../internal/errors.ts";
import { max, trunc } from "../../internal/intrinsics.ts";
import { native } from "../native.ts";
import { optionsOf, type PutOptions, type StorageState } from "./state.ts";

const dateValue = Function.prototype.call.bind(Date.prototype.getTime) as (self: unknown) => number;
const kLatest = 9223372036854;  // what a count of nanoseconds can hold

// Milliseconds of a Date or a number.
export function timeOf(value: unknown, method: string, owner: string): number {
  let time: number;
  if (typeof value === "number") {
    time = value;
  } else {
    try {
      time = dateValue(value);
    } catch {
      throw badArgument(method, owner, 1, "date");
    }
  }
  if (!(time > -Infinity && time < Infinity)) {
    throw new TypeError("The value cannot be converted because it is not a valid Date.");
  }
  if (time > kLatest) throw new TypeError("This API doesn't support dates after 2189.");
  return trunc(time);
}

export function getAlarm(state: StorageState, owner: string, args: readonly unknown[]): number | null {
  optionsOf(args[0], "getAlarm", owner, 1, "GetAlarmOptions");
  return state.hidesAlarm ? null : native.alarm_get(state.actor);
}

export function setAlarm(state: StorageState, owner: string, args: readonly unknown[]): void {
  const time = timeOf(args[0], "setAlarm", owner);
  const { allowUnconfirmed } = optionsOf<PutOptions>(args[1], "setAlarm", owner, 2, "SetAlarmOptions");
  if (time <= 0) throw new TypeError("setAlarm() cannot be called with an alarm time <= 0");
  if (!state.host.hasAlarm()) {
    throw new TypeError("Your Durable Object class must have an alarm() handler in order to call setAlarm()");
  }
  native.alarm_set(state.actor, max(time, trunc(native.now())), Boolean(allowUnconfirmed));
  state.hidesAlarm = false;
}

export function deleteAlarm(state: StorageState, owner: string, args: readonly unknown[]): void {
  const { allowUnconfirmed } = optionsOf<PutOptions>(args[0], "deleteAlarm", owner, 1, "SetAlarmOptions");
  native.alarm_set(state.actor, null, Boolean(allowUnconfirmed));
  state.hidesAlarm = false;
}
