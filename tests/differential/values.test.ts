// SPDX-License-Identifier: Apache-2.0
//
// Encoding, events, abort, timers, structured clone, random values, console.
import { probes } from '../support/differential.ts';

probes('encoding', {
  'TextEncoder': () => [new TextEncoder().encode('h\u00e9\u2603\ud83d\ude00\ud800'), new TextEncoder().encode(), new TextEncoder().encoding],
  'encodeInto': () => {
    const into = new Uint8Array(5);
    return [new TextEncoder().encodeInto('a\u2603b\u2603', into), into];
  },
  'TextDecoder': () => [new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x68, 0xc3, 0xa9])), new TextDecoder().decode(),
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x68])), new TextDecoder().encoding],
  'fatal': ({ caught }) => caught(() => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))).then((error: any) => error.name),
  'split characters': () => {
    const decoder = new TextDecoder();
    return [decoder.decode(new Uint8Array([0xe2, 0x98]), { stream: true }), decoder.decode(new Uint8Array([0x83]), { stream: true }), decoder.decode()];
  },
  'labels': () => ['utf8', 'UTF-8', 'unicode-1-1-utf-8', 'latin1', 'ascii', 'utf-16', 'utf-16be', 'iso-8859-1'].map((label) => new TextDecoder(label).encoding),
  'utf-16 and windows-1252': () => [new TextDecoder('utf-16le').decode(new Uint8Array([0x68, 0, 0x26, 0x27])), new TextDecoder('latin1').decode(new Uint8Array([0x80, 0xe9]))],
  'an unknown label': ({ caught }) => caught(() => new TextDecoder('klingon')).then((error: any) => error.name),
  'btoa and atob': ({ caught }) => Promise.all([btoa('h\u00e9\xff'), atob(' aO n/ '), btoa(''), caught(() => btoa('\u2603')).then((e: any) => e.name),
    caught(() => atob('a')).then((e: any) => e.name), caught(() => atob('a$==')).then((e: any) => e.name)]),
});

probes('events and abort', {
  'listeners in order, once, removed': () => {
    const target = new EventTarget();
    const seen: string[] = [];
    const second = (): void => void seen.push('second');
    target.addEventListener('x', () => seen.push('first'));
    target.addEventListener('x', second);
    target.addEventListener('x', second);
    target.addEventListener('x', () => seen.push('once'), { once: true });
    target.addEventListener('x', { handleEvent: () => seen.push('object') } as any);
    target.dispatchEvent(new Event('x'));
    target.removeEventListener('x', second);
    target.dispatchEvent(new Event('x'));
    return seen;
  },
  'stopImmediatePropagation and preventDefault': () => {
    const target = new EventTarget();
    let later = false;
    target.addEventListener('x', (event) => { event.preventDefault(); event.stopImmediatePropagation(); });
    target.addEventListener('x', () => { later = true; });
    return [target.dispatchEvent(new Event('x', { cancelable: true })), later];
  },
  'Event members': () => {
    const event = new Event('x', { bubbles: true });
    return [event.type, event.bubbles, event.cancelable, event.defaultPrevented, event.eventPhase, new CustomEvent('c', { detail: { a: 1 } }).detail];
  },
  'abort with and without a reason': () => {
    const one = new AbortController();
    const two = new AbortController();
    let fired = 0;
    one.signal.addEventListener('abort', () => fired++);
    one.signal.onabort = () => fired++;
    one.abort();
    one.abort();
    two.abort('why');
    return [one.signal.aborted, one.signal.reason, fired, two.signal.reason];
  },
  'throwIfAborted': ({ caught }) => Promise.all([caught(() => AbortSignal.abort('why').throwIfAborted()), caught(() => new AbortController().signal.throwIfAborted())]),
  'abort() and any()': () => {
    const controller = new AbortController();
    const any = AbortSignal.any([controller.signal, new AbortController().signal]);
    const before = any.aborted;
    controller.abort('one');
    return [AbortSignal.abort().reason, before, any.aborted, any.reason, AbortSignal.any([AbortSignal.abort('x')]).reason];
  },
  'timeout()': async () => {
    const signal = AbortSignal.timeout(5);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return signal.reason.name;
  },
  'DOMException': () => {
    const error = new DOMException('text', 'AbortError');
    return [error, error.code, error instanceof Error, Object.prototype.toString.call(error), DOMException.ABORT_ERR, String(error), new DOMException().name];
  },
  'an aborted fetch rejects with the reason': ({ caught }) => caught(() => fetch('http://127.0.0.1:1/', { signal: AbortSignal.abort(new Error('before')) })),
});

probes('timers', {
  'order': async () => {
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      setTimeout(() => { seen.push('10'); resolve(); }, 10);
      setTimeout(() => seen.push('0a'), 0);
      setTimeout(() => seen.push('0b'));
      queueMicrotask(() => seen.push('micro'));
      Promise.resolve().then(() => seen.push('promise'));
      seen.push('now');
    });
    return seen;
  },
  'arguments and ids': async () => {
    const args = await new Promise((resolve) => { setTimeout((...list: unknown[]) => resolve(list), 1, 'a', 2); });
    const id = setTimeout(() => {}, 1) as any;
    clearTimeout(id);
    return [args, typeof id];
  },
  'clearTimeout from another timer': async () => {
    let fired = false;
    const id = setTimeout(() => { fired = true; }, 6);
    setTimeout(() => clearTimeout(id), 1);
    await new Promise((resolve) => { setTimeout(resolve, 15); });
    return fired;
  },
  'setInterval': async () => {
    let count = 0;
    await new Promise<void>((resolve) => {
      const id = setInterval(() => { if (++count === 3) { clearInterval(id); resolve(); } }, 1);
    });
    return count;
  },
  'clearing nonsense is harmless': ({ caught }) => caught(() => { clearTimeout(undefined); clearTimeout(99999); clearInterval(null as any); }),
  'scheduler.wait': async ({ caught }) => {
    const controller = new AbortController();
    const waiting = caught(() => (globalThis as any).scheduler.wait(10000, { signal: controller.signal }));
    controller.abort();
    await (globalThis as any).scheduler.wait(1);
    return ((await waiting) as Error).name;
  },
  'an error in a timer does not reach the handler': async () => {
    setTimeout(() => { throw new Error('lost'); }, 0);
    await new Promise((resolve) => { setTimeout(resolve, 5); });
    return 'still here';
  },
  'a time passes between timers': async () => {
    const start = Date.now();
    await new Promise((resolve) => { setTimeout(resolve, 30); });
    return Date.now() - start >= 29;
  },
  'queueMicrotask wants a function': ({ caught }) => caught(() => queueMicrotask('x' as any)).then((error: any) => error.name),
});

probes('structuredClone and random', {
  'kinds of values': () => structuredClone({ a: [1, , 3], m: new Map([[1, { b: 2 }]]), s: new Set(['x']), d: new Date(5), r: /a/gi, n: 1n, u: undefined,
    bytes: new Uint8Array([1, 2]), buffer: new ArrayBuffer(2), e: new RangeError('r') }),
  'cycles and identity': () => {
    const value: any = { list: [] };
    value.self = value;
    value.list.push(value.list, value);
    const copy = structuredClone(value);
    return [copy !== value, copy.self === copy, copy.list[0] === copy.list, copy.list[1] === copy];
  },
  'transfer': () => {
    const buffer = new ArrayBuffer(4);
    const copy = structuredClone(buffer, { transfer: [buffer] });
    return [copy.byteLength, buffer.byteLength];
  },
  'what cannot be cloned': ({ caught }) => Promise.all([() => {}, Symbol('s'), new WeakMap(), Promise.resolve()].map((value) => caught(() => structuredClone(value))))
    .then((list) => list.map((error: any) => [error.name, error instanceof DOMException, error.code])),
  'a function has a text': ({ caught }) => caught(() => structuredClone({ f: () => 1 })).then((error: any) => error.message.endsWith('could not be cloned.')),
  'classes become plain': () => Object.getPrototypeOf(structuredClone(new (class Point { x = 1; })())) === Object.prototype,
  'random values': () => {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    return [bytes.length, bytes.some((byte) => byte !== 0), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())];
  },
  'random quota and kinds': ({ caught }) => Promise.all([
    caught(() => crypto.getRandomValues(new Uint8Array(65537))), caught(() => crypto.getRandomValues(new Float32Array(1) as any)),
    caught(() => (crypto as any).getRandomValues('x'))]).then((list: any[]) => list.map((error) => error.name)),
  'performance': () => [typeof performance.now(), typeof performance.timeOrigin],
  'console never throws': () => {
    const loop: any = { self: null };
    loop.self = loop;
    const hostile = new Proxy({}, { get() { throw new Error('trap'); }, ownKeys() { throw new Error('trap'); } });
    console.log('%s %d %o', 'a', 1, {}, loop, hostile, new Error('e'), Symbol('s'), 1n, null, undefined, () => {}, new Map([[loop, loop]]));
    console.error({ get secret() { throw new Error('getter'); } });
    console.table([{ a: 1 }]);
    console.assert(false, 'x');
    console.group('g');
    console.groupEnd();
    console.count();
    console.time('t');
    console.timeEnd('t');
    console.dir({});
    console.trace('t');
    return 'ok';
  },
});
