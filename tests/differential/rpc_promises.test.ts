// SPDX-License-Identifier: Apache-2.0
//
// RPC, promises and properties: what a call returns, pipelining over several levels, depth, order, failures (docs: rpc
// contract, section 4).
import { probes } from '../support/differential.ts';
import { outcomes } from '../support/outcomes.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const target: WorkerSpec = {
  name: 'target',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
let log = [];
class Counter extends RpcTarget {
  #n;
  constructor(n) { super(); this.#n = n; }
  next(by = 1) { log.push('next'); return new Counter(this.#n + by); }
  async later() { await new Promise((resolve) => setTimeout(resolve, 5)); return new Counter(this.#n + 10); }
  get value() { log.push('value'); return this.#n; }
  get sibling() { return new Counter(this.#n + 100); }
  get(n) { return this.#n + n; }
  fails() { throw new RangeError('counter failed'); }
  async add(other) { return this.#n + await other.value; }
}
export class Class extends WorkerEntrypoint {
  note(text) { log.push(text); return log.length; }
  take() { const taken = log; log = []; return taken; }
  counter(n = 0) { log.push('counter'); return new Counter(n); }
  async slow(n) { await new Promise((resolve) => setTimeout(resolve, 5)); return new Counter(n); }
  plain() { return { a: { b: { c: (n) => n * 2, d: 'deep', counter: new Counter(5) } }, list: [{ x: 1 }], map: new Map([['k', 'v']]) }; }
  async thenable() { return { value: { then: 1 } }; }
  give(kind) { return { number: 5, string: 'text', nothing: undefined, null: null, array: [1, 2], date: new Date(0), bytes: new Uint8Array(3), map: new Map([['a', 1]]), error: new Error('e') }[kind]; }
  fails() { throw new TypeError('first failed'); }
  async failsLater() { await null; throw new TypeError('failed later'); }
  get property() { log.push('property'); return { inner: 5, call: () => 'called' }; }
  get laterProperty() { return new Promise((resolve) => setTimeout(() => resolve({ inner: 6 }), 1)); }
  chain() { const top = { end: 'end' }; top.next = top; return top; }
  async order(n, extra) { log.push(n); if (extra instanceof ReadableStream) await extra.cancel(); return n; }
  holds(value) { return typeof value; }
  returnsPromise(env) { return this.env.SELF.slow(3); }
  returnsInside() { return { inside: this.env.SELF.slow(3) }; }
}
export class Forward extends WorkerEntrypoint {
  counter(n) { return this.env.SELF.counter(n); }
  slow(n) { return this.env.SELF.slow(n); }
  plain() { return this.env.SELF.plain(); }
  fails() { return this.env.SELF.fails(); }
  property() { return this.env.SELF.property; }
  chain(n) { return this.env.SELF.counter(n).next().next(); }
}
export default class extends WorkerEntrypoint {}
`,
  services: [{ binding: 'SELF', service: 'target', entrypoint: 'Class' }],
};

const setup = {
  others: [target],
  services: [{ binding: 'T', service: 'target', entrypoint: 'Class' }, { binding: 'F', service: 'target', entrypoint: 'Forward' }],
  prelude: outcomes,
};

probes('rpc: a promise of a result', {
  'is there at once, and the call goes out without an await': async ({ env }) => {
    await env.T.take();
    env.T.note('sent');
    return env.T.take();
  },
  'then, catch and finally': async ({ env }) => {
    const seen: unknown[] = [];
    const value = await env.T.give('number').then((n: number) => n + 1).finally(() => seen.push('finally'));
    const error: any = await env.T.fails().catch((e: Error) => e);
    const other = await env.T.fails().then(() => 'no', (e: Error) => e.message);
    return [value, seen, error, other, env.T.give('number').then(() => 1) instanceof Promise];
  },
  'a value is delivered to every then': async ({ env }) => {
    const promise = env.T.give('number');
    return [await promise, await promise, await promise.then((n: number) => n + 1)];
  },
  'Promise.all, race and resolve take it': async ({ env }) => [await Promise.all([env.T.give('number'), env.T.give('string')]), await Promise.race([env.T.give('number')]), await Promise.resolve(env.T.give('array'))],
  'a promise of a result is returned by another method': async ({ env }) => [await (await env.T.returnsPromise()).value, await env.T.returnsPromise().next().value],
  'one inside a result is refused': ({ env, caught }) => caught(() => env.T.returnsInside()),
  'one inside an argument is refused': async ({ env, caught }) => {
    const promise = env.T.give('number');
    const list = [await caught(() => env.T.holds(promise)), await caught(() => env.T.holds({ promise }))];
    await promise;
    return list;
  },
  'a property inside an argument is refused': ({ env, caught }) => caught(() => env.T.holds({ property: env.T.property })),
}, setup);

probes('rpc: properties', {
  'are read when awaited, not before': async ({ env }) => {
    await env.T.take();
    const property = env.T.property;
    const before = await env.T.take();
    const value = await property.inner;
    return [before, value, await env.T.take()];
  },
  'that are promises are awaited, but not looked into': async ({ env, caught }) => [await env.T.laterProperty, await caught(() => env.T.laterProperty.inner)],
  'can be called': async ({ env }) => env.T.property.call(),
  'then, catch, finally': async ({ env }) => [await env.T.property.inner.then((n: number) => n + 1), await env.T.absent.catch((e: Error) => e.message), await env.T.property.inner.finally(() => 9)],
}, setup);

probes('rpc: pipelining', {
  'a call on an unresolved result': async ({ env }) => [await env.T.counter(1).next().value, await env.T.slow(1).next(5).value, await env.T.slow(1).later().next().later().value],
  'properties, elements and functions of an unresolved result': async ({ env }) => [await env.T.plain().a.b.c(21), await env.T.plain().a.b.d, await env.T.plain().a.b.counter.next().value, await env.T.plain().list],
  'through a Worker that forwards': async ({ env }) => [await env.F.counter(1).next().value, await env.F.slow(1).next(5).later().value, await env.F.plain().a.b.c(4), await env.F.chain(1).next().value, await env.F.property().inner],
  'two branches of one promise': async ({ env }) => {
    const first = env.T.slow(10);
    return Promise.all([first.next(1).value, first.next(2).value, first.sibling.value, first.value]);
  },
  'a stub got by pipelining is passed on': async ({ env }) => {
    const [one, two] = await Promise.all([env.T.counter(1), env.T.counter(2)]);
    return one.add(two);
  },
  'names that exist on values of the language': async ({ env, caught }) => {
    const kinds = ['number', 'string', 'nothing', 'null', 'array', 'date', 'bytes', 'map', 'error'];
    return Promise.all(kinds.map((kind) => caught(() => env.T.give(kind).foo())));
  },
  'reading a member of a value that is no object': async ({ env, caught }) => Promise.all(['number', 'string', 'nothing', 'null', 'array', 'date', 'map'].map((kind) => caught(() => env.T.give(kind).foo))),
  'methods of arrays, strings and maps are not there': async ({ env, caught }) => Promise.all([caught(() => env.T.give('array').join('-')), caught(() => env.T.give('string').toUpperCase()), caught(() => env.T.give('map').get('a'))]),
  'elements of an array, by name': async ({ env, caught }) => caught(() => env.T.give('array').length),
  'the failure of the first rejects all that depend on it': async ({ env, caught }) => {
    const first = env.T.fails();
    return Promise.all([caught(() => first), caught(() => first.a()), caught(() => first.a.b), caught(() => first.a().b().c())]);
  },
  'a later failure too, and through a Worker that forwards': async ({ env, caught }) => Promise.all([caught(() => env.T.failsLater().a().b), caught(() => env.F.fails().a()), caught(() => env.T.counter().fails().next().value)]),
  'a rejection that somebody handles makes no noise': async ({ env, caught }) => {
    const seen: unknown[] = [];
    addEventListener('unhandledrejection' as any, (event: any) => { seen.push(String(event.reason)); event.preventDefault(); });
    const first = env.T.fails();
    const [a, b] = [first.a(), first.b.c()];
    await Promise.all([first, a, b].map((one) => caught(() => one)));
    await new Promise((resolve) => { setTimeout(resolve, 5); });
    return seen;
  },
}, setup);

probes('rpc: depth and order', {
  'sixty-four names pass': async ({ env }) => {
    let at = env.T.chain();
    for (let n = 0; n < 62; n++) at = at.next;
    return at.end;
  },
  'sixty-six throw, at once': ({ env, caught }) => {
    let at = env.T;
    for (let n = 0; n < 65; n++) at = at.next;
    return caught(() => { at.next; return 'nothing thrown'; });
  },
  'where the limit lies': ({ env }) => {
    let at = env.T;
    for (let n = 1; n <= 80; n++) {
      try { at = at.next; } catch (error: any) { return [n, error.name, error.message]; }
    }
    return 'no limit';
  },
  'a call starts a new count': async ({ env }) => {
    let at = env.T.chain();
    for (let n = 0; n < 60; n++) at = at.next;
    return at.end;
  },
  'a thousand calls on one stub arrive in their order, streams among them': async ({ env }) => {
    await env.T.take();
    const calls: Promise<number>[] = [];
    for (let n = 0; n < 1000; n++) calls.push(env.T.order(n, n % 100 === 7 ? new Blob(['x'.repeat(n)]).stream() : n % 3 ? undefined : { pad: 'x'.repeat(n) }));
    const results = await Promise.all(calls);
    const log: number[] = await env.T.take();
    return [results.every((n, index) => n === index), log.length, log.every((n, index) => n === index)];
  },
  'calls on a stub of an object arrive in their order': async ({ env }) => {
    const seen: number[] = [];
    const { RpcStub } = (globalThis as any).workers;
    const stub = new RpcStub((n: number) => { seen.push(n); });
    await Promise.all(Array.from({ length: 200 }, (_, n) => stub(n)));
    return seen.every((n, index) => n === index) && seen.length;
  },
}, setup);
