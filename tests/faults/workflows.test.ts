// SPDX-License-Identifier: Apache-2.0
//
// Loss of processes while hundreds of instances run: each ends once and right, no finished step runs again, what a step
// has returned stays, and no timer is lost.
//
// INSULA_FAULT_ROUNDS: how often everything is killed (6). INSULA_FAULT_SEED: of the moments, printed by a failure.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { Effects } from '../support/effects.ts';
import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { randomness } from '../support/randomness.ts';
import { until } from '../support/until.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';
import { waitForStatus, workflowWorker } from '../support/workflows.ts';

const rounds = Number(process.env.INSULA_FAULT_ROUNDS ?? 6);
const seed = Number(process.env.INSULA_FAULT_SEED ?? Date.now() % 1000000);
const kInstances = 200;
const kSteps = 5;

function worker(effects: Effects): WorkerSpec {
  return workflowWorker(`
    const results = [];
    for (let i = 0; i < ${kSteps}; i++) {
      results.push(await step.do('step ' + i, { retries: { limit: 100, delay: 20, backoff: 'constant' } }, async () => {
        const answer = await fetch(env.EFFECTS + '/?id=' + event.instanceId + '&results=' + JSON.stringify(results));
        return Number(await answer.text());
      }));
      await step.sleep('nap', 500);
    }
    return results.length;`, { vars: { EFFECTS: effects.url }, limits: { cpu_ms: 300000, subrequests: 1000000 } });
}

const ids = Array.from({ length: kInstances }, (_, index) => `i${index}`);

async function createAll(insula: Insula): Promise<void> {
  await Promise.all(ids.map(async (id) => {
    const made = await insula.call(`/create?id=${id}`, { method: 'POST' });
    assert.equal(made.status, 200, made.text);
  }));
}

async function expectAllComplete(insula: Insula, effects: Effects): Promise<void> {
  for (const id of ids) {
    assert.equal((await waitForStatus(insula, id, 'complete', 90000)).output, kSteps, id);
  }
  assert.deepEqual(effects.problems, [], `seed ${seed}`);
  assert.ok(effects.total >= kInstances * kSteps);
}

describe('hundreds of instances', () => {
  it('end right when everything is killed again and again', { timeout: 300000 }, async () => {
    using effects = await Effects.start();
    const random = randomness(seed);
    const data = mkdtempSync(join(tmpdir(), 'insula-flows-'));
    const options = { flags: ['--allow-private-addresses', '--data', data] };
    try {
      for (let round = 0; round < rounds; ++round) {
        await using insula = await Insula.start(worker(effects), options);
        if (round === 0) await createAll(insula);
        await pause(100 + random() * 900);
        for (const pid of insula.tree()) process.kill(pid, 'SIGKILL');
        await insula.exited();
        closeConnections();
      }
      await using last = await Insula.start(worker(effects), options);
      await expectAllComplete(last, effects);
      closeConnections();
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  });

  it('end right when the process that runs them is killed', { timeout: 120000 }, async () => {
    using effects = await Effects.start();
    await using insula = await Insula.start(worker(effects), { flags: ['--allow-private-addresses'] });
    await createAll(insula);
    for (let kill = 0; kill < 3; ++kill) {
      for (const pid of insula.tree()) if (pid !== insula.pid) process.kill(pid, 'SIGKILL');
      await until(async () => (await insula.call('/effects')).status === 200, 'another process has taken over');
      await pause(300);
    }
    await expectAllComplete(insula, effects);
    closeConnections();
  });
});
