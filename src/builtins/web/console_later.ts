// SPDX-License-Identifier: Apache-2.0
//
// The console, for the core: the part "console" is made when somebody first says something.

let end: ((invocation: number) => void) | undefined;

// The part says that it is there.
export function adoptConsole(endGroupsOf: (invocation: number) => void): void {
  end = endGroupsOf;
}

// Somebody wants to hear of every line, with its arguments as JSON.
export const tails = { areThere: false };

// When an invocation is over nothing of its groups is left for the next.
export function endGroups(invocation: number): void {
  end?.(invocation);
}
