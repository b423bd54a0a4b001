// SPDX-License-Identifier: Apache-2.0
//
// The native calls of runtime/, typed.

declare const ops: unknown;

export const native = ops as RuntimeOps & { invocation(): number; in_invocation(): boolean };
