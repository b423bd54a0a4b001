// SPDX-License-Identifier: Apache-2.0
//
// The prelude of cases that try many calls one after the other: `outcomes([[name, call], …])` tells what each returned or
// threw. The RPC classes are under `workers`.
export const outcomes = `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
globalThis.outcomes = async (table) => {
  const list = [];
  for (const [name, run] of table) {
    let value;
    try { value = { got: await run() }; } catch (error) { value = error; }
    list.push([name, value]);
  }
  return list;
};
`;
