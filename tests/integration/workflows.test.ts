// SPDX-License-Identifier: Apache-2.0
//
// Workflows through the real program: what runs, what is stored, and what survives.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Insula } from '../support/insula.ts';
import { effectsOf, waitForStatus, workflowWorker } from '../support/workflows.ts';

describe('an instance', () => {
  it('runs its steps once each and keeps what run() returned', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const one = await step.do('one', async () => { effects.push('one'); return 1; });
      const two = await step.do('two', async (ctx) => { effects.push('two'); return one + ctx.attempt; });
      return { two, payload: event.payload, id: event.instanceId, name: event.workflowName };`));
    const made = await insula.call('/create?id=a', { method: 'POST', body: '{"x":1}' });
    assert.equal(made.text, '{"id":"a"}');
    const status = await waitForStatus(insula, 'a', 'complete');
    assert.deepEqual(status, { status: 'complete', error: null, output: { two: 2, payload: { x: 1 }, id: 'a', name: 'flow' } });
    assert.deepEqual(await effectsOf(insula), ['one', 'two']);
  });

  it('sleeps without a run, wakes by replay, and does not repeat a step', async () => {
    await using insula = await Insula.start(workflowWorker(`
      effects.push('run');
      await step.do('before', async () => { effects.push('before'); });
      await step.sleep('nap', 2500);
      await step.do('after', async () => { effects.push('after'); });
      return 'done';`), { flags: ['--log-level', 'debug'] });
    await insula.call('/create?id=a', { method: 'POST' });
    await waitForStatus(insula, 'a', 'waiting');
    await insula.log.wait('workflow.run_ended');
    await waitForStatus(insula, 'a', 'complete');
    assert.deepEqual(await effectsOf(insula), ['run', 'before', 'run', 'after']);
  });

  it('waits for an event', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const { payload, type } = await step.waitForEvent('approval', { type: 'yes' });
      return { payload, type };`));
    await insula.call('/create?id=a', { method: 'POST' });
    await waitForStatus(insula, 'a', 'waiting');
    await insula.call('/event?id=a&type=yes', { method: 'POST', body: '{"by":"me"}' });
    const { output } = await waitForStatus(insula, 'a', 'complete');
    assert.deepEqual(output, { payload: { by: 'me' }, type: 'yes' });
  });

  it('keeps a stream that a step returns, and gives it back byte by byte after a sleep', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const sum = async (stream) => { let bytes = 0; let check = 0; for await (const part of stream) { for (const byte of part) check = (check * 31 + byte) >>> 0; bytes += part.length; } return [bytes, check]; };
      const make = () => { let left = 100; return new ReadableStream({ type: 'bytes', pull(controller) { if (left-- === 0) return controller.close(); controller.enqueue(Uint8Array.from({ length: 10007 }, (_, i) => i * left)); } }); };
      const first = await sum(await step.do('stream', async () => make()));
      await step.sleep('nap', 1500);
      const again = await sum(await step.do('again', async () => make()));
      return { first, again, runs: effects.push('run') };`), { flags: ['--log-level', 'debug'] });
    await insula.call('/create?id=a', { method: 'POST' });
    await insula.log.wait('workflow.run_ended');
    const { output } = await waitForStatus(insula, 'a', 'complete');
    const { first, again } = output as { first: number[]; again: number[] };
    assert.equal(first[0], 1000700);
    assert.deepEqual(first, again);
  });

  it('retries with growing delays, and ends with the error of a step that nobody catches', async () => {
    await using insula = await Insula.start(workflowWorker(`
      await step.do('hopeless', { retries: { limit: 2, delay: 50, backoff: 'exponential' } }, async ({ attempt }) => { effects.push([attempt, Date.now()]); throw new RangeError('never'); });`));
    await insula.call('/create?id=a', { method: 'POST' });
    const { error } = await waitForStatus(insula, 'a', 'errored');
    assert.deepEqual(error, { name: 'RangeError', message: 'never' });
    const effects = await effectsOf(insula) as [number, number][];
    assert.deepEqual(effects.map(([attempt]) => attempt), [1, 2, 3]);
    assert.ok(effects[1]![1] - effects[0]![1] >= 45 && effects[2]![1] - effects[1]![1] >= 95, JSON.stringify(effects));
  });

  it('is rolled back in reverse order, the failed step included', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const undo = { rollback: async ({ output, stepName, error }) => { effects.push([stepName, output ?? null, error.message]); } };
      await step.do('one', async () => 1, undo);
      await step.do('two', { retries: { limit: 0, delay: 1 } }, async () => { throw new NonRetryableError('stop'); }, undo);`));
    await insula.call('/create?id=a', { method: 'POST' });
    await waitForStatus(insula, 'a', 'errored');
    const effects = await effectsOf(insula) as unknown[][];
    assert.deepEqual(effects.map(([step, output]) => [step, output]), [['two-1', null], ['one-1', 1]]);
  });

  it('ends when its callback is late, and again when a callback never ends', async () => {
    await using insula = await Insula.start(workflowWorker(`
      await step.do('slow', { timeout: 200, retries: { limit: 1, delay: 1 } }, ({ attempt }) => { effects.push(attempt); return scheduler.wait(30000); });`));
    await insula.call('/create?id=a', { method: 'POST' });
    const { error } = await waitForStatus(insula, 'a', 'errored');
    assert.equal(error!.message, 'Execution timed out after 200ms');
    assert.deepEqual(await effectsOf(insula), [1, 2]);
  });

  it('sleeps in thousands of steps at a time, and is told complete when its output can be read', async () => {
    await using insula = await Insula.start(workflowWorker(`
      const { length } = await Promise.all(Array.from({ length: 6000 }, (_, i) => step.sleep('nap ' + i, 1)));
      return { length, text: 'x'.repeat(5000) };`));
    await insula.call('/create?id=a', { method: 'POST' });
    const { output } = await waitForStatus(insula, 'a', 'complete');
    assert.deepEqual(output, { length: 6000, text: 'x'.repeat(5000) });
  });
});
