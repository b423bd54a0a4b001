// SPDX-License-Identifier: Apache-2.0
//
// Differential cases about the storage of Durable Objects: each function runs inside an object of its own, on both sides.
//
//   storageProbes('kv', { 'reads what it wrote': ({ storage }) => { storage.put('a', 1); return storage.get('a'); } });
//
// As with probes(), a case is text: it sees its argument and the globals of a Worker.
import { type Difference, type Probe, type ProbeCase, probes } from './differential.ts';

export interface StorageTools {
  storage: any;
  sql: any;
  kv: any;
  ctx: any;
  // Runs the function at once; what it throws (or its promise rejects with), or {none: value}.
  thrown(run: () => unknown): any;
  caught(run: () => unknown): Promise<any>;
}

export type StorageProbe = (tools: StorageTools) => unknown;
type Cases = Record<string, StorageProbe | { run: StorageProbe; differs: Difference }>;

export function storageProbes(group: string, cases: Cases): void {
  const list = Object.entries(cases).map(([name, value]) => ({ name, ...(typeof value === 'function' ? { run: value } : value) }));
  const set: Record<string, ProbeCase> = {};
  for (const [index, item] of list.entries()) {
    set[item.name] = { run: textually(`({ env }) => env.STORE.getByName('${index}').run(${index})`), ...('differs' in item && { differs: item.differs as Difference }) };
  }
  const prelude = `import { DurableObject } from 'cloudflare:workers';
const storageProbes = [\n${list.map(({ run }) => run.toString()).join(',\n')}\n];
const thrown = (run) => { try { return { none: run() }; } catch (error) { return error; } };
export class Store extends DurableObject {
  async run(index) {
    const { ctx } = this;
    const { storage } = ctx;
    const tools = { ctx, storage, sql: storage.sql, kv: storage.kv, thrown, caught };
    try { return describe(await storageProbes[index](tools)); } catch (error) { return describe({ thrown: error }); }
  }
  alarm() {}
}`;
  probes(group, set, { prelude, objects: [{ binding: 'STORE', class: 'Store' }] });
}

// A function of this text; only its text is used.
function textually(text: string): Probe {
  const run: Probe = () => undefined;
  run.toString = () => text;
  return run;
}
