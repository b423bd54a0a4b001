// SPDX-License-Identifier: Apache-2.0
//
// The Worker Loader, in detail: no default entrypoint, a new instance for each event, limits in both places.
import { probes } from '../support/differential.ts';

const setup = { loaders: [{ binding: 'LOADER' }] };
probes('loader: entrypoints that are not there', {
  'no default export, and a fetch': {
    run: ({ env, code, ask, caught }) => caught(() => ask(env.LOADER.load(code('export const named = { fetch() { return new Response("named"); } };', { globalOutbound: null })))),
    differs: { reason: 'the peer lets the request fall through to the outbound', insula: { $error: 'Error', message: 'Worker has no default entrypoint.', class: 'Error' } },
  },
  'its other entrypoints work': ({ env, code, ask }) => ask(env.LOADER.load(code('export const named = { fetch() { return new Response("named"); } };')).getEntrypoint('named')),
}, setup);

probes('loader: instances', {
  'each fetch has an instance of its own': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code(`import { WorkerEntrypoint } from 'cloudflare:workers'; let made = 0;
      export default class extends WorkerEntrypoint { field = 0; constructor(ctx, env) { super(ctx, env); made++; } fetch() { return new Response([++this.field, made, this.env.A, typeof this.ctx.waitUntil].join()); } }`, { env: { A: 'a' } }));
    return [await ask(stub), await ask(stub), await ask(stub)];
  },
  'two at once do not share one': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code(`import { WorkerEntrypoint } from 'cloudflare:workers';
      export default class extends WorkerEntrypoint { async fetch(request) { this.path = new URL(request.url).pathname; await new Promise((r) => setTimeout(r, 5)); return new Response(this.path); } }`));
    return Promise.all(['/a', '/b', '/c'].map((path) => ask(stub, `http://t${path}`)));
  },
  'a constructor that throws is an error of that event': async ({ env, code, ask, caught }) => {
    const stub = env.LOADER.load(code(`import { WorkerEntrypoint } from 'cloudflare:workers'; let n = 0;
      export default class extends WorkerEntrypoint { constructor(ctx, env) { super(ctx, env); if (n++ === 0) throw new RangeError('not yet'); } fetch() { return new Response('made'); } }`));
    return [await caught(() => ask(stub)), await ask(stub)];
  },
}, setup);

probes('loader: the limits of code and entrypoint', {
  'are taken in both places': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code('export default { fetch() { return new Response("ok"); } }', { limits: { cpuMs: 500, subRequests: 5 } }));
    return [await ask(stub), await ask(stub.getEntrypoint(null, { limits: { cpuMs: 100, subRequests: 1 } })), await ask(stub.getEntrypoint(null, { limits: {} }))];
  },
}, setup);
