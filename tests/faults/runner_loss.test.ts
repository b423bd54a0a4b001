// SPDX-License-Identifier: Apache-2.0
//
// Loss of a runner while requests are in flight: a replay or one clear error each, and the next request works.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import { counting, hello, platform } from '../support/platform.ts';

const gated = (origin: Origin): { source: string; env: Record<string, unknown>; outbound: 'inherit' } => ({
  env: { ORIGIN: origin.url }, outbound: 'inherit',
  source: 'export default { async fetch(request, env) { const answer = await fetch(env.ORIGIN + new URL(request.url).pathname); return new Response(await answer.text()); } };',
});

// Kills every runner that may hold tenants (all but the spare, and in cordon the platform's).
function killTenantRunners(insula: Insula): number[] {
  const victims = insula.runners().filter((runner) => runner.role !== 'spare' && runner.role !== 'platform');
  const pids = (victims.length > 0 ? victims : insula.runners().filter((runner) => runner.role !== 'spare')).map((runner) => runner.pid);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return pids;
}

for (const isolation of ['cordon', 'shared'] as const) {
  describe(`a runner is killed (${isolation})`, () => {
    const start = (origin: Origin): Promise<Insula> => Insula.start(
      platform({ gated: gated(origin), good: counting }), { isolation, flags: ['--allow-private-addresses'] });

    it('an idempotent request is replayed once, unseen by the client', async () => {
      using origin = await Origin.start();
      await using insula = await start(origin);
      const pending = insula.call('/gated/replayed');
      const first = await origin.next();
      const pids = killTenantRunners(insula);
      assert.ok(pids.length > 0);
      await first.gone;
      const second = await origin.next();
      assert.equal(second.path, '/gated/replayed');
      second.answer('from the second runner');
      const answer = await pending;
      assert.equal(answer.status, 200);
      assert.equal(answer.text, 'from the second runner');
      assert.equal(origin.arrivals, 2);
      closeConnections();
    });

    it('a POST is not replayed: one 503 with its code', async () => {
      using origin = await Origin.start();
      await using insula = await start(origin);
      const pending = insula.call('/gated/posted', { method: 'POST', body: 'x' });
      await origin.next();
      killTenantRunners(insula);
      const answer = await pending;
      assert.equal(answer.status, 503);
      assert.equal(answer.headers['x-code'] ?? answer.headers['insula-error'], 'ERR_RUNNER_LOST');
      assert.equal(origin.arrivals, 1);
      assert.equal((await insula.call('/good/')).status, 200);
      closeConnections();
    });

    it('a request that is lost twice is not tried a third time', async () => {
      using origin = await Origin.start();
      await using insula = await start(origin);
      const pending = insula.call('/gated/twice');
      for (let index = 0; index < 2; ++index) {
        await origin.next();
        killTenantRunners(insula);
      }
      const answer = await pending;
      assert.equal(answer.status, 503);
      assert.equal(answer.headers['x-code'] ?? answer.headers['insula-error'], 'ERR_RUNNER_LOST');
      assert.equal(origin.arrivals, 2);
      closeConnections();
    });

    it('every one of fifty requests in flight gets exactly one answer', async () => {
      using origin = await Origin.start();
      await using insula = await start(origin);
      const pending = Array.from({ length: 50 }, (_, index) =>
        insula.call(`/gated/${index}?id=g${index % 5}`, { method: index % 2 === 0 ? 'GET' : 'POST', body: index % 2 === 0 ? undefined : 'x' }));
      for (let index = 0; index < 50; ++index) await origin.next();
      killTenantRunners(insula);
      void (async () => { for (;;) (await origin.next(20000)).answer('again'); })().catch(() => {});
      const answers = await Promise.all(pending);
      for (const [index, answer] of answers.entries()) {
        if (index % 2 === 0) assert.deepEqual([answer.status, answer.text], [200, 'again'], `GET ${index}: ${answer.text}`);
        else assert.deepEqual([answer.status, answer.headers['x-code'] ?? answer.headers['insula-error']], [503, 'ERR_RUNNER_LOST'], `POST ${index}`);
      }
      closeConnections();
    });
  });
}

describe('runners that die again and again', () => {
  it('all of them at once, three times over: the next request works', async () => {
    await using insula = await Insula.start(platform({ a: counting }));
    for (let round = 0; round < 3; ++round) {
      assert.equal((await insula.call('/a/')).text, '1');
      const mark = insula.log.mark();
      const victims = insula.runners();
      for (const { pid } of victims) process.kill(pid, 'SIGKILL');
      for (const victim of victims) {
        await insula.log.wait('runner.exited', (event) => event.runner === victim.runner, { after: mark });
      }
    }
    assert.equal((await insula.call('/a/')).text, '1');
    closeConnections();
  });

  it('the log says which runner ended and how', async () => {
    await using insula = await Insula.start({ name: 'hello', source: hello });
    const [victim] = insula.runners();
    process.kill(victim!.pid, 'SIGKILL');
    const ended = await insula.log.wait('runner.exited', (event) => event.runner === victim!.runner);
    assert.match(JSON.stringify(ended), /9|KILL/);
    assert.equal((await insula.call('/')).text, 'hello');
    closeConnections();
  });

  it('a tenant that kills its runner is suspended, its neighbours go on', async () => {
    const killer = `export default { fetch(request) { if (request.method === 'POST') { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1); } return new Response('alive'); } };`;
    await using insula = await Insula.start(platform({ killer: { source: killer, limits: { cpuMs: 50 } }, good: counting }));
    assert.equal((await insula.call('/good/')).status, 200);
    const codes = [];
    for (let round = 0; round < 5; ++round) {
      codes.push((await insula.call('/killer/', { method: 'POST' })).headers['x-code']);
      assert.equal((await insula.call('/good/')).status, 200);
    }
    assert.ok(codes.includes('ERR_TENANT_SUSPENDED'), codes.join(', '));
    assert.equal((await insula.call('/killer/')).headers['x-code'], 'ERR_TENANT_SUSPENDED');
    closeConnections();
  });

  it('a runner that stops reading is noticed and replaced', async () => {
    await using insula = await Insula.start({ name: 'hello', source: hello }, { isolation: 'shared' });
    const [victim] = insula.runners().filter((runner) => runner.role !== 'spare');
    process.kill(victim!.pid, 'SIGSTOP');
    await insula.log.wait('runner.exited', (event) => event.runner === victim!.runner, { within: 15000 });
    assert.equal((await insula.call('/')).text, 'hello');
    closeConnections();
  });
});
