// SPDX-License-Identifier: Apache-2.0
//
// The native calls of runtime/, typed.

export const native = ops as unknown as RuntimeOps & typeof ops;
