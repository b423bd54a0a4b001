// SPDX-License-Identifier: Apache-2.0
//
// Fairness between those who make instances of one workflow, and the limits of a workflow and of each of them. Counted in
// runs, never in time.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Insula } from '../support/insula.ts';
import { until } from '../support/until.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

// Two tenants who make instances through an entrypoint of their own. /make?who=&count=&work= answers how many were made and
// what was wrong with the others; /counts tells what has run.
const tenants = (limits: object): WorkerSpec => ({
  name: 'app',
  source: `
import { WorkerEntrypoint, WorkflowEntrypoint } from 'cloudflare:workers';
const counts = { started: 0, running: {}, most: {}, quietMade: -1, quietStarted: -1, release: false };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const works = {
  async step(step) { await step.do('work', async () => 1); },
  async hold(step) { await step.do('hold', async () => { while (!counts.release) await pause(2); }); },
};
export class Flow extends WorkflowEntrypoint {
  async run({ payload: { who, work, isQuiet } }, step) {
    counts.started++;
    if (isQuiet) counts.quietStarted = counts.started;
    counts.running[who] = (counts.running[who] ?? 0) + 1;
    counts.most[who] = Math.max(counts.most[who] ?? 0, counts.running[who]);
    await works[work](step);
    counts.running[who]--;
  }
}
export class Maker extends WorkerEntrypoint {
  async make(count, work) {
    const { who } = this.ctx.props;
    const batches = [];
    for (let left = count; left > 0; left -= 100) {
      const instances = Array.from({ length: Math.min(left, 100) }, () => ({ params: { who, work } }));
      batches.push(this.env.FLOW.createBatch({ instances }));
    }
    const results = await Promise.all(batches);
    return { made: results.reduce((sum, { created }) => sum + created.length, 0), wrong: [...new Set(results.flatMap(({ errors }) => errors.map((error) => error.message)))] };
  }
  // One instance, and how many runs had been begun when it was made, and when it runs.
  async makeOne() {
    counts.quietMade = counts.quietStarted = -1;
    await this.env.FLOW.create({ params: { who: this.ctx.props.who, work: 'step', isQuiet: true } });
    counts.quietMade = counts.started;
  }
}
export default { async fetch(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  const who = env[searchParams.get('who')];
  try {
    if (pathname === '/make') return Response.json(await who.make(Number(searchParams.get('count')), searchParams.get('work')));
    if (pathname === '/one') await who.makeOne();
    if (pathname === '/release') counts.release = true;
    return Response.json(counts);
  } catch (error) { return Response.json({ name: error.name, message: error.message }); }
} };`,
  services: ['LOUD', 'QUIET'].map((who) => ({ binding: who, service: 'app', entrypoint: 'Maker', props: { who } })),
  workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow', limits }],
  limits: { cpu_ms: 300000, subrequests: 1000000 },
});

interface Counts {
  started: number;
  running: Record<string, number>;
  most: Record<string, number>;
  quietMade: number;
  quietStarted: number;
}

const counts = async (insula: Insula): Promise<Counts> => JSON.parse((await insula.call('/counts')).text) as Counts;
const make = async (insula: Insula, who: string, count: number, work: string): Promise<{ made: number; wrong: string[] }> =>
  JSON.parse((await insula.call(`/make?who=${who}&count=${count}&work=${work}`)).text) as { made: number; wrong: string[] };

describe('fairness of workflows', () => {
  it('twenty thousand instances of one tenant delay the one of another by no more than the slots there are', async () => {
    const kSlots = 16;
    await using insula = await Insula.start(tenants({ concurrency: kSlots }));
    const kLoud = 20000;
    const loud = make(insula, 'LOUD', kLoud, 'step');
    await until(async () => (await counts(insula)).started > 100, 'the loud tenant is at work');
    for (let round = 0; round < 3 && (await counts(insula)).started < kLoud / 2; ++round) {
      await insula.call('/one?who=QUIET');
      await until(async () => (await counts(insula)).quietStarted >= 0, 'the quiet tenant\'s instance runs');
      const { quietMade, quietStarted } = await counts(insula);
      // Those that had a slot when it was made, and one for each slot that became free before its turn came.
      assert.ok(quietStarted - quietMade <= 2 * kSlots, `${quietStarted - quietMade} runs were begun before its own`);
    }
    assert.deepEqual(await loud, { made: kLoud, wrong: [] });
    await until(async () => (await counts(insula)).started >= kLoud + 1, 'all have run', 60000);
  });

  it('no more instances run than the workflow and their origin may have', async () => {
    await using insula = await Insula.start(tenants({ concurrency: 7, concurrency_per_origin: 5 }));
    await make(insula, 'LOUD', 40, 'hold');
    await make(insula, 'QUIET', 40, 'hold');
    await until(async () => (await counts(insula)).started === 7, 'all slots are taken');
    assert.deepEqual((await counts(insula)).running, { LOUD: 5, QUIET: 2 });
    await insula.call('/release');
    await until(async () => (await counts(insula)).started === 80, 'all have run');
    const { most } = await counts(insula);
    assert.ok(most.LOUD! <= 5 && most.QUIET! <= 5, JSON.stringify(most));
  });

  it('who makes instances too fast is refused, and nobody else', async () => {
    await using insula = await Insula.start(tenants({ creations_per_second_per_origin: 3, creations_per_second: 5 }));
    const loud = await make(insula, 'LOUD', 100, 'step');
    assert.ok(loud.made >= 3 && loud.made < 100, JSON.stringify(loud));
    assert.equal(loud.wrong.length, 1);
    assert.match(loud.wrong[0]!, /^\(instance\.rate_exceeded\) More than 3 instances a second for one origin/);
    assert.ok((await make(insula, 'QUIET', 1, 'step')).made === 1);
  });

  it('a full queue takes no more', async () => {
    await using insula = await Insula.start(tenants({ concurrency: 2, queued: 10 }));
    await make(insula, 'LOUD', 2, 'hold');
    await until(async () => (await counts(insula)).started === 2, 'both slots are taken');
    const { made, wrong } = await make(insula, 'LOUD', 25, 'hold');
    assert.equal(made, 10);
    assert.deepEqual(wrong, ['(instance.queue_full) The workflow has 10 instances that wait to run; create this one later']);
    await insula.call('/release');
    await until(async () => (await counts(insula)).started === 12, 'the queue has become empty');
    assert.equal((await make(insula, 'LOUD', 5, 'step')).made, 5);
  });
});
