// SPDX-License-Identifier: Apache-2.0
//
// Loss of processes while Durable Objects write: what was acknowledged is there afterwards, and of each turn all or nothing.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const store: WorkerSpec = {
  name: 'store',
  objects: [{ binding: 'STORE', class: 'Store' }],
  source: `import { DurableObject } from 'cloudflare:workers';
export class Store extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS a (id INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS b (id INTEGER PRIMARY KEY)'); }
  add(id) {
    const { storage } = this.ctx;
    storage.sql.exec('INSERT INTO a VALUES (?)', id);
    storage.put('count', (storage.kv.get('count') ?? 0) + 1);
    storage.sql.exec('INSERT INTO b VALUES (?)', id);
    storage.put('last', id);
  }
  async slowly(id) {
    await this.ctx.storage.transaction(async (txn) => {
      this.ctx.storage.sql.exec('INSERT INTO a VALUES (?)', id);
      await new Promise((resolve) => setTimeout(resolve, 2));
      this.ctx.storage.sql.exec('INSERT INTO b VALUES (?)', id);
      await txn.put('count', ((await txn.get('count')) ?? 0) + 1);
    });
  }
  look() {
    const { sql, kv } = this.ctx.storage;
    const ids = (table) => sql.exec('SELECT id FROM ' + table + ' ORDER BY id').raw().toArray().map(([id]) => id);
    return { a: ids('a'), b: ids('b'), count: kv.get('count') ?? 0, check: sql.exec('PRAGMA quick_check').one().quick_check };
  }
}
export default { async fetch(request, env) {
  const [, name, what, id] = new URL(request.url).pathname.split('/');
  return Response.json(await env.STORE.getByName(name)[what](Number(id)) ?? null);
} };`,
};

interface Look {
  a: number[];
  b: number[];
  count: number;
  check: string;
}

async function look(insula: Insula, name: string): Promise<Look> {
  const answer = await insula.call(`/${name}/look/0`);
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as Look;
}

// Writes side by side until something is lost, or nothing seems to be (the runner's loss may fall between two requests); the
// ids whose requests were answered.
async function writeUntilLoss(insula: Insula, what: string, enough: () => void): Promise<Set<number>> {
  const acknowledged = new Set<number>();
  let next = 1;
  let isLost = false;
  let isTold = false;
  await Promise.all(Array.from({ length: 8 }, async () => {
    while (!isLost) {
      const id = next++;
      try {
        const answer = await insula.call(`/one/${what}/${id}`, { method: 'POST', body: '' });  // not sent twice
        if (answer.status === 200) acknowledged.add(id);
        else isLost = true;
      } catch {
        isLost = true;
      }
      if (acknowledged.size >= 40 && !isTold) {
        isTold = true; // once: the next look would find processes that are dead already
        enough();
      }
      if (acknowledged.size === 200) isLost = true;
    }
  }));
  return acknowledged;
}

function expectWhole({ a, b, count, check }: Look, acknowledged: Set<number>): void {
  assert.equal(check, 'ok');
  assert.deepEqual(a, b, 'a turn was kept by half');
  assert.equal(count, a.length, 'keys and rows of a turn belong together');
  const kept = new Set(a);
  assert.deepEqual([...acknowledged].filter((id) => !kept.has(id)), [], 'an acknowledged write is gone');
  assert.ok(acknowledged.size >= 40);
}

for (const what of ['add', 'slowly']) {
  describe(`objects that write (${what})`, () => {
    it('keep what was acknowledged when everything is killed', { timeout: 60000 }, async () => {
      const first = await Insula.start(store);
      await using _ = first;
      const acknowledged = await writeUntilLoss(first, what, () => {
        for (const pid of first.tree()) process.kill(pid, 'SIGKILL');
      });
      await first.exited();
      closeConnections();
      await using second = await Insula.start(store, { flags: ['--data', `${first.folder}/data`] });
      expectWhole(await look(second, 'one'), acknowledged);
      assert.equal((await second.call(`/one/${what}/100000`)).status, 200);
      assert.equal((await look(second, 'one')).a.at(-1), 100000);
      closeConnections();
    });

    it('keep what was acknowledged when their runner is killed', { timeout: 60000 }, async () => {
      await using insula = await Insula.start(store);
      const acknowledged = await writeUntilLoss(insula, what, () => {
        for (const { role, pid } of insula.runners()) if (role === 'platform') process.kill(pid, 'SIGKILL');
      });
      await insula.log.wait('runner.lost', () => true, { within: 10000 });
      await insula.log.wait('runner.started', ({ role }) => role === 'platform', { within: 10000 });
      expectWhole(await look(insula, 'one'), acknowledged);
      closeConnections();
    });
  });
}
