// SPDX-License-Identifier: Apache-2.0
//
// Loss of the supervisor: no process stays behind, whatever the runners were doing.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { counting, hello, platform } from '../support/platform.ts';
import { isAlive } from '../support/proc.ts';
import { until } from '../support/until.ts';

const spinning = {
  source: 'export default { async fetch(request) { console.log("spinning"); await null; for (;;) {} } };', limits: { cpuMs: 60000 },
};

async function expectNoOrphans(insula: Insula, pids: number[]): Promise<void> {
  assert.ok(pids.length >= 2, 'no runner processes were seen');
  insula.signal('SIGKILL');
  assert.equal((await insula.exited()).signal, 'SIGKILL');
  await until(() => pids.every((pid) => !isAlive(pid)), `processes ${pids.join(', ')} have ended`, 5000);
}

describe('kill -9 of the supervisor', () => {
  for (const isolation of ['cordon', 'process', 'shared'] as const) {
    it(`leaves no orphans (${isolation})`, async () => {
      await using insula = await Insula.start(platform({ a: counting, b: counting }), { isolation });
      await insula.call('/a/');
      await insula.call('/b/');
      await expectNoOrphans(insula, insula.tree());
      closeConnections();
    });
  }

  it('leaves no orphans while a tenant spins', async () => {
    await using insula = await Insula.start(platform({ spinning }), { node: '[tenant_limits]\ncpu_ms = 60000\n' });
    const lost = assert.rejects(insula.call('/spinning/'));
    await insula.log.wait('worker.logged', (event) => event.text === 'spinning');
    await expectNoOrphans(insula, insula.tree());
    await lost;
    closeConnections();
  });

  it('leaves no orphans when it dies while it starts', async () => {
    const insula = Insula.spawn([{ name: 'hello', source: hello }]);
    await using _ = insula;
    await insula.log.wait('runner.started', () => true, { within: 15000 });
    await expectNoOrphans(insula, insula.tree());
  });

  it('frees the data directory and the port', async () => {
    const first = await Insula.start({ name: 'hello', source: hello });
    await using _ = first;
    const port = new URL(first.url).port;
    first.signal('SIGKILL');
    await first.exited();
    await using second = await Insula.start({ name: 'hello', source: hello }, { flags: ['--listen', `127.0.0.1:${port}`, '--data', `${first.folder}/data`] });
    assert.equal((await second.call('/')).text, 'hello');
    closeConnections();
  });
});
