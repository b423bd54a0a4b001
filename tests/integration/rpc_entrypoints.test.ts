// SPDX-License-Identifier: Apache-2.0
//
// Stubs of entrypoints, however they came: they lead to the Worker, not to one isolate of it, and each call on them is a
// subrequest of who makes it.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const service: WorkerSpec = {
  name: 'service',
  limits: { cpu_ms: 150 },
  source: `import { WorkerEntrypoint } from 'cloudflare:workers';
let calls = 0;
export class Counter extends WorkerEntrypoint {
  count() { return [this.ctx.props.of, ++calls]; }
  inner() { return this.ctx.props.inner.count(); }
  async fetch(request) { return new Response(this.ctx.props.of + ' got ' + await request.text()); }
}
export default class extends WorkerEntrypoint {
  give(of) { return this.ctx.exports.Counter({ props: { of } }); }
  giveNested(of) { return this.ctx.exports.Counter({ props: { of, inner: this.ctx.exports.Counter({ props: { of: 'inner' } }) } }); }
  spin() { for (;;) {} }
}
`,
};

const tenantSource = `import { WorkerEntrypoint } from 'cloudflare:workers';
const tries = async (count, call) => { let done = 0; try { for (; done < count; done++) await call(done); } catch (error) { return [done, error.code]; } return [done]; };
export default class extends WorkerEntrypoint {
  use(stub, count) { return tries(count, () => stub.count()); }
  fetches(stub, count) { return tries(count, async () => (await stub.fetch('http://s/', { method: 'POST', body: 'x' })).text()); }
  async fetched(url, count) { const { stub } = await this.env.POWER.hand(); return tries(count, () => stub.count()); }
  functions(fn, count) { return tries(count, () => fn()); }
  power() { return this.env.POWER.who(); }
}
`;

const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  limits: { cpu_ms: 300 },
  services: [{ binding: 'SERVICE', service: 'service' }, { binding: 'COUNTER', service: 'service', entrypoint: 'Counter' }],
  loaders: [{ binding: 'LOADER' }],
  source: `import { WorkerEntrypoint } from 'cloudflare:workers';
const source = ${JSON.stringify(tenantSource)};
let loads = 0;
export class Power extends WorkerEntrypoint {
  who() { return 'power of ' + this.ctx.props.tenant; }
  hand() { return { stub: this.env.COUNTER }; }
}
const stop = (env) => env.SERVICE.spin().then(() => 'spun', (error) => error.code);
const acts = {
  binding: async (env) => [await stop(env), await (await env.SERVICE.give('bound')).count()],
  result: async (env) => { const stub = await env.SERVICE.give('given'); const before = await stub.count(); return [before[0], await stop(env), await stub.count(), await stub.count(), await (await stub.fetch('http://s/', { method: 'POST', body: 'bytes' })).text()]; },
  nested: async (env) => { const stub = await env.SERVICE.giveNested('outer'); return [await stop(env), await stub.inner()]; },
  passed: async (env, t) => { const stub = await env.SERVICE.give('passed'); return [await stop(env), await t.use(stub, 2)]; },
  argument: (env, t, n) => t.use(env.COUNTER, n), fetches: (env, t, n) => t.fetches(env.COUNTER, n), fetched: (env, t, n) => t.fetched('', n),
  functions: (env, t, n) => t.functions(() => 1, n), power: (env, t) => t.power(),
  loads: () => loads,
};
export default { async fetch(request, env, ctx) {
  const url = new URL(request.url);
  const [, tenant, act] = url.pathname.split('/');
  if (act === 'spin') for (;;) {}
  const t = env.LOADER.get(tenant, () => { loads++; return { compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': source },
    env: { POWER: ctx.exports.Power({ props: { tenant } }) } }; }).getEntrypoint(null, { limits: { subRequests: 4 } });
  return Response.json(await acts[act](env, t, Number(url.searchParams.get('n'))));
} };
`,
};

// What each act says. Each on a server of its own: once the service has been stopped, calls on it go another way. The
// requests are of the kind that is not tried again.
const stopped: [string, string, unknown][] = [
  ['binding', 'a binding leads to the fresh isolate of a Worker that was stopped', ['ERR_CPU_LIMIT', ['bound', 1]]],
  ['result', 'so does a stub that it has given away, with its props', ['given', 'ERR_CPU_LIMIT', ['given', 1], ['given', 2], 'given got bytes']],
  ['nested', 'and what rides in those props', ['ERR_CPU_LIMIT', ['inner', 1]]],
  ['passed', 'also when it is passed on afterwards', ['ERR_CPU_LIMIT', [2]]],
];

for (const isolation of ['shared', 'cordon', 'process'] as const) {
  describe(`stubs into a Worker that was stopped (${isolation})`, () => {
    for (const [act, says, wanted] of stopped) {
      it(says, async () => {
        await using insula = await Insula.start([dispatcher, service], { isolation });
        assert.deepEqual(JSON.parse((await insula.call(`/a/${act}`, { method: 'POST', within: 30000 })).text), wanted);
        closeConnections();
      });
    }
  });

  describe(`stubs of entrypoints (${isolation})`, () => {
    let insula: Insula;
    before(async () => {
      insula = await Insula.start([dispatcher, service], { isolation });
    });
    after(async () => {
      closeConnections();
      await insula.stop();
    });
    const ask = async (path: string): Promise<any> => {
      const answer = await insula.call(path, { within: 30000 });
      assert.equal(answer.status, 200, answer.text);
      return JSON.parse(answer.text);
    };

    it('a tenant uses what it got from a dispatcher that was stopped since', async () => {
      assert.equal(await ask('/b/power'), 'power of b');
      assert.equal((await insula.call('/b/spin', { within: 30000 })).status, 503);
      assert.equal(await ask('/b/power'), 'power of b');
      assert.equal(await ask('/b/loads'), 0, 'the tenant was not loaded anew');
    });

    for (const act of ['argument', 'fetches']) {
      it(`${act}: calls on a stub that came as an argument are subrequests`, async () => {
        assert.deepEqual(await ask(`/c/${act}?n=4`), [4]);
        assert.deepEqual(await ask(`/c/${act}?n=9`), [4, 'ERR_SUBREQUEST_LIMIT']);
      });
    }

    it('calls on a stub that came in a result are subrequests', async () => {
      assert.deepEqual(await ask('/c/fetched?n=3'), [3]);
      assert.deepEqual(await ask('/c/fetched?n=9'), [3, 'ERR_SUBREQUEST_LIMIT']);
    });

    it('calls of a function are not', async () => {
      assert.deepEqual(await ask('/c/functions?n=20'), [20]);
    });
  });
}
