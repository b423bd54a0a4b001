// SPDX-License-Identifier: Apache-2.0
//
// A loader's callback that is still at work when the request that called `get` ends.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { Origin } from '../support/origin.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const flags = ['--allow-private-addresses'];
const handler = (body: string): string => `export default { async fetch(request, env, ctx) { ${body} } };`;
const code = (main: string, more = ''): string =>
  `{ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': ${JSON.stringify(main)} }, ${more} }`;

const dispatcher = (body: string, origin?: Origin): WorkerSpec => ({
  name: 'dispatcher', source: `${handler(`const { pathname } = new URL(request.url); ${body}`)}`, loaders: [{ binding: 'LOADER' }],
  ...(origin && { vars: { ORIGIN: origin.url } }), limits: { cpu_ms: 30000 },
});

function lostNone(insula: Insula): void {
  assert.equal(insula.log.all('runner.exited').length, 0, 'a runner was lost');
}

describe('callbacks', () => {
  // The request ends while its callback waits for the network: the barrier holds the handler until the origin has seen both.
  const late = (origin: Origin, ending: string): WorkerSpec => dispatcher(`
    if (pathname === '/start') {
      env.LOADER.get('late', async () => { await fetch(env.ORIGIN + '/code'); ${ending} });
      await fetch(env.ORIGIN + '/barrier');
      return new Response('started');
    }
    return env.LOADER.get('late', () => (${code(handler('return new Response("second");'))})).getEntrypoint().fetch(request).catch((error) => new Response(error.message, { status: 503 }));`, origin);
  const startAndEnd = async (insula: Insula, origin: Origin): Promise<void> => {
    const started = insula.call('/start');
    const seen = [await origin.next(), await origin.next()];
    const [ofCode, barrier] = seen[0]!.path === '/code' ? seen : seen.reverse();
    barrier!.answer('');
    assert.equal((await started).text, 'started');
    ofCode!.answer('code');
  };

  it('that resolve after their request has ended harm nobody, and the id can be used', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(late(origin, `return ${code(handler('return new Response("first");'))};`), { flags });
    await startAndEnd(insula, origin);
    // Who waited for the callback of the ended request may be told so; it is forgotten after that.
    await insula.call('/use');
    for (let turn = 0; turn < 3; ++turn) {
      const answer = await insula.call('/use');
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.text, /^(first|second)$/);
    }
    lostNone(insula);
    closeConnections();
  });

  it('that reject after their request has ended harm nobody', async () => {
    using origin = await Origin.start();
    await using insula = await Insula.start(late(origin, 'throw new Error("too late");'), { flags });
    await startAndEnd(insula, origin);
    await insula.call('/use');
    assert.equal((await insula.call('/use')).text, 'second');
    lostNone(insula);
    closeConnections();
  });
});
