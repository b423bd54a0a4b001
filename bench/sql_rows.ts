// SPDX-License-Identifier: Apache-2.0
//
// The storage of Durable Objects: what one call costs inside an object, and what a request costs whose answer waits until
// its write is on the disk.
import { median, quantile } from '../tests/support/until.ts';
import { Connection, load } from './client.ts';
import type { Row } from './rows.ts';
import { start, type Subject } from './subjects.ts';
import type { WorkerSpec } from '../tests/support/worker_spec.ts';

const kCalls = 20000;
const kRead = 'SELECT id, name, value FROM t WHERE id = ?';

const store: WorkerSpec = {
  name: 'store',
  objects: [{ binding: 'STORE', class: 'Store' }],
  source: `import { DurableObject } from 'cloudflare:workers';
const works = {
  setup({ sql, kv }) {
    sql.exec('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, name TEXT, value REAL)');
    for (let i = 0; i < 1000; i++) sql.exec('INSERT INTO t VALUES (?, ?, ?)', i, 'name' + i, i / 2);
    kv.put('key', { a: 1, b: 'two' });
  },
  insert({ sql }, calls) { for (let i = 0; i < calls; i++) sql.exec('INSERT INTO t (name, value) VALUES (?, ?)', 'name', i); },
  read({ sql }, calls) { for (let i = 0; i < calls; i++) sql.exec('${kRead}', i % 1000).one(); },
  rows({ sql }, calls) { for (let i = 0; i < calls; i += 1000) sql.exec('SELECT id, name, value FROM t LIMIT 1000').toArray(); },
  get({ kv }, calls) { for (let i = 0; i < calls; i++) kv.get('key'); },
  put({ kv }, calls) { for (let i = 0; i < calls; i++) kv.put('k' + (i % 100), { a: i, b: 'two' }); },
};
export class Store extends DurableObject { work(name, calls) { works[name](this.ctx.storage, calls); } }
export default { async fetch(request, env) {
  const [, name, calls] = new URL(request.url).pathname.split('/');
  await env.STORE.getByName('one').work(name, Number(calls));
  return new Response('done');
} };`,
};

async function withStore(side: 'peer' | 'cordon' | 'shared', run: (subject: Subject) => Promise<number[]>): Promise<number[]> {
  const subject = await start(side, store);
  try {
    return await run(subject);
  } finally {
    await subject.stop();
  }
}

export const sql: Row = {
  title: 'Storage, calls within one event',
  ours: 'cordon',
  metrics: [
    { name: 'sql.exec, insert', unit: 'µs', digits: 2, target: 'at most 0.7', atMost: 0.7 },
    { name: 'sql.exec, read by key', unit: 'µs', digits: 2, target: 'at most 0.4', atMost: 0.4 },
    { name: 'row of a long result', unit: 'µs', digits: 2, target: '' },
    { name: 'kv.get', unit: 'µs', digits: 2, target: '' },
    { name: 'kv.put', unit: 'µs', digits: 2, target: '' },
  ],
  // The clock of a Worker stands still, so the call is timed from outside, less one that does next to nothing.
  measure: (side) => withStore(side, async (subject) => {
    const connection = await Connection.open(subject.url);
    await connection.get('/setup/0');
    const numbers: number[] = [];
    for (const name of ['insert', 'read', 'rows', 'get', 'put']) {
      await connection.get(`/${name}/${kCalls / 10}`);
      const times: number[] = [];
      for (let turn = 0; turn < 7; ++turn) times.push((await connection.time(`/${name}/${kCalls}`)) - (await connection.time(`/${name}/1`)));
      numbers.push((median(times) * 1000) / kCalls);
    }
    connection.close();
    return numbers;
  }),
};

export const durable: Row = {
  title: 'A request that inserts a row into an object, answered when it is on the disk',
  ours: 'cordon',
  metrics: [
    { name: 'p50, one after the other', unit: 'ms', digits: 3, target: 'at most 0.35 ms' },
    { name: 'requests per second, 32 connections', unit: '/s', digits: 0, target: 'at least 10,000/s' },
  ],
  measure: (side, scale) => withStore(side, async (subject) => {
    const connection = await Connection.open(subject.url);
    await connection.get('/setup/0');
    for (let turn = 0; turn < 200; ++turn) await connection.get('/insert/1');
    const times: number[] = [];
    for (let turn = 0; turn < 1000; ++turn) times.push(await connection.time('/insert/1'));
    connection.close();
    const { requests, seconds } = await load(subject.url, { connections: 32, seconds: scale.seconds, paths: ['/insert/1'] });
    return [quantile(times, 0.5), requests / seconds];
  }),
};
