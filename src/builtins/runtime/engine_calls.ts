// SPDX-License-Identifier: Apache-2.0
//
// Engine calls: what built-ins ask of the supervisor's engines (workflows, facets, alarms) by name. `detail` is JSON;
// payloads are serialised values, whose bytes the supervisor keeps and never reads.

import {
  jsonParse, jsonStringify, mapDelete, mapGet, mapSet, SafeMap, SafePromise,
} from "../internal/intrinsics.ts";
import { errorFromHost } from "./errors.ts";
import { enter, type Gate, gateHere } from "../internal/gates.ts";
import { native } from "./native.ts";

export interface EngineAnswer {
  readonly detail: Readonly<Record<string, unknown>>;
  readonly payloads: readonly Uint8Array[];
}

interface Waiting {
  resolve: (answer: EngineAnswer) => void;
  reject: (reason: unknown) => void;
  gate: Gate | undefined;
}

const waiting = new SafeMap<number, Waiting>();

// kind and capability say whom to ask, as in ops.engine_call. A refusal by the host is a rejection.
export function engineCall(
  kind: number, capability: number, actor: number, operation: string, detail: object, payload?: Uint8Array,
): Promise<EngineAnswer> {
  return new SafePromise<EngineAnswer>((resolve, reject) => {
    const call = native.engine_call(kind, capability, actor, operation, jsonStringify(detail), payload);
    mapSet(waiting, call, { resolve, reject, gate: gateHere() });
  });
}

function take(call: number): Waiting | undefined {
  const found = mapGet(waiting, call);
  if (found !== undefined) mapDelete(waiting, call);
  return found;
}

// Called by the host with an answer.
export function engineDone(call: number, detail: string, payloads: readonly Uint8Array[]): void {
  const found = take(call);
  if (found === undefined) return;
  const answer = { detail: (detail === "" ? {} : jsonParse(detail)) as EngineAnswer["detail"], payloads };
  enter(found.gate, () => found.resolve(answer));
}

// False: the call is of another kind.
export function engineFailed(call: number, fault: string, name: string, message: string, remote: boolean): boolean {
  const found = take(call);
  if (found === undefined) return false;
  const error = errorFromHost(fault, name, message, remote);
  enter(found.gate, () => found.reject(error));
  return true;
}

export function dropEngineCall(call: number): boolean {
  return take(call) !== undefined;
}
