// SPDX-License-Identifier: Apache-2.0
//
// Names and texts of the errors of workflows. The differential tests leave out what the peer's engine loses of them.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { Insula } from '../support/insula.ts';
import { waitForStatus, workflowWorker } from '../support/workflows.ts';

const cases: Record<string, { flow: string; error: [name: string, message: string] }> = {
  'a bad name': {
    flow: `step.do('', f)`,
    error: ['WorkflowFatalError', 'Step name "" exceeds max length (256 chars) or invalid characters found'],
  },
  'no callback': { flow: `step.do('a')`, error: ['WorkflowFatalError', 'Step "a" requires a callback function'] },
  'a configuration that misses something': {
    flow: `step.do('a', { retries: { limit: 7 } }, f)`,
    error: ['WorkflowFatalError', 'Step config for "a" is in a invalid format. retries.delay is missing'],
  },
  'a configuration with a mistake': {
    flow: `step.do('a', { timeOut: 1 }, f)`,
    error: ['WorkflowFatalError', 'Step config for "a" is in a invalid format. unknown key "timeOut"'],
  },
  'rollback that is no object': { flow: `step.do('a', f, 5)`, error: ['WorkflowFatalError', 'Rollback options for "a" must be an object'] },
  'rollback without a function': { flow: `step.do('a', f, {})`, error: ['WorkflowFatalError', 'Rollback for "a" must be a function'] },
  'an attempt that takes too long': {
    flow: `step.do('a', { retries: { limit: 0, delay: 1 }, timeout: 50 }, () => new Promise(() => {}))`,
    error: ['WorkflowTimeoutError', 'Execution timed out after 50ms'],
  },
  'a wait that takes too long': {
    flow: `step.waitForEvent('w', { type: 't', timeout: 50 })`,
    error: ['WorkflowTimeoutError', 'Execution timed out after 50ms'],
  },
  'a type that no event can have': {
    flow: `step.waitForEvent('w', { type: 'a b' })`,
    error: ['WorkflowFatalError', 'waitForEvent "w": type must be 1 to 100 letters, digits, "-" or "_"'],
  },
  'a delay function that throws': {
    flow: `step.do('a', { retries: { limit: 1, delay: () => { throw new Error('no idea'); } } }, fails)`,
    error: ['NonRetryableDelayError', 'The delay function for step "a-1" threw an error: no idea'],
  },
  'a sleep that is no duration': {
    flow: `step.sleep('s', 'soon')`,
    error: ['WorkflowFatalError', 'Sleep "s": "soon" is not a duration; write milliseconds or text such as "5 minutes"'],
  },
  'a sleep of more than a year': { flow: `step.sleep('s', '366 days')`, error: ['WorkflowFatalError', 'Sleep "s" is longer than 365 days'] },
  'a result of more than 1 MiB': {
    flow: `step.do('a', { retries: { limit: 0, delay: 1 } }, () => 'x'.repeat(1048577))`,
    error: ['WorkflowInternalError', 'Step a-1 output is too large. Maximum allowed size is 1MiB.'],
  },
  'NonRetryableError': { flow: `step.do('a', () => { throw new NonRetryableError('final'); })`, error: ['NonRetryableError', 'final'] },
  'NonRetryableError of another name': {
    flow: `step.do('a', { retries: { limit: 0, delay: 1 } }, () => { throw new NonRetryableError('final', 'Own'); })`,
    error: ['Own', 'final'],
  },
};

describe('errors of steps', () => {
  let insula: Insula;
  before(async () => {
    const flows = Object.values(cases).map(({ flow }) => `() => ${flow}`).join(',\n');
    insula = await Insula.start(workflowWorker(`
      const f = () => 1;
      const fails = () => { throw new Error('x'); };
      const flows = [${flows}];
      try { return ['none', await flows[event.payload]()]; } catch (error) { return [error.name, error.message]; }`));
  });
  after(() => insula.stop());

  for (const [index, [name, { error }]] of Object.entries(cases).entries()) {
    it(name, async () => {
      await insula.call(`/create?id=case${index}`, { method: 'POST', body: String(index) });
      assert.deepEqual((await waitForStatus(insula, `case${index}`, 'complete')).output, error);
    });
  }

  it('the largest result passes', async () => {
    await using other = await Insula.start(workflowWorker(`return (await step.do('a', () => 'x'.repeat(1048500))).length;`));
    await other.call('/create?id=a', { method: 'POST' });
    assert.equal((await waitForStatus(other, 'a', 'complete')).output, 1048500);
  });

  it('a result that cannot be kept ends the instance, and nobody catches it', async () => {
    await using other = await Insula.start(workflowWorker(`try { await step.do('bad', () => f); } catch { return 'caught'; } function f() {}`));
    await other.call('/create?id=a', { method: 'POST' });
    assert.deepEqual((await waitForStatus(other, 'a', 'errored')).error, {
      name: 'WorkflowFatalError',
      message: 'The execution of the Workflow instance was terminated, as the step "bad" returned a value which is not serialisable',
    });
  });
});

describe('errors of the binding', () => {
  it('have the names of the contract', async () => {
    await using insula = await Insula.start({
      ...workflowWorker(''),
      source: `
import { WorkflowEntrypoint } from 'cloudflare:workers';
export class Flow extends WorkflowEntrypoint { async run() {} }
export default { async fetch(request, { FLOW }) {
  const told = async (run) => { try { return ['none', await run()]; } catch (e) { return [e.name, e.message]; } };
  await FLOW.create({ id: 'a' });
  return Response.json([
    await told(() => FLOW.create({ id: 'a' })), await told(() => FLOW.create({ id: '-' })), await told(() => FLOW.get('b')),
    await told(() => FLOW.createBatch([])), await told(() => FLOW.createBatch({ count: 101 })),
    await FLOW.deleteBatch(['a', 'b', 'a']), await told(() => FLOW.deleteBatch([])),
    (await FLOW.createBatch({ instances: [{ id: 'c' }, { id: 'c' }, { id: '?' }] })).errors,
    (await FLOW.createBatch({ count: 2, params: 5 })).created.length,
  ]);
} };`,
    });
    assert.deepEqual(JSON.parse((await insula.call('/')).text), [
      ['Error', 'instance.already_exists'], ['WorkflowError', 'Workflow instance has invalid id'], ['Error', 'instance.not_found'],
      ['WorkflowError', 'batchCreate should have at least 1 instance'],
      ['WorkflowError', 'batchCreate is limited to 100 instances at a time'],
      {
        deleted: [{ id: 'a' }, { id: 'a' }],
        errors: [{ id: 'b', code: 10400, message: 'workflows.api.error.instance.not_found' }],
      },
      ['WorkflowError', 'deleteBatch takes 1 to 100 instance ids'],
      [
        { index: 1, id: 'c', code: 10405, message: 'workflows.api.error.instance.already_exists' },
        { index: 2, id: '?', code: 10402, message: 'Workflow instance has invalid id' },
      ],
      2,
    ]);
  });
});

describe('the events of an instance', () => {
  it('are replayed, filtered, and end with it', async () => {
    await using insula = await Insula.start({
      ...workflowWorker(''),
      source: `
import { WorkflowEntrypoint } from 'cloudflare:workers';
export class Flow extends WorkflowEntrypoint { async run(event, step) {
  await step.do('open', async () => ({ n: 1 }));
  await step.do('secret', { sensitive: 'output' }, async () => 'hidden');
  await step.waitForEvent('w', { type: 'go' });
  return 'out';
} }
export default { async fetch(request, { FLOW }) {
  const all = async (subscription) => { const list = []; for (;;) { const { value, done } = await subscription.next(); if (done) return list; list.push(value); } };
  const instance = await FLOW.create({ id: 'a', params: { p: 1 } });
  const live = all(await instance.subscribe());
  await instance.sendEvent({ type: 'go' });
  const events = await live;
  const later = await all(await instance.subscribe({ cursor: events[2].eventId, filter: ['step_completed', 'workflow_completed'] }));
  return Response.json({ events, later });
} };`,
    });
    const { events, later } = JSON.parse((await insula.call('/')).text) as Record<'events' | 'later', Record<string, unknown>[]>;
    const types = events!.map(({ type }) => type);
    for (const type of ['workflow_queued', 'workflow_started', 'step_started', 'attempt_started', 'wait_completed']) {
      assert.ok(types.includes(type), `${type} is not among ${types.join()}`);
    }
    assert.equal(types.at(-1), 'workflow_completed');
    assert.deepEqual(events!.find(({ type }) => type === 'workflow_started')!['params'], { p: 1 });
    assert.deepEqual(later!.map(({ type, output }) => [type, output]),
      [['step_completed', { n: 1 }], ['step_completed', '[REDACTED]'], ['workflow_completed', 'out']]);
  });
});
