// SPDX-License-Identifier: Apache-2.0
//
// What the contract of workflows says and no peer can be asked about: restarts in the middle, a clock that moves, large
// streams, operators' filters, logs.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { closeConnections } from '../support/http_client.ts';
import { Insula } from '../support/insula.ts';
import { until } from '../support/until.ts';
import { effectsOf, statusOf, waitForStatus, workflowWorker } from '../support/workflows.ts';
import { askWorkflows } from '../support/workflows_cli.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const create = async (insula: Insula, id = 'a'): Promise<void> => {
  assert.equal((await insula.call(`/create?id=${id}`, { method: 'POST' })).status, 200);
};
const ask = async (insula: Insula, ...words: string[]): Promise<string> => {
  const { code, out, error } = await askWorkflows(join(insula.folder, 'data'), ...words);
  assert.equal(code, 0, error);
  return out;
};

describe('results', () => {
  it('a stream of 100 MB is the same, byte for byte, after a restart', { timeout: 120000 }, async () => {
    const data = mkdtempSync(join(tmpdir(), 'insula-stream-'));
    const worker = workflowWorker(`
      const kBytes = 100 * 1024 * 1024;
      const sum = async (stream) => {
        let bytes = 0, check = 0;
        for await (const part of stream) {
          bytes += part.byteLength;
          for (let i = 0; i < part.byteLength; i += 61) check = (Math.imul(check, 31) + part[i]) >>> 0;
        }
        return [bytes, check];
      };
      let made = 0;
      const large = () => new ReadableStream({ type: 'bytes', pull(controller) {
        if (made === kBytes) return controller.close();
        const part = new Uint8Array(1 << 20);
        for (let i = 0; i < part.length; i += 61) part[i] = (i ^ (made >> 20)) & 255;
        made += part.length;
        controller.enqueue(part);
      } });
      const stream = await step.do('large', { timeout: '5 minutes' }, async () => { effects.push('made'); return large(); });
      const seen = await sum(stream);
      await step.waitForEvent('restart', { type: 'restarted' });
      return { seen, runs: effects.length };`, { limits: { cpu_ms: 300000, subrequests: 100000 } });
    const flags = ['--data', data];
    try {
      {
        await using insula = await Insula.start(worker, { flags });
        await create(insula);
        await waitForStatus(insula, 'a', 'waiting', 60000);
        insula.signal('SIGKILL');
        await insula.exited();
      }
      closeConnections();
      await using insula = await Insula.start(worker, { flags });
      await insula.call('/event?id=a&type=restarted', { method: 'POST' });
      const { output } = await waitForStatus(insula, 'a', 'complete', 60000);
      const { seen, runs } = output as { seen: number[]; runs: number };
      // The same sum, made here.
      let check = 0;
      for (let piece = 0; piece < 100; ++piece) {
        const part = new Uint8Array(1 << 20);
        for (let i = 0; i < part.length; i += 61) part[i] = (i ^ piece) & 255;
        // The pieces of the store are 256 KiB: each begins anew.
        for (let from = 0; from < part.length; from += 1 << 18) {
          for (let i = from; i < from + (1 << 18); i += 61) check = (Math.imul(check, 31) + part[i]!) >>> 0;
        }
      }
      assert.deepEqual({ seen, runs }, { seen: [100 * 1024 * 1024, check], runs: 0 });
      closeConnections();
    } finally {
      rmSync(data, { recursive: true, force: true });
    }
  });
});

describe('operations', () => {
  it('a pause holds sleeps and retries, which go on where they were', async () => {
    await using insula = await Insula.start(workflowWorker(`
      await step.sleep('an hour', '1 hour');
      await step.do('fails once', { retries: { limit: 1, delay: '1 hour' } }, async ({ attempt }) => { effects.push(attempt); if (attempt === 1) throw new Error('no'); });
      return 'done';`), { flags: ['--test-clock'] });
    await create(insula);
    const show = (): Promise<string> => ask(insula, 'show', 'flow', 'a');
    for (const held of ['sleep_started', 'attempt_errored']) {
      await until(async () => (await show()).includes(held), held);
      await waitForStatus(insula, 'a', 'waiting');
      await ask(insula, 'clock', '30 minutes');
      await ask(insula, 'pause', 'flow', 'a');
      assert.equal((await statusOf(insula, 'a')).status, 'paused');
      await ask(insula, 'clock', '5 hours');
      assert.equal((await statusOf(insula, 'a')).status, 'paused');
      await ask(insula, 'resume', 'flow', 'a');
      await waitForStatus(insula, 'a', 'waiting');
      await ask(insula, 'clock', '29 minutes');
      assert.equal((await statusOf(insula, 'a')).status, 'waiting', `after ${held}`);
      await ask(insula, 'clock', '2 minutes');
    }
    assert.equal((await waitForStatus(insula, 'a', 'complete')).output, 'done');
    assert.deepEqual(await effectsOf(insula), [1, 2]);
  });

  it('an instance that deletes itself is never heard of again', async () => {
    await using insula = await Insula.start(workflowWorker(`
      await step.do('first', async () => { effects.push('first'); });
      effects.push('before');
      await (await env.FLOW.get(event.instanceId)).delete();
      effects.push('after');
      await step.do('second', async () => { effects.push('second'); });`));
    await create(insula);
    await until(async () => (await insula.call('/status?id=a')).text.includes('instance.not_found'), 'it is gone');
    assert.deepEqual(await effectsOf(insula), ['first', 'before']);
    await create(insula);  // its id is free again
    await until(async () => (await effectsOf(insula) as string[]).length === 4, 'another one has run');
  });

  it('what a step logs says which instance it belongs to', async () => {
    await using insula = await Insula.start(workflowWorker(`
      await step.do('talks', { retries: { limit: 1, delay: 1 } }, async ({ attempt }) => {
        console.log('attempt ' + attempt + ' of ' + event.instanceId);
        if (attempt === 1) throw new Error('no');
      });`));
    for (const id of ['a', 'b']) await create(insula, id);
    for (const id of ['a', 'b']) {
      await waitForStatus(insula, id, 'complete');
      for (const attempt of [1, 2]) {
        const text = `attempt ${attempt} of ${id}`;
        assert.equal((await insula.log.wait('worker.logged', (event) => event.text === text)).instance, `flow/${id}`);
      }
      const failed = insula.log.all('workflow.attempt_failed').find(({ instance }) => instance === id)!;
      assert.deepEqual([failed.step, failed.attempt, failed.text], ['talks-1', 1, 'no']);
    }
  });

  it('operators filter by who made an instance, and when', async () => {
    const worker: WorkerSpec = {
      name: 'app',
      source: `
import { WorkerEntrypoint, WorkflowEntrypoint } from 'cloudflare:workers';
export class Flow extends WorkflowEntrypoint { async run() { return 1; } }
export class Maker extends WorkerEntrypoint { async make(id) { await this.env.FLOW.create({ id }); } }
export default { async fetch(request, env) {
  const [, who, id] = new URL(request.url).pathname.split('/');
  await env[who].make(id);
  return new Response('made');
} };`,
      services: ['ACME', 'ZETA'].map((tenant) => ({ binding: tenant, service: 'app', entrypoint: 'Maker', props: { tenant } })),
      workflows: [{ binding: 'FLOW', name: 'flow', class: 'Flow' }],
    };
    await using insula = await Insula.start(worker, { flags: ['--test-clock'] });
    const listed = async (...words: string[]): Promise<string[]> =>
      [...(await ask(insula, 'list', ...words)).matchAll(/flow\/(\w+)/g)].map((match) => match[1]!).sort();
    await insula.call('/ACME/a1');
    await insula.call('/ZETA/z1');
    await ask(insula, 'clock', '3 days');
    const later = new Date(Date.now() + 2 * 86400000).toISOString().slice(0, 19);
    await insula.call('/ACME/a2');
    assert.deepEqual(await listed('--metadata', '{"tenant":"ACME"}'), ['a1', 'a2']);
    assert.deepEqual(await listed('--since', later), ['a2']);
    assert.deepEqual(await listed('--until', later, '--metadata', '{"tenant":"ZETA"}'), ['z1']);
    assert.deepEqual(await listed('--limit', '1'), ['a2']);
    assert.match(await ask(insula, 'show', 'flow', 'z1'), /\{"tenant":"ZETA"\}/);
  });
});
