// SPDX-License-Identifier: Apache-2.0
//
// Processes are replaced when they are old: nobody loses a request, an object that it holds, or what an object has written.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const tenantSource = `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class Thing extends RpcTarget { #n = 0; next() { return ++this.#n; } }
export default class extends WorkerEntrypoint { thing() { return new Thing(); } power() { return this.env.POWER.who(); } }
`;

const dispatcher: WorkerSpec = {
  name: 'dispatcher',
  loaders: [{ binding: 'LOADER' }],
  objects: [{ binding: 'OBJECTS', class: 'Counter' }],
  source: `import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
const source = ${JSON.stringify(tenantSource)};
export class Power extends WorkerEntrypoint { who() { return this.ctx.props.tenant; } }
export class Counter extends DurableObject { async next() { const n = (await this.ctx.storage.get('n') ?? 0) + 1; await this.ctx.storage.put('n', n); return n; } }
export default { async fetch(request, env, ctx) {
  const t = env.LOADER.get('t', () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': source }, env: { POWER: ctx.exports.Power({ props: { tenant: 't' } }) } })).getEntrypoint();
  if (new URL(request.url).pathname === '/hold') {
    const thing = await t.thing();
    const before = await thing.next();
    await fetch(env.ORIGIN);
    return Response.json([before, await thing.next(), await t.power()]);
  }
  return Response.json([await t.power(), await env.OBJECTS.getByName('one').next()]);
} };
`,
};

for (const isolation of ['shared', 'cordon', 'process'] as const) {
  describe(`old processes are replaced (${isolation})`, () => {
    it('while requests go on, and one holds an object', async () => {
      using origin = await Origin.start();
      await using insula = await Insula.start({ ...dispatcher, vars: { ORIGIN: origin.url } }, {
        isolation, flags: ['--allow-private-addresses'], node: 'runner_age_max_ms = 700\n' });
      const holding = insula.call('/hold', { method: 'POST', within: 60000 });
      const arrival = await origin.next();
      const wanted = isolation === 'shared' ? 2 : 4;
      let count = 0;
      for (let turn = 0; insula.log.all('runner.retiring').length < wanted; ++turn) {
        assert.ok(turn < 100000, 'nobody retires');
        const answer = await insula.call('/', { method: 'POST', within: 30000 });
        assert.deepEqual(JSON.parse(answer.text), ['t', ++count]);
      }
      arrival.answer('');
      assert.deepEqual(JSON.parse((await holding).text), [1, 2, 't']);
      const retired = insula.log.all('runner.retiring').map((event) => event.runner);
      for (const runner of retired) await insula.log.wait('runner.exited', (event) => event.runner === runner && event.cause === 'retired', { within: 20000 });
      assert.equal(insula.log.all('runner.lost').length, 0);
      closeConnections();
    });
  });
}
