// SPDX-License-Identifier: Apache-2.0
//
// RPC, calls: arguments and results, which members of a receiver can be reached, reserved names, the rule of plain
// handler objects, what a stub looks like (docs: rpc contract, sections 1 to 3).
import { probes } from '../support/differential.ts';
import { outcomes } from '../support/outcomes.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

// The Worker that is called: one export for each kind of receiver.
const target: WorkerSpec = {
  name: 'target',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class Base extends WorkerEntrypoint { inherited() { return 'base'; } overridden() { return 'base'; } }
export class Class extends Base {
  constructor(ctx, env) { super(ctx, env); this.ownField = 'own'; this.ownMethod = () => 'own'; }
  #secret = 'private';
  async list(...args) { return args; }
  count() { return arguments.length; }
  nothing() {}
  async later(value) { await new Promise((resolve) => setTimeout(resolve, 1)); return value; }
  get getter() { return 'got'; }
  get laterGetter() { return Promise.resolve('awaited'); }
  get throwingGetter() { throw new RangeError('getter'); }
  get object() { return { deep: { value: 1, call: (a) => a + 1 }, list: [5, 6] }; }
  static still() { return 'static'; }
  overridden() { return 'derived ' + super.overridden(); }
  self() { return this.ownMethod() + this.#secret; }
  throws() { throw new TypeError('thrown'); }
  target() { return new Target(); }
  plain() { return { value: 1, call: (a) => a * 2, nested: { call: (b) => b * 3 } }; }
  fn() { return Object.assign((a, b) => a + b, { property: 'of the function', inner: { value: 7 } }); }
  get(a) { return 'get ' + a; }
  put(a, b) { return 'put ' + a + b; }
  delete(a) { return 'delete ' + a; }
  scheduled(a) { return ['scheduled', a]; }
  queue(a) { return ['queue', a]; }
  tail(a) { return ['tail', a]; }
  test(a) { return ['test', a]; }
  async 'a name with spaces'() { return 'spaces'; }
  \u00fcber() { return 'letters'; }
  toString() { return 'own toString'; }
  alarm() {} webSocketMessage() {} webSocketClose() {} webSocketError() {} dup() {}
  callsBack(fn, ...args) { return fn(...args); }
  async callsBackTwice(fn) { return [await fn(1), await fn(2)]; }
  useTarget(given) { return given.hello('callee'); }
  proxies(kind) {
    switch (kind) {
      case 'target': return new Proxy(new Target(), {});
      case 'plain': return new Proxy({ a: 1, call() { return 'called'; } }, {});
      case 'function': return new Proxy(() => 'real', { apply: () => 'trapped' });
      case 'made': return new Proxy(Object.create(RpcTarget.prototype), { get: (of, name) => (name === 'magic' ? () => 'made up' : Reflect.get(of, name)) });
      case 'instance': return new Proxy(new (class Ordinary { method() {} })(), {});
    }
  }
}
Class.prototype.dataOnPrototype = 'data';
class Middle extends RpcTarget { inherited() { return 'middle'; } }
class Target extends Middle {
  own = 'own';
  ownMethod = () => 'own';
  #secret = 1;
  hello(name) { return 'hello ' + name; }
  get getter() { return 'got'; }
  fetch(a) { return ['plain fetch', a]; }
  connect(a) { return ['plain connect', a]; }
  alarm() { return 'plain alarm'; } webSocketMessage() { return 'plain message'; }
  webSocketClose() { return 'plain close'; } webSocketError() { return 'plain error'; }
  get env() { return 'env is ordinary'; }
  then2() { return 'then2'; }
}
export const object = {
  none() { return arguments.length; }, one(a) { return [a, arguments.length]; }, two(a, env) { return [a, Object.keys(env)]; },
  three(a, env, ctx) { return [a, Object.keys(env), typeof ctx.waitUntil, ctx.props]; }, four(a, b, c, d) { return 4; },
  rest(...args) { return args.length; }, defaulted(a = 5) { return a; }, value: 5, fetch() { return new Response('fetched'); },
  arrow: (a) => a, nested: { call: () => 1 }, alarm(a) { return 'alarm'; }, toString() { return 'own'; },
  get getter() { return 1; },
};
export default class extends WorkerEntrypoint {}
`,
  vars: { VISIBLE: 'yes' },
};

const setup = {
  others: [target],
  services: [{ binding: 'T', service: 'target', entrypoint: 'Class' }, { binding: 'O', service: 'target', entrypoint: 'object' }],
  prelude: outcomes,
};

probes('rpc: arguments and results', {
  'no, one, two and ten arguments': ({ env }) => Promise.all([env.T.list(), env.T.list(1), env.T.list('a', { b: 2 }), env.T.list(...Array(10).keys()), env.T.count(undefined, null)]),
  'a hundred arguments': async ({ env }) => (await env.T.list(...Array(100).keys())).length,
  'no result': async ({ env }) => [await env.T.nothing()],
  'a promise is awaited': ({ env }) => env.T.later({ a: [1] }),
  'an object is a copy': async ({ env }) => {
    const given = { a: 1 };
    const got = await env.T.later(given);
    return [got, got !== given];
  },
  'a call of an instance sees its fields': ({ env }) => env.T.self(),
  'a function as argument is called back': async ({ env }) => {
    const seen: unknown[] = [];
    return [await env.T.callsBack((...args: unknown[]) => { seen.push(args); return 'back'; }, 1, 'two'), seen];
  },
  'a function is called back more than once': ({ env }) => {
    let total = 0;
    return env.T.callsBackTwice(async (n: number) => { await null; total += n; return total; });
  },
  'a callback that throws': ({ env, caught }) => caught(() => env.T.callsBack(() => { throw new RangeError('from the callback'); })),
  'an RpcTarget as argument': ({ env }) => {
    class Mine extends (globalThis as any).workers.RpcTarget { hello(name: string) { return `mine, ${name}`; } }
    return env.T.useTarget(new Mine());
  },
  'a returned function, and its properties': async ({ env }) => {
    const fn = await env.T.fn();
    return [typeof fn, await fn(2, 3), await fn.property, await fn.inner.value, await fn.inner];
  },
  'a returned object of functions': async ({ env }) => {
    const plain = await env.T.plain();
    return [plain.value, await plain.call(21), await plain.nested.call(5), Object.keys(plain).sort()];
  },
  'a returned RpcTarget': async ({ env }) => {
    const got = await env.T.target();
    return [await got.hello('you'), await got.getter, typeof got, got instanceof (globalThis as any).workers.RpcStub];
  },
  'calls side by side': ({ env }) => Promise.all(Array.from({ length: 50 }, (_, n) => env.T.later(n))),
  'a method taken off its stub; call and apply are names like others': ({ env }) => {
    const { list } = env.T;
    return (globalThis as any).outcomes([['taken', () => list(1)], ['Reflect', () => Reflect.apply(list, undefined, [3])], ['apply', () => list.apply(null, [2])], ['call', () => list.call(null, 2)]]);
  },
}, setup);

probes('rpc: members of an entrypoint', {
  'methods and getters of the prototype, inherited ones too': ({ env }) => (globalThis as any).outcomes([
    ['inherited', () => env.T.inherited()], ['overridden', () => env.T.overridden()], ['getter', () => env.T.getter], ['laterGetter', () => env.T.laterGetter],
    ['object', () => env.T.object.deep.value], ['element', () => env.T.object.list], ['nested call', () => env.T.object.deep.call(4)],
    ['data on the prototype', () => env.T.dataOnPrototype], ['spaces', () => env.T['a name with spaces']()], ['letters', () => env.T['\u00fcber']()],
  ]),
  'a getter that throws': ({ env, caught }) => caught(() => env.T.throwingGetter),
  'own fields, private names and statics are not there': ({ env }) => (globalThis as any).outcomes([
    ['ownField', () => env.T.ownField], ['ownMethod()', () => env.T.ownMethod()], ['#secret', () => env.T['#secret']], ['still()', () => env.T.still()], ['absent', () => env.T.absent],
    ['absent()', () => env.T.absent()],
  ]),
  'env, ctx and what every object has are not there': ({ env }) => (globalThis as any).outcomes(
    ['env', 'ctx', 'prototype', '__defineGetter__', 'valueOf', 'toLocaleString'].map((name) => [name, async () => env.T[name]])),
  'what every object has cannot be called': ({ env }) => (globalThis as any).outcomes(
    ['hasOwnProperty', 'isPrototypeOf'].map((name) => [name, async () => env.T[name]('x')])),
  'a method read and not called is a function': async ({ env }) => {
    const method = await env.T.list;
    return [typeof method, await method(1, 2)];
  },
  'a getter that is no function cannot be called': ({ env }) => (globalThis as any).outcomes([['getter()', () => env.T.getter()], ['deep', () => env.T.object.deep.value()], ['list', () => env.T.object.list()]]),
  'names that once were methods of a binding': ({ env }) => Promise.all([env.T.get('a'), env.T.put('a', 'b'), env.T.delete('a')]),
  'scheduled, queue, tail and test are ordinary methods': async ({ env }) => (globalThis as any).outcomes([['scheduled', () => env.T.scheduled({ cron: 'x' })], ['queue', () => env.T.queue({ a: 1 })]]),
  'numbers are no names': async ({ env }) => [typeof env.T[1], typeof env.T['01'], typeof env.T[-1]],
  'symbols are no names': ({ env }) => [typeof env.T[Symbol.iterator], typeof env.T[Symbol.asyncIterator], typeof env.T[Symbol('x')], typeof env.T[Symbol.toPrimitive]],
}, setup);

probes('rpc: reserved names', {
  'of an entrypoint': ({ env }) => (globalThis as any).outcomes(['alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError'].map((name) => [name, async () => env.T[name]('x')])),
  'of an entrypoint, read': ({ env }) => (globalThis as any).outcomes(['alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError'].map((name) => [name, async () => { await env.T[name]; }])),
  'dup of an entrypoint': ({ env, caught }) => caught(async () => typeof await env.T.dup()),
  'of an RpcTarget they are ordinary': async ({ env }) => {
    const got = await env.T.target();
    return (globalThis as any).outcomes([['fetch', () => got.fetch('/x')], ['connect', () => got.connect('x')], ['alarm', () => got.alarm()],
      ['webSocketMessage', () => got.webSocketMessage()], ['webSocketClose', () => got.webSocketClose()], ['webSocketError', () => got.webSocketError()], ['env', () => got.env], ['then2', () => got.then2()]]);
  },
  'constructor is the stub\'s own': async ({ env, caught }) => {
    const got = await env.T.target();
    return ((await caught(() => got.constructor('x'))) as Error).name;
  },
}, setup);

probes('rpc: members of an RpcTarget, an object and a function', {
  'a target shows its prototype': async ({ env }) => {
    const got = await env.T.target();
    return (globalThis as any).outcomes([['hello', () => got.hello('x')], ['inherited', () => got.inherited()], ['getter', () => got.getter], ['own', () => got.own], ['ownMethod', () => got.ownMethod()],
      ['hasOwnProperty', () => got.hasOwnProperty('x')], ['absent', () => got.absent], ['#secret', () => got['#secret']]]);
  },
  'an object in a promise shows its own members only': ({ env }) => (globalThis as any).outcomes([
    ['value', () => env.T.plain().value], ['call', () => env.T.plain().call(4)], ['nested', () => env.T.plain().nested.call(2)], ['hasOwnProperty', () => env.T.plain().hasOwnProperty('value')],
    ['absent', () => env.T.plain().absent], ['absent()', () => env.T.plain().absent()]]),
  'a function in a promise shows its own members': ({ env }) => (globalThis as any).outcomes([
    ['call', () => env.T.fn()(1, 2)], ['property', () => env.T.fn().property], ['inner', () => env.T.fn().inner.value], ['bind', () => env.T.fn().bind()], ['prototype', () => env.T.fn().prototype]]),
  'proxies of what may cross': async ({ env }) => (globalThis as any).outcomes([
    ['target', async () => (await env.T.proxies('target')).hello('proxy')], ['plain', async () => (await env.T.proxies('plain')).call()],
    ['function', async () => (await env.T.proxies('function'))()], ['made up', async () => (await env.T.proxies('made')).magic()]]),
  'a proxy of another class is refused': ({ env, caught }) => caught(() => env.T.proxies('instance')),
}, setup);

probes('rpc: plain handler objects', {
  'one argument is what arrives first, then env and ctx': ({ env }) => Promise.all([env.O.one('a'), env.O.two('a'), env.O.three('a'), env.O.none('a'), env.O.arrow('a')]),
  'none or two arguments are refused': ({ env }) => (globalThis as any).outcomes([['none', () => env.O.one()], ['two', () => env.O.one(1, 2)], ['none of none', () => env.O.none()], ['three of three', () => env.O.three(1, 2, 3)]]),
  'a function of four parameters is refused': ({ env, caught }) => caught(() => env.O.four(1)),
  'the number is that of the declaration': ({ env }) => (globalThis as any).outcomes([['rest', () => env.O.rest(1)], ['defaulted', () => env.O.defaulted(undefined)]]),
  'what is no function': ({ env }) => (globalThis as any).outcomes([['value', () => env.O.value], ['value()', () => env.O.value(1)], ['nested', () => env.O.nested.call(1)], ['getter', () => env.O.getter], ['absent', () => env.O.absent(1)]]),
  'reserved names': ({ env }) => (globalThis as any).outcomes([['alarm', () => env.O.alarm(1)], ['hasOwnProperty', () => env.O.hasOwnProperty('one')]]),
  'fetch is still fetch': async ({ env }) => (await env.O.fetch('http://x/')).text(),
}, setup);

probes('rpc: what a stub is', {
  'a service stub': async ({ env }) => {
    const { ServiceStub, RpcStub, RpcPromise, RpcProperty } = (globalThis as any).workers;
    return [String(env.T), typeof env.T, typeof env.T.anything, typeof env.T.then, env.T instanceof ServiceStub, env.T instanceof RpcStub, typeof ServiceStub, typeof RpcPromise, typeof RpcProperty,
      (await env.T) === env.T];
  },
  'a promise and a property': async ({ env }) => {
    const { RpcPromise, RpcProperty, RpcStub } = (globalThis as any).workers;
    const promise = env.T.plain();
    const property = env.T.getter;
    const all = [promise instanceof RpcPromise, property instanceof RpcProperty, promise.value instanceof RpcProperty, typeof promise.then, typeof property.then,
      typeof promise, typeof property, promise instanceof Promise, promise instanceof RpcStub];
    await promise;
    return all;
  },
  'a stub of an object': async ({ env }) => {
    const { RpcStub } = (globalThis as any).workers;
    const stub = await env.T.target();
    return [stub instanceof RpcStub, typeof stub.dup, typeof stub[Symbol.dispose], typeof stub.onRpcBroken, typeof stub, Object.keys(stub)];
  },
  'the same stub returned from an async function stays itself': async ({ env }) => {
    const pass = async () => env.T;
    return (await pass()) === env.T;
  },
  'a stub of one\'s own': async ({ caught }) => {
    const { RpcStub, RpcTarget } = (globalThis as any).workers;
    class Mine extends RpcTarget { hi(n: number) { return n + 1; } }
    const stubs = [new RpcStub(new Mine()), new RpcStub({ hi: (n: number) => n + 2 }), new RpcStub((n: number) => n + 3)];
    return [await stubs[0].hi(1), await stubs[1].hi(1), await stubs[2](1), stubs[0] instanceof RpcStub, 
      ...(await Promise.all([() => new RpcStub(5), () => new RpcStub(), () => RpcStub(new Mine())].map(caught))).map((error: any) => error.name)];
  },
  'members of the classes': () => {
    const { RpcTarget, RpcStub, RpcPromise, RpcProperty, WorkerEntrypoint, DurableObject, WorkflowEntrypoint, ServiceStub } = (globalThis as any).workers;
    return [RpcTarget, RpcStub, RpcPromise, RpcProperty, WorkerEntrypoint, DurableObject, WorkflowEntrypoint, ServiceStub].map((kind) => [kind === ServiceStub ? '' : kind.name, typeof kind, kind.length]);
  },
  'what the module exports': () => ['DurableObject', 'RpcPromise', 'RpcProperty', 'RpcStub', 'RpcTarget', 'ServiceStub', 'WorkerEntrypoint', 'WorkflowEntrypoint', 'env', 'exports', 'waitUntil', 'withEnv',
    'withEnvAndExports', 'withExports'].map((name) => [name, typeof (globalThis as any).workers[name]]),
  'a promise cannot be made': ({ caught }) => Promise.all([caught(() => new (globalThis as any).workers.RpcPromise(() => {})), caught(() => new (globalThis as any).workers.RpcProperty()), caught(() => new (globalThis as any).workers.ServiceStub())]),
}, setup);
