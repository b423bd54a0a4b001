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
});
