// SPDX-License-Identifier: Apache-2.0
//
// Streams, made by a Worker and made by the runtime.
import { probes } from '../support/differential.ts';

probes('streams', {
  'read to the end': async () => {
    const stream = new ReadableStream({ start(c) { c.enqueue('a'); c.enqueue('b'); c.close(); } });
    const reader = stream.getReader();
    return [await reader.read(), await reader.read(), await reader.read(), await reader.closed];
  },
  'pull is called as the reader asks': async () => {
    let pulls = 0;
    const stream = new ReadableStream({ pull(c) { c.enqueue(++pulls); } }, { highWaterMark: 0 });
    const reader = stream.getReader();
    await reader.read();
    await reader.read();
    return pulls;
  },
  'cancel reaches the source': async () => {
    let reason: unknown;
    const stream = new ReadableStream({ cancel(why) { reason = why; } });
    await stream.cancel('enough');
    return [reason, (await stream.getReader().read()).done];
  },
  'an error reaches the reader': async ({ caught }) => {
    const reader = new ReadableStream({ start(c) { c.error(new TypeError('bad')); } }).getReader();
    return [await caught(() => reader.read()), await caught(() => reader.closed)];
  },
  'tee': async () => {
    const [a, b] = new ReadableStream({ start(c) { c.enqueue(1); c.enqueue(2); c.close(); } }).tee();
    const all = async (stream: ReadableStream) => { const list = []; for await (const item of stream as any) list.push(item); return list; };
    return [await all(a), await all(b)];
  },
  'async iteration, ended early': async () => {
    let cancelled = false;
    const stream = new ReadableStream({ pull(c) { c.enqueue(1); }, cancel() { cancelled = true; } });
    for await (const item of stream as any) if (item === 1) break;
    return [cancelled, stream.locked];
  },
  'from an iterable': async () => {
    const list = [];
    for await (const item of (ReadableStream as any).from(['a', 'b'])) list.push(item);
    return list;
  },
  'a lock is exclusive': ({ caught }) => {
    const stream = new ReadableStream();
    const reader = stream.getReader();
    return Promise.all([stream.locked, caught(() => stream.getReader()).then((e: any) => e.name), caught(() => stream.cancel()).then((e: any) => e.name),
      (reader.releaseLock(), stream.locked)]);
  },
  'bytes: BYOB reader': async () => {
    const stream = new ReadableStream({ type: 'bytes', start(c) { c.enqueue(new Uint8Array([1, 2, 3, 4])); c.close(); } });
    const reader = stream.getReader({ mode: 'byob' });
    const first = await reader.read(new Uint8Array(3));
    const second = await reader.read(new Uint8Array(3));
    return [first.value, second.value, (await reader.read(new Uint8Array(3))).done];
  },
  'bytes: BYOB on a body': {
    run: async ({ request }) => {
      const reader = request.body!.getReader({ mode: 'byob' });
      const { value, done } = await reader.read(new Uint8Array(4));
      return [value, done];
    },
    request: { method: 'POST', body: 'abcdefgh' },
  },
  'a body through a transform': {
    run: async ({ request }) => {
      const upper = new TransformStream({ transform(chunk, c) { c.enqueue(chunk.toUpperCase()); }, flush(c) { c.enqueue('!'); } });
      return new Response(request.body!.pipeThrough(new TextDecoderStream()).pipeThrough(upper).pipeThrough(new TextEncoderStream()));
    },
    request: { method: 'POST', body: 'shout h\u00e9' },
  },
  'a writer and its ready and closed': async () => {
    const seen: unknown[] = [];
    const stream = new WritableStream({ write(chunk) { seen.push(chunk); }, close() { seen.push('closed'); } });
    const writer = stream.getWriter();
    await writer.ready;
    await writer.write(1);
    await writer.close();
    await writer.closed;
    return seen;
  },
  'abort of a writer': async ({ caught }) => {
    let reason: unknown;
    const writer = new WritableStream({ abort(why) { reason = why; } }).getWriter();
    await writer.abort('stop');
    return [reason, await caught(() => writer.write(1))];
  },
  'back-pressure is told by desiredSize': async () => {
    const sizes: unknown[] = [];
    const stream = new ReadableStream({ start(c) { sizes.push(c.desiredSize); c.enqueue('a'); sizes.push(c.desiredSize); c.enqueue('bb'); sizes.push(c.desiredSize); } },
      new CountQueuingStrategy({ highWaterMark: 2 }));
    await stream.cancel();
    return sizes;
  },
  'pipeTo with an error and preventCancel': async ({ caught }) => {
    const readable = new ReadableStream({ pull(c) { c.enqueue(1); } });
    const writable = new WritableStream({ write() { throw new RangeError('full'); } });
    return [await caught(() => readable.pipeTo(writable, { preventCancel: true })), readable.locked];
  },
  'pipeTo with an aborted signal': ({ caught }) =>
    caught(() => new ReadableStream().pipeTo(new WritableStream(), { signal: AbortSignal.abort(new Error('stopped')) })),
  'IdentityTransformStream carries bytes': async () => {
    const { readable, writable } = new (globalThis as any).IdentityTransformStream();
    const writer = writable.getWriter();
    const written = writer.write(new Uint8Array([1, 2])).then(() => writer.close());
    const text = await new Response(readable).arrayBuffer();
    await written;
    return text;
  },
  'FixedLengthStream sets the length': async ({ ctx }) => {
    const { readable, writable } = new (globalThis as any).FixedLengthStream(5);
    const writer = writable.getWriter();
    ctx.waitUntil(writer.write(new TextEncoder().encode('12345')).then(() => writer.close()));
    return new Response(readable);
  },
  'tags': () => [new ReadableStream(), new WritableStream(), new TransformStream()].map((one) => Object.prototype.toString.call(one)),
  'a large body streams both ways': {
    run: ({ request }) => new Response(request.body!.pipeThrough(new TransformStream())),
    request: { method: 'POST', body: Buffer.alloc(1_500_000, 'xyz') },
  },
});
