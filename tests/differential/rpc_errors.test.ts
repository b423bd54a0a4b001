// SPDX-License-Identifier: Apache-2.0
//
// RPC, errors: what of an error crosses, which are marked as the callee's, hung and aborted callees, objects of another
// request (docs: rpc contract, section 7).
import { probes } from '../support/differential.ts';
import type { WorkerSpec } from '../support/worker_spec.ts';

const target: WorkerSpec = {
  name: 'target',
  source: `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class Own extends Error { constructor(message) { super(message); this.name = 'OwnError'; this.detail = { a: [1] }; } }
class Thing extends RpcTarget { constructor(ctx) { super(); this.ctx = ctx; } hi() { return 'hi'; } async hangs() { await new Promise(() => {}); } abort(reason) { this.ctx.abort(reason); } throws() { throw new RangeError('of an object'); } }
const kinds = {
  error: () => new Error('plain'), type: () => new TypeError('type'), range: () => new RangeError('range'), syntax: () => new SyntaxError('syntax'), reference: () => new ReferenceError('reference'),
  eval: () => new EvalError('eval'), uri: () => new URIError('uri'), aggregate: () => new AggregateError([new Error('one'), new TypeError('two')], 'many'),
  empty: () => new Error(), own: () => new Own('of a class'), code: () => Object.assign(new Error('with code'), { code: 'E_CODE', status: 418, list: [1, 2] }),
  cause: () => new Error('outer', { cause: new TypeError('inner', { cause: 'root' }) }), causeData: () => new Error('outer', { cause: { a: 1 } }),
  named: () => Object.assign(new TypeError('renamed'), { name: 'Renamed' }), dom: () => new DOMException('dom text', 'NotFoundError'), domAbort: () => new DOMException('stopped', 'AbortError'),
  string: () => 'plain string', undefined: () => undefined, null: () => null, number: () => 42, object: () => ({ a: 1 }), bigint: () => 5n, symbol: () => Symbol('s'), array: () => [1, 2],
  remoteSet: () => Object.assign(new Error('lies'), { remote: false, retryable: true, overloaded: true, durableObjectReset: true, durableObjectId: 'forged' }),
  stackSet: () => Object.assign(new Error('stacked'), { stack: 'my own stack' }),
  getter: () => Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('hostile message'); } }),
  enumerableGetter: () => Object.defineProperty(new Error('with getter'), 'code', { enumerable: true, get() { throw new Error('hostile code'); } }),
  functionProperty: () => Object.assign(new Error('with function'), { call: () => 1 }), symbolProperty: () => Object.assign(new Error('with symbol'), { s: Symbol('x') }),
  cyclic: () => { const e = new Error('cyclic'); e.self = e; return e; }, cyclicCause: () => { const e = new Error('cyclic cause'); e.cause = e; return e; },
  proxy: () => new Proxy(new Error('proxied'), {}), hostileProxy: () => new Proxy({}, { get() { throw new Error('trap'); }, getPrototypeOf() { throw new Error('trap'); } }),
  target: () => new Thing(), function: () => () => 1, nullProto: () => Object.create(null), subclassOfType: () => new (class MyTypeError extends TypeError {})('sub'),
  newlines: () => new Error('a\\nb\\u0000c'), large: () => new Error('x'.repeat(100000)), hostileToString: () => ({ toString() { throw new Error('no'); } }),
};
export class Class extends WorkerEntrypoint {
  throws(kind) { throw kinds[kind](); }
  async rejects(kind) { await null; throw kinds[kind](); }
  get getter() { throw new RangeError('from a getter'); }
  deepInTheCallee() { throw new Error('where am I'); }
  calls(fn) { return fn(); }
  forwards(kind) { return this.env.SELF.throws(kind); }
  thing() { return new Thing(this.ctx); }
  hangs() { return new Promise(() => {}); }
  async hangsLater() { await null; await new Promise(() => {}); }
  aborts(reason) { this.ctx.abort(reason); }
  overflow() { const deep = () => deep() + 1; return deep(); }
  fine() { return 'fine'; }
  stream() { return new Blob(['streamed']).stream(); }
  response() { return new Response('a body'); }
  fetch(request) { throw Object.assign(new RangeError('from fetch'), { code: 7 }); }
}
export default class extends WorkerEntrypoint {}
`,
  services: [{ binding: 'SELF', service: 'target', entrypoint: 'Class' }],
};

const prelude = `import * as workers from 'cloudflare:workers'; globalThis.workers = workers;
// What of an error can be seen, besides where it comes from.
globalThis.about = (error) => (error instanceof Error || error instanceof DOMException) ? {
  name: error.name, message: error.message.slice(0, 200), kind: error.constructor.name, own: error instanceof DOMException ? [] : Object.keys(error).filter((key) => key !== 'name' && key !== 'cause').sort().map((key) => [key, error[key]]),
  remote: error.remote, cause: error.cause instanceof Error ? globalThis.about(error.cause) : error.cause } : { thrown: error };
`;
const setup = {
  others: [target],
  services: [{ binding: 'T', service: 'target', entrypoint: 'Class' }],
  loaders: [{ binding: 'LOADER' }],
  prelude,
};

probes('rpc: errors that cross', {
  'classes of the language': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['error', 'type', 'range', 'syntax', 'reference', 'eval', 'uri', 'empty', 'subclassOfType']) list.push((globalThis as any).about(await caught(() => env.T.throws(kind))));
    return list;
  },
  'AggregateError': async ({ env, caught }) => {
    const error: any = await caught(() => env.T.throws('aggregate'));
    return [error.name, error.message, error.errors?.map((one: any) => [one.name, one.message])];
  },
  'own names, properties and causes': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['own', 'code', 'cause', 'causeData', 'named']) list.push((globalThis as any).about(await caught(() => env.T.throws(kind))));
    return list;
  },
  'DOMException': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['dom', 'domAbort']) {
      const error: any = await caught(() => env.T.throws(kind));
      list.push([error instanceof DOMException, error.name, error.message, error.code, error.remote]);
    }
    return list;
  },
  'values that are no errors': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['string', 'undefined', 'null', 'number', 'object', 'bigint', 'array']) {
      const error: any = await caught(() => env.T.throws(kind));
      list.push([kind, error instanceof Error, error?.name, error?.message, error?.remote]);
    }
    return list;
  },
  'rejections are as throws': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['range', 'code', 'string', 'dom']) list.push((globalThis as any).about(await caught(() => env.T.rejects(kind))));
    return list;
  },
  'of a getter, of an object, of fetch': async ({ env, caught }) => {
    const { about } = globalThis as any;
    const thing = await env.T.thing();
    return [about(await caught(() => env.T.getter)), about(await caught(() => thing.throws())), about(await caught(() => env.T.fetch('http://x/')))];
  },
  'of a callback, seen by the callee and back': async ({ env, caught }) =>
    (globalThis as any).about(await caught(() => env.T.calls(() => { throw Object.assign(new TypeError('mine'), { code: 1 }); }))),
  'through a Worker that forwards': async ({ env, caught }) => (globalThis as any).about(await caught(() => env.T.forwards('code'))),
  'remote cannot be forged, other marks are properties like any': async ({ env, caught }) => {
    const error: any = await caught(() => env.T.throws('remoteSet'));
    return [error.message, error.remote, error.retryable, error.overloaded, error.durableObjectReset, error.durableObjectId];
  },
  'the stack is that of the caller': async ({ env, caught }) => {
    const error: any = await caught(() => env.T.deepInTheCallee());
    const own: any = await caught(() => env.T.throws('stackSet'));
    return [typeof error.stack, /deepInTheCallee/.test(error.stack), /target\.js/.test(error.stack), error.stack.startsWith('Error: where am I'), own.stack.includes('my own stack')];
  },
  'stack overflow': ({ env, caught }) => caught(() => env.T.overflow()),
  'names and causes at an older date': {
    run: async ({ env, code, caught }) => {
      const { about } = globalThis as any;
      const stub = env.LOADER.load(code(`import { WorkerEntrypoint } from 'cloudflare:workers';
        export default class extends WorkerEntrypoint {
          custom() { throw Object.assign(new Error('custom'), { name: 'MyErr' }); }
          code() { throw Object.assign(new TypeError('typed', { cause: 'why' }), { code: 42 }); } }`, { compatibilityDate: '2026-01-01' })).getEntrypoint();
      return [about(await caught(() => stub.custom())), about(await caught(() => stub.code()))];
    },
  },
}, setup);

probes('rpc: hostile errors', {
  'with members that throw': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['getter', 'enumerableGetter', 'hostileProxy', 'hostileToString']) {
      const error: any = await caught(() => env.T.throws(kind));
      list.push([kind, error instanceof Error]);
    }
    return [list, await env.T.fine()];
  },
  'with members that cannot cross': async ({ env, caught }) => {
    const list = [];
    for (const kind of ['functionProperty', 'symbolProperty', 'symbol', 'target', 'function', 'nullProto', 'proxy']) {
      const error: any = await caught(() => env.T.throws(kind));
      list.push([kind, error instanceof Error]);
    }
    return [list, await env.T.fine()];
  },
  'that hold themselves': async ({ env, caught }) => {
    const [one, two]: any[] = [await caught(() => env.T.throws('cyclic')), await caught(() => env.T.throws('cyclicCause'))];
    return [one.message, two.message, await env.T.fine()];
  },
  'with odd and long texts': async ({ env, caught }) => {
    const [one, two]: any[] = [await caught(() => env.T.throws('newlines')), await caught(() => env.T.throws('large'))];
    return [one.message, two.message.length];
  },
}, setup);

probes('rpc: errors of the runtime', {
  'an entrypoint that is not there': ({ env, code, caught }) => caught(() => env.LOADER.load(code('export default {}')).getEntrypoint('Nope').method()),
  'code that does not start': async ({ env, code, caught }) => {
    const error: any = await caught(() => env.LOADER.load(code('throw new Error("at the top")')).getEntrypoint().method());
    return [error.name, error.message.split('\n').slice(0, 2), error.remote];
  },
  'a default export that is a handler has no other methods': ({ env, code, caught }) => caught(() => env.LOADER.load(code('export default { fetch() {} }')).getEntrypoint().method(1)),
  'a method that never settles': async ({ env, caught }) => {
    const list = [];
    for (const method of ['hangs', 'hangsLater']) {
      const error: any = await caught(() => env.T[method]());
      list.push([error.name, error.message.slice(0, 131), error.remote]);
    }
    return list;
  },
  'a method that never settles, while an object of the callee is held': async ({ env, caught }) => {
    const thing = await env.T.thing();
    const error: any = await Promise.race([caught(() => env.T.hangs()), new Promise((resolve) => setTimeout(resolve, 1500, 'waits'))]);
    return [error === 'waits' ? error : [error.name, error.message.slice(0, 131)], await thing.hi()];
  },
  'a method of an object that never settles': async ({ env, caught }) => {
    const thing = await env.T.thing();
    const error: any = await Promise.race([caught(() => thing.hangs()), new Promise((resolve) => setTimeout(resolve, 1500, 'waits'))]);
    return [error === 'waits' ? error : [error.name, error.message.slice(0, 131)], await thing.hi().catch((e: any) => e.message)];
  },
  'an aborted invocation': async ({ env, caught }) => {
    const { about } = globalThis as any;
    return [about(await caught(() => env.T.aborts(new Error('own reason')))), about(await caught(() => env.T.aborts('text'))), about(await caught(() => env.T.aborts())), await env.T.fine()];
  },
  'objects of an aborted invocation': async ({ env, caught }) => {
    const { about } = globalThis as any;
    const thing = await env.T.thing();
    const before = await thing.hi();
    const waiting = caught(() => thing.hangs());
    const abort = caught(() => thing.abort(new RangeError('over')));
    return [before, about(await waiting), about(await abort), about(await caught(() => thing.hi())), about(await caught(() => thing.hi()))];
  },
}, setup);

// The first request keeps things in globals, the second uses them.
const kShared = {
  prelude: `${prelude}globalThis.kept = {};
globalThis.foreign = (error) => error instanceof Error ? [error.name, error.message.slice(0, 52), /\\(I\\/O type: .+\\)$/.test(error.message), error.remote] : error;
`,
};
probes('rpc: things of another request', {
  'a stub, a result with stubs, a stream': {
    run: async ({ env, caught }) => {
      const { kept, foreign } = globalThis as any;
      if (!kept.thing) {
        kept.thing = await env.T.thing();
        kept.promise = env.T.thing();
        kept.stream = await env.T.stream();
        kept.response = await env.T.response();
        await kept.promise;
        return 'kept';
      }
      return [foreign(await caught(() => kept.thing.hi())), foreign(await caught(() => kept.promise.hi())), foreign(await caught(() => kept.stream.getReader().read())), foreign(await caught(() => kept.response.text())),
        foreign(await caught(() => env.T.calls(kept.thing)))];
    },
    times: 2,
  },
  'a promise for data may be shared, one for a stub may not': {
    run: async ({ env, caught }) => {
      const { kept, foreign } = globalThis as any;
      if (!kept.data) {
        kept.data = env.T.fine();
        kept.property = env.T.fine;
        await kept.data;
        return 'kept';
      }
      return [foreign(await caught(() => kept.data)), foreign(await caught(() => kept.property()))];
    },
    times: 2,
  },
  'a service binding is nobody\'s': {
    run: async ({ env }) => {
      const { kept } = globalThis as any;
      kept.service ??= env.T;
      return kept.service.fine();
    },
    times: 2,
  },
}, { ...setup, ...kShared });
