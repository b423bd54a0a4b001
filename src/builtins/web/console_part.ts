// SPDX-License-Identifier: Apache-2.0
//
// The part "console": console with what it takes to show values. Made when a Worker first names it, or leaves an exception.

export { inspect } from "../internal/inspect.ts";
export { console, endGroups } from "./console.ts";
