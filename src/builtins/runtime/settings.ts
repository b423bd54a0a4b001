// SPDX-License-Identifier: Apache-2.0
//
// What the host told of this isolate's Worker when it was loaded.

export const settings = {
  env: {} as Record<string, unknown>,
  hasOutbound: false,
  flags: [] as readonly string[],
  date: "",
};
