// SPDX-License-Identifier: Apache-2.0
//
// Hostile tenants: each is stopped at its limit with its own code, and its neighbours lose nothing.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { counting, platform, type Tenant } from '../support/platform.ts';
import { residentBytes } from '../support/proc.ts';
import { quantile } from '../support/until.ts';

const handler = (body: string): string => `export default { async fetch(request, env, ctx) { ${body} } };`;

interface Hostile {
  tenant: Tenant;
  codes: string[]; // any of these; "answer" when the tenant may survive with an error of its own
}

const cpu = { cpuMs: 100 };
// (module (func (export "f") (loop (br 0))))
const kWasmLoop = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11];
const lengthy = '{ length: 2 ** 53 - 1 }';

// Termination reaches JavaScript at once; native loops end with the runner (threat-model, section 4).
const hostile: Record<string, Hostile> = {
  'an empty loop': { tenant: { source: handler('for (;;) {}'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'a chain of microtasks': { tenant: { source: handler('const spin = () => Promise.resolve().then(spin); await spin();'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'slices between timers': {
    tenant: { source: handler('for (;;) { let n = 0; while (n < 3e6) n++; await new Promise((r) => setTimeout(r, 0)); }'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'slices too short for the monitor to see': {
    tenant: { source: handler('for (;;) { let n = 0; while (n < 3e5) n++; await new Promise((r) => setTimeout(r, 0)); }'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'a regular expression': { tenant: { source: handler('/(a+)+$/.test("a".repeat(40) + "b"); return new Response("?");'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'a loop in finally': { tenant: { source: handler('try { for (;;) {} } finally { for (;;) { console.log("never"); } }'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'a loop in a getter of a response init': {
    tenant: { source: handler('return new Response("x", { get status() { for (;;) {} } });'), limits: cpu }, codes: ['ERR_CPU_LIMIT'] },
  'a loop at the top level': { tenant: { source: 'for (;;) {}\nexport default {};' }, codes: ['ERR_STARTUP_CPU_LIMIT', 'ERR_CPU_LIMIT'] },
  'WebAssembly without end': {
    tenant: { source: `import module from './module.wasm';\n${handler('(await WebAssembly.instantiate(module)).exports.f();')}`, wasm: kWasmLoop, limits: cpu },
    codes: ['ERR_CPU_LIMIT'] },
  'indexOf on an endless list': { tenant: { source: handler(`Array.prototype.indexOf.call(${lengthy}, 1);`), limits: cpu }, codes: ['ERR_CPU_LIMIT', 'ERR_RUNNER_LOST'] },
  'a string that doubles': {
    tenant: { source: handler('let s = "a".repeat(2 ** 27); for (;;) s = s.replaceAll("a", "a").toUpperCase();'), limits: cpu },
    codes: ['ERR_CPU_LIMIT', 'ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'answer'] },
  'JSON of a great list': {
    tenant: { source: handler('const list = new Array(3e6).fill([1, [2], { a: 3 }]); for (;;) JSON.parse(JSON.stringify(list));'), limits: cpu },
    codes: ['ERR_CPU_LIMIT', 'ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST'] },
  'a heap that grows': { tenant: { source: handler('const all = []; for (;;) all.push({ a: [1, 2, 3] });') }, codes: ['ERR_MEMORY_LIMIT', 'ERR_CPU_LIMIT', 'ERR_RUNNER_LOST'] },
  'one array that doubles': {
    tenant: { source: handler('let list = [1]; for (;;) list = list.concat(list);') }, codes: ['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'ERR_CPU_LIMIT', 'answer'] },
  'a Map that grows': { tenant: { source: handler('const map = new Map(); for (let i = 0; ; i++) map.set(i, i);') }, codes: ['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'ERR_CPU_LIMIT', 'answer'] },
  'strings': { tenant: { source: handler('const all = []; for (let i = 0; ; i++) all.push("x".repeat(1e6) + i);') }, codes: ['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'ERR_CPU_LIMIT', 'answer'] },
  'ArrayBuffers': {
    tenant: { source: handler('const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1));') }, codes: ['ERR_MEMORY_LIMIT', 'answer'] },
  'one ArrayBuffer': { tenant: { source: handler('return new Response(String(new ArrayBuffer(2 ** 32).byteLength));') }, codes: ['ERR_MEMORY_LIMIT', 'answer'] },
  'a resizable ArrayBuffer': {
    tenant: { source: handler('const b = new ArrayBuffer(1, { maxByteLength: 2 ** 31 }); for (let n = 1; ; n *= 2) { b.resize(n); new Uint8Array(b).fill(1); }') }, codes: ['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'answer'] },
  'WebAssembly memory': {
    tenant: { source: handler('const all = []; for (;;) { const m = new WebAssembly.Memory({ initial: 256 }); new Uint8Array(m.buffer).fill(1); all.push(m); }') }, codes: ['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'ERR_CPU_LIMIT', 'answer'] },
  'a stream that is never read': {
    tenant: { source: handler('const s = new ReadableStream({ start(c) { for (;;) c.enqueue(new Uint8Array(1 << 20).fill(1)); } }); return new Response(s);') },
    codes: ['ERR_MEMORY_LIMIT', 'ERR_RUNNER_LOST', 'ERR_CPU_LIMIT', 'answer'] },
  'subrequests': {
    tenant: { source: handler('for (let i = 0; i < 200; i++) await fetch("http://127.0.0.1:1/").catch((e) => { if (e.code === "ERR_SUBREQUEST_LIMIT") throw e; });'), outbound: 'inherit', limits: { subRequests: 5 } },
    codes: ['ERR_SUBREQUEST_LIMIT', 'undefined'] },
  'timers': { tenant: { source: handler('for (let i = 0; i < 1e6; i++) setTimeout(() => {}, 1e9); return new Response("unbounded");') }, codes: ['ERR_TIMER_LIMIT', 'undefined'] },
  'a promise that never settles': { tenant: { source: handler('await new Promise(() => {});') }, codes: ['ERR_HUNG'] },
};

describe('hostile tenants', () => {
  let insula: Insula;
  before(async () => {
    const tenants = Object.fromEntries(Object.entries(hostile).map(([, { tenant }], index) => [`h${index}`, tenant]));
    insula = await Insula.start(platform({ ...tenants, good: counting }), {
      flags: ['--allow-private-addresses'], node: '[tenant_limits]\ncpu_ms = 2000\nmemory_mib = 64\n' });
  });
  after(async () => {
    closeConnections();
    await insula.stop();
  });

  for (const [index, [name, { codes }]] of Object.entries(hostile).entries()) {
    it(`${name} is stopped: ${codes.join(' or ')}`, async () => {
      const supervisorBefore = residentBytes(insula.pid);
      const answer = await insula.call(`/h${index}/`, { within: 20000 });
      const code = answer.headers['x-code'] ?? answer.headers['insula-error'];
      if (code === undefined) assert.ok(codes.includes('answer'), `answered ${answer.status} ${answer.text.slice(0, 200)}`);
      else assert.ok(codes.includes(String(code)) || codes.includes('answer'), `${code}: ${answer.text.slice(0, 300)}`);
      // The platform and its other tenants answer at once, the supervisor has not swallowed the tenant's memory.
      assert.equal((await insula.call('/good/')).status, 200);
      const grown = residentBytes(insula.pid) - supervisorBefore;
      assert.ok(grown < 16 * 1024 * 1024, `the supervisor grew by ${grown} bytes`);
      assert.ok(!insula.hasEnded);
    });
  }

  it('writes the limit into the log with the tenant\'s id', async () => {
    const mark = insula.log.mark();
    await insula.call('/h0/?id=logged-spinner');
    const line = await insula.log.wait('worker.threw', (event) => event.dynamic_id === 'logged-spinner', { after: mark });
    assert.match(JSON.stringify(line), /CPU/i);
  });
});

describe('limits by number', () => {
  it('cpuMs counts work, not waiting', async () => {
    await using insula = await Insula.start(platform({
      waits: { source: handler('for (let i = 0; i < 10; i++) await new Promise((r) => setTimeout(r, 30)); return new Response("rested");'), limits: { cpuMs: 50 } },
      works: { source: handler('for (;;) {}'), limits: { cpuMs: 50 } },
    }));
    assert.equal((await insula.call('/waits/')).text, 'rested');
    const start = performance.now();
    const answer = await insula.call('/works/');
    assert.equal(answer.headers['x-code'], 'ERR_CPU_LIMIT');
    assert.ok(performance.now() - start < 1500);
    assert.equal(JSON.parse(answer.text).message, 'Worker exceeded CPU time limit.');
  });

  it('the CPU limit is per invocation, and a stopped tenant can be called again', async () => {
    await using insula = await Insula.start(platform({
      some: { source: handler('if (request.url.endsWith("spin")) for (;;) {} let n = 0; const end = performance.now(); while (n < 5e6) n++; return new Response("ok");'), limits: { cpuMs: 200 } },
    }));
    for (let index = 0; index < 10; ++index) assert.equal((await insula.call('/some/')).text, 'ok');
    assert.equal((await insula.call('/some/spin')).headers['x-code'], 'ERR_CPU_LIMIT');
    assert.equal((await insula.call('/some/')).text, 'ok');
  });

  it('a limit without a dispatcher that catches it is a 503 for the client', async () => {
    await using insula = await Insula.start({ name: 'spin', source: 'export default { fetch() { for (;;) {} } };', limits: { cpu_ms: 100 } });
    const answer = await insula.call('/');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['insula-error'], 'ERR_CPU_LIMIT');
  });

  it('the call after the last subrequest fails, the earlier ones do not', async () => {
    await using insula = await Insula.start(platform({
      many: { outbound: 'inherit', limits: { subRequests: 3 }, source: handler(`const list = [];
        for (let i = 0; i < 5; i++) list.push(await fetch('http://127.0.0.1:1/').then(() => 'ok', (e) => e.code ?? 'network'));
        return Response.json(list);`) },
    }), { flags: ['--allow-private-addresses'] });
    const list = JSON.parse((await insula.call('/many/')).text);
    assert.deepEqual(list.map((one: string) => one === 'ERR_SUBREQUEST_LIMIT'), [false, false, false, true, true]);
  });

  it('a flood of logs is cut at its limit', async () => {
    await using insula = await Insula.start(platform({
      loud: { source: handler('const line = "x".repeat(1000); for (let i = 0; i < 20000; i++) console.log(line); return new Response("done");') },
      good: counting,
    }), { node: '[tenant_limits]\nlog_kib = 64\ncpu_ms = 5000\n' });
    assert.equal((await insula.call('/loud/', { within: 20000 })).text, 'done');
    assert.equal((await insula.call('/good/')).text, '1');
    const bytes = insula.log.all('worker.logged').reduce((sum, event) => sum + String(event.text).length, 0);
    assert.ok(bytes > 1000, 'nothing was logged');
    assert.ok(bytes <= 66 * 1024, `${bytes} bytes were logged`);
  });

  it('Workers that call each other stop at the sixteenth', async () => {
    const source = `export default { async fetch(request, env) {
      const depth = Number(request.headers.get('x-depth') ?? 0) + 1;
      try { return await env.SELF.fetch('http://self/', { headers: { 'x-depth': String(depth) } }); }
      catch (error) { return Response.json([depth, error.code]); } } };`;
    await using insula = await Insula.start({ name: 'self', source, services: [{ binding: 'SELF', service: 'self' }] });
    const [depth, code] = JSON.parse((await insula.call('/')).text);
    assert.equal(code, 'ERR_DEPTH_LIMIT');
    assert.ok(depth >= 15 && depth <= 17, `stopped at ${depth}`);
  });
});

describe('neighbours', () => {
  it('keep answering while a tenant spins', async () => {
    await using insula = await Insula.start(platform({
      spin: { source: handler('for (;;) {}'), limits: { cpuMs: 1500 } }, good: counting,
    }), { isolation: 'shared' });
    await insula.call('/good/');
    const spinning = insula.call('/spin/');
    const times: number[] = [];
    let isSpinning = true;
    void spinning.finally(() => { isSpinning = false; });
    while (isSpinning) {
      const start = performance.now();
      assert.equal((await insula.call('/good/')).status, 200);
      times.push(performance.now() - start);
    }
    assert.equal((await spinning).headers['x-code'], 'ERR_CPU_LIMIT');
    assert.ok(times.length > 50, `only ${times.length} answers while the other spun`);
    assert.ok(quantile(times, 0.5) < 25, `median ${quantile(times, 0.5)} ms`);
  });

  it('do not see the clock of the machine while code runs', async () => {
    await using insula = await Insula.start(platform({
      clock: handler('const a = [Date.now(), performance.now()]; let n = 0; while (n < 2e7) n++; return Response.json([a, [Date.now(), performance.now()]]);'),
    }));
    const [before, later] = JSON.parse((await insula.call('/clock/')).text);
    assert.deepEqual(before, later);
  });
});
