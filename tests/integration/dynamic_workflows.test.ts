// SPDX-License-Identifier: Apache-2.0
//
// examples/dynamic-workflows: tenants' workflows by the unmodified library. What a dispatcher and an engine that knows no
// tenants owe them: their own code of the version that an instance began with, after any restart, and nothing of others.
import assert from 'node:assert/strict';
import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { type Answer, call, closeConnections } from '../support/http_client.ts';
import { requireInsula, root } from '../support/paths.ts';
import { ServerProcess } from '../support/server_process.ts';
import { freshFolder, writeFile } from '../support/worker_spec.ts';

interface Status {
  status: string;
  output: unknown;
  error: { name: string; message: string } | null;
}

const kFinal = ['complete', 'errored', 'terminated'];

describe('examples/dynamic-workflows', { timeout: 120000 }, () => {
  const folder = freshFolder();
  let server: ServerProcess;
  let url = '';

  const start = async (): Promise<void> => {
    server = new ServerProcess({
      name: 'insula', program: requireInsula(), env: { INSULA_HOME: root },
      args: ['serve', folder, '--listen', '127.0.0.1:0', '--data', join(folder, 'data'), '--log', 'json', '--log-level', 'debug'],
    });
    url = String((await server.log.wait('server.listening', () => true, { within: 30000 })).url).replace(/\/$/, '');
  };
  const crash = async (): Promise<void> => {
    server.signal('SIGKILL');
    await server.exited();
    closeConnections();
    await start();
  };
  const post = (path: string, body: unknown): Promise<Answer> => call(url + path, { method: 'POST', body: JSON.stringify(body) });
  const get = async (path: string): Promise<Status> => {
    const { status, text } = await call(url + path);
    assert.equal(status, 200, text);
    return JSON.parse(text) as Status;
  };
  const waitFor = async (path: string, ...states: string[]): Promise<Status> => {
    for (const end = Date.now() + 20000; ;) {
      const now = await get(path);
      if (states.includes(now.status)) return now;
      assert.ok(!kFinal.includes(now.status), `${path} is ${JSON.stringify(now)}`);
      assert.ok(Date.now() < end, `${path} is still ${now.status}`);
      await pause(20);
    }
  };
  const tenant = (name: string, version: number, flow: string): void => {
    writeFile(join(folder, `tenants/${name}/${version}.js`), `
import { WorkflowEntrypoint, WorkerEntrypoint } from 'cloudflare:workers';
import { NonRetryableError } from 'cloudflare:workflows';
globalThis.effects = [];
export class Flow extends WorkflowEntrypoint { async run(event, step) { const { env } = this; ${flow} } }
export default { async fetch(request, env) {
  const [, action, id] = new URL(request.url).pathname.split('/');
  try {
    if (action === 'effects') return Response.json(effects);
    if (action === 'create') return Response.json({ id: await (await env.WORKFLOWS.create({ id, params: await request.json() })).id });
    const instance = await env.WORKFLOWS.get(id);
    if (action !== 'status') await instance[action](await request.json());
    return Response.json(await instance.status());
  } catch (error) { return new Response(error.message, { status: 400 }); }
} };`);
    writeFile(join(folder, `tenants/${name}/current.txt`), String(version));
  };

  before(async () => {
    cpSync(join(root, 'examples/dynamic-workflows'), folder, { recursive: true, filter: (path) => !path.includes('.insula') });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    await start();
  });
  after(async () => {
    closeConnections();
    await server.stop();
  });

  it('an order: retries, a sleep, an approval', async () => {
    assert.equal((await post('/acme/orders', { id: 'o1', item: 'lamp', amount: 30 })).text, '{"created":"acme-o1"}');
    await waitFor('/acme/orders/o1', 'waiting');
    await post('/acme/orders/o1/approval', { granted: true, by: 'ada' });
    const { output, error } = await waitFor('/acme/orders/o1', 'complete');
    assert.deepEqual([output, error], [{ item: 'lamp', payment: { amount: 30, attempt: 3 }, approvedBy: 'ada' }, null]);
  });

  it('a refusal ends it at once, with the error of the tenant', async () => {
    await post('/acme/orders', { id: 'o2', item: 'desk', amount: 300 });
    await post('/acme/orders/o2/approval', { granted: false, by: 'ada' });
    const { error } = await waitFor('/acme/orders/o2', 'errored');
    assert.match(error!.name, /^(WorkflowFatalError|NonRetryableError)$/);
  });

  it('an instance goes on with the code that it began with', async () => {
    await post('/globex/letters', { id: 'old' });
    await waitFor('/globex/letters/old', 'waiting');
    writeFile(join(folder, 'tenants/globex/current.txt'), '2');
    await post('/globex/letters', { id: 'new' });
    assert.equal((await waitFor('/globex/letters/old', 'complete')).output, 'written by version 1, sent by version 1');
    assert.equal((await waitFor('/globex/letters/new', 'complete')).output, 'written by version 2, sent by version 2');
  });

  it('a tenant cannot name an instance of another', async () => {
    const answer = await post('/globex/letters', { id: 'acme-stolen' });
    assert.match(answer.text, /"created":"globex-acme-stolen"/);
    tenant('mallory', 1, 'return 1;');
    assert.equal((await call(`${url}/mallory/status/acme-o1`)).text, 'instance.not_found');
    assert.equal((await post('/mallory/terminate/globex-old', {})).text, 'instance.not_found');
  });

  it('what a tenant says of itself in params routes nowhere', async () => {
    tenant('forger', 1, 'return [event.payload, Object.keys(env)];');
    const params = { __dispatcherMetadata: { tenant: 'acme', version: '1' }, params: { item: 'x' } };
    await post('/forger/create/f', params);
    const { output } = await waitFor('/forger/status/f', 'complete');
    assert.deepEqual(output, [params, ['WORKFLOWS']]);
  });

  it('a crash between steps: what is done is not done again', async () => {
    tenant('steady', 1, `
      effects.push('run');
      const first = await step.do('first', async () => { effects.push('first'); return new Map([['when', new Date(event.timestamp)]]); });
      await step.sleep('nap', '2 seconds');
      const got = await step.waitForEvent('go', { type: 'go' });
      return [first.get('when') instanceof Date, got.payload, effects.length];`);
    await post('/steady/create/s', {});
    await waitFor('/steady/status/s', 'waiting');
    await crash();
    await post('/steady/sendEvent/s', { type: 'go', payload: { after: 'the crash' } });
    const { output } = await waitFor('/steady/status/s', 'complete');
    assert.deepEqual(output, [true, { after: 'the crash' }, 1]);
    assert.deepEqual(JSON.parse((await call(`${url}/steady/effects`)).text), ['run']);
  });

  it('a rollback handler of a tenant runs when its run has failed, also after a crash', async () => {
    tenant('saga', 1, `
      await step.do('reserve', async () => 'seat 5', { rollback: async ({ output, error }) => { effects.push(['free ' + output, error.message]); } });
      await step.waitForEvent('go', { type: 'go' });
      throw new Error('no seat after all');`);
    for (const id of ['a', 'b']) {
      await post(`/saga/create/${id}`, {});
      await waitFor(`/saga/status/${id}`, 'waiting');
      if (id === 'b') await crash();
      await post(`/saga/sendEvent/${id}`, { type: 'go' });
      const { error } = await waitFor(`/saga/status/${id}`, 'errored');
      assert.equal(error!.message, 'no seat after all');
      assert.deepEqual(JSON.parse((await call(`${url}/saga/effects`)).text), [['free seat 5', 'no seat after all']]);
    }
  });

  it('an error of a tenant keeps its class', async () => {
    tenant('clumsy', 1, `await step.do('a', { retries: { limit: 0, delay: 1 } }, async () => { class Clumsy extends Error { name = 'Clumsy'; } throw new Clumsy('dropped it'); });`);
    await post('/clumsy/create/c', {});
    assert.deepEqual((await waitFor('/clumsy/status/c', 'errored')).error, { name: 'Clumsy', message: 'dropped it' });
  });

  it('code that has gone ends its instances with what the dispatcher says', async () => {
    tenant('gone', 1, `await step.sleep('s', '3 seconds');`);
    await post('/gone/create/g', {});
    await waitFor('/gone/status/g', 'waiting');
    await crash();
    tenant('gone', 2, 'return 2;');
    writeFile(join(folder, 'tenants/gone/1.js'), 'this is no module (');
    const { error } = await waitFor("/gone/status/g", "errored");
    assert.match(error!.message, /SyntaxError/);
  });
});
