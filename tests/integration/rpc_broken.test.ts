// SPDX-License-Identifier: Apache-2.0
//
// onRpcBroken(): who is told that a stub or promise can no longer be used, and with what.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const tenantSource = `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class Thing extends RpcTarget { hi() { return 'hi'; } fails() { throw new Error('only this call'); } }
export default class extends WorkerEntrypoint {
  thing() { return new Thing(); }
  refuses() { throw new RangeError('refused'); }
}
`;

const dispatcher = (origin?: Origin): WorkerSpec => ({
  name: 'dispatcher',
  loaders: [{ binding: 'LOADER' }],
  ...(origin && { vars: { ORIGIN: origin.url } }),
  source: `
const tell = (error) => [error.name, error.code ?? error.message];
export default { async fetch(request, env) {
  const t = env.LOADER.get('tenant', () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': ${JSON.stringify(tenantSource)} } })).getEntrypoint();
  const told = [];
  const on = (name) => (error) => told.push([name, ...tell(error)]);
  switch (new URL(request.url).pathname) {
    case '/promise': {
      const promise = t.refuses();
      promise.onRpcBroken(on('promise'));
      await promise.catch(() => {});
      const fine = t.thing();
      fine.onRpcBroken(on('fine'));
      await (await fine).hi();
      break;
    }
    case '/call': {
      const thing = await t.thing();
      thing.onRpcBroken(on('stub'));
      await thing.fails().catch(() => {});
      told.push(await thing.hi());
      break;
    }
    case '/no-function': {
      const thing = await t.thing();
      try { thing.onRpcBroken('text'); } catch (error) { told.push(error.name); }
      break;
    }
    case '/lost': {
      const promise = t.thing();
      promise.onRpcBroken(on('promise'));
      const thing = await promise;
      thing.onRpcBroken(on('first'));
      thing.onRpcBroken(on('second'));
      await fetch(env.ORIGIN);
      await thing.hi().catch(() => {});
      await thing.hi().catch(() => {});
      await new Promise((resolve) => thing.onRpcBroken((error) => resolve(on('late')(error))));
    }
  }
  return Response.json(told);
} };
`,
});

describe('onRpcBroken', () => {
  it('of a promise: that it rejects; of one that is kept: nothing', async () => {
    await using insula = await Insula.start(dispatcher());
    assert.deepEqual(JSON.parse((await insula.call('/promise')).text), [['promise', 'RangeError', 'refused']]);
    closeConnections();
  });

  it('a call that fails breaks no stub', async () => {
    await using insula = await Insula.start(dispatcher());
    assert.deepEqual(JSON.parse((await insula.call('/call')).text), ['hi']);
    assert.deepEqual(JSON.parse((await insula.call('/no-function')).text), ['TypeError']);
    closeConnections();
  });

  it('a stub whose process is lost tells everyone once, and at once who asks later', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(dispatcher(origin), { isolation: 'cordon', flags: ['--allow-private-addresses'] });
    const pending = insula.call('/lost', { within: 30000 });
    const arrival = await origin.next();
    for (const { pid, runner } of insula.runners().filter((one) => one.role.startsWith('tenants'))) {
      const mark = insula.log.mark();
      process.kill(pid, 'SIGKILL');
      await insula.log.wait('runner.exited', (event) => event.runner === runner, { after: mark });
    }
    arrival.answer('');
    const told: string[][] = JSON.parse((await pending).text);
    assert.deepEqual(told.map(([name]) => name), ['promise', 'first', 'second', 'late']);
    for (const [, name, code] of told) {
      assert.equal(name, 'Error');
      assert.ok(code === 'ERR_RUNNER_LOST' || code === 'ERR_ISOLATE_LOST', code);
    }
    closeConnections();
  });
});
