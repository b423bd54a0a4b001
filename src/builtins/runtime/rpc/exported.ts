// SPDX-License-Identifier: Apache-2.0
//
// Objects of this Worker that others hold: by number, until the host says that nobody does any more.

import { isObject } from "../../internal/convert.ts";
import { type Gate, gateHere } from "../../internal/gates.ts";
import { apply, mapDelete, mapGet, mapSet, promiseThen, promiseResolve, SafeMap } from "../../internal/intrinsics.ts";
import { describe } from "../errors.ts";
import { native } from "../native.ts";

const objects = new SafeMap<number, object>();
// Those of actors: calls on them pass the actor's gate.
const gates = new SafeMap<number, Gate>();
let last = 0;

export function addExport(value: object): number {
  mapSet(objects, ++last, value);
  const gate = gateHere();
  if (gate !== undefined) mapSet(gates, last, gate);
  return last;
}

export function gateOfExport(id: number): Gate | undefined {
  return mapGet(gates, id);
}

export function exported(id: number): object | undefined {
  return mapGet(objects, id);
}

// Of a message that was not sent: as if the object had never been given away.
export function takeBack(id: number): void {
  mapDelete(objects, id);
  mapDelete(gates, id);
}

// Called by the host. `ended`: the invocation that gave it away is over, so that nothing of it can run.
export function releaseExport(id: number, ended: boolean): void {
  const value = mapGet(objects, id);
  if (value === undefined) return;
  mapDelete(objects, id);
  mapDelete(gates, id);
  if (!ended) tellDisposer(value);
}

function tellDisposer(value: object): void {
  const report = (error: unknown): void => native.report_exception(`Uncaught ${describe(error).stack}`);
  try {
    const dispose = (value as { [Symbol.dispose]?: unknown })[Symbol.dispose];
    if (typeof dispose !== "function") return;
    const result: unknown = apply(dispose as () => unknown, value, []);
    if (isObject(result)) promiseThen(promiseResolve(result), undefined, report);
  } catch (error) {
    report(error);
  }
}
