// SPDX-License-Identifier: Apache-2.0
//
// Steps that are begun before the engine has been asked, where nothing is left to be replayed: what an author sees must be
// the same as without.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { Insula } from '../support/insula.ts';
import { until } from '../support/until.ts';
import { effectsOf, type FlowStatus, statusOf, waitForStatus, workflowWorker } from '../support/workflows.ts';
import { askWorkflows } from '../support/workflows_cli.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

async function run(insula: Insula, id = 'a'): Promise<FlowStatus> {
  assert.equal((await insula.call(`/create?id=${id}`, { method: 'POST' })).status, 200);
  await until(async () => ['complete', 'errored'].includes((await statusOf(insula, id)).status), 'the instance has ended');
  return statusOf(insula, id);
}

async function timeline(insula: Insula, id = 'a'): Promise<string[]> {
  const { out } = await askWorkflows(join(insula.folder, 'data'), 'show', 'flow', id);
  return [...out.matchAll(/s {2}((?:step|attempt)_\S+ {2}\S+)/g)].map((match) => match[1]!.replaceAll('  ', ' '));
}

const limited = (source: string, limits: object): WorkerSpec =>
  workflowWorker(source, { workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow', limits }] });

describe('steps that go ahead', () => {
  it('are recorded in the order in which they were asked for, however long each takes', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      return Promise.all([
        step.do('slow', async () => { await later(30); return 1; }), step.do('quick', async () => 2),
        step.do('slow', async ({ step }) => { await later(10); return step.count; }), step.do('plain', () => 4),
        step.do('quick', async ({ step, attempt }) => [step.name, step.count, attempt]),
      ]);`));
    assert.deepEqual((await run(insula)).output, [1, 2, 2, 4, ['quick', 2, 1]]);
    const started = (await timeline(insula)).filter((event) => event.startsWith('step_started'));
    assert.deepEqual(started, ['slow-1', 'quick-1', 'slow-2', 'plain-1', 'quick-2'].map((name) => `step_started ${name}`));
  });

  it('get the same context as others, each one its own', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const seen = [];
      for (const config of [undefined, undefined, { retries: { limit: Infinity, delay: '3 seconds' } }, { retries: { limit: Infinity, delay: '3 seconds' } },
        { retries: { limit: 0, delay: 1 } }, { retries: { limit: 0, delay: 1 } }]) {
        const callback = async (ctx) => { seen.push(JSON.stringify(ctx) + ctx.config.retries.limit); ctx.config.retries.limit = 77; ctx.config.timeout = 1; };
        await (config === undefined ? step.do('s', callback) : step.do('s', config, callback));
      }
      return seen;`));
    const { output } = await run(insula);
    const [first, second, third, fourth, fifth, sixth] = output as string[];
    const without = (text: string): string => text.replace(/"count":\d/, '"count":0');
    assert.equal(without(second!), without(first!));
    assert.equal(without(fourth!), without(third!));
    assert.equal(without(sixth!), without(fifth!));
    assert.match(first!, /"retries":\{"limit":5,"delay":1000,"backoff":"exponential"\}/);
    assert.deepEqual((output as string[]).map((text) => /"count":(\d)/.exec(text)![1]), ['1', '2', '3', '4', '5', '6']);
  });

  it('are retried when they throw, with what they threw', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const config = { retries: { limit: 2, delay: 1 } };
      await step.do('first', config, async () => 0);
      const value = await step.do('second', config, async ({ attempt }) => { effects.push(attempt); if (attempt < 3) throw new RangeError('no ' + attempt); return attempt; });
      const failed = await step.do('third', config, async () => { throw new RangeError('never'); }).catch(({ name, message }) => ({ name, message }));
      const fatal = await step.do('fourth', config, async () => { throw new NonRetryableError('stop'); }).catch(({ name, message }) => ({ name, message }));
      return { value, failed, fatal };`));
    assert.deepEqual((await run(insula)).output, {
      value: 3, failed: { name: 'RangeError', message: 'never' }, fatal: { name: 'NonRetryableError', message: 'stop' },
    });
    assert.deepEqual(await effectsOf(insula), [1, 2, 3]);
    const failures = insula.log.all('workflow.attempt_failed').map(({ step, attempt }) => `${String(step)} ${String(attempt)}`);
    assert.deepEqual(failures.slice(0, 2), ['second-1 1', 'second-1 2']);
  });

  it('may return a stream, nothing, much, and what cannot be kept', async () => {
    await using insula = await Insula.start(workflowWorker(`
      await step.do('first', async () => 0);
      const stream = await step.do('stream', async () => new Blob(['stream of ', 'bytes']).stream());
      const text = await new Response(stream).text();
      const nothing = await step.do('nothing', async () => {});
      const much = await step.do('much', async () => 'x'.repeat(500000));
      const tooMuch = await step.do('too much', { retries: { limit: 0, delay: 1 } }, async () => 'x'.repeat(2000000)).catch(({ message }) => message);
      await step.sleep('nap', 1);
      await step.do('last', async () => () => {});`));
    const { status, error } = await run(insula);
    assert.equal(status, 'errored');
    assert.match(error!.message, /the step "last" returned a value which is not serialisable/);
    const shown = await timeline(insula);
    for (const name of ['stream-1', 'nothing-1', 'much-1']) assert.ok(shown.includes(`step_completed ${name}`), name);
    assert.ok(shown.includes('step_errored too much-1') || shown.some((event) => event.startsWith('step_errored too')), shown.join());
  });

  it('do not exceed the limit of steps, and the code after the last one is not called', async () => {
    await using insula = await Insula.start(limited(`
      for (let i = 0; i < 1010; i++) await step.do('s' + i, async () => { effects.push(i); });`, { steps: 1005 }));
    const { status, error } = await run(insula);
    assert.equal(status, 'errored');
    assert.match(error!.message, /The limit of 1005 steps has been reached/);
    assert.equal((await effectsOf(insula) as unknown[]).length, 1005);
  });

  it('run again in a replay only when they were not finished', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const before = await step.do('before', async () => { effects.push('before'); return { big: 'x'.repeat(5000), at: effects.length }; });
      await step.sleep('nap', 1500);
      const after = await step.do('after', async () => { effects.push('after'); return before.at; });
      const last = await step.do('after', async ({ step }) => step.count);
      return [before.big.length, before.at, after, last];`));
    assert.equal((await insula.call('/create?id=a', { method: 'POST' })).status, 200);
    assert.deepEqual((await waitForStatus(insula, 'a', 'complete')).output, [5000, 1, 1, 2]);
    assert.deepEqual(await effectsOf(insula), ['before', 'after']);
  });
});
