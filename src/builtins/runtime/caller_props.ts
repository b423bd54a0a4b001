// SPDX-License-Identifier: Apache-2.0
//
// With which props the entrypoint was called that the current invocation runs: an engine that serves many tenants
// through one entrypoint is fair by them.

import { mapDelete, mapGet, mapSet, SafeMap } from "../internal/intrinsics.ts";
import { native } from "./native.ts";

const propsOf = new SafeMap<number, unknown>();

// Called for each invocation of an entrypoint that has any.
export function noteProps(invocation: number, props: unknown): void {
  mapSet(propsOf, invocation, props);
  native.keep(invocation);
}

export function propsOfCaller(): unknown {
  return mapGet(propsOf, native.invocation());
}

export function forgetProps(invocation: number): void {
  mapDelete(propsOf, invocation);
}
