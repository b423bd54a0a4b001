// SPDX-License-Identifier: Apache-2.0
//
// Calls on a result that has come back: its own data is here, and what it names elsewhere is behind its stubs.

import { isObject } from "../../internal/convert.ts";
import { farCall } from "./far.ts";
import { follow, kindOf, notAFunction } from "./members.ts";
import { doneCall, failedCall, type Pending } from "./pending.ts";

export function followAtCaller(value: unknown, path: readonly string[], args: unknown[] | undefined): Pending {
  if (!isObject(value)) return failedCall(new TypeError("Can't pipeline on RPC that did not return an object."));
  try {
    const member = follow(value, kindOf(value), path);
    if (member.rest !== null) return farCall(member.value as object, member.rest, args);
    if (args !== undefined) throw notAFunction(path);
    return doneCall(member.value);
  } catch (error) {
    // As the callee would have said it.
    if (isObject(error)) Object.assign(error, { remote: true });
    return failedCall(error);
  }
}
