// SPDX-License-Identifier: Apache-2.0
//
// `ctx.exports` and `cloudflare:workers`: a Worker's own entrypoints, the importable env, waitUntil, the Cloudflare
// global; and what a Worker hears of its rejections.
import { probes } from '../support/differential.ts';

const prelude = `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
globalThis.early = (() => { try { return [typeof workers.exports, Object.keys(workers.exports), workers.env.X]; } catch (error) { return String(error); } })();
export class Named extends workers.WorkerEntrypoint { fetch() { return Response.json(this.ctx.props); } }
export const plain = { fetch(request, env, ctx) { return Response.json([ctx.props, env.X]); } };
export const hangs = { fetch() { return new Promise(() => {}); } };
export const throws = { async fetch() { await null; throw new RangeError('own'); } };
export const echo = { fetch(request) { return new Response(request.body, { status: 201, headers: { 'x-method': request.method } }); } };
export const deep = { fetch(request, env, ctx) {
  const n = Number(new URL(request.url).pathname.slice(1));
  return n === 8 ? new Response('bottom') : ctx.exports.deep.fetch('http://x/' + (n + 1)); } };
`;
const setup = { loaders: [{ binding: 'LOADER' }], vars: { X: '1', Y: '2' }, prelude };

probes('ctx.exports', {
  'names every entrypoint, and nothing in global scope': ({ ctx }) => [Object.keys(ctx.exports), (globalThis as any).early],
  'is one object': ({ ctx }) => [ctx.exports.Named === ctx.exports.Named, Object.keys((globalThis as any).workers.exports)],
  'a stub is a function and a stub': ({ ctx }) => [typeof ctx.exports, typeof ctx.exports.default, typeof ctx.exports.Named.fetch,
    Object.prototype.toString.call(ctx.exports.Named), ctx.exports.Named.constructor.name],
  'a stub without props': async ({ ctx }) => [await (await ctx.exports.Named.fetch('http://x/')).json(), await (await ctx.exports.plain.fetch('http://x/')).json()],
  'a stub with props': async ({ ctx }) => {
    const props = { a: [1, new Date(5)] };
    const stub = ctx.exports.Named({ props });
    props.a.push(2);
    return [typeof stub, Object.prototype.toString.call(stub), await (await stub.fetch('http://x/')).json(),
      await (await ctx.exports.plain({ props: { b: 1 } }).fetch('http://x/')).json(), await (await ctx.exports.plain({}).fetch('http://x/')).json()];
  },
  'bad props': ({ ctx, caught }) => Promise.all([caught(() => ctx.exports.Named()), caught(() => ctx.exports.Named(5)),
    caught(() => ctx.exports.Named({ props: 5 })), caught(() => ctx.exports.Named({ props: { f() {} } })).then((error: any) => error.name)]),
  'through the importable exports': async () => (await (globalThis as any).workers.exports.Named({ props: { p: 1 } }).fetch('http://x/')).json(),
  'bodies pass both ways': async ({ ctx }) => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    const body = new ReadableStream({ start(c) { c.enqueue(bytes('streamed ')); c.enqueue(bytes('body')); c.close(); } });
    const streamed = await ctx.exports.echo.fetch('http://x/', { method: 'PUT', body });
    const text = await ctx.exports.echo.fetch('http://x/', { method: 'POST', body: 'text' });
    return [streamed.status, streamed.headers.get('x-method'), await streamed.text(), await text.text()];
  },
  'the incoming request is forwarded': {
    run: ({ ctx, request }) => ctx.exports.echo.fetch(request),
    request: { method: 'POST', body: Buffer.alloc(200_000, 'own') },
  },
  'an error': ({ ctx, caught }) => caught(() => ctx.exports.throws.fetch('http://x/')),
  'a hang of the callee is an error of the caller': ({ ctx, caught }) => caught(() => ctx.exports.hangs.fetch('http://x/'))
    .then((error: any) => [error.name, error.message.slice(0, 64)]),
  'a relative URL': ({ ctx, caught }) => caught(() => ctx.exports.echo.fetch('/x')),
  'one calls another calls another': async ({ ctx }) => (await ctx.exports.deep.fetch('http://x/0')).text(),
  'many at once': async ({ ctx }) => (await Promise.all(Array.from({ length: 30 }, (_, n) => ctx.exports.echo.fetch('http://x/', { method: 'POST', body: String(n) })
    .then((response: Response) => response.text())))).join(),
  'in a tenant': ({ env, code, ask }) => ask(env.LOADER.load(code(`import { WorkerEntrypoint, exports } from 'cloudflare:workers';
    export class A extends WorkerEntrypoint { fetch() { return Response.json([this.ctx.props, this.env]); } }
    export default { async fetch(request, env, ctx) {
      return Response.json([await (await ctx.exports.A({ props: { p: 1 } }).fetch(request)).json(), await (await exports.A.fetch(request)).json()]); } }`, { env: { E: 1 } }))),
}, setup);

probes('cloudflare:workers', {
  'env is a view of the handler\'s': ({ env }) => {
    const { env: imported } = (globalThis as any).workers;
    imported.NEW = 'new';
    delete imported.Y;
    return [imported === env, Object.keys(imported), 'X' in imported, env.NEW, 'Y' in env];
  },
  'withEnv replaces it, also after awaits, in timers and through calls': ({ ctx }) => {
    const { env, withEnv } = (globalThis as any).workers;
    return Promise.all([
      withEnv({ Z: 1 }, () => [env.Z, env.X, Object.keys(env)]),
      withEnv({ Z: 2 }, async () => { await null; await new Promise((resolve) => { setTimeout(resolve, 1); }); return env.Z; }),
      withEnv({ Z: 3 }, () => new Promise((resolve) => { setTimeout(() => resolve(env.Z), 1); })),
      withEnv({ Z: 4 }, () => new Promise((resolve) => { queueMicrotask(() => resolve(env.Z)); })),
      withEnv({ Z: 5 }, () => withEnv({ Z: 6 }, () => env.Z) + env.Z),
      withEnv({ Z: 7 }, async () => (await ctx.exports.plain.fetch('http://x/')).ok && env.Z),
      env.Z ?? 'none',
    ]);
  },
  'withEnv is undone when its function throws': async ({ caught }) => {
    const { env, withEnv } = (globalThis as any).workers;
    return [await caught(() => withEnv({ Z: 1 }, () => { throw new Error('inside'); })), env.X];
  },
  'withExports': () => {
    const { exports, withExports, env, withEnvAndExports } = (globalThis as any).workers;
    return [withExports({ mine: 1 }, () => Object.keys(exports)), withEnvAndExports({ A: 1 }, { B: 2 }, () => [env.A, exports.B]), 'mine' in exports];
  },
  'waitUntil': ({ caught }) => {
    const { waitUntil } = (globalThis as any).workers;
    return Promise.all([caught(() => waitUntil(Promise.resolve())), caught(() => waitUntil(5)), caught(() => waitUntil())]);
  },
  'names of classes': ({ ctx, env, code }) => [ctx.constructor.name, env.LOADER.constructor.name, env.LOADER.load(code('export default {}')).constructor.name,
    (globalThis as any).workers.WorkerEntrypoint.name, (globalThis as any).workers.RpcTarget.name],
  'compatibility flags': () => {
    const { compatibilityFlags } = (globalThis as any).Cloudflare;
    return [Object.isFrozen(compatibilityFlags), ...['rpc', 'nodejs_compat', 'enable_ctx_exports', 'global_navigator', 'experimental']
      .map((flag) => compatibilityFlags[flag])];
  },
  'compatibility flags of a tenant': ({ env, code, ask }) => ask(env.LOADER.load(code(`export default { fetch() {
    return Response.json([Cloudflare.compatibilityFlags.nodejs_compat, Cloudflare.compatibilityFlags.url_standard]); } }`,
    { compatibilityDate: '2022-01-01', compatibilityFlags: ['nodejs_compat'] }))),
}, setup);

probes('rejections', {
  'unhandledrejection, then rejectionhandled': async () => {
    const seen: unknown[] = [];
    for (const type of ['unhandledrejection', 'rejectionhandled']) {
      addEventListener(type as any, (event: any) => seen.push([event.type, event.constructor.name, event.promise instanceof Promise]));
    }
    const promise = Promise.reject(new Error('nobody'));
    await new Promise((resolve) => { setTimeout(resolve, 1); });
    promise.catch(() => {});
    await new Promise((resolve) => { setTimeout(resolve, 1); });
    return seen;
  },
  'none for one that is handled in the same turn': async () => {
    let seen = 0;
    addEventListener('unhandledrejection' as any, () => { seen++; });
    const promise = Promise.reject(new Error('handled'));
    await null;
    promise.catch(() => {});
    await new Promise((resolve) => { setTimeout(resolve, 1); });
    return seen;
  },
});

probes('clones and env', {
  'structuredClone of classes, errors and odd objects': async ({ caught }) => {
    class Point { x = 1; }
    class List extends Array {}
    const kinds = [new Point(), [new Point()], new List(), new Error('e'), new (class Own extends Error {})('own'), Object.create(null), Object.create({ a: 1 }), Math, Object(5), new (class M extends Map {})(),
      new FormData(), new URL('http://a/'), new URLSearchParams('a=1'), new Event('x'), new TextEncoder(), crypto, new Proxy({}, {}), Symbol('s'), new WeakMap(), Promise.resolve()];
    const list = [];
    for (const kind of kinds) {
      const result: any = await caught(() => { const copy: any = structuredClone(kind); return [Object.prototype.toString.call(copy), copy.constructor?.name]; });
      list.push(result.none ?? [result.name, result.message]);
    }
    return list;
  },
  'structuredClone of the runtime\'s own': {
    run: async ({ env, ctx, caught }) => {
      const kinds = [new Headers(), new Request('http://a/'), new Response('x'), new ReadableStream(), env.LOADER, ctx];
      const list = [];
      for (const kind of kinds) list.push(((await caught(() => structuredClone(kind))) as Error).name ?? 'cloned');
      return list;
    },
    differs: { reason: 'the standard clones no Headers and no Request', insula: Array(6).fill('DataCloneError') },
  },
  'env of classes, errors and odd objects': async ({ env, code, caught }) => {
    class Point { x = 1; }
    const kinds = [new Point(), [new Point()], new (class List extends Array {})(), new Error('e'), new (class Own extends Error {})('own'), Object.create(null), Object.create({ a: 1 }), Math, Object(5),
      new FormData(), new URL('http://a/'), new URLSearchParams('a=1'), new Event('x'), new TextEncoder(), new Proxy({}, {}), Symbol('s'), new WeakMap(), env, env.LOADER];
    const list = [];
    for (const value of kinds) {
      const result: any = await caught(() => { env.LOADER.load(code('export default {}', { env: { value } })); return 'taken'; });
      list.push(result.none ?? [result.name, result.message]);
    }
    return list;
  },
}, setup);

probes('failed starts', {
  'what does not compile or does not run': async ({ env, code, caught, ask }) => {
    const sources = ['export default {{', 'let x = 1;\nlet x = 2;', 'a b', '  @', 'export default { f() { await 1; } }', '\n\n   return 1', 'throw new Error("x")', '  null.x',
      'import { missing } from "./a.js"', 'import x from "nope"', 'import x from "./a.js"; x.y.z;', '\n  throw "text"', 'throw { a: 1 }', 'await new Promise(() => {})', 'await Promise.reject(new RangeError("r"))'];
    const list = [];
    for (const source of sources) {
      list.push(((await caught(() => ask(env.LOADER.load(code('', { modules: { 'main.js': source, 'a.js': 'export default {}' } }))))) as Error).message);
    }
    return list;
  },
  'names of modules': async ({ env, code, caught, ask }) => {
    const specifiers = ['node:nope', 'cloudflare:nope', 'http://x/y.js', '../../../b.js', './x y.js', './x%20y.js', 'a//b.js', '', '.', './b.js?x', './b.js#x', 'nope.js', '/b.js', 'src:x', 'src/'];
    const list = [];
    for (const specifier of specifiers) {
      const answer: any = await caught(() => ask(env.LOADER.load(code('', { mainModule: 'src/main.js', modules: {
        'src/main.js': `import v from '${specifier}'; export default { fetch() { return new Response(v); } }`,
        'b.js': 'export default "b"', 'src/b.js': 'export default "src/b"', 'src/x y.js': 'export default "x y"', 'src/a//b.js': 'export default "a//b"' } }))));
      list.push([specifier, answer.none?.text ?? answer.message]);
    }
    return list;
  },
  'names in import()': async ({ env, code, ask }) => {
    const list = [];
    for (const specifier of ['nope.js', './nope.js', 'b.js', './b.js', 'node:nope', 'cloudflare:x']) {
      list.push(await ask(env.LOADER.load(code('', { mainModule: 'src/main.js', modules: {
        'src/main.js': `export default { fetch: () => import('${specifier}').then((m) => new Response(m.default), (e) => new Response(e.name + e.message)) }`,
        'src/b.js': 'export default "src/b"' } }))));
    }
    return list;
  },
}, setup);
