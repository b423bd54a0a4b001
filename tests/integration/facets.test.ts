// SPDX-License-Identifier: Apache-2.0
//
// Facets of hostile code: what a quota holds, and that no name, path, SQL or id leads to another one's data.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const tenant = `import { DurableObject } from 'cloudflare:workers';
const fact = (error) => ({ name: error.name, message: error.message, code: error.code, reset: error.durableObjectReset });
export class App extends DurableObject {
  sql(text, ...values) { return this.ctx.storage.sql.exec(text, ...values).toArray(); }
  trySql(text, ...values) { try { return this.sql(text, ...values); } catch (error) { return fact(error); } }
  put(value) { this.ctx.storage.kv.put('value', value); }
  get() { return this.ctx.storage.kv.get('value') ?? null; }
  who() { return String(this.ctx.id); }
  async below(path, method, ...args) {
    const [name, ...rest] = path;
    if (name === undefined) return this[method](...args);
    return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.App })).below(rest, method, ...args);
  }
  reach() { return [Object.keys(this.env), Object.keys(this.ctx.exports), typeof this.ctx.id.equals]; }
}`;

const platform: WorkerSpec = {
  name: 'platform',
  objects: [{ binding: 'PARENT', class: 'Parent' }],
  loaders: [{ binding: 'LOADER' }],
  source: `import { DurableObject } from 'cloudflare:workers';
const fact = (error) => ({ name: error.name, message: error.message, code: error.code, reset: error.durableObjectReset });
export class Parent extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS secrets (s TEXT)'); }
  secret(text) { this.ctx.storage.sql.exec('INSERT INTO secrets VALUES (?)', text); }
  async facet(name, options, method, ...args) {
    const worker = this.env.LOADER.get('tenant', () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': ${JSON.stringify(tenant)} }, globalOutbound: null }));
    try {
      return { value: await this.ctx.facets.get(name, () => ({ class: worker.getDurableObjectClass('App'), ...options }))[method](...args) ?? null };
    } catch (error) { return { error: fact(error) }; }
  }
  abort(name) { this.ctx.facets.abort(name, new Error('aborted')); }
  usage(name) { return this.ctx.facets.usage(name); }
}
export default { async fetch(request, env) {
  const [object, method, args] = await request.json();
  try {
    return Response.json(await env.PARENT.getByName(object)[method](...args) ?? null);
  } catch (error) { return Response.json({ error: fact(error) }, { status: 500 }); }
} };`,
};

describe('facets of hostile code', () => {
  let insula: Insula;
  const call = async (object: string, method: string, ...args: unknown[]): Promise<any> => {
    const { status, text } = await insula.call('/', { method: 'POST', body: JSON.stringify([object, method, args]), within: 20000 });
    assert.equal(status, 200, text);
    return JSON.parse(text);
  };
  const facet = async (object: string, name: string, method: string, ...args: unknown[]): Promise<any> => {
    const { value, error } = await call(object, 'facet', name, {}, method, ...args);
    assert.equal(error, undefined, JSON.stringify(error));
    return value;
  };
  // Files of all objects.
  const files = (): string[] => (readdirSync(join(insula.folder, 'data/objects'), { recursive: true }) as string[])
    .filter((path) => statSync(join(insula.folder, 'data/objects', path), { throwIfNoEntry: false })?.isFile());

  before(async () => {
    insula = await Insula.start(platform);
  });
  after(async () => {
    closeConnections();
    await insula.stop();
  });

  it('a full database is an error with a code, for the facet and for its parent', async () => {
    const quota = { quotaBytes: 64 * 1024 };
    const run = (method: string, ...args: unknown[]): Promise<any> => call('full', 'facet', 'app', quota, method, ...args);
    await run('sql', 'CREATE TABLE t (b BLOB)');
    await run('sql', 'INSERT INTO t VALUES (zeroblob(30000))');
    const { error } = await run('sql', 'INSERT INTO t VALUES (zeroblob(40000))');
    assert.deepEqual(error, {
      name: 'Error', code: 'ERR_DB_FULL', reset: true,
      message: 'Cannot commit transaction due to an earlier SQL critical error: database or disk is full: SQLITE_FULL',
    });
    // A statement of which SQLite undoes nothing else leaves the turn as it was.
    const many = 'INSERT INTO t SELECT zeroblob(10000) FROM (VALUES (1), (2), (3), (4))';
    assert.deepEqual((await run('trySql', many)).value, { name: 'Error', code: 'ERR_DB_FULL', message: 'database or disk is full: SQLITE_FULL' });
    assert.deepEqual((await run('sql', 'SELECT count(*) AS n FROM t')).value, [{ n: 1 }], 'it can be read');
    assert.deepEqual((await run('sql', 'DELETE FROM t')).value, [], 'it can be emptied');
    assert.deepEqual((await run('sql', 'INSERT INTO t VALUES (zeroblob(40000))')).value, [], 'and written to again');
    await call('full', 'abort', 'app');
    const larger = await call('full', 'facet', 'app', { quotaBytes: 256 * 1024 }, 'sql', 'INSERT INTO t VALUES (zeroblob(100000))');
    assert.deepEqual(larger, { value: [] }, 'its parent can raise the quota');
  });

  it('a small quota is a small place on the disk, whatever is written over and over', async () => {
    const quota = { quotaBytes: 128 * 1024 };
    const run = (method: string, ...args: unknown[]): Promise<any> => call('rewritten', 'facet', 'app', quota, method, ...args);
    await run('sql', 'CREATE TABLE t (b BLOB)');
    await run('sql', 'INSERT INTO t VALUES (zeroblob(90000))');
    for (let turn = 0; turn < 150; turn++) await run('sql', 'UPDATE t SET b = randomblob(90000)');
    const { databaseBytes, historyBytes } = await call('rewritten', 'usage', 'app');
    assert.ok(databaseBytes > 90000 && databaseBytes < 3 * 1024 * 1024, `${databaseBytes} bytes of database and log`);
    assert.ok(historyBytes < 5 * 1024 * 1024, `${historyBytes} bytes of history`);
  });

  it('quotas that are none are refused', async () => {
    for (const quotaBytes of [0, -1, 'many']) {
      const { error } = await call('quotas', 'facet', `of ${quotaBytes}`, { quotaBytes }, 'get');
      assert.deepEqual([error.name, error.message], ['RangeError', 'quotaBytes must be a positive number of bytes.']);
    }
  });

  it('names are names, not paths', async () => {
    const names = ['../app', '/etc/passwd', '..', '.', 'app/1', 'app.1', '%2e%2e', 'a\u0000b', '\u{1F600}', 'APP', 'app ', '_cf_KV',
      'é', 'e\u0301', '0', '1', 'next', 'constructor', '__proto__', 'x'.repeat(256)];
    for (const [index, name] of names.entries()) await facet('names', name, 'put', index);
    for (const [index, name] of names.entries()) assert.equal(await facet('names', name, 'get'), index, JSON.stringify(name));
    for (const path of files()) assert.match(path, /^[0-9a-f]{32}\/[0-9a-f]{2}\/[0-9a-f]{64}(\.[0-9]+)?\.(sqlite|sqlite-wal|history)$/);
  });

  it('the same name below another parent is another facet', async () => {
    await facet('one', 'app', 'put', 'of one');
    await facet('one', 'app', 'below', ['deep'], 'put', 'below one/app');
    await facet('one', 'other', 'below', ['deep'], 'put', 'below one/other');
    await facet('two', 'app', 'put', 'of two');
    assert.equal(await facet('one', 'app', 'get'), 'of one');
    assert.equal(await facet('two', 'app', 'get'), 'of two');
    assert.equal(await facet('one', 'app', 'below', ['deep'], 'get'), 'below one/app');
    assert.equal(await facet('one', 'other', 'below', ['deep'], 'get'), 'below one/other');
    assert.equal(await facet('one', 'deep', 'get'), null, 'nothing climbs');
    assert.equal(await facet('one', 'app', 'below', ['app'], 'get'), null);
  });

  it('SQL reaches its own tables alone', async () => {
    await call('secretive', 'secret', 'a secret of the parent');
    await facet('secretive', 'app', 'put', 'a value of the neighbour');
    const id = await facet('secretive', 'thief', 'who');
    const path = join(insula.folder, 'data/objects', files().find((one) => one.endsWith(`${id}.sqlite`)) ?? '');
    assert.ok(existsSync(path));
    const tries = [
      'SELECT * FROM secrets', 'SELECT * FROM main.secrets', 'SELECT * FROM parent.secrets', `ATTACH '${path}' AS parent`,
      `ATTACH 'file:${path}?mode=ro' AS parent`, 'ATTACH \':memory:\' AS m', 'DETACH main', `VACUUM INTO '${path}.copy'`, 'SELECT * FROM _cf_KV',
      'UPDATE _cf_KV SET value = 1', 'DROP TABLE _cf_KV', 'CREATE TABLE _cf_mine (a)', `SELECT load_extension('${path}')`,
      `SELECT readfile('${path}')`, `SELECT writefile('${path}', '')`, 'CREATE TEMP TABLE t (a)', 'PRAGMA database_list',
      `PRAGMA temp_store_directory = '/tmp'`, 'PRAGMA journal_mode = DELETE', 'PRAGMA writable_schema = 1', 'PRAGMA max_page_count = 999999999',
      'PRAGMA locking_mode = NORMAL', `CREATE VIRTUAL TABLE v USING csv(filename='${path}')`, 'CREATE VIRTUAL TABLE d USING dbstat',
      'SELECT * FROM sqlite_dbpage', `SELECT * FROM pragma_database_list`, `SELECT fts3_tokenizer('simple', x'00')`,
    ];
    for (const text of tries) {
      const outcome = await facet('secretive', 'thief', 'trySql', text);
      assert.equal(typeof outcome.message, 'string', `${text}: ${JSON.stringify(outcome)}`);
      assert.ok(!JSON.stringify(outcome.message).includes(insula.folder) || text.includes(insula.folder), outcome.message);
    }
    const tables = await facet('secretive', 'thief', 'sql', 'SELECT name FROM sqlite_schema');
    assert.deepEqual(tables, []);
    assert.equal(existsSync(`${path}.copy`), false);
    assert.equal(await facet('secretive', 'app', 'get'), 'a value of the neighbour');
  });

  it('an id opens nothing for a tenant: it has no namespace, and a text is no id', async () => {
    const [env, exports] = await facet('ids', 'app', 'reach');
    assert.deepEqual([env, exports], [[], ['App']]);
    await facet('ids', 'app', 'put', 'of app');
    const id = await facet('ids', 'app', 'who');
    // A parent may show a facet any id; its data stay its own.
    const forged = await call('ids', 'facet', 'forged', { id }, 'get');
    assert.deepEqual(forged, { value: null });
    assert.deepEqual(await call('ids', 'facet', 'forged', {}, 'who'), { value: id });
  });
});
