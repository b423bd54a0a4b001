// SPDX-License-Identifier: Apache-2.0
//
// RPC and the loader: methods of dynamic Workers, stubs in their env and props, the outbound as a gateway, what may not be
// transferred (docs: loader contract, sections 4 and 5; the transferability matrix).
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

import { probes } from '../support/differential.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const origin = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.url === '/redirect') response.writeHead(302, { location: '/landed' });
    else response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify([request.method, request.url, request.headers['x-secret'] ?? null, Buffer.concat(chunks).toString()]));
  });
});
await new Promise<void>((resolve) => { origin.listen(0, '127.0.0.1', resolve); });
after(() => {
  origin.closeAllConnections();
  origin.close();
});
const ORIGIN = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;

const other: WorkerSpec = {
  name: 'other',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
export class Named extends WorkerEntrypoint {
  who(...args) { return ['other', this.ctx.props, args]; }
  take(value) { return typeof value; }
  fetch(request) { return new Response('other ' + request.url); }
}
export default class extends WorkerEntrypoint {}
`,
};

const setup = {
  others: [other],
  services: [{ binding: 'OTHER', service: 'other', entrypoint: 'Named' }, { binding: 'HOST', service: 'probes', entrypoint: 'Host' }],
  loaders: [{ binding: 'LOADER' }],
  vars: { ORIGIN },
  insula: { flags: ['--allow-private-addresses'] },
  prelude: `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
// A power that the host grants to tenants: it knows from its props who calls.
export class Power extends workers.WorkerEntrypoint {
  who(...args) { return [this.ctx.props, args]; }
  fetch(request) { return new Response('power ' + JSON.stringify(this.ctx.props) + ' ' + new URL(request.url).pathname); }
  throws() { throw Object.assign(new RangeError('no power'), { code: 'E_POWER' }); }
  counter() { let n = 0; return () => ++n; }
  callBack(fn) { return fn('called by the host'); }
}
// Loads a tenant that is given what the caller sent.
export class Host extends workers.WorkerEntrypoint {
  run(stub) { return this.env.LOADER.load({ compatibilityDate: '2026-06-01', mainModule: 'm.js', env: { GOT: stub }, modules: { 'm.js':
    'import { WorkerEntrypoint } from "cloudflare:workers"; export default class extends WorkerEntrypoint { use() { return this.env.GOT.who("got"); } }' } }).getEntrypoint().use(); }
}
export const plainPower = { who(arg, env, ctx) { return [ctx.props, arg, Object.keys(env).length > 0]; } };
// The gateway of a tenant: every request of it comes here.
export class Gateway extends workers.WorkerEntrypoint {
  async fetch(request) {
    const url = new URL(request.url);
    switch (url.hostname) {
      case 'echo.example': return Response.json({ props: this.ctx.props, method: request.method, url: request.url, headers: [...request.headers].filter(([name]) => name.startsWith('x-')), body: await request.text(), redirect: request.redirect });
      case 'redirect.example': return url.pathname === '/end' ? new Response('end of ' + request.url) : Response.redirect('http://redirect.example/end', 302);
      case 'origin.example': { const inner = new Request(this.env.ORIGIN + url.pathname, request); inner.headers.set('x-secret', 'key of ' + this.ctx.props.tenant); return fetch(inner); }
      case 'broken.example': throw new RangeError('the gateway is broken');
      case 'forward.example': return fetch(this.env.ORIGIN + '/forwarded', request);
      default: return new Response('blocked by the gateway', { status: 403 });
    }
  }
}
export const objectGateway = { fetch(request, env, ctx) { return new Response('object gateway ' + JSON.stringify(ctx.props) + ' ' + request.url); } };
globalThis.kEntry = 'import { WorkerEntrypoint, RpcTarget, RpcStub } from "cloudflare:workers"; ';
`,
};

probes('rpc: methods of dynamic Workers', {
  'class, object, named, with arguments': async ({ env, code }) => {
    const stub = env.LOADER.load(code(`${(globalThis as any).kEntry}
      export class Named extends WorkerEntrypoint { add(a, b) { return a + b; } who() { return [this.env.X, this.ctx.props]; } }
      export const object = { one(arg, env, ctx) { return [arg, env.X, ctx.props]; } };
      export default class extends WorkerEntrypoint { list(...args) { return args; } get getter() { return 'got'; } }`, { env: { X: 'x' } }));
    return [await stub.getEntrypoint().list(1, 'two', { three: 3 }), await stub.getEntrypoint().getter, await stub.getEntrypoint('Named').add(2, 3), await stub.getEntrypoint('Named', { props: { p: 1 } }).who(),
      await stub.getEntrypoint('object', { props: { o: 1 } }).one('arg')];
  },
  'objects, functions and pipelines': async ({ env, code }) => {
    const entry = env.LOADER.load(code(`${(globalThis as any).kEntry}
      class Counter extends RpcTarget { #n = 0; next() { return ++this.#n; } get self() { return this; } }
      export default class extends WorkerEntrypoint { counter() { return new Counter(); } fn() { return (a) => a * 2; } callBack(fn, x) { return fn(x); } }`)).getEntrypoint();
    const counter = await entry.counter();
    return [await counter.next(), await counter.next(), await entry.counter().next(), await (await entry.fn())(21), await entry.callBack((x: number) => x + 1, 1), await entry.counter().self.next()];
  },
  'state between calls is that of the isolate': async ({ env, code }) => {
    const entry = env.LOADER.load(code(`${(globalThis as any).kEntry}let n = 0; export default class extends WorkerEntrypoint { bump() { return ++n; } fetch() { return new Response(String(++n)); } }`)).getEntrypoint();
    return [await entry.bump(), await entry.bump(), await (await entry.fetch('http://x/')).text(), await entry.bump()];
  },
  'errors of a tenant': async ({ env, code, caught }) => {
    const entry = env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint { throws() { throw Object.assign(new TypeError('of the tenant'), { code: 5 }); } }`)).getEntrypoint();
    const error: any = await caught(() => entry.throws());
    return [error, error.code];
  },
  'first calls wait for the code': async ({ env, code }) => {
    const entry = env.LOADER.get('later', async () => {
      await new Promise((resolve) => { setTimeout(resolve, 10); });
      return code(`${(globalThis as any).kEntry}let log = []; export default class extends WorkerEntrypoint { note(n) { log.push(n); return log.length; } all() { return log; } }`);
    }).getEntrypoint();
    const calls = [entry.note('a'), entry.note('b'), entry.note('c')];
    return [await Promise.all(calls), await entry.all()];
  },
  'the error of the callback, by a call': ({ env, caught }) => caught(() => env.LOADER.get('throws', async () => { throw new RangeError('no such tenant'); }).getEntrypoint().method()),
  'scheduled and queue by hand are ordinary calls': async ({ env, code }) => {
    const entry = env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint { scheduled(c) { return ['scheduled', c]; } queue(b) { return ['queue', b]; } }`)).getEntrypoint();
    return [await entry.queue({ queue: 'q', messages: [{ id: '1' }] }), await entry.scheduled({ cron: '* * * * *' })];
  },
  'entrypoint stubs are independent': async ({ env, code }) => {
    const worker = env.LOADER.load(code(`${(globalThis as any).kEntry}let n = 0; export default class extends WorkerEntrypoint { who() { return [++n, this.ctx.props]; } }`));
    const [one, two] = [worker.getEntrypoint(null, { props: { tenant: 'one' } }), worker.getEntrypoint(null, { props: { tenant: 'two' } })];
    return [await one.who(), await two.who(), await one.who(), await worker.getEntrypoint().who()];
  },
}, setup);

probes('rpc: capabilities in env and props', {
  'a service binding, with and without an entrypoint': async ({ env, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint {
      async all() { return [await this.env.S.who('a', 1), await (await this.env.S.fetch('http://x/y')).text(), String(this.env.S)]; } }`, { env: { S: env.OTHER } })).getEntrypoint().all(),
  'an export of the host, with props': async ({ env, ctx, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint {
      async all() { return [await this.env.P.who(1), await this.env.deep.list[0].who('x'), await (await this.env.P.fetch('http://x/z')).text(), await this.env.O.who('o')]; } }`,
    { env: { P: ctx.exports.Power({ props: { tenant: 'acme' } }), deep: { list: [ctx.exports.Power({ props: { n: 2 } })] }, O: ctx.exports.plainPower({ props: { q: 3 } }) } })).getEntrypoint().all(),
  'by fetch in a tenant that is a plain object': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { async fetch(r, env) { return Response.json(await env.P.who(2)); } }', { env: { P: ctx.exports.Power({ props: { t: 1 } }) } }))),
  'by the importable env': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('import { env } from "cloudflare:workers"; export default { async fetch() { return Response.json(await env.P.who(3)); } }', { env: { P: ctx.exports.Power({ props: {} }) } }))),
  'in env of a cached Worker, used by later requests': {
    run: async ({ env, ctx, code, ask }) => ask(env.LOADER.get('cached', () => code('let n = 0; export default { async fetch(r, env) { return Response.json([++n, await env.P.who(n)]); } }', { env: { P: ctx.exports.Power({ props: { of: 'the first request' } }) } }))),
    times: 3,
  },
  'in props': async ({ env, ctx, code }) => {
    const worker = env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint { async use() { return [this.ctx.props.name, await this.ctx.props.power.who('p')]; } }`));
    return [await worker.getEntrypoint(null, { props: { name: 'one', power: ctx.exports.Power({ props: { a: 1 } }) } }).use(), await worker.getEntrypoint(null, { props: { name: 'two', power: env.OTHER } }).use()];
  },
  'an error of a power': async ({ env, ctx, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint {
      async use() { try { await this.env.P.throws(); } catch (e) { return [e.name, e.message, e.code, e.remote]; } } }`, { env: { P: ctx.exports.Power({ props: {} }) } })).getEntrypoint().use(),
  'functions pass in both directions': async ({ env, ctx, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint {
      async use() { const next = await this.env.P.counter(); return [await next(), await next(), await this.env.P.callBack((text) => 'tenant heard: ' + text)]; } }`, { env: { P: ctx.exports.Power({ props: {} }) } })).getEntrypoint().use(),
  'the tenant cannot read the props of its powers': async ({ env, ctx, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint {
      async use() { const tries = [() => this.env.P.props, () => this.env.P.ctx, () => this.env.P.ctx.props, () => this.env.P.env]; const list = []; for (const run of tries) list.push(await Promise.resolve().then(run).then((v) => ['got', typeof v], (e) => e.message)); return [list, Object.keys(this.env.P), JSON.stringify(this.env)]; } }`,
    { env: { P: ctx.exports.Power({ props: { secret: 'key' } }) } })).getEntrypoint().use(),
  'a stub received over RPC goes into a tenant\'s env': async ({ env, ctx }) => [await env.HOST.run(ctx.exports.Power({ props: { by: 'argument' } })), await env.HOST.run(env.OTHER)],
  'capabilities do not count for the size of env': async ({ env, ctx, code }) => {
    const powers = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`p${n}`, ctx.exports.Power({ props: { n, pad: 'x'.repeat(1000) } })]));
    return env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint { async use() { return [this.env.data.length, (await this.env.powers.p199.who())[0].n]; } }`,
      { env: { data: 'x'.repeat(1000000), powers } })).getEntrypoint().use();
  },
  'a tenant gives its power to another Worker': async ({ env, ctx, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint { use() { return this.env.OTHER.take(this.env.P); } }`,
    { env: { P: ctx.exports.Power({ props: {} }), OTHER: env.OTHER } })).getEntrypoint().use(),
  'a tenant offers its own export to its host': async ({ env, ctx, code }) => env.LOADER.load(code(`${(globalThis as any).kEntry}
      export class Offer extends WorkerEntrypoint { hi() { return 'offered'; } }
      export default class extends WorkerEntrypoint { async use() { try { return await this.env.P.callBack(this.ctx.exports.Offer({ props: {} })); } catch (e) { return [e.name, e.message]; } } }`,
    { env: { P: ctx.exports.Power({ props: {} }) } })).getEntrypoint().use(),
}, setup);

probes('rpc: what cannot be given to a tenant', {
  'in env': async ({ env, ctx, code, caught }) => {
    const { RpcTarget, RpcStub } = (globalThis as any).workers;
    const dynamic = env.LOADER.load(code(`${(globalThis as any).kEntry} export class Actor extends DurableObject {} export default class extends WorkerEntrypoint {}`.replace('RpcStub }', 'RpcStub, DurableObject }')));
    const kinds: [string, unknown][] = [['target', new (class extends RpcTarget {})()], ['stub', new RpcStub({})], ['loader', env.LOADER], ['stub of a Worker', dynamic], ['dynamic entrypoint', dynamic.getEntrypoint()], ['dynamic class', dynamic.getDurableObjectClass('Actor')],
      ['promise of a call', env.OTHER.who()], ['stream', new Blob(['x']).stream()], ['signal', new AbortController().signal]];
    const list = [];
    for (const [name, value] of kinds) {
      const error: any = await caught(() => { env.LOADER.load(code('export default {}', { env: { value } })); return 'taken'; });
      list.push([name, error.none ?? [error.name, error.message]]);
    }
    return list;
  },
  'an export that was not called': async ({ env, ctx, code, caught }) => {
    const inEnv: any = await caught(() => env.LOADER.load(code('export default {}', { env: { value: ctx.exports.Power } })));
    const inProps: any = await caught(() => env.LOADER.load(code('export default {}')).getEntrypoint(null, { props: { value: ctx.exports.Power } }));
    return [inEnv.name ?? 'taken', inProps.name ?? 'taken'];
  },
  'an entrypoint of a dynamic Worker: in props, as argument, as result, as outbound': async ({ env, ctx, code, caught }) => {
    const entry = env.LOADER.load(code(`${(globalThis as any).kEntry} export default class extends WorkerEntrypoint {}`)).getEntrypoint();
    return [await caught(() => { env.LOADER.load(code('export default {}')).getEntrypoint(null, { props: { entry } }); }), await caught(() => env.OTHER.take(entry)), await caught(() => env.LOADER.load(code('export default {}', { globalOutbound: entry }))),
      await caught(() => ctx.exports.Power({ props: { entry } }))];
  },
  'a wrapper that forwards can be given instead': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { async fetch(r, env) { return env.P.fetch("http://x/wrapped"); } }', { env: { P: ctx.exports.Power({ props: { wraps: 'another tenant' } }) } }))),
}, setup);

probes('rpc: the outbound as a gateway', {
  'sees the whole request, and knows the tenant': async ({ env, ctx, code, ask }) => JSON.parse((await ask(env.LOADER.load(code(`export default { async fetch() {
      const r = await fetch('https://echo.example/path?q=1', { method: 'PUT', headers: { 'x-tenant': 'header' }, body: 'tenant body' }); return r; } }`, { globalOutbound: ctx.exports.Gateway({ props: { tenant: 'acme' } }) })))).text),
  'a streamed body': async ({ env, ctx, code, ask }) => JSON.parse((await ask(env.LOADER.load(code(`export default { async fetch() {
      return fetch('http://echo.example/', { method: 'POST', body: new Blob(['streamed ', 'body']).stream() }); } }`, { globalOutbound: ctx.exports.Gateway({ props: { tenant: 's' } }) })))).text).body,
  'other tenants have other props': async ({ env, ctx, code, ask }) => {
    const list = [];
    for (const name of ['one', 'two']) {
      const stub = env.LOADER.get(`gateway-${name}`, () => code(`export default { async fetch() { return fetch('http://echo.example/'); } }`, { globalOutbound: ctx.exports.Gateway({ props: { tenant: name } }) }));
      list.push(JSON.parse((await ask(stub)).text).props);
    }
    return list;
  },
  'redirects pass through it, step by step': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code(`export default { async fetch() {
      const show = async (r) => [r.status, r.redirected, r.url, await r.text()];
      return Response.json([await show(await fetch('http://redirect.example/start')), await show(await fetch('http://redirect.example/start', { redirect: 'manual' }))]); } }`, { globalOutbound: ctx.exports.Gateway({ props: {} }) }))),
  'it adds a credential that the tenant does not see': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code(`export default { async fetch() {
      const request = new Request('http://origin.example/api', { method: 'POST', body: 'payload' }); const response = await fetch(request);
      return Response.json([await response.json(), request.headers.get('x-secret'), response.headers.get('x-secret')]); } }`, { globalOutbound: ctx.exports.Gateway({ props: { tenant: 'acme' } }) }))),
  'it forwards elsewhere': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => fetch("http://forward.example/") }', { globalOutbound: ctx.exports.Gateway({ props: {} }) }))),
  'it blocks': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => fetch("http://nowhere.example/") }', { globalOutbound: ctx.exports.Gateway({ props: {} }) }))),
  'its errors are the tenant\'s': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => fetch("http://broken.example/").then(() => 0, (e) => Response.json([e.name, e.message, e.remote])) }', { globalOutbound: ctx.exports.Gateway({ props: {} }) }))),
  'an object, and an export that was not called': async ({ env, ctx, code, ask }) => {
    const source = 'export default { fetch: () => fetch("http://any.example/x") }';
    return [await ask(env.LOADER.load(code(source, { globalOutbound: ctx.exports.objectGateway({ props: { o: 1 } }) }))), await ask(env.LOADER.load(code(source, { globalOutbound: ctx.exports.objectGateway })))];
  },
  'a service binding': async ({ env, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => fetch("http://any.example/y") }', { globalOutbound: env.OTHER }))),
  'methods cannot be called through fetch, and fetch is still the tenant\'s own': async ({ env, ctx, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => new Response([typeof fetch.who, fetch.name].join()) }', { globalOutbound: ctx.exports.Gateway({ props: {} }) }))),
  'at the top level there is no fetch': async ({ env, ctx, code, caught, ask }) => {
    const error: any = await caught(() => ask(env.LOADER.load(code('await fetch("http://echo.example/"); export default { fetch: () => new Response("started") }', { globalOutbound: ctx.exports.Gateway({ props: {} }) }))));
    return error instanceof Error;
  },
  'a cached tenant keeps its gateway after the request that made it': {
    run: async ({ env, ctx, code, ask }) => JSON.parse((await ask(env.LOADER.get('kept-gateway', () => code('export default { fetch: () => fetch("http://echo.example/") }', { globalOutbound: ctx.exports.Gateway({ props: { first: true } }) })))).text).props,
    times: 3,
  },
}, setup);
