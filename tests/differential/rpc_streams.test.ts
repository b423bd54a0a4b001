// SPDX-License-Identifier: Apache-2.0
//
// RPC, streams: bytes in both directions, cancellation, errors, locks, what ends a stream early (docs: rpc contract,
// "Streams over RPC").
import { probes } from '../support/differential.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const target: WorkerSpec = {
  name: 'target',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
let log = [];
const bytes = (text) => new TextEncoder().encode(text);
const counting = (chunks, size) => { let n = 0; return new ReadableStream({ pull(c) { if (n++ < chunks) c.enqueue(new Uint8Array(size).fill(n)); else c.close(); }, cancel(reason) { log.push('cancelled: ' + (reason?.message ?? reason)); } }); };
const measure = async (stream) => { let total = 0, sum = 0; for await (const chunk of stream) { total += chunk.byteLength; sum = (sum * 31 + chunk[0] + chunk[chunk.byteLength - 1]) % 1000003; } return total; };
export class Class extends WorkerEntrypoint {
  take() { const taken = log; log = []; return taken; }
  seen() { return log; }
  async read(stream) { return new Response(stream).text(); }
  measure(stream) { return measure(stream); }
  kind(stream) { return [stream instanceof ReadableStream, stream instanceof WritableStream, stream.locked]; }
  text(...parts) { return new ReadableStream({ start(c) { for (const part of parts) c.enqueue(bytes(part)); c.close(); } }); }
  counting(chunks, size) { return counting(chunks, size); }
  nested() { return { in: [counting(2, 10), this.text('second')] }; }
  objects() { return new ReadableStream({ start(c) { c.enqueue({ a: 1 }); c.close(); } }); }
  strings() { return new ReadableStream({ start(c) { c.enqueue('text'); c.close(); } }); }
  erring() { let n = 0; return new ReadableStream({ pull(c) { if (n++ === 0) c.enqueue(bytes('good;')); else c.error(new RangeError('the source broke')); } }); }
  endless() { return new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(1000)); }, cancel(reason) { log.push('cancelled: ' + (reason?.message ?? reason)); } }); }
  byob() { let n = 0; return new ReadableStream({ type: 'bytes', pull(c) { if (n++ < 3) c.enqueue(bytes('byte ' + n + ';')); else c.close(); } }); }
  transform(stream) { return stream.pipeThrough(new TransformStream({ transform(chunk, c) { c.enqueue(bytes(new TextDecoder().decode(chunk).toUpperCase())); } })); }
  async write(stream) { const writer = stream.getWriter(); await writer.write(bytes('written ')); await writer.write(bytes('over there')); await writer.close(); return 'closed'; }
  async writeAndAbort(stream) { const writer = stream.getWriter(); await writer.write(bytes('some')); await writer.abort(new Error('gave up')); }
  async pipe(from, to) { await from.pipeTo(to); return 'piped'; }
  writable() { const parts = []; return { sink: new WritableStream({ write(chunk) { log.push('got ' + new TextDecoder().decode(chunk)); }, close() { log.push('closed'); }, abort(reason) { log.push('aborted ' + (reason?.message ?? reason)); } }) }; }
  pair() { const { readable, writable } = new IdentityTransformStream(); this.ctx.waitUntil((async () => { const w = writable.getWriter(); await w.write(bytes('through a pair')); await w.close(); })()); return readable; }
  async abandons() { const { readable, writable } = new IdentityTransformStream(); const writer = writable.getWriter(); writer.write(bytes('unfinished')).catch(() => {}); return readable; }
  locked() { const stream = counting(1, 1); stream.getReader(); return stream; }
  passOn(stream) { return this.env.SELF.text2(stream); }
  text2(stream) { return stream; }
  async cancelIt(stream) { await stream.cancel(new Error('not wanted')); return 'cancelled'; }
  async firstChunk(stream) { const reader = stream.getReader(); const { value } = await reader.read(); await reader.cancel('enough'); return value.byteLength > 0; }
  ignoreStream(stream) { return 'ignored'; }
  async slowly(stream, limit) { const reader = stream.getReader(); let total = 0; for (;;) { const { done, value } = await reader.read(); if (done) return total; total += value.byteLength; if (total >= limit) { await reader.cancel(); return total >= limit; } } }
}
export default class extends WorkerEntrypoint {}
`,
  services: [{ binding: 'SELF', service: 'target', entrypoint: 'Class' }],
};

const setup = {
  others: [target],
  services: [{ binding: 'T', service: 'target', entrypoint: 'Class' }],
  prelude: `globalThis.bytes = (text) => new TextEncoder().encode(text);
globalThis.read = (stream) => new Response(stream).text();
globalThis.measure = async (stream) => { let total = 0; for await (const chunk of stream) total += chunk.byteLength; return total; };
globalThis.counting = (chunks, size, told = {}) => { let n = 0; return new ReadableStream({
  pull(c) { told.pulled = n; if (n++ < chunks) c.enqueue(new Uint8Array(size).fill(n)); else c.close(); }, cancel(reason) { told.cancelled = reason?.message ?? reason ?? 'no reason'; } }); };
globalThis.until = async (holds, turns = 400) => {
  for (let turn = 0; turn < turns; turn++) { if (await holds()) return true; await new Promise((resolve) => setTimeout(resolve, 5)); }
  return false;
};\n`,
};

probes('rpc: streams of bytes', {
  'as argument': async ({ env }) => env.T.read((globalThis as any).counting(0, 0)).then(async (empty: string) => [empty, await env.T.read(new Blob(['from a blob']).stream()), await env.T.kind(new Blob(['x']).stream())]),
  'as result': async ({ env }) => {
    const stream = await env.T.text('one ', 'two ', 'three');
    return [stream instanceof ReadableStream, stream.locked, await (globalThis as any).read(stream)];
  },
  'inside values': async ({ env }) => {
    const got = await env.T.nested();
    return [await (globalThis as any).measure(got.in[0]), await (globalThis as any).read(got.in[1])];
  },
  'two as arguments': ({ env }) => Promise.all([env.T.read(new Blob(['a'.repeat(100)]).stream()), env.T.measure((globalThis as any).counting(10, 1000))]),
  'of a byte source': async ({ env }) => (globalThis as any).read(await env.T.byob()),
  'there and back through a transform': async ({ env }) => (globalThis as any).read(await env.T.transform(new Blob(['upper case']).stream())),
  'of a request body, and as a response': {
    run: async ({ env, request }) => new Response(await env.T.transform(request.body)),
    request: { method: 'POST', body: 'from the client' },
  },
  'passed on by the callee': async ({ env }) => (globalThis as any).read(await env.T.passOn(new Blob(['travels far']).stream())),
  'of a hundred megabytes, each way': {
    run: async ({ env }) => {
      const { counting, measure } = globalThis as any;
      return [await env.T.measure(counting(1600, 65536)), await measure(await env.T.counting(1600, 65536))];
    },
    request: { within: 55000 },
  },
  'the sender is held back while nobody reads': async ({ env }) => {
    const { counting } = globalThis as any;
    const told: any = {};
    await env.T.slowly(counting(10000, 65536, told), 65536 * 3);
    return told.pulled < 200;
  },
  'a sent stream is locked here': async ({ env }) => {
    const stream = new Blob(['x']).stream();
    const call = env.T.read(stream);
    return [stream.locked, await call];
  },
  'written at the far end': async ({ env }) => {
    const { readable, writable } = new TransformStream();
    const [said, text] = await Promise.all([env.T.write(writable), (globalThis as any).read(readable)]);
    return [said, text];
  },
  'written at this end': async ({ env }) => {
    await env.T.take();
    const { sink } = await env.T.writable();
    const writer = sink.getWriter();
    await writer.write((globalThis as any).bytes('a'));
    await writer.write((globalThis as any).bytes('b'));
    await writer.close();
    return [sink instanceof WritableStream, (await env.T.take()).join()];
  },
  'from here to here, piped there': async ({ env }) => {
    const { readable, writable } = new TransformStream();
    const [said, text] = await Promise.all([env.T.pipe(new Blob(['round trip']).stream(), writable), (globalThis as any).read(readable)]);
    return [said, text];
  },
  'written by waitUntil': async ({ env }) => (globalThis as any).read(await env.T.pair()),
}, setup);

probes('rpc: streams that end early', {
  'of objects or strings': async ({ env, caught }) => [await caught(async () => (globalThis as any).read(await env.T.objects())), await caught(async () => (globalThis as any).read(await env.T.strings()))],
  'of objects, as argument': ({ env, caught }) => caught(() => env.T.read(new ReadableStream({ start(c) { c.enqueue({ a: 1 }); c.close(); } }))),
  'whose source fails': async ({ env, caught }) => caught(async () => (globalThis as any).read(await env.T.erring())),
  'a reader that cancels is heard by the writer': async ({ env }) => {
    const { until } = globalThis as any;
    await env.T.take();
    const stream = await env.T.endless();
    const reader = stream.getReader();
    const { value } = await reader.read();
    await reader.cancel(new Error('enough'));
    await until(async () => (await env.T.seen()).length > 0);
    return [value.byteLength > 0, (await env.T.take()).map((line: string) => line.split(':')[0])];
  },
  'a callee that cancels is heard here': async ({ env }) => {
    const { counting, until } = globalThis as any;
    const told: any = {};
    const said = await env.T.cancelIt(counting(10, 10, told));
    return [said, await until(() => told.cancelled !== undefined)];
  },
  'a callee that reads one chunk and cancels': async ({ env }) => {
    const { counting, until } = globalThis as any;
    const told: any = {};
    const said = await env.T.firstChunk(counting(1000, 10000, told));
    return [said, await until(() => told.cancelled !== undefined), told.pulled < 500];
  },
  'a callee that ignores it': async ({ env }) => {
    const { counting, until } = globalThis as any;
    const told: any = {};
    const said = await env.T.ignoreStream(counting(1000, 10000, told));
    return [said, await until(() => told.cancelled !== undefined, 100)];
  },
  'a writer that aborts': async ({ env, caught }) => {
    const { readable, writable } = new TransformStream();
    const [, read]: any[] = await Promise.all([caught(() => env.T.writeAndAbort(writable)), caught(() => (globalThis as any).read(readable))]);
    return read instanceof Error;
  },
  'a sender whose request ends': async ({ env, caught }) => {
    const stream = await env.T.abandons();
    const reader = stream.getReader();
    const first: any = await caught(() => reader.read());
    const second: any = await caught(() => reader.read());
    return [first.none ? new TextDecoder().decode(first.none.value) : first, second.none ?? second];
  },
  'one that is locked, as argument': async ({ env, caught }) => {
    const stream = new Blob(['x']).stream();
    stream.getReader();
    const { writable } = new TransformStream();
    writable.getWriter();
    return [await caught(() => env.T.read(stream)), await caught(() => env.T.write(writable))];
  },
  'one that is locked, as result': ({ env, caught }) => caught(() => env.T.locked()),
  'one twice in one call': async ({ env, caught }) => {
    const stream = new Blob(['x']).stream();
    const result: any = await caught(() => env.T.pipe(stream, stream));
    return [result.name];
  },
  'one that was read to its end': async ({ env, caught }) => {
    const stream = new Blob(['x']).stream();
    await (globalThis as any).read(stream);
    return ((await caught(() => env.T.read(stream))) as any).name ?? 'taken';
  },
}, setup);
