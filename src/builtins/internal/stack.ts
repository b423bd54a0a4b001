// SPDX-License-Identifier: Apache-2.0
//
// Stacks as people read them.

import { indexOf, split, startsWith } from "./intrinsics.ts";

// Frames of the runtime say nothing to the person who wrote the Worker.
export function cleanStack(stack: string): string {
  if (indexOf(stack, "insula:") < 0) return stack;
  let clean = "";
  for (const line of split(stack, "\n")) {
    if (indexOf(line, "insula:") >= 0 && startsWith(line, "    at ")) continue;
    clean += clean === "" ? line : `\n${line}`;
  }
  return clean;
}
