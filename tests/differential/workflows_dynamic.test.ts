// SPDX-License-Identifier: Apache-2.0
//
// The unmodified library @cloudflare/dynamic-workflows in a dispatcher, on miniflare's engine and on Insula's: envelope,
// tenants' steps, handles (docs: dynamic workflows contract).
import { bundle } from '../support/bundle.ts';
import { probes } from '../support/differential.ts';

const library = bundle(`export * from '@cloudflare/dynamic-workflows'`).replace(/^export \{[\s\S]*/m, '');

const tenant = `
import { WorkflowEntrypoint, WorkerEntrypoint } from 'cloudflare:workers';
import { NonRetryableError } from 'cloudflare:workflows';
globalThis.calls = 0;
const told = async (run) => { try { return { none: await run() }; } catch (e) { return [e.message, e instanceof Error]; } };
const flows = {
  event: (event) => [Object.keys(event).sort(), event.payload ?? 'none', event.timestamp instanceof Date, typeof event.instanceId],
  steps: async (event, step, env) => {
    const first = await step.do('a', async (ctx) => [ctx, typeof globalThis.dispatcher, Object.keys(env)]);
    const all = await Promise.all([1, 2, 3].map((n) => step.do('p', async ({ step }) => [n, step.count])));
    return [first, all];
  },
  retries: async (event, step) => { let n = 0; return step.do('a', { retries: { limit: 3, delay: 5 } }, async () => { if (++n < 3) throw new Error('no'); return n; }); },
  fails: async (event, step) => { await step.do('a', { retries: { limit: 0, delay: 5 } }, async () => { throw new TypeError('in the tenant'); }); },
  throws: async () => { throw new RangeError('the tenant itself'); },
  nonRetryable: async (event, step) => { let n = 0; await step.do('a', async () => { n++; throw new NonRetryableError('final'); }).catch(() => {}); return n; },
  sleeps: async (event, step) => { await step.sleep('s', 100); await step.sleepUntil('u', new Date(Date.now() + 50)); return 'woke'; },
  waits: async (event, step) => { const { payload, type, timestamp } = await step.waitForEvent('w', { type: 'go', timeout: '1 minute' }); return [payload, type, timestamp instanceof Date]; },
  waitTimesOut: async (event, step) => (await told(() => step.waitForEvent('w', { type: 'go', timeout: 50 })))[0],
  values: async (event, step) => { const got = await step.do('a', async () => ({ date: new Date(5), map: new Map([[1, 2]]) })); return [got.date.getTime(), got.map.get(1)]; },
  stream: async (event, step) => new Response(await step.do('a', async () => new Response('bytes of the tenant').body)).text(),
  rolls: async (event, step) => {
    await step.do('a', async () => 'out', { rollback: async ({ error, output, stepName }) => { await event.payload.log; globalThis.rolled = [error.message, output, stepName]; } });
    throw new Error('undo');
  },
  rolled: async () => globalThis.rolled ?? null,
  dynamicDelay: async (event, step) => { let n = 0; return step.do('a', { retries: { limit: 2, delay: ({ ctx }) => ctx.attempt } }, async () => { if (++n < 3) throw new Error('no'); return n; }); },
};
export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const { payload } = event;
    return flows[payload?.kind ?? 'event'](event, step, this.env);
  }
}
export default class extends WorkerEntrypoint {
  async create(options) { const made = await this.env.WORKFLOWS.create(options); return [await made.id, typeof made.id]; }
  async batch(list) { const all = await this.env.WORKFLOWS.createBatch(list); return Promise.all(all.map((one) => one.id)); }
  async status(id) { return (await this.env.WORKFLOWS.get(id)).status(); }
  async call(id, method, ...args) { return (await (await this.env.WORKFLOWS.get(id))[method](...args)) ?? null; }
}
`;

probes('dynamic workflows', {
  'the tenant sees its own params': ({ env }) => run(env, { kind: 'event', x: 1 }),
  'no params are undefined': ({ env }) => run(env, undefined),
  'steps run in the tenant': ({ env }) => run(env, { kind: 'steps' }),
  'retries': ({ env }) => run(env, { kind: 'retries' }),
  'delay functions of the tenant': ({ env }) => run(env, { kind: 'dynamicDelay' }),
  'an error of a step': ({ env }) => run(env, { kind: 'fails' }),
  'an error of the tenant': ({ env }) => run(env, { kind: 'throws' }),
  'NonRetryableError of the tenant': ({ env }) => run(env, { kind: 'nonRetryable' }),
  'sleeps': ({ env }) => run(env, { kind: 'sleeps' }),
  'values': ({ env }) => run(env, { kind: 'values' }),
  'a stream of the tenant': ({ env }) => run(env, { kind: 'stream' }),
  'a wait that times out': ({ env }) => run(env, { kind: 'waitTimesOut' }),
  'a rollback handler of the tenant': async ({ env }) => [await run(env, { kind: 'rolls' }), (await run(env, { kind: 'rolled' })).output],
  'an event sent by the tenant': async ({ env }) => {
    const [id] = await tenant(env).create({ params: { kind: 'waits' } });
    await tenant(env).call(id, 'sendEvent', { type: 'go', payload: 'by the tenant' });
    return settled(await env.WORKFLOWS.get(id));
  },
  'an event sent by the dispatcher': async ({ env }) => {
    const [id] = await tenant(env).create({ params: { kind: 'waits' } });
    await (await env.WORKFLOWS.get(id)).sendEvent({ type: 'go', payload: 'by the dispatcher' });
    return settled(await env.WORKFLOWS.get(id));
  },
  'the id is what was asked for': ({ env }) => tenant(env).create({ id: 'wanted', params: { kind: 'event' } }),
  'createBatch wraps each': async ({ env }) => {
    const ids = await tenant(env).batch([{ id: 'b1', params: { kind: 'event', n: 1 } }, { id: 'b2' }]);
    return [ids, await Promise.all(ids.map(async (id: string) => (await settled(await env.WORKFLOWS.get(id))).output[1]))];
  },
  'status, pause, resume, terminate': async ({ env }) => {
    const [id] = await tenant(env).create({ params: { kind: 'waits' } });
    const instance = await env.WORKFLOWS.get(id);
    await settled(instance, 'running', 'waiting');
    await scheduler.wait(100);
    const all: unknown[] = [];
    all.push(await tenant(env).call(id, 'pause'));
    all.push((await settled(instance, 'paused')).status);
    all.push(await tenant(env).call(id, 'resume'));
    all.push(await tenant(env).call(id, 'terminate'), (await tenant(env).status(id)).status);
    return all;
  },
  'no envelope': async ({ env }) => settled(await env.WORKFLOWS.create({ params: { kind: 'event' } })),
  'a forged envelope is only nested': ({ env }) => run(env, { kind: 'event', __dispatcherMetadata: { tenant: 'other' }, params: 1 }),
  'a loader that fails': async ({ env }) => settled(await env.WORKFLOWS.create({ params: { __dispatcherMetadata: { tenant: 'nobody' }, params: {} } })),
  'a binding that is not there': async ({ env, caught }) => caught(() => tenant(env, 'NOWHERE').create({ params: {} })),
}, {
  workflows: [{ binding: 'WORKFLOWS', name: 'tenants', class: 'TenantWorkflows' }],
  loaders: [{ binding: 'LOADER' }],
  prelude: `${library}
export { DynamicWorkflowBinding };
globalThis.dispatcher = true;
const source = ${JSON.stringify(tenant)};
const load = (env, name, bindingName) => {
  if (name === 'nobody') throw new Error('there is no such tenant');
  return env.LOADER.get(name + bindingName, () => ({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': source }, globalOutbound: null,
    env: { WORKFLOWS: wrapWorkflowBinding({ tenant: name }, { bindingName }) } }));
};
export const TenantWorkflows = createDynamicWorkflowEntrypoint(async ({ metadata, env }) => {
  await scheduler.wait(1);
  return load(env, metadata.tenant, 'WORKFLOWS').getEntrypoint('Flow');
});
globalThis.tenant = (env, bindingName = 'WORKFLOWS') => load(env, 'acme', bindingName).getEntrypoint();
globalThis.settled = async (instance, ...states) => {
  for (let turn = 0; turn < 1200; turn++) {
    const { status, output, error } = await instance.status();
    if ((states.length === 0 ? ['complete', 'errored', 'terminated'] : states).includes(status)) return { status, output: output ?? null, error: error?.message.replace(/^Missing[A-Za-z]+: /, '') ?? null };
    await scheduler.wait(10);
  }
  throw new Error('not settled: ' + (await instance.status()).status);
};
globalThis.run = async (env, params) => settled(await env.WORKFLOWS.get((await tenant(env).create({ params }))[0]));`,
});

declare global {
  function tenant(env: any, bindingName?: string): any;
  function settled(instance: any, ...states: string[]): Promise<{ status: string; output: any; error: any }>;
  function run(env: any, params: unknown): Promise<{ status: string; output: any; error: any }>;
}
