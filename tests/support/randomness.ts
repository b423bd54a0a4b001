// SPDX-License-Identifier: Apache-2.0
//
// Numbers from 0 to 1 that a seed brings back.
export function randomness(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}
