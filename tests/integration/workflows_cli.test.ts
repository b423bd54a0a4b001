// SPDX-License-Identifier: Apache-2.0
//
// `insula workflows`: an operator at a running server.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { Insula } from '../support/insula.ts';
import { statusOf, waitForStatus, workflowWorker } from '../support/workflows.ts';
import { askWorkflows, type Said } from '../support/workflows_cli.ts';

const ask = (insula: Insula, ...words: string[]): Promise<Said> => askWorkflows(join(insula.folder, 'data'), ...words);

const approval = workflowWorker(`
  await step.do('prepare', { retries: { limit: 1, delay: 1 } }, async ({ attempt }) => { if (attempt === 1) throw new TypeError('not yet'); return 'ready'; });
  const { payload } = await step.waitForEvent('approval', { type: 'approved' });
  return payload;`);

describe('insula workflows', () => {
  it('lists instances by workflow, status and time', async () => {
    await using insula = await Insula.start(approval);
    for (const id of ['a', 'b']) await insula.call(`/create?id=${id}`, { method: 'POST' });
    for (const id of ['a', 'b']) await waitForStatus(insula, id, 'waiting');
    const lines = (await ask(insula, 'list')).out.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.match(lines[0]!, /^waiting   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  flow\/b  wakes \d{4}-/);
    assert.match(lines[1]!, /flow\/a/);
    await ask(insula, 'terminate', 'flow', 'a');
    assert.match((await ask(insula, 'list', 'flow', '--status', 'terminated')).out, /^terminated .*flow\/a\n$/);
    assert.match((await ask(insula, 'list', '--status=waiting', '--status=queued')).out, /^waiting .*flow\/b  .*\n$/);
    assert.equal((await ask(insula, 'list', '--until', '2001-01-01')).out, 'no such instances\n');
    assert.equal((await ask(insula, 'list', 'other')).out, 'no such instances\n');
  });

  it('shows a timeline, and sends the event that an instance waits for', async () => {
    await using insula = await Insula.start(approval);
    await insula.call('/create?id=a', { method: 'POST' });
    await waitForStatus(insula, 'a', 'waiting');
    const sent = await ask(insula, 'send-event', 'flow', 'a', 'approved', '--payload', '{"by":"Zoë 🙂","n":[1,2.5,null,true]}');
    assert.deepEqual(sent, { code: 0, out: '', error: '' });
    const { output } = await waitForStatus(insula, 'a', 'complete');
    assert.deepEqual(output, { by: 'Zoë 🙂', n: [1, 2.5, null, true] });
    const { out } = await ask(insula, 'show', 'flow', 'a');
    const told = out.split('\n').slice(1, -1).map((line) => line.replace(/^.*?\ds {2}/, '').replaceAll('  ', ' '));
    assert.deepEqual(told.filter((line) => !line.startsWith('workflow_')).map((line) => line.replace(/ \d+ bytes$/, '')), [
      'step_started prepare-1', 'attempt_started prepare-1 attempt 1', 'attempt_errored prepare-1 attempt 1 again in 1 ms TypeError: not yet',
      'attempt_started prepare-1 attempt 2', 'attempt_completed prepare-1 attempt 2', 'step_completed prepare-1',
      'wait_started approval-1 for approved', 'wait_completed approval-1',
    ], out);
  });

  it('pauses, resumes, restarts and deletes', async () => {
    await using insula = await Insula.start(approval);
    await insula.call('/create?id=a', { method: 'POST' });
    await waitForStatus(insula, 'a', 'waiting');
    await ask(insula, 'pause', 'flow', 'a');
    assert.equal((await statusOf(insula, 'a')).status, 'paused');
    await ask(insula, 'resume', 'flow', 'a');
    await waitForStatus(insula, 'a', 'waiting');
    await ask(insula, 'terminate', 'flow', 'a');
    const again = await ask(insula, 'terminate', 'flow', 'a');
    assert.equal(again.code, 1);
    assert.match(again.error, /instance\.cannot_terminate/);
    assert.equal((await ask(insula, 'restart', 'flow', 'a')).code, 0);
    await waitForStatus(insula, 'a', 'waiting');
    assert.equal((await ask(insula, 'delete', 'flow', 'a')).code, 0);
    assert.match((await ask(insula, 'show', 'flow', 'a')).error, /instance\.not_found/);
  });

  it('says what is wrong with its words, and when there is no server', async () => {
    await using insula = await Insula.start(approval);
    assert.equal(statSync(join(insula.folder, 'data', 'admin.sock')).mode & 0o777, 0o600);
    for (const [words, wrong] of [
      [['list', '--status', 'asleep'], /status: unknown/], [['show', 'flow'], /insula workflows show WORKFLOW ID/],
      [['list', '--rollback'], /workflows list has no option --rollback/], [['dance'], /unknown command workflows dance/],
      [['send-event', 'flow', 'a', 'x', '--payload', '{'], /--payload: expected JSON/], [['list', '--since', 'noon'], /is no time/],
    ] as [string[], RegExp][]) {
      const { code, error } = await ask(insula, ...words);
      assert.notEqual(code, 0);
      assert.match(error, wrong);
    }
    insula.signal('SIGINT');
    await insula.exited();
    assert.match((await ask(insula, 'list')).error, /no server answers at .*admin\.sock/);
  });
});
