// SPDX-License-Identifier: Apache-2.0
//
// Durable Objects and facets in the whole program: what is on the disk, what survives a restart, alarms, migrations, and
// facets whose code comes from the loader.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { until } from '../support/until.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const app = (version: number): string => `import { DurableObject } from 'cloudflare:workers';
export class App extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS visits (at TEXT)'); }
  visit(at) { this.ctx.storage.sql.exec('INSERT INTO visits VALUES (?)', at); return this.count(); }
  count() { return this.ctx.storage.sql.exec('SELECT count(*) AS n FROM visits').one().n; }
  version() { return ${version}; }
  who() { return [String(this.ctx.id), this.ctx.id.name, this.ctx.props]; }
  sub(name) { return this.ctx.facets.get(name, () => ({ class: this.ctx.exports.App })).visit('below'); }
  async wake(ms) { await this.ctx.storage.setAlarm(Date.now() + ms); }
  alarm() { this.visit('alarm'); }
  fill(bytes) { this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS big (b BLOB)'); this.ctx.storage.sql.exec('INSERT INTO big VALUES (zeroblob(?))', bytes); }
}`;

const objects: WorkerSpec = {
  name: 'objects',
  objects: [{ binding: 'COUNTER', class: 'Counter' }, { binding: 'SUPERVISOR', class: 'Supervisor' }],
  loaders: [{ binding: 'LOADER' }],
  source: `import { DurableObject } from 'cloudflare:workers';
const code = ${JSON.stringify([app(0), app(1), app(2)])};
export class Counter extends DurableObject {
  add(n) { const sum = (this.ctx.storage.kv.get('sum') ?? 0) + n; this.ctx.storage.kv.put('sum', sum); return sum; }
  async addNow(n) { const sum = this.add(n); await this.ctx.storage.sync(); return sum; }
  who() { return [String(this.ctx.id), this.ctx.id.name]; }
  async ring(ms, failures = 0) { this.ctx.storage.kv.put('failures', failures); await this.ctx.storage.setAlarm(Date.now() + ms); return this.ctx.storage.getAlarm(); }
  async alarm(info) {
    const rings = [...(this.ctx.storage.kv.get('rings') ?? []), { ...info, at: Date.now(), name: this.ctx.id.name, own: await this.ctx.storage.getAlarm() }];
    this.ctx.storage.kv.put('rings', rings);
    await this.ctx.storage.sync();
    if (rings.length <= this.ctx.storage.kv.get('failures')) throw new Error('not yet');
  }
  async rings() { return { rings: this.ctx.storage.kv.get('rings') ?? [], alarm: await this.ctx.storage.getAlarm() }; }
}
export class Supervisor extends DurableObject {
  constructor(ctx, env) { super(ctx, env); if (ctx.storage.kv.get('wakes')) this.app('app'); }
  app(name) {
    return this.ctx.facets.get(name, () => {
      const version = this.ctx.storage.kv.get('version') ?? 1;
      const worker = this.env.LOADER.get('app-' + version, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': code[version] }, globalOutbound: null }));
      return { class: worker.getDurableObjectClass('App', { props: { of: name } }) };
    });
  }
  run(name, method, ...args) { return this.app(name)[method](...args); }
  upgrade(name, version) { this.ctx.storage.kv.put('version', version); this.ctx.facets.abort(name, new Error('upgrade')); }
  remove(name) { this.ctx.facets.delete(name); }
  clone(from, to) { this.ctx.facets.clone(from, to); }
  async wakeLater(name, ms) { this.ctx.storage.kv.put('wakes', true); await this.app(name).wake(ms); }
  wipe() { return this.ctx.storage.deleteAll(); }
  usage(name) { return this.ctx.facets.usage(name); }
}
export default { async fetch(request, env) {
  const url = new URL(request.url);
  const [, space, name, method] = url.pathname.split('/');
  try {
    return Response.json(await env[space].getByName(name)[method](...JSON.parse(url.searchParams.get('args') ?? '[]')) ?? null);
  } catch (error) {
    return Response.json({ name: error.name, message: error.message, reset: error.durableObjectReset }, { status: 500 });
  }
} };`,
};

type Call = (space: string, name: string, method: string, ...args: unknown[]) => Promise<any>;

function caller(insula: Insula): Call {
  return async (space, name, method, ...args) => {
    const answer = await insula.call(`/${space}/${name}/${method}?args=${encodeURIComponent(JSON.stringify(args))}`, { within: 20000 });
    if (answer.status !== 200) throw new Error(answer.text);
    return JSON.parse(answer.text);
  };
}

const start = (): Promise<Insula> => Insula.start(objects);
const again = (first: Insula, worker: WorkerSpec = objects): Promise<Insula> =>
  Insula.start(worker, { flags: ['--data', `${first.folder}/data`] });

async function end(insula: Insula, signal: NodeJS.Signals): Promise<void> {
  insula.signal(signal);
  await insula.exited();
}

// Files of all objects, by name.
function files(insula: Insula): Map<string, string> {
  const root = join(insula.folder, 'data', 'objects');
  const found = new Map<string, string>();
  for (const path of readdirSync(root, { recursive: true }) as string[]) {
    // A file that is being deleted may be gone between the list and the look.
    if (statSync(join(root, path), { throwIfNoEntry: false })?.isFile()) found.set(path, join(root, path));
  }
  return found;
}

describe('Durable Objects on the disk', () => {
  it('are SQLite files of their own, for the owner alone', async () => {
    await using insula = await start();
    const call = caller(insula);
    assert.equal(await call('COUNTER', 'a', 'add', 1), 1);
    const [id] = await call('COUNTER', 'a', 'who');
    const names = [...files(insula).keys()];
    for (const ending of ['.sqlite', '.sqlite-wal', '.history']) {
      const path = names.find((name) => name.endsWith(`${id.slice(0, 2)}/${id}${ending}`));
      assert.ok(path, `${id}${ending} is missing among ${names.join(' ')}`);
      assert.equal(statSync(files(insula).get(path) ?? '').mode & 0o777, 0o600);
    }
    await end(insula, 'SIGTERM');
    const database = [...files(insula)].find(([name]) => name.endsWith(`${id}.sqlite`))?.[1] ?? '';
    assert.equal(readFileSync(database).subarray(0, 15).toString(), 'SQLite format 3');
    const log = statSync(`${database}-wal`).size;
    assert.equal(log, 0, 'a clean end leaves everything in the database');
    closeConnections();
  });

  it('end cleanly after they have waited for the disk', async () => {
    await using insula = await start();
    const call = caller(insula);
    assert.equal(await call('COUNTER', 'a', 'addNow', 1), 1);
    await end(insula, 'SIGTERM');
    const logs = [...files(insula)].filter(([name]) => name.endsWith('-wal'));
    assert.deepEqual(logs.map(([, path]) => statSync(path).size), [0], 'the object was still open');
    closeConnections();
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
    it(`survive ${signal}`, async () => {
      await using first = await start();
      const call = caller(first);
      assert.equal(await call('COUNTER', 'a', 'add', 5), 5);
      assert.equal(await call('SUPERVISOR', 's', 'run', 'app', 'visit', 'x'), 1);
      const who = await call('COUNTER', 'a', 'who');
      await end(first, signal);
      await using second = await again(first);
      assert.equal(await caller(second)('COUNTER', 'a', 'add', 5), 10);
      assert.deepEqual(await caller(second)('COUNTER', 'a', 'who'), who);
      assert.equal(await caller(second)('SUPERVISOR', 's', 'run', 'app', 'visit', 'x'), 2);
      closeConnections();
    });
  }

  it('one instance answers many first calls', async () => {
    await using insula = await start();
    const sums = await Promise.all(Array.from({ length: 200 }, () => caller(insula)('COUNTER', 'shared', 'add', 1)));
    assert.deepEqual(sums.sort((a, b) => a - b), Array.from({ length: 200 }, (_, index) => index + 1));
    closeConnections();
  });
});

describe('migrations', () => {
  const source = (name: string): string => `import { DurableObject } from 'cloudflare:workers';
export class ${name} extends DurableObject { add() { const n = (this.ctx.storage.kv.get('n') ?? 0) + 1; this.ctx.storage.kv.put('n', n); return n; } }
export default { async fetch(request, env) { return new Response(String(await env.N.getByName('x').add())); } };`;
  it('a renamed class keeps its objects, a deleted one loses them', async () => {
    await using first = await Insula.start({ name: 'w', source: source('A'), objects: [{ binding: 'N', class: 'A' }] });
    assert.equal((await first.call('/')).text, '1');
    await end(first, 'SIGTERM');
    const added = { tag: 'v1', new_sqlite_classes: ['A'] };
    const renamed = { tag: 'v2', renamed_classes: [{ from: 'A', to: 'B' }] };
    const replaced = { tag: 'v3', deleted_classes: ['B'], new_sqlite_classes: ['C'] };
    for (const [name, migrations, expected] of [['B', [added, renamed], '2'], ['C', [added, renamed, replaced], '1']] as const) {
      await using next = await again(first, { name: 'w', source: source(name), objects: [{ binding: 'N', class: name }], migrations: [...migrations] });
      assert.equal((await next.call('/')).text, expected);
      await end(next, 'SIGTERM');
    }
    const spaces = readdirSync(join(first.folder, 'data', 'objects'));
    assert.equal(spaces.length, 1, 'the files of the deleted class are gone');
    closeConnections();
  });
});

describe('alarms', () => {
  it('ring at their time, with the object\'s name', async () => {
    await using insula = await start();
    const call = caller(insula);
    const at = await call('COUNTER', 'alarmed', 'ring', 300);
    await until(async () => (await call('COUNTER', 'alarmed', 'rings')).rings.length > 0, 'the alarm rang');
    const { rings } = await call('COUNTER', 'alarmed', 'rings');
    assert.equal(rings.length, 1);
    assert.equal(rings[0].scheduledTime, at);
    assert.equal(rings[0].isRetry, false);
    assert.equal(rings[0].retryCount, 0);
    assert.equal(rings[0].name, 'alarmed');
    assert.equal(rings[0].own, null, 'while it runs there is none');
    assert.ok(rings[0].at >= at && rings[0].at < at + 2000, `${rings[0].at - at} ms late`);
    assert.equal((await call('COUNTER', 'alarmed', 'rings')).alarm, null);
    closeConnections();
  });

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`survive ${signal}, and ring without any request`, async () => {
      await using first = await start();
      const at = await caller(first)('COUNTER', 'alarmed', 'ring', 1500);
      await end(first, signal);
      await using second = await again(first);
      await until(() => Date.now() > at + 1500, 'the time has passed', 10000);
      const { rings } = await caller(second)('COUNTER', 'alarmed', 'rings');
      assert.equal(rings.length, 1);
      assert.equal(rings[0].scheduledTime, at);
      assert.ok(rings[0].at < at + 1500, 'it rang before anybody asked');
      closeConnections();
    });
  }

  it('are tried again after two seconds and up to a quarter more', async () => {
    await using insula = await start();
    const call = caller(insula);
    await call('COUNTER', 'failing', 'ring', 10, 1);
    await until(async () => (await call('COUNTER', 'failing', 'rings')).rings.length > 1, 'the alarm was tried again', 15000);
    const { rings } = await call('COUNTER', 'failing', 'rings');
    assert.deepEqual([rings[1].isRetry, rings[1].retryCount], [true, 1]);
    const delay = rings[1].at - rings[0].at;
    assert.ok(delay >= 1990 && delay < 3500, `${delay} ms`);
    closeConnections();
  });
});

describe('facets of a loader\'s classes', () => {
  it('keep data over abort and upgrade, lose it when deleted, share it by clone', async () => {
    await using insula = await start();
    const call = caller(insula);
    const run = (name: string, method: string, ...args: unknown[]): Promise<any> => call('SUPERVISOR', 's', 'run', name, method, ...args);
    assert.equal(await run('app', 'visit', 'one'), 1);
    assert.equal(await run('app', 'version'), 1);
    const [id, name, props] = await run('app', 'who');
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.deepEqual([name, props], ['s', { of: 'app' }]);
    await call('SUPERVISOR', 's', 'upgrade', 'app', 2);
    assert.equal(await run('app', 'version'), 2);
    assert.equal(await run('app', 'visit', 'two'), 2, 'the data stays');
    assert.equal(await run('app', 'sub', 'below'), 1);
    await call('SUPERVISOR', 's', 'clone', 'app', 'copy');
    assert.equal(await run('copy', 'count'), 2);
    assert.equal(await run('copy', 'visit', 'three'), 3);
    assert.equal(await run('app', 'count'), 2, 'a copy is independent');
    assert.equal(await run('copy', 'sub', 'below'), 2, 'with all below it');
    await call('SUPERVISOR', 's', 'remove', 'app');
    assert.equal(await run('app', 'count'), 0);
    assert.equal(await run('app', 'sub', 'below'), 1);
    assert.equal(await run('copy', 'count'), 3);
    await end(insula, 'SIGTERM');
    await using second = await again(insula);
    assert.equal(await caller(second)('SUPERVISOR', 's', 'run', 'copy', 'count'), 3);
    closeConnections();
  });

  it('leave no files when they are deleted', async () => {
    await using insula = await start();
    const call = caller(insula);
    for (const name of ['a', 'b', 'c']) await call('SUPERVISOR', 's', 'run', name, 'sub', 'below');
    const facets = (): string[] => [...files(insula).keys()].filter((name) => /\.\d+\.sqlite$/.test(name));
    assert.equal(facets().length, 6);
    await call('SUPERVISOR', 's', 'remove', 'a');
    await until(() => facets().length === 4, 'a and what is below it are gone');
    await call('SUPERVISOR', 's', 'wipe');
    await until(() => facets().length === 0, 'deleteAll took all of them');
    closeConnections();
  });

  it('are metered', async () => {
    await using insula = await start();
    const call = caller(insula);
    for (let count = 0; count < 3; count++) await call('SUPERVISOR', 's', 'run', 'app', 'visit', 'x');
    await call('SUPERVISOR', 's', 'run', 'app', 'fill', 100000);
    const usage = await call('SUPERVISOR', 's', 'usage', 'app');
    assert.equal(usage.isRunning, true);
    assert.equal(usage.requests, 4);
    assert.ok(usage.databaseBytes > 100000, JSON.stringify(usage));
    closeConnections();
  });

  it('have alarms that wake them, and their parent, after a restart', async () => {
    await using first = await start();
    await caller(first)('SUPERVISOR', 's', 'wakeLater', 'app', 1000);
    await end(first, 'SIGKILL');
    await using second = await again(first);
    await until(async () => await caller(second)('SUPERVISOR', 's', 'run', 'app', 'count') === 1, 'the alarm rang', 15000);
    closeConnections();
  });
});
