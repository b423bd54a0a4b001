// SPDX-License-Identifier: Apache-2.0
//
// What the host told of this isolate's Worker when it was loaded.

export const settings = {
  env: {} as Record<string, unknown>,
  hasOutbound: false,
  flags: [] as readonly string[],
  date: "",
};

// A compatibility flag that came to be on by default at some date, and can be switched off by another one.
export function isEnabled(flag: string, opposite: string, since: string): boolean {
  const { date, flags } = settings;
  return flags.includes(flag) || (date >= since && !flags.includes(opposite));
}
