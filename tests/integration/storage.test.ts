// SPDX-License-Identifier: Apache-2.0
//
// Storage of Durable Objects where the peer cannot be asked: points in time, limits on SQL, memory, and what is durable.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';

const source = `import { DurableObject } from 'cloudflare:workers';
const caught = async (run) => { try { return await run(); } catch (error) { return String(error.message); } };
const cases = {
  async restore({ storage, ctx }) {
    await storage.put('v', 1);
    storage.sql.exec('CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)');
    const bookmark = await storage.getCurrentBookmark();
    await storage.put('v', 2);
    storage.sql.exec('INSERT INTO t VALUES (2)');
    const later = await storage.getCurrentBookmark();
    const undo = await storage.onNextSessionRestoreBookmark(bookmark);
    return { bookmark, later, undo, before: [await storage.get('v'), storage.sql.exec('SELECT count(*) AS n FROM t').one().n] };
  },
  async look({ storage }) { return [await storage.get('v'), storage.sql.exec('SELECT count(*) AS n FROM t').one().n]; },
  async restoreTo({ storage }, bookmark) { return storage.onNextSessionRestoreBookmark(bookmark); },
  async at({ storage }, time) { return storage.getBookmarkForTime(Number(time)); },
  async badBookmark({ storage }) { return [await caught(() => storage.onNextSessionRestoreBookmark('nonsense')), await caught(() => storage.onNextSessionRestoreBookmark('ffffffff-ffffffff-00000000-00000000000000000000000000000000'))]; },
  abort({ ctx }) { ctx.abort('started anew'); },
  endless({ storage }) { return storage.sql.exec('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n').one(); },
  async memory({ storage }) { return caught(() => storage.sql.exec('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT length(group_concat(hex(zeroblob(2000000)))) AS n FROM n').one()); },
  cursors({ storage }) {
    storage.sql.exec('CREATE TABLE IF NOT EXISTS c (a); DELETE FROM c');
    for (let i = 0; i < 200; i++) storage.sql.exec('INSERT INTO c VALUES (?)', i);
    let sum = 0;
    for (let i = 0; i < 20000; i++) sum += storage.sql.exec('SELECT a FROM c').next().value.a + storage.sql.exec('SELECT a FROM c LIMIT 20').next().value.a;
    return sum;
  },
  nested({ storage }) {
    storage.sql.exec('CREATE TABLE IF NOT EXISTS c (a); DELETE FROM c; INSERT INTO c VALUES (1), (2), (3)');
    const walk = (depth) => { let n = 0; for (const row of storage.sql.exec('SELECT a FROM c ORDER BY a')) n += depth === 0 ? row.a : walk(depth - 1); return n; };
    return walk(6);
  },
  sync: async ({ storage }) => { storage.put('synced', 1); return (await storage.sync()) === undefined; },
  unconfirmed: async ({ storage }) => { storage.put('fast', 1, { allowUnconfirmed: true }); return storage.get('fast'); },
};
export class Store extends DurableObject { run(name, argument) { const { ctx } = this; return cases[name]({ ctx, storage: ctx.storage }, argument); } }
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const [, object, name] = pathname.split('/');
  return Response.json(await env.STORE.getByName(object).run(name, searchParams.get('of')) ?? null);
} };`;

describe('storage of objects', () => {
  let insula: Insula;
  before(async () => {
    insula = await Insula.start({ name: 'store', source, objects: [{ binding: 'STORE', class: 'Store' }], limits: { cpu_ms: 2000 } });
  });
  after(async () => {
    await insula.stop();
    closeConnections();
  });
  const ask = async (object: string, name: string, of = ''): Promise<any> => {
    const answer = await insula.call(`/${object}/${name}?of=${of}`);
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text);
  };
  const restart = async (object: string): Promise<void> => {
    assert.notEqual((await insula.call(`/${object}/abort`)).status, 200);
  };

  it('goes back to a bookmark, and forth again', async () => {
    const { bookmark, later, undo, before: was } = await ask('time', 'restore');
    assert.deepEqual(was, [2, 2]);
    assert.ok(bookmark < later && later <= undo, `${bookmark} ${later} ${undo}`);
    await restart('time');
    assert.deepEqual(await ask('time', 'look'), [1, 1]);
    await ask('time', 'restoreTo', undo);
    await restart('time');
    assert.deepEqual(await ask('time', 'look'), [2, 2]);
  });

  it('finds the bookmark of a time', async () => {
    await ask('times', 'restore');
    const now = await ask('times', 'at', String(Date.now() + 1000));
    assert.match(now, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/);
  });

  it('refuses bookmarks of others', async () => {
    for (const text of await ask('others', 'badBookmark')) assert.match(text, /bookmark/i);
  });

  it('stops SQL that uses up the CPU limit', { timeout: 30000 }, async () => {
    const answer = await insula.call('/endless/endless', { method: 'POST', body: '' });  // not sent twice
    assert.notEqual(answer.status, 200);
    assert.equal(await ask('other', 'nested'), 4374);
  });

  it('bounds the memory of SQL', async () => {
    assert.match(String(await ask('memory', 'memory')), /too big|out of memory/);
    assert.equal(await ask('memory', 'nested'), 4374);
  });

  it('lets programs forget cursors', { timeout: 30000 }, async () => {
    assert.equal(await ask('cursors', 'cursors'), 0);
  });

  it('says when it is synced', async () => {
    assert.equal(await ask('synced', 'sync'), true);
    assert.equal(await ask('synced', 'unconfirmed'), 1);
  });
});
