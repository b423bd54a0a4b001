// SPDX-License-Identifier: Apache-2.0
//
// RPC and Durable Objects: methods of objects, their stubs as values, marks on their errors, objects as tails and
// outbounds (docs: rpc contract, sections 2, 7 and 8; the transferability matrix). Needs objects.
import { probes } from '../support/differential.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const other: WorkerSpec = {
  name: 'other',
  source: `import { WorkerEntrypoint } from 'cloudflare:workers';
export class Named extends WorkerEntrypoint {
  use(stub, ...args) { return stub.who(...args); }
  kind(stub) { return [String(stub), stub.id === undefined]; }
  back(stub) { return { stub }; }
}
export default class extends WorkerEntrypoint {}
`,
};

const setup = {
  others: [other],
  services: [{ binding: 'OTHER', service: 'other', entrypoint: 'Named' }],
  loaders: [{ binding: 'LOADER' }],
  objects: [{ binding: 'OBJECTS', class: 'Actor' }, { binding: 'PLAIN', class: 'PlainActor' }],
  prelude: `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
export class Actor extends workers.DurableObject {
  constructor(ctx, env) { super(ctx, env); this.n = 0; this.own = 'own'; this.heard = []; }
  who(...args) { return [this.ctx.id.name ?? 'unnamed', args]; }
  bump() { return ++this.n; }
  get getter() { return 'got'; }
  throws() { throw Object.assign(new RangeError('of an object'), { code: 'E_OBJECT' }); }
  abort() { this.ctx.abort(new Error('object aborted')); }
  fails() { return this.ctx.blockConcurrencyWhile(async () => { throw new TypeError('critical'); }); }
  counter() { let n = 0; return { next: () => ++n, object: () => this.bump() }; }
  async fetch(request) { if (request.url.endsWith('/throw')) throw new RangeError('from fetch'); return new Response('object ' + this.ctx.id.name + ' ' + request.method + ' ' + new URL(request.url).host + ' ' + await request.text()); }
  alarm() {} webSocketMessage() {} webSocketClose() {} webSocketError() {}
  tail(events) { this.heard.push(events.map((event) => [event.outcome, event.logs.map((log) => log.message)])); }
  takeHeard() { return this.heard; }
  async keep(stub) { this.kept = stub.dup(); }
  useKept(...args) { return this.kept(...args); }
}
export class PlainActor { fetch() { return new Response('plain actor'); } method() { return 1; } }
export class Own extends workers.WorkerEntrypoint { viaProps() { return this.ctx.props.object.who('props'); } give(name) { return this.env.OBJECTS.getByName(name); } }
globalThis.until = async (holds, turns = 400) => {
  for (let turn = 0; turn < turns; turn++) { if (await holds()) return true; await new Promise((resolve) => setTimeout(resolve, 5)); }
  return false;
};
`,
};

probes('rpc: methods of objects', {
  'are called, on one instance': async ({ env }) => {
    const stub = env.OBJECTS.getByName('methods');
    return [await stub.who(1, 2), await stub.bump(), await stub.bump(), await env.OBJECTS.getByName('methods').bump(), await stub.getter, typeof stub.then, String(stub)];
  },
  'what is hidden': async ({ env, caught }) => {
    const stub = env.OBJECTS.getByName('hidden');
    const list = [];
    for (const name of ['own', 'n', 'env', 'ctx', 'absent']) list.push(await caught(() => stub[name]));
    return list;
  },
  'reserved names': async ({ env, caught }) => {
    const stub = env.OBJECTS.getByName('reserved');
    const list = [];
    for (const name of ['alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError', 'dup']) list.push(await caught(() => stub[name]()));
    return list;
  },
  'a class that extends nothing': async ({ env, caught }) => {
    const stub = env.PLAIN.getByName('x');
    return [await caught(() => stub.method()).then((error: any) => [error.name, error.message]), await (await stub.fetch('http://x/')).text()];
  },
  'results that live in the object': async ({ env }) => {
    const stub = env.OBJECTS.getByName('lives');
    const counter = await stub.counter();
    return [await counter.next(), await counter.next(), await counter.object(), await stub.bump(), await stub.counter().next()];
  },
  'a callback kept by the object': async ({ env }) => {
    const stub = env.OBJECTS.getByName('keeps');
    await stub.keep((x: number) => x * 2);
    return stub.useKept(21);
  },
  'calls arrive in order': async ({ env }) => {
    const stub = env.OBJECTS.getByName('ordered');
    const numbers = await Promise.all(Array.from({ length: 100 }, () => stub.bump()));
    return numbers.every((n, index) => n === index + 1);
  },
}, setup);

probes('rpc: errors of objects', {
  'carry the id of the object': async ({ env, caught }) => {
    const id = env.OBJECTS.idFromName('errors');
    const error: any = await caught(() => env.OBJECTS.get(id).throws());
    return [error.name, error.message, error.code, error.remote, error.durableObjectId === id.toString(), error.durableObjectReset];
  },
  'of fetch do not': async ({ env, caught }) => {
    const error: any = await caught(() => env.OBJECTS.getByName('errors').fetch('http://x/throw'));
    return [error.name, error.message, error.remote, error.durableObjectId, error.durableObjectReset];
  },
  'of an abort, and a fresh instance after it': async ({ env, caught }) => {
    const stub = env.OBJECTS.getByName('aborts');
    await stub.bump();
    const error: any = await caught(() => stub.abort());
    const again: any = await caught(() => stub.bump());
    return [/object aborted$/.test(error.message), error.durableObjectReset, again.none ?? /object aborted$/.test(again.message), await env.OBJECTS.getByName('aborts').bump()];
  },
  'of a critical section': async ({ env, caught }) => {
    const error: any = await caught(() => env.OBJECTS.getByName('critical').fails());
    return [error.name, error.message, error.durableObjectReset];
  },
}, setup);

probes('rpc: stubs of objects travel', {
  'as argument': async ({ env }) => [await env.OTHER.use(env.OBJECTS.getByName('argument'), 'a'), await env.OTHER.kind(env.OBJECTS.getByName('argument'))],
  'as result': async ({ env, ctx }) => [await (await ctx.exports.Own.give('result')).who(), await ctx.exports.Own.give('pipelined').who()],
  'there and back': async ({ env }) => (await env.OTHER.back(env.OBJECTS.getByName('back'))).stub.who(1),
  'in env of a tenant': async ({ env, code, ask }) => ask(env.LOADER.load(code('export default { async fetch(r, env) { return Response.json([await env.O.who("env"), await (await env.O.fetch("http://object/x")).text()]); } }', { env: { O: env.OBJECTS.getByName('of env') } }))),
  'in props': async ({ env, ctx, code }) => [await ctx.exports.Own({ props: { object: env.OBJECTS.getByName('of props') } }).viaProps(), await env.LOADER.load(code(
    'import { WorkerEntrypoint } from "cloudflare:workers"; export default class extends WorkerEntrypoint { use() { return this.ctx.props.object.who("tenant"); } }')).getEntrypoint(null, { props: { object: env.OBJECTS.getByName('of a tenant') } }).use()],
  'as outbound': async ({ env, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => fetch("http://elsewhere.example/", { method: "POST", body: "out" }) }', { globalOutbound: env.OBJECTS.getByName('outbound') }))),
  'as tail': async ({ env, code, ask }) => {
    await ask(env.LOADER.load(code('export default { fetch() { console.log("to the object"); return new Response(); } }', { tails: [env.OBJECTS.getByName('tail')] })));
    const stub = env.OBJECTS.getByName('tail');
    await (globalThis as any).until(async () => (await stub.takeHeard()).length > 0);
    return stub.takeHeard();
  },
  'namespaces and ids do not': async ({ env, code, caught }) => Promise.all([caught(() => env.OTHER.kind(env.OBJECTS)), caught(() => env.OTHER.kind(env.OBJECTS.idFromName('x'))), caught(() => { env.LOADER.load(code('', { env: { O: env.OBJECTS } })); })])
    .then((list: any[]) => list.map((error) => error.name ?? 'taken')),
  'a class of a tenant has no namespace': async ({ env, code }) => env.LOADER.load(code(`import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers';
    export class App extends DurableObject {}
    export default class extends WorkerEntrypoint { look() { const { App } = this.ctx.exports; return [typeof App, typeof App.get, typeof App.idFromName, Object.keys(this.ctx.exports).sort()]; } }`)).getEntrypoint().look(),
}, setup);
