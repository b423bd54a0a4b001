// SPDX-License-Identifier: Apache-2.0
//
// Many calls leave nothing behind: no exports, isolates or streams, whoever holds or forgets their stubs; and an isolate
// stays while somebody holds a live object in it. What is left is read from the tables of all processes ("runner.tables"),
// before and after; memory may not grow with the calls.
//
//   RPC_CALLS=1000000   how many calls each kind makes; default 20,000. The figures are in the test's diagnostics.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { memoryOf } from '../support/proc.ts';
import { until } from '../support/until.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const kCalls = Number(process.env.RPC_CALLS ?? 20_000);
const kPerRequest = 1000;
const kMiB = 1024 * 1024;

const tenantSource = `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
let live = 0;
class Thing extends RpcTarget { constructor() { super(); live++; } hi() { return 1; } [Symbol.dispose]() { live--; } }
const bytes = new Uint8Array(2000);
export default class extends WorkerEntrypoint {
  plain(a) { return a; }
  thing() { return new Thing(); }
  two() { return { a: new Thing(), b: new Thing() }; }
  fn() { return () => 1; }
  call(fn) { return fn(1); }
  keep(stub) { const kept = stub.dup(); return kept.hi(); }
  stream() { let n = 0; return new ReadableStream({ pull(c) { n++ < 3 ? c.enqueue(bytes) : c.close(); } }); }
  async drain(stream) { let total = 0; for await (const chunk of stream) total += chunk.byteLength; return total; }
  throws() { throw new Error('thrown'); }
  live() { return live; }
  fetch() { return new Response('ok'); }
}
`;

const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  loaders: [{ binding: 'LOADER' }],
  limits: { cpu_ms: 300000, subrequests: 1000000 },
  source: `import { RpcTarget } from 'cloudflare:workers';
class Mine extends RpcTarget { hi() { return 1; } }
const source = ${JSON.stringify(tenantSource)};
const kinds = {
  plain: (t, n) => t.plain({ n }),
  disposed: async (t) => { using thing = await t.thing(); await thing.hi(); },
  forgotten: async (t) => { const thing = await t.thing(); await thing.hi(); },
  unread: (t) => t.thing(),
  two: async (t) => { using both = await t.two(); await both.a.hi(); },
  pipelined: (t) => t.thing().hi(),
  functions: async (t) => { const fn = await t.fn(); await fn(); },
  callbacks: (t) => t.call((n) => n),
  parameters: (t) => t.keep(new Mine()),
  streams: async (t) => { await (await t.stream()).pipeTo(new WritableStream()); },
  'cancelled streams': async (t) => { await (await t.stream()).cancel(); },
  'streams as parameters': async (t) => { let n = 0; await t.drain(new ReadableStream({ pull(c) { n++ < 3 ? c.enqueue(new Uint8Array(1000)) : c.close(); } })); },
  errors: (t) => t.throws().catch(() => {}),
};
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const worker = (id) => env.LOADER.get(id, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': source }, limits: { cpuMs: 300000, subRequests: 1000000 } }));
    const t = worker(url.searchParams.get('id') ?? 'tenant').getEntrypoint();
    if (url.pathname === '/live') return Response.json(await t.live());
    if (url.pathname === '/hold') {
      const thing = await t.thing();
      await fetch(env.ORIGIN).catch(() => {});
      return Response.json([await thing.hi()]);
    }
    const run = kinds[decodeURIComponent(url.pathname.slice(1))];
    const count = Number(url.searchParams.get('count'));
    for (let n = 0; n < count; n += 50) await Promise.all(Array.from({ length: Math.min(50, count - n) }, (_, k) => run(t, n + k)));
    return new Response('done');
  },
};
`,
};

const kinds = ['plain', 'disposed', 'forgotten', 'unread', 'two', 'pipelined', 'functions', 'callbacks', 'parameters', 'streams', 'cancelled streams', 'streams as parameters', 'errors'];
// Streams cost more than calls.
const callsOf = (kind: string): number => Math.ceil(kCalls / (kind.includes('streams') ? 10 : 1));

// What all runners and sessions hold, by table. Sizes that measure something else than what calls leave are not asked for.
const kOther = new Set(['time', 'level', 'event', 'runner', 'role', 'memory_bytes', 'runner_timers']);
async function tablesOf(insula: Insula): Promise<Record<string, number>> {
  const mark = insula.log.mark();
  const sums: Record<string, number> = {};
  process.kill(insula.pid, 'SIGUSR1');
  for (const { runner } of insula.runners()) {
    const said = await insula.log.wait('runner.tables', (event) => event.runner === runner, { after: mark });
    for (const [name, size] of Object.entries(said)) {
      if (!kOther.has(name)) sums[name] = (sums[name] ?? 0) + Number(size);
    }
  }
  return sums;
}

for (const isolation of ['shared', 'cordon', 'process'] as const) {
  describe(`what calls leave behind (${isolation})`, { timeout: 600000 }, () => {
    for (const kind of kinds) {
      it(`${kind}: ${callsOf(kind)} times`, async (test) => {
        await using insula = await Insula.start(dispatcher, { isolation });
        const run = async (calls: number): Promise<void> => {
          for (let done = 0; done < calls; done += kPerRequest) {
            const answer = await insula.call(`/${encodeURIComponent(kind)}?count=${Math.min(kPerRequest, calls - done)}`, { within: 60000 });
            assert.equal(answer.text, 'done');
          }
        };
        // Heaps grow until their first collections: some calls warm up, the rest may not grow on.
        await run(Math.max(callsOf(kind) / 10, Math.min(callsOf(kind), 5000)));
        const ended = async (): Promise<boolean> => JSON.parse((await insula.call('/live')).text) === 0;
        await until(ended, 'every target has heard of its end', 20000);
        const tables = await tablesOf(insula);
        const before = memoryOf(insula.tree()).pssBytes;
        const start = performance.now();
        await run(callsOf(kind));
        const seconds = (performance.now() - start) / 1000;
        const grown = (memoryOf(insula.tree()).pssBytes - before) / kMiB;
        // Targets of the dispatcher's own may be told when their request is over already: only the tenant's are counted.
        await until(ended, 'every target has heard of its end', 20000);
        // The last words of a request may still be on their way.
        let left = await tablesOf(insula);
        for (let turn = 0; turn < 50 && JSON.stringify(left) !== JSON.stringify(tables); ++turn) left = await tablesOf(insula);
        test.diagnostic(`${kind} (${isolation}): ${callsOf(kind)} calls in ${seconds.toFixed(1)} s, memory ${(before / kMiB).toFixed(1)} ${grown < 0 ? '-' : '+'} ${Math.abs(grown).toFixed(1)} MiB, tables ${Object.entries(left).filter(([, size]) => size > 0).map(([name, size]) => `${name} ${size}`).join(', ')}`);
        assert.deepEqual(left, tables);
        assert.ok(grown < 32, `${grown.toFixed(1)} MiB`);
        assert.equal(insula.log.all('runner.exited').length, 0, 'a runner was lost');
        closeConnections();
      });
    }
  });
}

describe('isolates and the stubs into them', () => {
  it('an isolate stays while its object is held, and others come and go', async () => {
    const { Origin } = await import('../support/origin.ts');
    using origin = await Origin.start();
    await using insula = await Insula.start({ ...dispatcher, vars: { ORIGIN: origin.url } }, {
      flags: ['--allow-private-addresses'], node: 'isolates_max = 20\nidle_after_ms = 200\n' });
    const holding = insula.call('/hold?id=held', { within: 60000 });
    const arrival = await origin.next();
    for (let n = 0; n < 100; ++n) assert.equal((await insula.call(`/plain?count=1&id=other-${n}`)).text, 'done');
    arrival.answer('');
    assert.deepEqual(JSON.parse((await holding).text), [1]);
    closeConnections();
  });

  it('isolates that nobody holds any more are given back', async () => {
    await using insula = await Insula.start(dispatcher, { node: 'idle_after_ms = 300\n' });
    await insula.call('/forgotten?count=10&id=warm');
    const before = memoryOf(insula.tree()).pssBytes;
    for (let n = 0; n < 150; ++n) assert.equal((await insula.call(`/forgotten?count=3&id=t${n}`)).text, 'done');
    const loaded = memoryOf(insula.tree()).pssBytes;
    await until(() => memoryOf(insula.tree()).pssBytes < before + (loaded - before) / 2, 'half of the memory is back', 30000);
    closeConnections();
  });
});
