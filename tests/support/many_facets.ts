// SPDX-License-Identifier: Apache-2.0
//
// Many facets: apps with a row each, below a few objects of the platform, and what the processes take up for them.
import assert from 'node:assert/strict';
import { readdirSync, readlinkSync } from 'node:fs';

import { Connection } from '../../bench/client.ts';
import type { Insula } from './insula.ts';
import { memoryOf } from './proc.ts';
import type { WorkerSpec } from './worker_spec.ts';

// GET /PARENT/FACET: one more row in that facet; the answer is how many there are.
export const manyFacets: WorkerSpec = {
  name: 'platform',
  objects: [{ binding: 'PARENT', class: 'Parent' }],
  loaders: [{ binding: 'LOADER' }],
  source: `import { DurableObject } from 'cloudflare:workers';
const code = \`import { DurableObject } from 'cloudflare:workers';
export class App extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS visits (at INTEGER)'); }
  visit() {
    const { sql } = this.ctx.storage;
    sql.exec('INSERT INTO visits VALUES (?)', Date.now());
    return sql.exec('SELECT count(*) AS n FROM visits').one().n;
  }
}\`;
export class Parent extends DurableObject {
  visit(name) {
    return this.ctx.facets.get(name, () => ({
      class: this.env.LOADER.get('app', () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': code }, globalOutbound: null })).getDurableObjectClass('App'),
    })).visit();
  }
}
export default { async fetch(request, env) {
  const [, parent, name] = new URL(request.url).pathname.split('/');
  return new Response(String(await env.PARENT.getByName(parent).visit(name)));
} };`,
};

// Which facet is number `index`, of as many as there are.
export const pathOf = (index: number, parents: number): string => `/p${index % parents}/f${Math.floor(index / parents)}`;

// Visits facets, `lanes` at a time; each must answer `expected`.
export async function visitAll(
  insula: Insula, indices: Iterable<number>, parents: number, expected: string, lanes = 16): Promise<void> {
  const queue = indices[Symbol.iterator]();
  await Promise.all(Array.from({ length: lanes }, async () => {
    const connection = await Connection.open(insula.url);
    try {
      for (let next = queue.next(); !next.done; next = queue.next()) {
        const path = pathOf(next.value, parents);
        assert.equal(await connection.get(path), expected, path);
      }
    } finally {
      connection.close();
    }
  }));
}

export interface Footprint {
  supervisorBytes: number;
  runnersBytes: number;
  supervisorFiles: number;
  runnerFiles: number; // the most of one runner
  live: number; // databases that are open
}

export function footprint(insula: Insula): Footprint {
  const [supervisor, ...runners] = insula.tree();
  const filesOf = (pid: number): string[] => {
    try {
      return readdirSync(`/proc/${pid}/fd`).map((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`);
        } catch {
          return '';
        }
      });
    } catch {
      return []; // it has ended
    }
  };
  const all = runners.map(filesOf);
  return {
    supervisorBytes: memoryOf([supervisor!]).pssBytes,
    runnersBytes: memoryOf(runners).pssBytes,
    supervisorFiles: filesOf(supervisor!).length,
    runnerFiles: Math.max(0, ...all.map((files) => files.length)),
    live: all.flat().filter((path) => path.endsWith('.sqlite')).length,
  };
}
