// SPDX-License-Identifier: Apache-2.0
//
// Shapes of a fetch handler, and what a client sees of each.
import { probes, sameWorker } from '../support/differential.ts';

const get = [{}];

sameWorker('an object with fetch', {
  source: `export default { fetch(request, env, ctx) { return new Response('hello ' + request.method); } };`,
}, [{}, { method: 'POST', body: 'x' }, { method: 'DELETE' }, { method: 'PATCH' }, { method: 'OPTIONS' }]);

sameWorker('an async fetch', {
  source: `export default { async fetch() { await null; return Response.json({ a: [1] }, { status: 201, headers: { 'x-a': 'b' } }); } };`,
}, get);

sameWorker('this is the handler object', {
  source: `export default { greeting: 'hi', fetch() { return new Response(this.greeting); } };`,
}, get);

sameWorker('an instance of a class of one\'s own', {
  source: `class Handler { #text = 'private'; fetch() { return new Response(this.#text); } } export default new Handler();`,
}, get);

sameWorker('a WorkerEntrypoint class', {
  vars: { GREETING: 'hi' },
  source: `import { WorkerEntrypoint } from 'cloudflare:workers';
export default class extends WorkerEntrypoint {
  count = 0;
  async fetch(request) {
    this.count++;
    return Response.json([this.count, this.env.GREETING, typeof this.ctx.waitUntil, new URL(request.url).pathname]);
  }
}`,
}, [{ path: '/a' }, { path: '/b' }]);

sameWorker('HEAD gives the head of the answer', {
  source: `export default { fetch(request) { return new Response('0123456789', { headers: { 'x-method': request.method } }); } };`,
}, [{ method: 'HEAD' }, {}]);

sameWorker('an uncaught error is a 500', {
  source: `export default { fetch(request) { throw new Error('secret'); } };`,
}, get, { compare: 'status' });

sameWorker('a rejected promise is a 500', {
  source: `export default { async fetch(request) { await null; throw 'no error object'; } };`,
}, get, { compare: 'status' });

sameWorker('no Response is a 500', {
  source: `export default { async fetch(request) { return request.url.endsWith('1') ? 'text' : undefined; } };`,
}, [{ path: '/1' }, { path: '/2' }], { compare: 'status' });

sameWorker('no fetch is a 500', { source: `export default { other() {} };` }, get, { compare: 'status' });

sameWorker('module state lives on between requests', {
  source: `let count = 0; export default { fetch() { return new Response(String(++count)); } };`,
}, [{}, {}, {}]);

sameWorker('env holds vars of every JSON kind', {
  vars: { TEXT: 'text', NUMBER: 5, LIST: [1, 'two', null], OBJECT: { a: { b: true } }, EMPTY: '' },
  source: `import { env as imported } from 'cloudflare:workers';
export default { fetch(request, env) { return Response.json([env, Object.keys(env).sort(), imported.TEXT]); } };`,
}, get);

sameWorker('top-level await delays the first request', {
  source: `const value = await Promise.resolve('ready'); export default { fetch() { return new Response(value); } };`,
}, get);

sameWorker('statuses and their phrases', {
  source: `export default { fetch(request) {
    const status = Number(new URL(request.url).pathname.slice(1));
    return new Response(status === 204 || status === 304 ? null : 'x', { status, headers: { 'x-status': String(status) } });
  } };`,
}, [200, 201, 204, 301, 304, 400, 404, 418, 500, 503, 599].map((status) => ({ path: `/${status}` })));

sameWorker('bodies of many kinds reach the client', {
  source: `const bytes = new Uint8Array([104, 105]);
const kinds = {
  text: () => 'hé☃', bytes: () => bytes, buffer: () => bytes.buffer, none: () => null, empty: () => '',
  view: () => new DataView(bytes.buffer, 1), blob: () => new Blob(['blob'], { type: 'x/y' }),
  params: () => new URLSearchParams({ a: '1 2' }),
  stream: () => new ReadableStream({ start(c) { c.enqueue(bytes); c.enqueue(new TextEncoder().encode('!')); c.close(); } }),
  pulled: () => { let n = 0; return new ReadableStream({ pull(c) { n++ < 5 ? c.enqueue(new Uint8Array(1000).fill(97)) : c.close(); } }); },
  piped: () => new Response('through').body.pipeThrough(new TransformStream()),
};
export default { fetch(request) { return new Response(kinds[new URL(request.url).pathname.slice(1)]()); } };`,
}, ['text', 'bytes', 'buffer', 'none', 'empty', 'view', 'blob', 'params', 'stream', 'pulled', 'piped']
  .map((kind) => ({ path: `/${kind}` })));

sameWorker('an echo of text, bytes and a large body', {
  source: `export default { async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === '/stream') return new Response(request.body);
    if (pathname === '/text') return new Response(await request.text());
    const bytes = await request.arrayBuffer();
    let sum = 0; for (const byte of new Uint8Array(bytes)) sum = (sum * 31 + byte) >>> 0;
    return Response.json([bytes.byteLength, sum]);
  } };`,
}, [
  { path: '/stream', method: 'POST', body: 'echo' },
  { path: '/text', method: 'PUT', body: 'h\u00e9\u2603\ud83d\ude00' },
  { path: '/bytes', method: 'POST', body: Uint8Array.from({ length: 3_000_000 }, (_, index) => index * 7) },
  { path: '/stream', method: 'POST', body: Buffer.alloc(500_000, 'ab') },
  { path: '/text', method: 'POST', body: '' },
]);

sameWorker('a response is not changed by what happens after it was returned', {
  source: `export default { fetch(request, env, ctx) {
    const headers = new Headers({ 'x-a': '1' });
    const response = new Response('body', { headers });
    headers.set('x-a', '2');
    ctx.waitUntil(Promise.reject(new Error('only logged')));
    return response;
  } };`,
}, get);

probes('ctx and request', {
  'ctx has its members': ({ ctx }) => [typeof ctx.waitUntil, typeof ctx.passThroughOnException, ctx.props],
  'ctx methods need their object': async ({ ctx, caught }) => {
    const { waitUntil, passThroughOnException } = ctx;
    return [await caught(() => waitUntil(Promise.resolve())), await caught(() => passThroughOnException())];
  },
  'waitUntil accepts any value': ({ ctx, caught }) => caught(() => ctx.waitUntil(5)),
  'request has the URL with the Host header': {
    run: ({ request }) => [request.url, request.method, request.redirect],
    request: { path: '/a%20b/../c?d=e%2f&f#g', method: 'POST', body: 'x' },
  },
  'request defaults': ({ request }) => [request.bodyUsed, request.body, request.signal instanceof AbortSignal],
  'a body is read once': {
    run: async ({ request, caught }) => [await request.text(), request.bodyUsed, await caught(() => request.text()), await caught(() => request.json())],
    request: { method: 'POST', body: 'once' },
  },
  'json, its error included': {
    run: async ({ request, caught }) => {
      const copy = request.clone();
      return [await copy.json(), ((await caught(async () => JSON.parse((await request.text()) + '}'))) as Error).name];
    },
    request: { method: 'POST', body: '{"a":[1,2,{"b":null}]}' },
  },
  'a form': {
    run: async ({ request }) => [...(await request.formData()).entries()],
    request: { method: 'POST', body: 'a=1&b=two+words&a=%C3%BC', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  },
  'a multipart form': {
    run: async ({ request }) => {
      const form = await request.formData();
      const file = form.get('f') as File;
      return [form.get('a'), file.name, file.type, await file.text(), form.getAll('none')];
    },
    request: {
      method: 'POST', headers: { 'content-type': 'multipart/form-data; boundary=xx' },
      body: '--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--xx\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--xx--\r\n',
    },
  },
  'a wrong content type is no form': {
    run: ({ request, caught }) => caught(() => request.formData()).then((error: any) => error.name),
    request: { method: 'POST', body: 'a=1', headers: { 'content-type': 'text/plain' } },
  },
  'code from strings is refused': ({ caught }) => Promise.all([
    caught(() => (0, eval)('1')), caught(() => new Function('return 1')), caught(() => (async () => {}).constructor('return 1'))]),
  'a string is no timer callback': ({ caught }) => caught(() => setTimeout('1' as any, 0)).then((error: any) => error.name),
  'WebAssembly from bytes is refused': ({ caught }) => {
    const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
    return Promise.all([
      caught(() => new (WebAssembly as any).Module(bytes)), caught(() => (WebAssembly as any).compile(bytes)),
      caught(() => (WebAssembly as any).instantiate(bytes))]);
  },
  'globals that must not be there': () => ['window', 'document', 'Worker', 'SharedWorker', 'XMLHttpRequest', 'localStorage',
    'indexedDB', 'importScripts', 'require', 'module', '__dirname', 'Deno', 'Bun', 'ops', 'fs', 'print', 'load', 'gc', 'd8']
    .map((name) => [name, name in globalThis]),
  'globals of the foundation': () => ['fetch', 'Request', 'Response', 'Headers', 'FormData', 'Blob', 'File', 'URL', 'URLSearchParams',
    'ReadableStream', 'ReadableStreamDefaultReader', 'ReadableStreamBYOBReader', 'WritableStream', 'TransformStream',
    'ByteLengthQueuingStrategy', 'CountQueuingStrategy', 'TextEncoderStream', 'TextDecoderStream', 'FixedLengthStream',
    'IdentityTransformStream', 'TextEncoder', 'TextDecoder', 'atob', 'btoa', 'crypto', 'Event', 'EventTarget', 'CustomEvent',
    'AbortController', 'AbortSignal', 'setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'queueMicrotask', 'scheduler',
    'console', 'performance', 'navigator', 'structuredClone', 'DOMException', 'self', 'globalThis', 'WebAssembly', 'Intl', 'WeakRef']
    .map((name) => [name, typeof (globalThis as any)[name]]),
  'navigator': () => navigator.userAgent,
  'self is the global object': () => (globalThis as any).self === globalThis,
  'functions have their names': () => [fetch, structuredClone, atob, setTimeout, queueMicrotask].map((one) => one.name),
});

probes('global scope', {
  'random, timers and fetch are refused there': () => (globalThis as any).early,
  'the clock stands at 0 there': () => (globalThis as any).earlyClock,
}, {
  prelude: `const tried = (run) => { try { run(); return 'allowed'; } catch (error) { return error.message.slice(0, 48); } };
globalThis.early = [
  tried(() => crypto.randomUUID()), tried(() => crypto.getRandomValues(new Uint8Array(1))), tried(() => setTimeout(() => {}, 1)),
  await fetch('http://example.com/').then(() => 'allowed', (error) => error.message.slice(0, 48))];
globalThis.earlyClock = [Date.now(), new Date().getTime()];`,
});
