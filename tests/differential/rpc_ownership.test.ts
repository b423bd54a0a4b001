// SPDX-License-Identifier: Apache-2.0
//
// RPC, ownership: dup, disposal of stubs, promises, parameters and results, and when the target learns that nobody holds
// it any more (docs: rpc contract, section 5).
import { probes } from '../support/differential.ts';
import { outcomes } from '../support/outcomes.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const target: WorkerSpec = {
  name: 'target',
  source: `import { WorkerEntrypoint, RpcTarget, RpcStub } from 'cloudflare:workers';
let log = [];
let kept, keptDup;
class Thing extends RpcTarget {
  constructor(name) { super(); this.name = name; }
  hi() { return 'hi ' + this.name; }
  [Symbol.dispose]() { log.push('disposed ' + this.name); }
}
export class Class extends WorkerEntrypoint {
  take() { const taken = log; log = []; return taken; }
  seen() { return log; }
  nothing() {}
  thing(name) { return new Thing(name); }
  two() { return { a: new Thing('a'), b: new Thing('b'), text: 'x' }; }
  list() { return [new Thing('first'), [new Thing('second')]]; }
  plain() { return { a: 1, list: [1, 2] }; }
  arrayOfData() { return [1, 2]; }
  map() { return new Map([['k', 'v']]); }
  fn() { const f = () => 'called'; f[Symbol.dispose] = () => { log.push('disposed fn'); }; return f; }
  use(stub) { return stub.hi(); }
  useTwice(one, two) { return Promise.all([one.hi(), two.hi()]); }
  ignore() {}
  keep(stub) { kept = stub; }
  keepDup(stub) { keptDup = stub.dup(); }
  useKept() { return kept.hi(); }
  useKeptDup() { return keptDup.hi(); }
  disposeParameter(stub) { stub[Symbol.dispose](); }
  giveBack(stub) { return stub; }
  giveBackDup(stub) { return { back: stub.dup() }; }
  sameStubTwice() { const stub = new RpcStub(new Thing('twice')); return { one: stub, two: stub.dup() }; }
  typeOfDispose(stub) { return [typeof stub[Symbol.dispose], typeof stub.dup, stub instanceof RpcStub]; }
  session() { return new Session(this.ctx); }
  keepDupAndAnswer(stub) { keptDup = stub.dup(); return { text: 'answer' }; }
  holding(stub) { const own = stub.dup(); return { held: () => own.hi(), self: new Session() }; }
}
class Session extends RpcTarget {
  #plain; #dup; #ctx;
  constructor(ctx) { super(); this.#ctx = ctx; }
  hi() { return 'hi'; }
  keep(plain, dup) { this.#plain = plain; this.#dup = dup.dup(); }
  usePlain() { return this.#plain.hi(); }
  useDup() { return this.#dup.hi(); }
  abort(text) { this.#ctx.abort(new Error(text)); }
}
let leaked;
export class Leaky extends WorkerEntrypoint {
  async leak() { leaked = await this.env.SELF.two(); await leaked.a.hi(); }
}
export default class extends WorkerEntrypoint {}
`,
  services: [{ binding: 'SELF', service: 'target', entrypoint: 'Class' }],
};

const prelude = `${outcomes}
// Disposal is told asynchronously: waits until the condition holds, at most two seconds.
globalThis.until = async (holds, turns = 400) => {
  for (let turn = 0; turn < turns; turn++) { if (await holds()) return true; await new Promise((resolve) => setTimeout(resolve, 5)); }
  return false;
};
globalThis.log = [];
globalThis.Mine = class extends workers.RpcTarget {
  constructor(name = 'mine') { super(); this.name = name; }
  hi() { return 'hi ' + this.name; }
  [Symbol.dispose]() { globalThis.log.push('disposed ' + this.name); }
};
`;
// The peer keeps the target of a single stub until the caller's request ends.
const kTold = 'a target is told when the last reference is gone, whatever the shape of the result was';
const setup = { others: [target], services: [{ binding: 'T', service: 'target', entrypoint: 'Class' }], prelude };

probes('rpc: stubs and their ends', {
  'a stub after its disposal': async ({ env }) => {
    const stub = await env.T.thing('x');
    const before = await stub.hi();
    stub[Symbol.dispose]();
    return (globalThis as any).outcomes([['before', () => before], ['call', () => stub.hi()], ['property', () => stub.name], ['again', () => stub[Symbol.dispose]()]]);
  },
  'dup of a disposed stub': {
    run: async ({ env, caught }) => {
      const stub = await env.T.thing('x');
      stub[Symbol.dispose]();
      return caught(() => stub.dup()).then((error: any) => String(error.message).replace(/= \w+$/, '= N'));
    },
    differs: { reason: 'no internal error for a mistake of the caller', insula: 'RPC stub used after being disposed.' },
  },
  'a promise after its disposal': async ({ env }) => {
    const promise = env.T.thing('x');
    promise[Symbol.dispose]();
    return (globalThis as any).outcomes([['await', async () => { await promise; }], ['call', () => promise.hi()], ['property', () => promise.name]]);
  },
  'a property of a disposed stub': async ({ env, caught }) => {
    const stub = await env.T.thing('x');
    const property = stub.hi;
    stub[Symbol.dispose]();
    return caught(() => property());
  },
  'dup outlives the original': async ({ env }) => {
    const stub = await env.T.thing('x');
    const copy = stub.dup();
    stub[Symbol.dispose]();
    const said = await copy.hi();
    const third = copy.dup();
    copy[Symbol.dispose]();
    return [said, await third.hi(), copy instanceof (globalThis as any).workers.RpcStub];
  },
  'the original outlives a dup': async ({ env }) => {
    const stub = await env.T.thing('x');
    stub.dup()[Symbol.dispose]();
    return stub.hi();
  },
  'a result of stubs': async ({ env, caught }) => {
    const result = await env.T.two();
    const said = [await result.a.hi(), await result.b.hi(), Object.keys(result), typeof result[Symbol.dispose], Object.hasOwn(result, Symbol.dispose)];
    result[Symbol.dispose]();
    return [said, await caught(() => result.a.hi()), await caught(() => result.b.hi())];
  },
  'which results can be disposed': async ({ env }) => {
    const list = [];
    for (const call of [env.T.plain(), env.T.arrayOfData(), env.T.map(), env.T.two(), env.T.list(), env.T.fn()]) {
      const result = await call;
      list.push([typeof result[Symbol.dispose], Object.keys(result)]);
    }
    return list;
  },
  'using disposes of what it holds': async ({ env, caught }) => {
    let outside: any;
    {
      using stub = await env.T.thing('x');
      outside = stub;
      await stub.hi();
    }
    return caught(() => outside.hi());
  },
  'a stub of one\'s own tells its target': async () => {
    const { log, Mine, until, workers } = globalThis as any;
    log.length = 0;
    const stub = new workers.RpcStub(new Mine('local'));
    const copy = stub.dup();
    stub[Symbol.dispose]();
    const said = await copy.hi();
    const early = [...log];
    copy[Symbol.dispose]();
    const now = [...log];
    return [said, early, now, await until(() => log.length > 0), log];
  },
  'two stubs in one result tell their targets, once each': async ({ env }) => {
    await env.T.take();
    const result = await env.T.two();
    result[Symbol.dispose]();
    result[Symbol.dispose]();
    await (globalThis as any).until(async () => (await env.T.seen()).length >= 2);
    await env.T.nothing();
    return (await env.T.take()).sort();
  },
  'a single stub as result tells its target': {
    run: async ({ env }) => {
      await env.T.take();
      const stub = await env.T.thing('alone');
      await stub.hi();
      stub[Symbol.dispose]();
      await (globalThis as any).until(async () => (await env.T.seen()).length > 0, 100);
      return env.T.take();
    },
    differs: { reason: kTold, insula: ['disposed alone'] },
  },
  'a function as result tells its disposer': {
    run: async ({ env }) => {
      await env.T.take();
      const fn = await env.T.fn();
      await fn();
      fn[Symbol.dispose]();
      await (globalThis as any).until(async () => (await env.T.seen()).length > 0, 100);
      return env.T.take();
    },
    differs: { reason: kTold, insula: ['disposed fn'] },
  },
  'the promise of a result of stubs can be disposed instead': async ({ env }) => {
    await env.T.take();
    const promise = env.T.two();
    const result = await promise;
    const said = await result.a.hi();
    promise[Symbol.dispose]();
    await (globalThis as any).until(async () => (await env.T.seen()).length >= 2);
    return [said, (await env.T.take()).sort()];
  },
  'two references to one target tell it once': {
    run: async ({ env }) => {
      await env.T.take();
      const { one, two } = await env.T.sameStubTwice();
      one[Symbol.dispose]();
      const early = [await two.hi(), await env.T.seen()];
      two[Symbol.dispose]();
      await (globalThis as any).until(async () => (await env.T.seen()).length > 0, 100);
      return [early, await env.T.take()];
    },
    differs: { reason: kTold, insula: [['hi twice', []], ['disposed twice']] },
  },
}, setup);

probes('rpc: parameters', {
  'the disposer of a target runs when the call has ended': async ({ env }) => {
    const { log, Mine, until } = globalThis as any;
    log.length = 0;
    const said = await env.T.use(new Mine('sent'));
    return [said, await until(() => log.length > 0), log];
  },
  'once for each time it is sent': async ({ env }) => {
    const { log, Mine, until } = globalThis as any;
    log.length = 0;
    const mine = new Mine('thrice');
    await env.T.use(mine);
    await env.T.use(mine);
    await env.T.ignore(mine);
    return [await until(() => log.length >= 3), log];
  },
  'one target twice in one call': async ({ env }) => {
    const { log, Mine, until } = globalThis as any;
    log.length = 0;
    const mine = new Mine('both');
    const said = await env.T.useTwice(mine, mine);
    await until(() => log.length >= 1);
    for (let turn = 0; turn < 3; turn++) await env.T.nothing();
    return [said, log];
  },
  'kept without dup it is broken after the call': async ({ env, caught }) => {
    const { Mine } = globalThis as any;
    await env.T.keep(new Mine('kept'));
    return caught(() => env.T.useKept());
  },
  'the sender\'s stub still works': async ({ env }) => {
    const { Mine, workers } = globalThis as any;
    const stub = new workers.RpcStub(new Mine('stays'));
    return [await env.T.use(stub), await env.T.use(stub), await stub.hi()];
  },
  'the sender\'s stub of somebody else\'s object too': async ({ env }) => {
    const stub = await env.T.thing('far');
    return [await env.T.use(stub), await stub.hi(), await env.T.use(stub)];
  },
  'a callee that disposes of its parameter': async ({ env, caught }) => {
    const { Mine, workers } = globalThis as any;
    const stub = new workers.RpcStub(new Mine('still'));
    await env.T.disposeParameter(stub);
    return caught(() => stub.hi());
  },
  'a parameter given back': async ({ env }) => {
    const { Mine } = globalThis as any;
    const back = await env.T.giveBack(new Mine('back'));
    const said = await back.hi();
    const { back: second } = await env.T.giveBackDup(new Mine('second'));
    return [said, await second.hi()];
  },
  'what the callee holds': ({ env }) => env.T.typeOfDispose(new (globalThis as any).Mine()),
  'a target with dup() is asked for another one': async ({ env }) => {
    const { workers, log } = globalThis as any;
    log.length = 0;
    class Shared extends workers.RpcTarget {
      #name: string;
      constructor(name: string) { super(); this.#name = name; }
      dup() { log.push('dup'); return new Shared(`${this.#name}'`); }
      hi() { return `hi ${this.#name}`; }
    }
    const shared = new Shared('s');
    return [await env.T.use(shared), await env.T.use(shared), log];
  },
  'a dup() that returns something else': async ({ env }) => {
    const { workers, outcomes } = globalThis as any;
    const wrong = (value: unknown): any => new (class extends workers.RpcTarget { dup() { return value; } hi() {} })();
    const fn = Object.assign(() => 1, { dup: () => 5 });
    return outcomes([['number', () => env.T.ignore(wrong(5))], ['nothing', () => env.T.ignore(wrong(undefined))], ['object', () => env.T.ignore(wrong({}))], ['function', () => env.T.ignore(wrong(() => 1))], ['of a function', () => env.T.ignore(fn)],
      ['throwing', () => env.T.ignore(new (class extends workers.RpcTarget { dup() { throw new RangeError('no dup'); } })())]]);
  },
}, setup);

probes('rpc: what outlives a call', {
  'a parameter kept by an object works with dup, in a later call of the same session': async ({ env, caught }) => {
    const { Mine } = globalThis as any;
    const session = await env.T.session();
    await session.keep(new Mine('plain'), new Mine('dup'));
    return [await caught(() => session.usePlain()), await caught(() => session.useDup())];
  },
  'a stub kept in a global is of another request later': async ({ env, caught }) => {
    const { Mine } = globalThis as any;
    await env.T.keepDup(new Mine('kept'));
    return caught(() => env.T.useKeptDup()).then((error: any) =>
      [error.name, error.message.startsWith('Cannot perform I/O on behalf of a different request.'), /\(I\/O type: \w+\)$/.test(error.message), error.remote]);
  },
  'what a callee leaks is released when its call has ended': async ({ env }) => {
    const { Mine, until, log } = globalThis as any;
    log.length = 0;
    await env.T.keepDup(new Mine('leaked'));
    return [await until(() => log.length > 0), log];
  },
  'a callee whose result holds nothing is done without a disposal': async ({ env }) => {
    const { Mine, until, log } = globalThis as any;
    log.length = 0;
    const result = await env.T.keepDupAndAnswer(new Mine('freed'));
    return [result.text, await until(() => log.length > 0), log];
  },
  'a callee whose result holds a stub lives until that is disposed of': async ({ env }) => {
    const { Mine, until, log } = globalThis as any;
    log.length = 0;
    const session = await env.T.holding(new Mine('inside'));
    const said = await session.held();
    const early = [...log];
    session.self[Symbol.dispose]();
    session[Symbol.dispose]();
    return [said, early, await until(() => log.length > 0), log];
  },
  'what a request holds is released when it ends': {
    run: async ({ env }) => {
      const { until } = globalThis as any;
      await env.T.take();
      await env.L.leak();
      await until(async () => (await env.T.seen()).length >= 2, 100);
      return (await env.T.take()).sort();
    },
    differs: { reason: kTold, insula: ['disposed a', 'disposed b'] },
  },
  'an aborted callee releases what it held, and breaks what it gave': async ({ env, caught }) => {
    const { Mine, until, log } = globalThis as any;
    log.length = 0;
    const session = await env.T.session();
    await session.keep(new Mine('plain'), new Mine('aborted'));
    const first: any = await caught(() => session.abort('callee aborted'));
    await until(() => log.includes('disposed aborted'));
    return [first, log.includes('disposed aborted'), await caught(() => session.hi())];
  },
}, { ...setup, services: [...setup.services, { binding: 'L', service: 'target', entrypoint: 'Leaky' }] });

probes('rpc: parameters at an older date', {
  'the sender\'s stub after it was sent': {
    run: async ({ env, caught }) => {
      const { Mine, workers } = globalThis as any;
      const stub = new workers.RpcStub(new Mine('old'));
      return [await env.T.use(stub), await caught(() => stub.hi())];
    },
  },
}, { ...setup, compatibilityDate: '2026-01-01' });
