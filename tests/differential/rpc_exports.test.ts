// SPDX-License-Identifier: Apache-2.0
//
// RPC, exports, props and service bindings: ctx.exports with props, several static Workers with entrypoints, a new
// instance for each event, stubs as props, arguments and results (docs: rpc contract, section 8).
import { probes } from '../support/differential.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const other: WorkerSpec = {
  name: 'other',
  source: `import { WorkerEntrypoint, ServiceStub, env as imported } from 'cloudflare:workers';
let constructed = 0;
export class Named extends WorkerEntrypoint {
  constructor(ctx, env) { super(ctx, env); this.number = ++constructed; this.field = 0; }
  who() { return ['named', this.env.NAME, imported.NAME, this.ctx.props, typeof this.ctx.waitUntil]; }
  bump() { return ++this.field; }
  numbers() { return this.number; }
  fetch(request) { return new Response('named ' + new URL(request.url).pathname + ' ' + this.field++); }
  own() { return this.ctx.exports.Named({ props: { from: 'other' } }); }
  useStub(stub, ...args) { return stub.who(...args); }
  fetchStub(stub) { return stub.fetch('http://through/path').then((r) => r.text()); }
  kindOf(stub) { return [String(stub), stub instanceof ServiceStub]; }
  giveBack(stub) { return stub; }
  exported() { return Object.keys(this.ctx.exports).sort(); }
}
export const object = { who(arg, env, ctx) { return ['object', env.NAME, ctx.props, arg]; }, fetch() { return new Response('object'); } };
export default class extends WorkerEntrypoint { who() { return ['default', this.env.NAME]; } fetch() { return new Response('default'); } }
`,
  vars: { NAME: 'other' },
};

const setup = {
  others: [other],
  services: [{ binding: 'OTHER', service: 'other' }, { binding: 'NAMED', service: 'other', entrypoint: 'Named' }, { binding: 'OBJECT', service: 'other', entrypoint: 'object' }, { binding: 'SELF', service: 'probes', entrypoint: 'Own' }],
  vars: { NAME: 'probes' },
  loaders: [{ binding: 'LOADER' }],
  prelude: `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
export class Own extends workers.WorkerEntrypoint {
  who() { return ['own', this.env.NAME, this.ctx.props]; }
  fetch(request) { return new Response('own ' + new URL(request.url).pathname + ' ' + JSON.stringify(this.ctx.props)); }
  async viaProps(...args) { return this.ctx.props.stub.who(...args); }
  instance() { this.n = (this.n ?? 0) + 1; return this.n; }
  same() { return this.ctx.props === this.ctx.props; }
  change() { this.ctx.props.changed = 1; return this.ctx.props; }
}
export const plain = { who(arg, env, ctx) { return ['plain', env.NAME, ctx.props, arg]; } };
export class Actor extends workers.DurableObject { who() { return 'actor'; } }
`,
};

probes('rpc: several Workers', {
  'a binding is its entrypoint': async ({ env }) => [await env.OTHER.who(), await env.NAMED.who(), await env.OBJECT.who('arg'), await env.SELF.who()],
  'fetch on each': async ({ env }) => [await (await env.OTHER.fetch('http://x/')).text(), await (await env.NAMED.fetch('http://x/p')).text(), await (await env.OBJECT.fetch('http://x/')).text(), await (await env.SELF.fetch('http://x/s')).text()],
  'each event has an instance of its own': async ({ env }) => [await env.NAMED.bump(), await env.NAMED.bump(), await (await env.NAMED.fetch('http://x/')).text(), await (await env.NAMED.fetch('http://x/')).text(), await env.SELF.instance(), await env.SELF.instance()],
  'instances are counted': async ({ env }) => {
    const [a, b, c] = [await env.NAMED.numbers(), await env.NAMED.numbers(), await env.NAMED.numbers()];
    return [b - a, c - b];
  },
  'what the other Worker exports': ({ env }) => env.NAMED.exported(),
}, setup);

probes('rpc: ctx.exports and props', {
  'without props they are empty': async ({ ctx }) => [await ctx.exports.Own.who(), await ctx.exports.Own({}).who(), await ctx.exports.plain.who(1)],
  'props arrive, by class and by object': async ({ ctx }) => [await ctx.exports.Own({ props: { a: [1, { b: new Date(1) }], m: new Map([[1, 2]]) } }).who(), await ctx.exports.plain({ props: { p: 1 } }).who(2)],
  'props are copied when the stub is made': async ({ ctx }) => {
    const props = { list: [1] };
    const stub = ctx.exports.Own({ props });
    props.list.push(2);
    return [await stub.who(), await stub.who()];
  },
  'what a receiver does to its props stays there': async ({ ctx }) => {
    const stub = ctx.exports.Own({ props: { a: 1 } });
    return [await stub.change(), await stub.who(), await stub.same()];
  },
  'two stubs with other props': async ({ ctx }) => {
    const [one, two] = [ctx.exports.Own({ props: { n: 1 } }), ctx.exports.Own({ props: { n: 2 } })];
    return Promise.all([one.who(), two.who(), one.who()]);
  },
  'props cannot be read from a stub': async ({ ctx, caught }) => {
    const stub = ctx.exports.Own({ props: { secret: 1 } });
    return [await caught(() => stub.props), await caught(() => stub.ctx), Object.keys(stub), JSON.stringify(stub)];
  },
  'a service stub inside props': async ({ ctx, env }) => [await ctx.exports.Own({ props: { stub: env.NAMED } }).viaProps(), await ctx.exports.Own({ props: { stub: ctx.exports.Own({ props: { inner: 1 } }) } }).viaProps(), await ctx.exports.Own({ props: { stub: env.OBJECT } }).viaProps('arg')],
  'what props may not hold': async ({ ctx, env, caught }) => {
    const { RpcTarget, RpcStub } = (globalThis as any).workers;
    const kinds: [string, unknown][] = [['function', () => 1], ['target', new (class extends RpcTarget {})()], ['stub', new RpcStub({})], ['promise', Promise.resolve()], ['loader', env.LOADER], ['url', new URL('http://x/')],
      ['uncalled export', ctx.exports.Own], ['dynamic entrypoint', env.LOADER.load({ compatibilityDate: '2026-06-01', mainModule: 'm.js', modules: { 'm.js': 'export default {}' } }).getEntrypoint()]];
    const list = [];
    for (const [name, value] of kinds) {
      const error: any = await caught(() => { ctx.exports.Own({ props: { value } }); return 'taken'; });
      list.push([name, error.none ?? [error.name, name === 'function' || name === 'uncalled export' ? '' : error.message]]);
    }
    return list;
  },
  'by the importable exports, in global scope': async () => {
    const { exports } = (globalThis as any).workers;
    return [await exports.Own.who(), await exports.Own({ props: { i: 1 } }).who()];
  },
  'a class without storage is a class handle': ({ ctx }) => [typeof ctx.exports.Actor, typeof ctx.exports.Actor?.get, typeof ctx.exports.Actor?.idFromName],
  'fetch with props': async ({ ctx }) => (await ctx.exports.Own({ props: { f: 1 } }).fetch('http://x/path')).text(),
  'in a tenant': async ({ env, code }) => {
    const stub = env.LOADER.load(code(`import { WorkerEntrypoint } from 'cloudflare:workers';
      export class A extends WorkerEntrypoint { who() { return ['A', this.ctx.props, this.env.X]; } nested() { return this.ctx.exports.A({ props: { deep: 1 } }).who(); } }
      export default class extends WorkerEntrypoint { async all() { return [await this.ctx.exports.A.who(), await this.ctx.exports.A({ props: { p: 2 } }).who(), await this.ctx.exports.A.nested(), Object.keys(this.ctx.exports).sort()]; } }`,
      { env: { X: 'x' } }));
    return [await stub.getEntrypoint().all(), await stub.getEntrypoint('A', { props: { own: 1 } }).who()];
  },
}, setup);

probes('rpc: service stubs travel', {
  'as arguments': async ({ env, ctx }) => [await env.NAMED.useStub(env.SELF), await env.NAMED.useStub(ctx.exports.Own({ props: { sent: 1 } })), await env.NAMED.useStub(env.OBJECT, 'arg'), await env.NAMED.fetchStub(ctx.exports.Own({ props: { f: 1 } }))],
  'as results': async ({ env }) => {
    const own = await env.NAMED.own();
    return [await own.who(), String(own), await (await own.fetch('http://x/y')).text()];
  },
  'what they are on arrival': async ({ env, ctx }) => [await env.NAMED.kindOf(env.SELF), await env.NAMED.kindOf(ctx.exports.Own({ props: {} }))],
  'there and back': async ({ env, ctx }) => {
    const back = await env.NAMED.giveBack(ctx.exports.Own({ props: { b: 1 } }));
    return [await back.who(), back instanceof (globalThis as any).workers.ServiceStub];
  },
  'used in a pipeline': ({ env }) => env.NAMED.own().who(),
  'fetch in a pipeline': ({ env, caught }) => caught(async () => (await env.NAMED.own().fetch('http://x/piped')).text()),
  'one stub in many values at once': async ({ env, ctx }) => {
    const stub = ctx.exports.Own({ props: { many: 1 } });
    const back = await env.NAMED.giveBack({ a: stub, list: [stub, env.SELF, stub] });
    return [await back.a.who(), await back.list[0].who(), await back.list[1].who(), back.list.length];
  },
  'many stubs in one value': async ({ env, ctx }) => {
    const back = await env.NAMED.giveBack(Array.from({ length: 100 }, (_, n) => ctx.exports.Own({ props: { n } })));
    return [back.length, (await back[99].who())[2], (await back[0].who())[2]];
  },
  'an export that was not called is refused': ({ env, ctx, caught }) => caught(() => env.NAMED.kindOf(ctx.exports.Own)).then((error: any) => error.name ?? 'taken'),
}, setup);
