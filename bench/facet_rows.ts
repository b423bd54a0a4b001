// SPDX-License-Identifier: Apache-2.0
//
// Objects and facets with a database of their own: what the first request costs, and each later one that writes a row. Every
// answer waits until the row is on the disk.
import { quantile } from '../tests/support/until.ts';
import type { WorkerSpec } from '../tests/support/worker_spec.ts';
import { Connection } from './client.ts';
import type { Row } from './rows.ts';
import { start } from './subjects.ts';

const kCalls = 500;

// /facet/NAME: a row into the facet of the object NAME, whose class is a tenant's of that name.
// /calls/N: so many calls of an object, one after the other, a row each.
const platform: WorkerSpec = {
  name: 'platform',
  objects: [{ binding: 'APPS', class: 'Supervisor' }],
  loaders: [{ binding: 'LOADER' }],
  source: `import { DurableObject } from 'cloudflare:workers';
const codeOf = (name) => \`import { DurableObject } from 'cloudflare:workers';
export class App extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY, who TEXT)'); }
  fetch() {
    const { sql } = this.ctx.storage;
    sql.exec('INSERT INTO visits (who) VALUES (?)', '\${name}');
    return new Response(String(sql.exec('SELECT max(id) AS n FROM visits').one().n));
  }
}\`;
export class Supervisor extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, at REAL)'); }
  insert(value) { this.ctx.storage.sql.exec('INSERT INTO calls (at) VALUES (?)', value); }
  fetch(request) {
    const name = new URL(request.url).pathname.split('/')[2];
    return this.ctx.facets.get('app', () => ({
      class: this.env.LOADER.get(name, () => ({ compatibilityDate: '2026-06-01', mainModule: 'app.js', modules: { 'app.js': codeOf(name) }, globalOutbound: null })).getDurableObjectClass('App'),
    })).fetch(request);
  }
}
export default { async fetch(request, env) {
  const [, what, name] = new URL(request.url).pathname.split('/');
  if (what === 'facet') return env.APPS.getByName(name).fetch(request);
  const object = env.APPS.getByName('calls');
  for (let call = 0; call < Number(name); call++) await object.insert(call);
  return new Response('done');
} };`,
};

export const facets: Row = {
  title: 'Objects and facets, a row on the disk with each answer',
  ours: 'cordon',
  metrics: [
    { name: 'first request to a new facet (object, load, facet, table, row), p50', unit: 'ms', digits: 2, target: 'at most 4 ms' },
    { name: 'the same, p99', unit: 'ms', digits: 2, target: '' },
    { name: 'request to a warm facet, p50', unit: 'ms', digits: 3, target: 'at most 0.6 ms' },
    { name: 'RPC to an object, one after the other, per call', unit: 'µs', digits: 0, target: 'at most 350 µs' },
  ],
  measure: async (side, scale) => {
    const subject = await start(side, platform);
    try {
      const connection = await Connection.open(subject.url);
      for (let index = 0; index < 20; ++index) await connection.get(`/facet/early${index}`);
      const first: number[] = [];
      for (let index = 0; index < scale.loads; ++index) first.push(await connection.time(`/facet/new${index}`));
      for (let turn = 0; turn < 200; ++turn) await connection.get('/facet/early0');
      const warm: number[] = [];
      for (let turn = 0; turn < 1000; ++turn) warm.push(await connection.time('/facet/early0'));
      await connection.get(`/calls/${kCalls}`);
      const rpc: number[] = [];
      for (let turn = 0; turn < 5; ++turn) rpc.push(((await connection.time(`/calls/${kCalls}`)) * 1000) / kCalls);
      connection.close();
      return [quantile(first, 0.5), quantile(first, 0.99), quantile(warm, 0.5), quantile(rpc, 0.5)];
    } finally {
      await subject.stop();
    }
  },
};
