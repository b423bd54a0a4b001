// SPDX-License-Identifier: Apache-2.0
//
// Loss of processes while hundreds of instances run: each ends once and right, no finished step runs again, what a step
// has returned stays, and no timer is lost.
//
// INSULA_FAULT_ROUNDS: how often everything is killed (6). INSULA_FAULT_SEED: of the moments, printed by a failure.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { until } from '../support/until.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';
import { waitForStatus, workflowWorker } from '../support/workflows.ts';

const rounds = Number(process.env.INSULA_FAULT_ROUNDS ?? 6);
const seed = Number(process.env.INSULA_FAULT_SEED ?? Date.now() % 1000000);
const kInstances = 200;
const kSteps = 5;

// The world that steps have effects on. It says how often a step has run, which is what the step returns; and a step
// comes with what the ones before it have returned.
class Effects {
  readonly problems: string[] = [];
  readonly #runs = new Map<string, number>();
  readonly #known = new Map<string, number[]>(); // by instance: results that a later step has seen
  readonly #server: Server;
  total = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      const url = new URL(request.url!, 'http://x');
      const id = url.searchParams.get('id')!;
      const results = JSON.parse(url.searchParams.get('results')!) as number[];
      response.end(String(this.#note(id, results)));
    });
  }
  static async start(): Promise<Effects> {
    const effects = new Effects();
    effects.#server.listen(0, '127.0.0.1');
    await once(effects.#server, 'listening');
    return effects;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  #note(id: string, results: number[]): number {
    ++this.total;
    const known = this.#known.get(id) ?? [];
    for (const [index, result] of known.entries()) {
      if (index >= results.length) this.problems.push(`${id}: step ${index} ran again after it was finished`);
      else if (results[index] !== result) this.problems.push(`${id}: step ${index} returned ${result}, and then ${results[index]}`);
    }
    if (results.length > known.length) this.#known.set(id, results);
    const key = `${id}/${results.length}`;
    const run = (this.#runs.get(key) ?? 0) + 1;
    this.#runs.set(key, run);
    return run;
  }
  [Symbol.dispose](): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

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

function randomness(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
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
