// SPDX-License-Identifier: Apache-2.0
//
// RPC, values: what crosses as a copy, what by kind, what is refused and with which text, and how large one message may
// be (docs: rpc contract, section 6).
import { probes } from '../support/differential.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const target: WorkerSpec = {
  name: 'target',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
let calls = 0;
export class Class extends WorkerEntrypoint {
  echo(...args) { return args.length > 1 ? args : args[0]; }
  ignore() { calls++; return 'taken'; }
  calls() { return calls; }
  kind(value) { return [typeof value, Object.prototype.toString.call(value), value?.constructor?.name]; }
  same(a, b) { return a === b; }
  cycle(value) { return value.self === value && value.list[0] === value; }
  view(value) { return [value.constructor.name, value.byteOffset, value.byteLength, value.buffer.byteLength]; }
  holes(list) { return [list.length, 0 in list, 1 in list, Object.keys(list)]; }
  keys(value) { return [Object.keys(value), 'nothing' in value]; }
  give(kind) { return this[kind](); }
  symbol() { return Symbol('a'); }
  instance() { return new (class Point { x = 1; })(); }
  nested() { return { deep: [new (class Point {})()] }; }
  generator() { return (function* () {})(); }
  nullProto() { return Object.create(null); }
  url() { return new URL('http://x/'); }
  getters() { return { get a() { return 1; }, b: 2 }; }
  throwing() { return { get a() { throw new RangeError('hostile getter'); } }; }
  big(n) { return 'x'.repeat(n); }
  length(value) { return value.length ?? value.byteLength; }
  async request(request) { return { method: request.method, url: request.url, headers: [...request.headers], body: await request.text(), redirect: request.redirect, cf: request.cf ?? null, is: request instanceof Request }; }
  response(kind) {
    const headers = new Headers({ 'x-a': 'b' }); headers.append('set-cookie', 'a=1'); headers.append('set-cookie', 'b=2');
    switch (kind) {
      case 'full': return new Response('the body', { status: 418, statusText: 'I am a teapot', headers });
      case 'empty': return new Response(null, { status: 204 });
      case 'json': return Response.json({ a: 1 });
      case 'redirect': return Response.redirect('http://x/y', 302);
      case 'error': return Response.error();
      case 'stream': { let n = 0; return new Response(new ReadableStream({ pull(c) { n++ < 3 ? c.enqueue(new TextEncoder().encode('part ' + n + ';')) : c.close(); } })); }
      case 'used': { const r = new Response('x'); r.body.getReader(); return r; }
    }
  }
  async readResponse(response) { return [response.status, response.statusText, [...response.headers], await response.text(), response instanceof Response]; }
  headers(headers) { const copy = new Headers(headers); copy.append('set-cookie', 'c=3'); return copy; }
  async blob(blob) { return { type: blob.type, size: blob.size, text: await blob.text(), is: blob instanceof Blob, file: blob instanceof File, back: new Blob([blob, '!'], { type: 'text/back' }) }; }
  makeRequest() { return new Request('https://made.example/path?q', { method: 'POST', headers: { 'x-made': 'yes' }, body: 'made body' }); }
}
export default class extends WorkerEntrypoint {}
`,
};

const setup = {
  others: [target],
  services: [{ binding: 'T', service: 'target', entrypoint: 'Class' }],
  loaders: [{ binding: 'LOADER' }],
  prelude: `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
globalThis.text = (value) => [value.name, value.message];\n`,
};

probes('rpc: values that are copied', {
  'primitives': ({ env }) => env.T.echo(undefined, null, true, 0, -0, NaN, Infinity, -1.5, 'text \u2603 \ud83d\ude00', '', 12345678901234567890n, -5n, 2 ** 53, 'lone \ud800'),
  'one undefined, null and NaN': async ({ env }) => [await env.T.echo(undefined), await env.T.echo(null), await env.T.echo(NaN), await env.T.echo(-0)],
  'objects and arrays': ({ env }) => env.T.echo({ a: { b: [1, [2, { c: 3 }]] }, undefined, '': 0, '\u2603': 1, 5: 'five' }),
  'members that are undefined are there': ({ env }) => env.T.keys({ nothing: undefined, a: 1 }),
  'sparse arrays': async ({ env }) => [await env.T.holes([1, , 3]), 1 in (await env.T.echo([1, , 3]))],
  'dates, maps, sets, regular expressions': ({ env }) => env.T.echo(new Date(7), new Date(NaN), new Map<unknown, unknown>([['k', new Map([[1, 2]])], [{ a: 1 }, 'o']]), new Set([1, 'a', new Set([2])]), /a\/b/giu),
  'boxed primitives': async ({ env }) => {
    const list = await env.T.echo([Object(1), Object('s'), Object(true)]);
    return list.map((one: any) => [typeof one, one.valueOf()]);
  },
  'buffers and views': ({ env }) => env.T.echo(new Uint8Array([1, 2]).buffer, new Uint8Array([3]), new Int16Array([-1]), new Float64Array([1.5]), new BigInt64Array([5n]), new Uint8ClampedArray([255]), new DataView(new ArrayBuffer(2))),
  'a view brings its buffer': async ({ env }) => [await env.T.view(new Uint8Array(new ArrayBuffer(100), 10, 10)), await env.T.view(new DataView(new ArrayBuffer(50), 5, 5)),
    await env.T.echo(new Uint8Array(new ArrayBuffer(100), 10, 10)).then((view: Uint8Array) => [view.byteOffset, view.buffer.byteLength])],
  'two views of one buffer share it': async ({ env }) => {
    const buffer = new ArrayBuffer(8);
    const [a, b] = await env.T.echo(new Uint8Array(buffer, 0, 4), new Uint8Array(buffer, 4, 4));
    return a.buffer === b.buffer;
  },
  'a buffer is copied, not moved': async ({ env }) => {
    const buffer = new Uint8Array([1, 2, 3]).buffer;
    await env.T.ignore(buffer);
    return buffer.byteLength;
  },
  'a resizable buffer': async ({ env, caught }) => caught(async () => (await env.T.echo(new (ArrayBuffer as any)(8, { maxByteLength: 16 }))).byteLength),
  'shared references and cycles': async ({ env }) => {
    const shared = { a: 1 };
    const loop: any = { list: [] };
    loop.self = loop;
    loop.list.push(loop);
    const back = await env.T.echo({ one: shared, two: shared, loop });
    return [await env.T.same(shared, shared), await env.T.cycle(loop), back.one === back.two, back.loop.self === back.loop];
  },
  'getters are read once, by the sender': async ({ env }) => {
    let reads = 0;
    const got = await env.T.echo({ get a() { return ++reads; } });
    return [got, reads, await env.T.give('getters')];
  },
  'errors as values': async ({ env }) => {
    const list = await env.T.echo([new Error('plain'), new TypeError('type'), new RangeError('range'), new DOMException('dom', 'AbortError')]);
    return list.map((one: any) => [one.name, one.message, one.constructor.name, one.remote]);
  },
  'an error with more, as value': async ({ env }) => {
    const given: any = new RangeError('outer', { cause: new TypeError('inner') });
    given.code = 'E_CODE';
    given.name = 'Custom';
    const got = await env.T.echo(given);
    return [got.name, got.message, got.code, got.constructor.name, got.cause?.name, got.cause?.message, Object.keys(got)];
  },
  'the prototype of what arrives is that of the receiver': async ({ env }) => {
    const got = await env.T.echo({ a: [], m: new Map(), d: new Date(0), b: new Uint8Array(1) });
    return [Object.getPrototypeOf(got) === Object.prototype, got.a instanceof Array, got.m instanceof Map, got.d instanceof Date, got.b instanceof Uint8Array];
  },
  'a member named __proto__ stays a member': async ({ env }) => {
    const got = await env.T.echo(JSON.parse('{"__proto__": {"polluted": 1}, "a": 1}'));
    return [Object.keys(got), ({} as any).polluted];
  },
}, setup);

probes('rpc: values that are refused', {
  'as arguments': async ({ env, caught }) => {
    class Point { x = 1; }
    const kinds: [string, unknown][] = [['symbol', Symbol('a')], ['generator', (function* () {})()], ['WeakMap', new WeakMap()], ['WeakRef', new WeakRef({})], ['promise', Promise.resolve(1)], ['instance', new Point()],
      ['null prototype', Object.create(null)], ['URL', new URL('http://x/')], ['URLSearchParams', new URLSearchParams('a=1')], ['FormData', new FormData()], ['File', new File(['x'], 'f')],
      ['TextEncoder', new TextEncoder()], ['TextDecoder', new TextDecoder()], ['Event', new Event('x')], ['AbortController', new AbortController()], ['TransformStream', new TransformStream()], ['loader', env.LOADER],
      ['Math', Math], ['iterator', [][Symbol.iterator]()], ['Proxy', new Proxy({ a: 1 }, {})],
      ['arguments', (function (..._: unknown[]) { return arguments; })(1)]];
    const list = [];
    for (const [name, value] of kinds) {
      const result: any = await caught(() => env.T.ignore(value));
      list.push([name, result.none ?? [result.name, result.message, result.remote]]);
    }
    return list;
  },
  'inside arguments': ({ env, caught }) => Promise.all([caught(() => env.T.ignore({ a: [Symbol('deep')] })), caught(() => env.T.ignore(1, new Map([['k', new URL('http://x/')]])))]).then((list: any[]) => list.map((globalThis as any).text)),
  'an AbortSignal': ({ env, caught }) => caught(() => env.T.ignore(new AbortController().signal)),
  'a WebSocket': ({ env, caught }) => caught(() => env.T.ignore(new (globalThis as any).WebSocketPair()[0])),
  'as results': async ({ env, caught }) => Promise.all(['symbol', 'instance', 'nested', 'generator', 'nullProto', 'url'].map((kind) => caught(() => env.T.give(kind)))),
  'a getter that throws, in an argument': ({ env, caught }) => caught(() => env.T.ignore({ get a() { throw new RangeError('own getter'); } })),
  'a getter that throws, in a result': ({ env, caught }) => caught(() => env.T.give('throwing')),
  'nothing was sent when an argument is refused': async ({ env, caught }) => {
    const before = await env.T.calls();
    const error: any = await caught(() => env.T.ignore('a', Symbol('b')));
    return [error.name, (await env.T.calls()) - before];
  },
  'is the refusal thrown or is the promise rejected': ({ env }) => {
    try {
      env.T.ignore(Symbol('x')).catch(() => {});
      return 'rejected';
    } catch {
      return 'thrown';
    }
  },
}, setup);

probes('rpc: requests, responses, headers and blobs', {
  'a Request': async ({ env }) => env.T.request(new Request('https://made.example/p?q=1', { method: 'PUT', headers: { 'x-a': 'b', cookie: 'c=1' }, body: 'the body', redirect: 'manual' })),
  'a Request without a body, and with a stream': async ({ env }) => [await env.T.request(new Request('https://made.example/')),
    await env.T.request(new Request('https://made.example/', { method: 'POST', body: new Blob(['streamed']).stream(), duplex: 'half' } as any))],
  'cf': async ({ env }) => (await env.T.request(new Request('https://made.example/', { cf: { own: 1 } } as any))).cf,
  'the incoming request': {
    run: async ({ env, request }) => {
      const got = await env.T.request(request);
      return [got.method, got.body, got.is, got.headers.filter(([name]: string[]) => name === 'x-client')];
    },
    request: { method: 'POST', body: 'from the client', headers: { 'x-client': 'yes' } },
  },
  'a Request as result': async ({ env }) => {
    const got = await env.T.makeRequest();
    return [got instanceof Request, got.method, got.url, got.headers.get('x-made'), await got.text()];
  },
  'responses': async ({ env }) => {
    const list = [];
    for (const kind of ['full', 'empty', 'json', 'redirect', 'stream']) {
      const got = await env.T.response(kind);
      list.push([kind, got instanceof Response, got.status, got.statusText, got.ok, got.headers.getSetCookie(), [...got.headers], await got.text()]);
    }
    return list;
  },
  'Response.error() and one whose body is locked': ({ env, caught }) => Promise.all([caught(async () => (await env.T.response('error')).type), caught(async () => (await env.T.response('used')).status)])
    .then((list: any[]) => list.map((one) => one.none ?? [one.name, one.remote])),
  'a Response as argument': ({ env }) => env.T.readResponse(new Response('given', { status: 201, statusText: 'Made', headers: { 'x-given': 'yes' } })),
  'a Response that goes straight to the client': ({ env }) => env.T.response('full'),
  'members of a Response that is not here yet': ({ env, caught }) => Promise.all([caught(() => env.T.response('json').status), caught(() => env.T.response('json').json())]).then((list: any[]) => list.map((one) => one.none ?? [one.name, one.message])),
  'a Response of another fetch': async ({ env }) => env.T.readResponse(await env.T.response('stream')),
  'a used Request is refused': async ({ env, caught }) => {
    const request = new Request('https://x/', { method: 'POST', body: 'x' });
    await request.text();
    return ((await caught(() => env.T.request(request))) as Error).name;
  },
  'a body moves with its Request': async ({ env }) => {
    const request = new Request('https://x/', { method: 'POST', body: 'moved' });
    const got = await env.T.request(request);
    return [got.body, request.bodyUsed];
  },
  'headers': async ({ env }) => {
    const headers = new Headers({ 'x-a': 'b' });
    headers.append('set-cookie', 'a=1');
    headers.append('set-cookie', 'b=2');
    const got = await env.T.headers(headers);
    return [got instanceof Headers, got.getSetCookie(), [...got]];
  },
  'blobs': async ({ env }) => {
    const got = await env.T.blob(new Blob(['some ', new Uint8Array([66, 67])], { type: 'text/x' }));
    return [{ ...got, back: 0 }, got.back instanceof Blob, got.back.type, await got.back.text()];
  },
  'a nested and an empty blob': async ({ env }) => {
    const [one, two] = await env.T.echo({ in: [new Blob([])] }, new Blob(['b'.repeat(100000)]));
    return [one.in[0].size, one.in[0].type, two.size, (await two.text()).length];
  },
}, setup);

probes('rpc: sizes', {
  'a message of thirty-one mebibytes, each way': async ({ env }) => [await env.T.length('x'.repeat(31 << 20)), (await env.T.big(31 << 20)).length, await env.T.length(new Uint8Array(31 << 20))],
  'arguments that are too large': ({ env, caught }) => caught(() => env.T.length('x'.repeat(33554432))).then((error: any) => [error.name, error.message.replace(/: \d+ bytes/, ': N bytes'), error.remote]),
  'a result that is too large': ({ env, caught }) => caught(() => env.T.big(33554432)).then((error: any) => [error.name, error.message.replace(/: \d+ bytes/, ': N bytes')]),
  'the limit is exact': async ({ env, caught }) => {
    // The frame of a message differs from engine to engine by a few bytes: the error tells its size.
    const error: any = await caught(() => env.T.length('x'.repeat(33554432)));
    const over = Number(/: (\d+) bytes/.exec(error.message)![1]) - 33554432;
    const fits = 'x'.repeat(33554432 - over);
    return [await env.T.length(fits) === fits.length, ((await caught(() => env.T.length(`${fits}x`))) as any).message.replace(/^.*: /, '')];
  },
  'it works after a refusal': async ({ env, caught }) => {
    await caught(() => env.T.length('x'.repeat(40 << 20)));
    return env.T.echo('fine');
  },
}, setup);
