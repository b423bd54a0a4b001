// SPDX-License-Identifier: Apache-2.0
//
// Lifetimes around the loader: callbacks and calls that outlive what started them, work after the response, limits of code
// and entrypoint, and what the errors of a lost or overloaded tenant say.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import { platform } from '../support/platform.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const flags = ['--allow-private-addresses'];
const handler = (body: string): string => `export default { async fetch(request, env, ctx) { ${body} } };`;
const code = (main: string, more = ''): string =>
  `{ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': ${JSON.stringify(main)} }, ${more} }`;
// Fills the heap with garbage, so that whatever nobody holds is collected.
const kGarbage = 'const litter = () => { let last; for (let n = 0; n < 60; n++) last = new Array(200000).fill(null).map(() => ({ n })); return last.length; };';

const dispatcher = (body: string, origin?: Origin): WorkerSpec => ({
  name: 'dispatcher', source: `${kGarbage}\n${handler(`const { pathname } = new URL(request.url); ${body}`)}`, loaders: [{ binding: 'LOADER' }],
  ...(origin && { vars: { ORIGIN: origin.url } }), limits: { cpu_ms: 30000 },
});

function lostNone(insula: Insula): void {
  assert.equal(insula.log.all('runner.exited').length, 0, 'a runner was lost');
}

describe('callbacks', () => {
  it('whose stub is collected meanwhile still answer those who wait', async () => {
    await using insula = await Insula.start(dispatcher(`
      const load = async () => { litter(); await new Promise((resolve) => setTimeout(resolve, 20)); litter(); return ${code(handler('return new Response("alive");'))}; };
      if (pathname === '/dropped') { env.LOADER.get('dropped', load); env.LOADER.get(null, load); litter(); return new Response('dropped'); }
      const answer = env.LOADER.get(pathname, load).getEntrypoint().fetch(request);
      litter();
      return answer;`));
    assert.equal((await insula.call('/dropped', { within: 30000 })).text, 'dropped');
    assert.equal((await insula.call('/used', { within: 30000 })).text, 'alive');
    assert.equal((await insula.call('/used', { within: 30000 })).text, 'alive');
    lostNone(insula);
    closeConnections();
  });
});

describe('calls in flight', () => {
  it('survive the collection of their stub', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(dispatcher(`
      const answer = env.LOADER.load(${code(handler('const inner = await fetch(env.ORIGIN); return new Response(await inner.text());'), 'env: { ORIGIN: env.ORIGIN }')}).getEntrypoint().fetch(request);
      await new Promise((resolve) => setTimeout(resolve, 1));
      litter();
      const response = await answer;
      litter();
      return response;`, origin), { flags });
    const pending = insula.call('/', { within: 30000 });
    (await origin.next()).answer('from the origin');
    assert.equal((await pending).text, 'from the origin');
    lostNone(insula);
    closeConnections();
  });
});

describe('work after the response', () => {
  const tenant = { outbound: 'inherit' as const, source: handler(`ctx.waitUntil(fetch(env.ORIGIN + '/after').then((r) => r.text()).then((text) => fetch(env.ORIGIN + '/then-' + text)));
    return new Response('answered');`) };

  it('is cut at its limit', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(platform({ acme: { ...tenant, env: { ORIGIN: origin.url } } }), { flags, node: '[tenant_limits]\nwait_until_ms = 400\n' });
    assert.equal((await insula.call('/acme/')).text, 'answered');
    const after = await origin.next();
    const start = performance.now();
    await after.gone;
    assert.ok(performance.now() - start < 5000, 'the request was not aborted in time');
    after.answer('too late');
    assert.equal((await insula.call('/acme/')).text, 'answered');
    closeConnections();
  });

  it('a response that is still read is not cut, and what follows it has its time then', async () => {
    using origin = await Origin.start();
    const streaming = handler(`const text = (path) => fetch(env.ORIGIN + path).then((r) => r.text());
      if (request.url.endsWith('/other')) { ctx.waitUntil(text('/other')); return new Response('answered'); }
      ctx.waitUntil(text('/background'));
      const encoder = new TextEncoder();
      const parts = [async () => 'first ', () => text('/second'), () => text('/third')];
      return new Response(new ReadableStream({ async pull(c) { const next = parts.shift(); if (next === undefined) return c.close(); c.enqueue(encoder.encode(await next())); } }));`);
    await using insula = await Insula.start(platform({ acme: { outbound: 'inherit' as const, source: streaming, env: { ORIGIN: origin.url } } }), { flags, node: '[tenant_limits]\nwait_until_ms = 300\n' });
    const pending = insula.call('/acme/', { within: 30000 });
    const arrivals = [await origin.next(), await origin.next()];
    const background = arrivals.find(({ path }) => path === '/background')!;
    const second = arrivals.find(({ path }) => path === '/second')!;
    // Work after another response, begun later, is cut meanwhile.
    assert.equal((await insula.call('/acme/other')).text, 'answered');
    await (await origin.next()).gone;
    second.answer('second ');
    const third = await origin.next();
    assert.equal((await insula.call('/acme/other')).text, 'answered');
    await (await origin.next()).gone;
    third.answer('third');
    assert.equal((await pending).text, 'first second third');
    await background.gone;
    closeConnections();
  });

  it('goes on before that', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(platform({ acme: { ...tenant, env: { ORIGIN: origin.url } } }), { flags });
    assert.equal((await insula.call('/acme/')).text, 'answered');
    (await origin.next()).answer('more');
    const then = await origin.next();
    assert.equal(then.path, '/then-more');
    then.answer('');
    closeConnections();
  });
});

describe('limits of code and entrypoint', () => {
  const limited = (kind: 'cpuMs' | 'subRequests', ofCode: number, ofEntrypoint: number, main: string): WorkerSpec => dispatcher(`
    try { return await env.LOADER.load(${code(main, `limits: { ${kind}: ${ofCode} }`)}).getEntrypoint(null, { limits: { ${kind}: ${ofEntrypoint} } }).fetch(request); }
    catch (error) { return new Response(error.code); }`);
  // Each turn costs well over a millisecond of CPU time; the tenant says how far it came.
  const spinning = handler('let n = 0; for (; n < 4e7; n++); return new Response("finished " + n);');
  const fetching = handler('let n = 0; try { for (; n < 6; n++) await fetch("http://127.0.0.1:1/").catch((e) => { if (e.code === "ERR_SUBREQUEST_LIMIT") throw e; }); } catch {} return new Response(String(n));');

  for (const [ofCode, ofEntrypoint] of [[5000, 2], [2, 5000]] as const) {
    it(`the lower CPU limit wins: ${ofCode} ms and ${ofEntrypoint} ms`, async () => {
      await using insula = await Insula.start(limited('cpuMs', ofCode, ofEntrypoint, handler('for (;;) {}')));
      const start = performance.now();
      assert.equal((await insula.call('/')).text, 'ERR_CPU_LIMIT');
      assert.ok(performance.now() - start < 2500, 'the higher limit was used');
      closeConnections();
    });
  }

  it('work within both is not stopped', async () => {
    await using insula = await Insula.start(limited('cpuMs', 5000, 4000, spinning), { node: '[tenant_limits]\ncpu_ms = 10000\n' });
    assert.equal((await insula.call('/')).text, 'finished 40000000');
    closeConnections();
  });

  for (const [ofCode, ofEntrypoint, wanted] of [[5, 2, '2'], [3, 20, '3']] as const) {
    it(`the lower number of subrequests wins: ${ofCode} and ${ofEntrypoint}`, async () => {
      await using insula = await Insula.start(limited('subRequests', ofCode, ofEntrypoint, fetching), { flags });
      assert.equal((await insula.call('/')).text, wanted);
      closeConnections();
    });
  }
});

describe('errors of the runtime tell what may be tried again', () => {
  const telling = `const tell = (error) => ({ code: error.code, remote: error.remote, retryable: error.retryable, overloaded: error.overloaded });`;

  it('a lost runner: retryable', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(dispatcher(`${telling}
      try { return await env.LOADER.get('gated', () => (${code(handler('await fetch(env.ORIGIN); return new Response("?");'), 'env: { ORIGIN: env.ORIGIN }')})).getEntrypoint().fetch('http://tenant/', { method: 'POST', body: 'x' }); }
      catch (error) { return Response.json(tell(error)); }`, origin), { flags });
    const pending = insula.call('/');
    await origin.next();
    const victims = insula.runners().filter((runner) => runner.role.startsWith('tenants'));
    assert.ok(victims.length > 0);
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    assert.deepEqual(JSON.parse((await pending).text), { code: 'ERR_RUNNER_LOST', retryable: true });
    closeConnections();
  });

  it('a tenant with too many calls: overloaded', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(dispatcher(`${telling}
      if (pathname === '/open') { await fetch(env.ORIGIN + '/open'); return new Response('opened'); }
      const entry = env.LOADER.get('busy', () => (${code(handler('await fetch(env.ORIGIN + "/gate"); return new Response("served");'), 'env: { ORIGIN: env.ORIGIN }')})).getEntrypoint();
      const all = await Promise.all(Array.from({ length: 330 }, () => entry.fetch('http://tenant/').then((response) => response.text(), tell)));
      const refused = all.filter((one) => typeof one === 'object');
      return Response.json({ served: all.length - refused.length, refused: refused.length, first: refused[0] });`, origin), { flags, node: '[tenant_limits]\nwait_until_ms = 60000\n' });
    const pending = insula.call('/', { within: 60000 });
    let isDone = false;
    void pending.finally(() => { isDone = true; });
    while (!isDone) (await Promise.race([origin.next(), pending.then(() => undefined)]))?.answer('');
    const { served, refused, first } = JSON.parse((await pending).text);
    assert.equal(served + refused, 330);
    assert.ok(refused >= 1 && refused <= 330 - 256, `${refused} were refused`);
    assert.deepEqual(first, { code: 'ERR_OVERLOADED', retryable: true, overloaded: true });
    closeConnections();
  });

  it('an error of the tenant: neither', async () => {
    await using insula = await Insula.start(dispatcher(`${telling}
      try { return await env.LOADER.load(${code(handler('throw new Error("mine");'))}).getEntrypoint().fetch(request); }
      catch (error) { return Response.json({ ...tell(error), message: error.message }); }`));
    assert.deepEqual(JSON.parse((await insula.call('/')).text), { remote: true, message: 'mine' });
    closeConnections();
  });
});
