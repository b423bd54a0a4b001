// SPDX-License-Identifier: Apache-2.0
//
// What the host told of this isolate's Worker when it was loaded.

export interface Space {
  index: number;       // among all of this Worker: the same in each of its isolates
  capability: number;  // a handle
  key: Uint8Array;     // of its ids
}

export const settings = {
  env: {} as Record<string, unknown>,
  // Namespaces of Durable Objects, and those of own classes by name.
  spaces: [] as Space[],
  ownSpaces: { __proto__: null } as unknown as Record<string, Space>,
  hasOutbound: false,
  flags: [] as readonly string[],
  date: "",
};

// A compatibility flag that came to be on by default at some date, and can be switched off by another one.
export function isEnabled(flag: string, opposite: string, since: string): boolean {
  const { date, flags } = settings;
  return flags.includes(flag) || (date >= since && !flags.includes(opposite));
}
