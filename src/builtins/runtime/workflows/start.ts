// SPDX-License-Identifier: Apache-2.0
//
// The event "workflow": makes the class, calls run(), and tells the engine how it ended. The invocation stays open until
// the engine needs it no longer: rollback handlers run in it.

import { promiseThen, SafePromise } from "../../internal/intrinsics.ts";
import { native } from "../native.ts";
import { failureOf } from "./failures.ts";
import { Run } from "./run.ts";
import { newStep } from "./step.ts";
import { pack, unpack } from "./values.ts";

interface Detail {
  instanceId: string;
  workflowName: string;
  timestamp: number;
  schedule?: object;
  ahead?: boolean;
  defaults?: object;
  timeoutMs?: number;
}

// `make` gives the instance of the class, or throws.
export async function startRun(
  make: () => object, detail: Detail, payload: Uint8Array | undefined, capability: number,
): Promise<void> {
  const run = new Run(capability);
  const { ahead, defaults, timeoutMs } = detail;
  run.begin(ahead === true, defaults === undefined ? undefined : { config: defaults, timeoutMs: timeoutMs ?? 0 });
  const whole = async (): Promise<void> => {
    const ending = await outcomeOf(make, detail, payload, run);
    await run.ask("end", ending.detail, ending.payload);
  };
  try {
    await new SafePromise<void>((resolve, reject) => {
      promiseThen(run.lost, undefined, reject);
      promiseThen(whole(), () => resolve(), reject);
    });
  } finally {
    run.end();
    native.capability_drop(capability);
  }
}

interface Ending {
  detail: { how: string; name?: string; message?: string };
  payload: Uint8Array | undefined;
}

async function outcomeOf(make: () => object, detail: Detail, payload: Uint8Array | undefined, run: Run): Promise<Ending> {
  let output: unknown;
  try {
    const self = make() as { run?: unknown };
    if (typeof self.run !== "function") throw new Error("The class of this workflow has no run() method.");
    const { instanceId, workflowName, timestamp, schedule } = detail;
    const event = {
      payload: unpack(payload), timestamp: new Date(timestamp), instanceId, workflowName,
      ...(schedule !== undefined && { schedule }),
    };
    output = await Reflect.apply(self.run, self, [event, newStep(run)]);
  } catch (error) {
    const { name, message, thrown } = failureOf(error);
    return { detail: { how: "threw", name, message }, payload: thrown };
  }
  try {
    return { detail: { how: "returned" }, payload: output === undefined ? undefined : pack(output) };
  } catch (error) {
    const { name, message } = failureOf(error);
    return { detail: { how: "notSerialisable", name, message }, payload: undefined };
  }
}
