// SPDX-License-Identifier: Apache-2.0
//
// The Worker Loader: get and load, the cache, modules, env, outbound, entrypoints, errors (docs: loader contract).
import { probes } from '../support/differential.ts';

const loaders = [{ binding: 'LOADER' }, { binding: 'OTHER' }, { binding: 'POOL_A', id: 'pool' }, { binding: 'POOL_B', id: 'pool' }];

probes('loader: get, load and the cache', {
  'get returns a stub at once, before the callback': async ({ env, code, ask }) => {
    let calls = 0;
    const stub = env.LOADER.get('sync', () => { calls++; return code('export default { fetch() { return new Response("hi"); } }'); });
    const before = [calls, typeof stub.then, typeof stub.getEntrypoint];
    return [before, await ask(stub), calls];
  },
  'an async callback delays, and keeps the calls': async ({ env, code, ask }) => {
    const stub = env.LOADER.get('async', async () => {
      await new Promise((resolve) => { setTimeout(resolve, 10); });
      return code('let n = 0; export default { fetch(request) { return new Response(`${++n} ${new URL(request.url).pathname}`); } }');
    });
    return Promise.all(['a', 'b', 'c'].map((name) => ask(stub, `http://t.example/${name}`)));
  },
  'one id is one isolate, loaded once': async ({ env, code, ask }) => {
    let calls = 0;
    const get = () => env.LOADER.get('one', () => { calls++; return code('let n = 0; export default { fetch() { return new Response(String(++n)); } }'); });
    return [await ask(get()), await ask(get()), await ask(get()), calls];
  },
  'a hundred first calls load once': async ({ env, code, ask }) => {
    let calls = 0;
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(env.LOADER.get('hundred', async () => {
      calls++;
      await null;
      return code('let n = 0; export default { fetch() { return new Response(String(++n)); } }');
    }))));
    const numbers = answers.map((answer) => Number(answer.text)).sort((a, b) => a - b);
    return [calls, numbers[0], numbers[99], new Set(numbers).size];
  },
  'the cache outlives the request': {
    run: async ({ env, code, ask }) => {
      let calls = 0;
      const stub = env.LOADER.get('kept', () => { calls++; return code('let n = 0; export default { fetch() { return new Response(String(++n)); } }'); });
      return [(await ask(stub)).text, calls];
    },
    times: 3,
  },
  'other ids have other globals': async ({ env, code, ask }) => {
    const get = (id: string) => env.LOADER.get(id, () => code('globalThis.n = (globalThis.n ?? 0) + 1; export default { fetch() { return new Response(String(globalThis.n++)); } }'));
    return [await ask(get('g1')), await ask(get('g1')), await ask(get('g2'))];
  },
  'the first code of an id stays': async ({ env, code, ask }) => {
    const get = (text: string) => env.LOADER.get('first', () => code(`export default { fetch() { return new Response("${text}"); } }`));
    return [await ask(get('one')), await ask(get('two'))];
  },
  'a throwing callback of a cached id is not called': async ({ env, code, ask }) => {
    await ask(env.LOADER.get('cached', () => code('export default { fetch() { return new Response("ok"); } }')));
    return ask(env.LOADER.get('cached', () => { throw new Error('not called'); }));
  },
  'null and undefined ids are fresh each time': async ({ env, code, ask }) => {
    const get = (id: any) => env.LOADER.get(id, () => code('let n = 0; export default { fetch() { return new Response(String(++n)); } }'));
    return [await ask(get(null)), await ask(get(null)), await ask(get(undefined)), await ask(get(undefined))];
  },
  'one stub without an id is one isolate': async ({ env, code, ask }) => {
    const stub = env.LOADER.get(null, () => code('let n = 0; export default { fetch() { return new Response(String(++n)); } }'));
    return [await ask(stub), await ask(stub)];
  },
  'an id that is no string becomes one': async ({ env, code, ask }) => {
    const get = (id: any) => env.LOADER.get(id, () => code('let n = 0; export default { fetch() { return new Response(String(++n)); } }'));
    return [await ask(get(5)), await ask(get('5')), await ask(get(true)), await ask(get('true'))];
  },
  'ids of odd characters': async ({ env, code, ask }) => {
    const get = (id: string) => env.LOADER.get(id, () => code('let n = 0; export default { fetch() { return new Response(String(++n)); } }'));
    return [await ask(get('a/b c\u2603:\u0001')), await ask(get('a/b c\u2603:\u0001')), await ask(get('')), await ask(get(''))];
  },
  'load is never cached': async ({ env, code, ask }) => {
    const one = code('let n = 0; export default { fetch() { return new Response(String(++n)); } }');
    const [a, b] = [env.LOADER.load(one), env.LOADER.load(one)];
    return [await ask(a), await ask(a), await ask(b)];
  },
  'loaders do not share, unless their ids are equal': async ({ env, code, ask }) => {
    const count = () => code('let n = 0; export default { fetch() { return new Response(String(++n)); } }');
    const list = [];
    for (const name of ['LOADER', 'OTHER', 'POOL_A', 'POOL_B']) list.push(await ask(env[name].get('shared?', count)));
    return list;
  },
  'no callback': ({ env, caught }) => Promise.all([caught(() => env.LOADER.get('x')), caught(() => env.LOADER.get('x', 5))]),
  'the error of a callback reaches every waiting caller': async ({ env, caught, ask }) => {
    const get = () => env.LOADER.get('throws', async () => { throw new RangeError('no such tenant'); });
    return Promise.all([caught(() => ask(get())), caught(() => ask(get()))]);
  },
  'a synchronous error of a callback too': ({ env, caught, ask }) => caught(() => ask(env.LOADER.get('throws-sync', () => { throw new Error('sync'); }))),
  'after a failed load the id can be loaded again': {
    run: async ({ env, code, caught, ask }) => {
      const first = await caught(() => ask(env.LOADER.get('retry', () => { throw new Error('first'); })));
      const second = await caught(() => ask(env.LOADER.get('retry', () => code('export default { fetch() { return new Response("second"); } }'))));
      return [(first as Error).message, (second as any).none?.text ?? (second as Error).message];
    },
    differs: { reason: 'a failed load is forgotten, so that the next use of the id tries again', insula: ['first', 'second'] },
  },
  'a callback that returns nothing': ({ env, caught, ask }) => caught(() => ask(env.LOADER.get('nothing', () => undefined))).then((error: any) => error.name),
  'stubs made in one request work for that request only by id': {
    run: async ({ env, code, ask }) => (await ask(env.LOADER.get('again', () => code('export default { fetch() { return new Response("again"); } }')))).text,
    times: 2,
  },
}, { loaders });

probes('loader: requests through a stub', {
  'method, headers, body and URL arrive': async ({ env, code }) => {
    const stub = env.LOADER.load(code(`export default { async fetch(request) {
      return Response.json([request.method, request.url, request.headers.get('x-a'), await request.text()]); } }`));
    return (await stub.getEntrypoint().fetch('https://any.example/p?q=1', { method: 'PUT', headers: { 'x-a': 'b' }, body: 'body' })).json();
  },
  'the incoming request is forwarded': {
    run: ({ env, code, request }) => env.LOADER.load(code(`export default { async fetch(request) {
      return new Response(request.method + ' ' + request.url + ' ' + await request.text(), { status: 207, headers: { 'x-tenant': 'yes', 'set-cookie': 'a=1' } }); } }`))
      .getEntrypoint().fetch(request),
    request: { method: 'POST', path: '/some/path?x=1', body: 'from the client' },
  },
  'status, headers and cookies come back': async ({ env, code }) => {
    const response = await env.LOADER.load(code(`export default { fetch() {
      const headers = new Headers({ 'x-one': '1' }); headers.append('set-cookie', 'a=1'); headers.append('set-cookie', 'b=2');
      return new Response('gone', { status: 410, statusText: 'Really Gone', headers }); } }`)).getEntrypoint().fetch('http://t/');
    return [response.status, response.statusText, response.ok, [...response.headers], await response.text()];
  },
  'a streamed body passes through': ({ env, code }) => env.LOADER.load(code(`export default { fetch() {
      let n = 0;
      return new Response(new ReadableStream({ pull(c) { n++ < 20 ? c.enqueue(new TextEncoder().encode('chunk ' + n + ';')) : c.close(); } })); } }`))
    .getEntrypoint().fetch('http://t/'),
  'a large body passes both ways': {
    run: ({ env, code, request }) => env.LOADER.load(code('export default { fetch(request) { return new Response(request.body); } }')).getEntrypoint().fetch(request),
    request: { method: 'POST', body: Buffer.alloc(1_000_000, 'tenant') },
  },
  'a relative URL is refused': ({ env, code, caught }) =>
    caught(() => env.LOADER.load(code('export default { fetch() { return new Response(); } }')).getEntrypoint().fetch('/x')),
  'a redirect is followed on the same stub': async ({ env, code }) => {
    const stub = env.LOADER.load(code(`export default { fetch(request) {
      const { pathname } = new URL(request.url);
      return pathname === '/end' ? new Response('end ' + request.url) : Response.redirect('http://elsewhere.example/end', 302); } }`)).getEntrypoint();
    const followed = await stub.fetch('http://t/start');
    const manual = await stub.fetch('http://t/start', { redirect: 'manual' });
    return [followed.status, await followed.text(), followed.redirected, manual.status, manual.headers.get('location')];
  },
  'an error of the tenant is rethrown': ({ env, code, caught, ask }) =>
    caught(() => ask(env.LOADER.load(code('export default { fetch() { throw new RangeError("tenant broke"); } }')))),
  'an async error too': ({ env, code, caught, ask }) =>
    caught(() => ask(env.LOADER.load(code('export default { async fetch() { await null; throw new TypeError("later"); } }')))),
  'a thrown value that is no error': ({ env, code, caught, ask }) =>
    caught(() => ask(env.LOADER.load(code('export default { fetch() { throw "text"; } }')))),
  'stack overflow, and the isolate lives on': async ({ env, code, caught, ask }) => {
    const stub = env.LOADER.load(code(`let n = 0; const deep = () => deep() + 1;
      export default { fetch(request) { n++; if (request.url.endsWith('deep')) deep(); return new Response(String(n)); } }`));
    return [await caught(() => ask(stub, 'http://t/deep')), await ask(stub)];
  },
  'no Response': async ({ env, code, caught, ask }) => [
    ((await caught(() => ask(env.LOADER.load(code('export default { fetch() { return 5; } }'))))) as Error).name,
    ((await caught(() => ask(env.LOADER.load(code('export default { async fetch() { return {}; } }'))))) as Error).name],
  'parallel requests to one tenant interleave': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code(`let inside = 0, most = 0;
      export default { async fetch() { most = Math.max(most, ++inside); await new Promise((r) => setTimeout(r, 5)); inside--; return new Response(String(most)); } }`));
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask(stub)));
    return Math.max(...answers.map((answer) => Number(answer.text)));
  },
  'waitUntil of a tenant': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code(`let done = 'no'; export default { fetch(request, env, ctx) {
      ctx.waitUntil(new Promise((r) => setTimeout(r, 1)).then(() => { done = 'yes'; })); return new Response(done); } }`));
    const first = await ask(stub);
    await new Promise((resolve) => { setTimeout(resolve, 30); });
    return [first, await ask(stub)];
  },
}, { loaders });

probes('loader: modules', {
  'js, text, data, json, cjs and paths': async ({ env, ask }) => JSON.parse((await ask(env.LOADER.load({
    compatibilityDate: '2026-06-01', mainModule: 'src/main.js',
    modules: {
      'src/main.js': `import { a } from './a.js'; import b from '../b.js'; import text from '../t.txt'; import data from '../d.bin';
        import json from '../j.json'; import cjs from '../c.cjs'; import named from './bare';
        export default { async fetch() {
          const later = await import('../b.js');
          return Response.json([a, b, text, data instanceof ArrayBuffer, [...new Uint8Array(data)], json, cjs, named, later.default, Object.keys(import.meta)]); } }`,
      'src/a.js': 'export const a = "a";', 'b.js': { js: 'export default "b";' }, 't.txt': { text: 'text \u2603' },
      'd.bin': { data: new Uint8Array([1, 2, 3]) }, 'j.json': { json: { deep: [1, { two: null }] } },
      'c.cjs': { cjs: 'exports.x = 1; exports.y = typeof require;' }, 'src/bare': { js: 'export default "bare";' },
    },
  }))).text),
  'data of several kinds': async ({ env, code, ask }) => {
    const view = new Uint8Array([9, 8, 7, 6]).subarray(1, 3);
    const modules = (data: unknown) => ({ modules: {
      'main.js': 'import data from "d"; export default { fetch() { return Response.json([...new Uint8Array(data)]); } }', d: { data } } });
    return [await ask(env.LOADER.load(code('', modules(view)))), await ask(env.LOADER.load(code('', modules(new ArrayBuffer(2))))),
      await ask(env.LOADER.load(code('', modules(new DataView(view.buffer, 2)))))];
  },
  'a name without dots is relative too': async ({ env, code, ask, caught }) => {
    const modules = (specifier: string) => ({ mainModule: 'src/main.js', modules: {
      'src/main.js': `import name from '${specifier}'; export default { fetch() { return new Response(name); } }`,
      'b.js': 'export default "top";', 'src/b.js': 'export default "beside";' } });
    const list = [];
    for (const specifier of ['b.js', './b.js', '../b.js', '/b.js', 'src/b.js']) {
      const answer: any = await caught(() => ask(env.LOADER.load(code('', modules(specifier)))));
      list.push(answer.none?.text ?? answer.message);
    }
    return list;
  },
  'resizing a buffer afterwards is harmless': async ({ env, code, ask }) => {
    const buffer = new (ArrayBuffer as any)(8, { maxByteLength: 16 });
    const stub = env.LOADER.load(code('', { modules: {
      'main.js': 'import data from "d"; export default { fetch() { return new Response(String(data.byteLength)); } }', d: { data: buffer } } }));
    buffer.resize(0);
    return ask(stub);
  },
  'json passes through JSON': async ({ env, code, ask }) => ask(env.LOADER.load(code('', { modules: {
    'main.js': 'import json from "j"; export default { fetch() { return Response.json(json); } }',
    j: { json: { gone: undefined, date: new Date(0), nested: { toJSON: () => 'called' } } } } }))),
  'wasm from bytes given as a module': async ({ env, code, ask }) => {
    // (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
    const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
    return ask(env.LOADER.load(code('', { modules: {
      'main.js': `import module from './add.wasm'; export default { async fetch() {
        const { exports } = await WebAssembly.instantiate(module); return new Response(module instanceof WebAssembly.Module ? String(exports.add(2, 40)) : typeof module); } }`,
      'add.wasm': { wasm } } })));
  },
  'bad wasm': ({ env, code, ask, caught }) => caught(() => ask(env.LOADER.load(code('', { modules: {
    'main.js': 'import module from "./x.wasm"; export default {}', 'x.wasm': { wasm: new Uint8Array([0, 1, 2]) } } }))))
    .then((error: any) => [error.name, error.message.split(':').slice(0, 2).join(':')]),
  'live bindings and a cycle': async ({ env, code, ask }) => ask(env.LOADER.load(code('', { modules: {
    'main.js': `import { count, add, seen } from './b.js'; export default { fetch() { add(); return Response.json([count, seen()]); } }`,
    'b.js': `import * as main from './main.js'; export let count = 0; export const add = () => { count++; }; export const seen = () => main.default.fetch !== undefined;` } })))
    .catch((error: Error) => error.message),
  'main.js is the handler of a string': ({ env, code, ask }) => ask(env.LOADER.load(code('export default { fetch: () => new Response("arrow") }'))),
  'module with two kinds': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { modules: { 'main.js': { js: '', text: '' } } }))),
  'module with no kind': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { modules: { 'main.js': {} } }))),
  'module with an unknown kind': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { modules: { 'main.js': { rust: '' } } }))),
  'wrong extension': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { modules: { 'main.js': '', 'a.css': '' } }))),
  'TypeScript gets a hint': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { modules: { 'main.ts': 'export default {}' } })))
    .then((error: any) => [error.name, error.message.startsWith("Module name must end with '.js' or '.py' (or the content must be an object indicating the type explicitly). Got: main.ts")]),
  'no modules': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { modules: {} }))),
  'main module that is not there': ({ env, code, caught, ask }) => caught(() => ask(env.LOADER.load(code('export default {}', { mainModule: 'zz.js' })))),
  'import that is not there': ({ env, code, caught, ask }) => caught(() => ask(env.LOADER.load(code('import x from "nope.js"; export default {}')))),
  'dynamic import that is not there': async ({ env, code, ask }) =>
    ask(env.LOADER.load(code('export default { fetch: () => import("nope.js").then(() => 0, (e) => new Response(e.name + ": " + e.message)) }'))),
  'syntax error': ({ env, code, caught, ask }) => caught(() => ask(env.LOADER.load(code('export default {\n  fetch() { return {{ } }\n}'))))
    .then((error: any) => [error.name, error.message]),
  'top-level throw': ({ env, code, caught, ask }) => caught(() => ask(env.LOADER.load(code('throw new Error("at the top"); export default {}'))))
    .then((error: any) => [error.name, error.message.split('\n').slice(0, 2)]),
  'top-level await that never ends': ({ env, code, caught, ask }) => caught(() => ask(env.LOADER.load(code('await new Promise(() => {}); export default {}'))))
    .then((error: any) => error instanceof Error),
  'strict mode and this': ({ env, code, ask }) => ask(env.LOADER.load(code('const top = typeof this; export default { fetch() { return new Response(top + (function () { return typeof this; })()); } }'))),
  'names that are not there': ({ env, code, caught, ask }) => caught(() => ask(env.LOADER.load(code('', { modules: {
    'main.js': 'import { missing } from "./a.js"; export default {}', 'a.js': 'export const there = 1;' } }))))
    .then((error: any) => [error.name, error.message.split('\n').slice(0, 2)]),
}, { loaders });

probes('loader: env, outbound, entrypoints, compatibility', {
  'env is empty by default': async ({ env, code, ask }) => ask(env.LOADER.load(code('export default { fetch(r, env) { return Response.json([typeof env, Object.keys(env)]); } }'))),
  'env values survive': async ({ env, code, ask }) => (await ask(env.LOADER.load(code(`export default { fetch(r, env) { return Response.json([
      env.text, env.number, env.list, env.map instanceof Map && env.map.get('k'), env.set.has(2), env.date instanceof Date && env.date.getTime(), String(env.big),
      env.bytes instanceof Uint8Array && [...env.bytes], env.regexp.source, env.nothing === undefined, 'nothing' in env, env.nil, env.error.message, env.same === env.list, env.loop.loop === env.loop]); } }`,
    { env: (() => { const list = [1, [2]]; const loop: any = {}; loop.loop = loop;
      return { text: 't', number: 1.5, list, map: new Map([['k', 'v']]), set: new Set([2]), date: new Date(7), big: 12345678901234567890n, bytes: new Uint8Array([1]),
        regexp: /x/g, nothing: undefined, nil: null, error: new Error('e'), same: list, loop }; })() })))).text,
  'env is a copy': async ({ env, code, ask }) => {
    const given = { a: { b: 1 } };
    const stub = env.LOADER.load(code('export default { fetch(r, env) { env.a.b++; return Response.json(env); } }', { env: given }));
    given.a.b = 50;
    return [await ask(stub), await ask(stub), given];
  },
  'importable env': async ({ env, code, ask }) => ask(env.LOADER.load(code('import { env } from "cloudflare:workers"; export default { fetch() { return new Response(env.X); } }', { env: { X: 'imported' } }))),
  'a function in env': ({ env, code, caught }) => caught(() => env.LOADER.load(code('', { env: { f: () => 1 } })))
    .then((error: any) => [error.name, error.message.endsWith('could not be cloned.')]),
  'a class instance, a promise, a loader in env': async ({ env, code, caught }) => {
    const names = [];
    for (const value of [Promise.resolve(), env.LOADER]) names.push(((await caught(() => env.LOADER.load(code('', { env: { value } })))) as Error).name);
    return names;
  },
  'env that is no object': ({ env, code, caught }) => caught(() => env.LOADER.load(code('export default {}', { env: 5 }))),
  'env too large': async ({ env, code, caught, ask }) => {
    const error: any = await caught(() => ask(env.LOADER.load(code('export default {}', { env: { big: 'x'.repeat(1048577) } }))));
    return [error.name, error.message.replace(/\(\d+ bytes\)/, '(N bytes)')];
  },
  'env of half that size': async ({ env, code, ask }) => ask(env.LOADER.load(code('export default { fetch(r, env) { return new Response(String(env.big.length)); } }', { env: { big: 'x'.repeat(524288) } }))),
  'null outbound': async ({ env, code, ask }) => ask(env.LOADER.load(code(`export default { async fetch() {
      try { await fetch('http://127.0.0.1:1/'); return new Response('got out'); } catch (error) { return Response.json([error.name, error.message]); } } }`, { globalOutbound: null }))),
  'an outbound of a wrong kind': ({ env, code, caught }) => Promise.all([caught(() => env.LOADER.load(code('', { globalOutbound: 5 }))), caught(() => env.LOADER.load(code('', { globalOutbound: {} })))]),
  'named entrypoints, object and class': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code(`import { WorkerEntrypoint } from 'cloudflare:workers';
      export const thing = { fetch() { return new Response('thing'); } };
      export class Other extends WorkerEntrypoint { fetch() { return Response.json([this.env.A, this.ctx.props]); } }
      export default { fetch() { return new Response('default'); } };`, { env: { A: 1 } }));
    const names = [undefined, null, 'default', 'thing', 'Other'];
    const list = [];
    for (const name of names) list.push(await ask(stub.getEntrypoint(name)));
    return list;
  },
  'entrypoints share their isolate': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code('let n = 0; export const a = { fetch() { return new Response(String(++n)); } }; export default { fetch() { return new Response(String(++n)); } }'));
    return [await ask(stub), await ask(stub.getEntrypoint('a')), await ask(stub)];
  },
  'an unknown entrypoint': ({ env, code, ask, caught }) => caught(() => ask(env.LOADER.load(code('export default { fetch() {} }')).getEntrypoint('Nope'))),
  'a handler without fetch': ({ env, code, ask, caught }) => caught(() => ask(env.LOADER.load(code('export default { other() {} }')))),
  'an export that is no handler': ({ env, code, ask, caught }) => caught(() => ask(env.LOADER.load(code('export const a = 1; export default { fetch() { return new Response(); } }'))))
    .then((error: any) => [error.name ?? 'accepted', (error.message ?? '').startsWith("Failed to start Worker:\nUncaught TypeError: Incorrect type for map entry 'a'")]),
  'props belong to the stub': async ({ env, code, ask }) => {
    const stub = env.LOADER.load(code('export default { fetch(r, env, ctx) { return Response.json(ctx.props); } }'));
    const props = { tenant: 'a', deep: { list: [1] } };
    const first = stub.getEntrypoint(null, { props });
    props.tenant = 'changed';
    return [await ask(first), await ask(stub.getEntrypoint('default', { props: { tenant: 'b' } })), await ask(stub)];
  },
  'props that are no object': ({ env, code, caught }) => caught(() => env.LOADER.load(code('export default {}')).getEntrypoint(null, { props: 5 })),
  'compatibility dates': ({ env, code, ask, caught }) => Promise.all(['yesterday', '', '2026-13-01', '2999-01-01'].map((compatibilityDate) =>
    caught(() => ask(env.LOADER.load(code('export default {}', { compatibilityDate })))))).then((list: any[]) => list.map((error) => [error.name, error.message.replace(/"\d{4}-\d\d-\d\d"\.$/, '"N".')])),
  'no compatibility date': ({ env, caught }) => caught(() => env.LOADER.load({ mainModule: 'm.js', modules: { 'm.js': '' } })).then((error: any) => error instanceof Error),
  'compatibility flags': ({ env, code, ask, caught }) => Promise.all([
    caught(() => ask(env.LOADER.load(code('export default {}', { compatibilityFlags: ['no_such_flag'] })))),
    caught(() => ask(env.LOADER.load(code('export default { fetch() { return new Response("ok"); } }', { compatibilityFlags: ['nodejs_compat'] }))))]),
  'the tenant has no loader and no ambient power': async ({ env, code, ask }) => ask(env.LOADER.load(code(`export default { fetch(r, env, ctx) {
      return Response.json([Object.keys(env), typeof process, typeof require, typeof globalThis.LOADER]); } }`))),
  'ctx.exports names the entrypoints': async ({ env, code, ask }) => ask(env.LOADER.load(code(`export const thing = { fetch() {} };
      export default { fetch(r, env, ctx) { return Response.json(Object.keys(ctx.exports).sort()); } }`))),
  'tenants cannot make code from strings': async ({ env, code, ask }) => ask(env.LOADER.load(code(`export default { fetch() {
      const ways = [() => eval('1'), () => new Function('1'), () => (function* () {}).constructor('1'), () => (async () => {}).constructor('1'), () => Reflect.construct(Function, ['1'])];
      return Response.json(ways.map((way) => { try { way(); return 'made'; } catch (error) { return error.name; } })); } }`))),
  'patched prototypes stay in the tenant': async ({ env, code, ask }) => {
    const patched = await ask(env.LOADER.load(code(`Array.prototype.map = () => 'patched'; Promise.prototype.then2 = 1; Object.prototype.polluted = true;
      export default { fetch() { return new Response(String([1].map((x) => x))); } }`)));
    const clean = await ask(env.LOADER.load(code('export default { fetch() { return new Response(String([1].map((x) => x)) + ({}).polluted); } }')));
    return [patched, clean, ({} as any).polluted];
  },
  'the stub knows nothing else': ({ env, code }) => {
    const stub = env.LOADER.load(code('export default {}'));
    return [typeof stub.fetch, Object.prototype.toString.call(env.LOADER), Object.prototype.toString.call(stub), Object.keys(stub)];
  },
}, { loaders });

probes('loader: sizes', {
  'code of exactly 64 MiB': ({ env, code, ask }) =>
    ask(env.LOADER.load(code('', { modules: { 'main.js': 'export default { fetch() { return new Response("ok"); } }', pad: { text: 'x'.repeat(67108864 - 57) } } }))),
  'code one byte too large': async ({ env, code, caught, ask }) => {
    const error: any = await caught(() => ask(env.LOADER.load(code('//', { modules: { 'main.js': 'export default {}', pad: { text: 'x'.repeat(67108864 - 16) } } }))));
    return [error.name, error.message];
  },
}, { loaders });
