// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage of Durable Objects: keys and values, asynchronous and synchronous (contract: durable-objects, sections 3 and 4).
import { storageProbes } from '../support/storage_probes.ts';

storageProbes('storage: get and put', {
  'what is not there': async ({ storage }) => [await storage.get('nothing'), await storage.get(['a', 'b'])],
  'what was put': async ({ storage }) => {
    await storage.put('a', { n: 1, list: [1, 'two', null] });
    return storage.get('a');
  },
  'several at once, found ones only, by key': async ({ storage }) => {
    await storage.put({ b: 2, a: 1, 'ü': 3, Z: 4 });
    return [await storage.get(['ü', 'b', 'missing', 'a', 'Z']), await storage.get([]), await storage.get(['b', 'b'])];
  },
  'a put is seen before it is awaited': async ({ storage }) => {
    const put = storage.put('a', 1);
    const got = await storage.get('a');
    return [got, await put];
  },
  'what a put returns': async ({ storage }) => {
    const put = storage.put('a', 1);
    const several = storage.put({ a: 1 });
    const removed = storage.delete('a');
    return [put instanceof Promise, several instanceof Promise, removed instanceof Promise, storage.get('a') instanceof Promise, storage.list() instanceof Promise, storage.sync() instanceof Promise, await storage.sync()];
  },
  'undefined is refused': async ({ storage, thrown, caught }) => [await caught(() => storage.put('a', undefined)), thrown(() => { storage.put('a', undefined); return 'returned'; }), await caught(() => storage.put({ a: 1, b: undefined })), await storage.get('a'), await caught(() => storage.put('a'))],
  'what is no key': async ({ storage, caught }) => {
    const list = [];
    for (const key of [undefined, null, 1, true, {}, Symbol.iterator]) list.push(await caught(() => storage.get(key)));
    return list;
  },
  'what is no key, for put': async ({ storage, caught }) => {
    const list = [];
    for (const key of [undefined, null, 1, true, [1], ['a'], 'x']) list.push(await caught(() => storage.put(key, 'v')));
    list.push([...(await storage.list())]);
    return list;
  },
  'what is no key, for delete': async ({ storage, caught }) => {
    const list = [];
    for (const key of [undefined, null, 1, true, {}, [], [1]]) list.push(await caught(() => storage.delete(key)));
    return list;
  },
  'without arguments': async ({ storage, caught }) => [await caught(() => storage.get()), await caught(() => storage.put()), await caught(() => storage.delete()), await caught(() => storage.setAlarm())],
  'the empty key': async ({ storage, caught }) => [await caught(() => storage.put('', 1)), await caught(() => storage.get('')), await storage.list()],
  'lone surrogates in keys': async ({ storage }) => {
    await storage.put('\ud800', 1);
    return [await storage.get('\ud800'), await storage.get('\ufffd'), [...(await storage.list()).keys()].map((key: any) => key.charCodeAt(0))];
  },
  'zeros in keys': async ({ storage }) => {
    await storage.put('a\0b', 1);
    await storage.put('a', 2);
    return [await storage.get('a\0b'), await storage.get('a'), await storage.list()];
  },
  'kinds of values': async ({ storage }) => {
    const cyclic: any = { name: 'me' };
    cyclic.self = cyclic;
    const values: any = {
      nothing: null, yes: true, number: -0, nan: NaN, text: 'tëxt', big: 12345678901234567890n, date: new Date(1e12), exp: /a+/gi, map: new Map([['k', 1]]),
      set: new Set([1, 2]), bytes: new Uint8Array([1, 2, 3]), buffer: new Uint8Array([4, 5]).buffer, words: new Uint16Array([6, 7]), error: new RangeError('kept'), list: [1, , 3], boxed: Object(1),
    };
    await storage.put(values);
    await storage.put('cyclic', cyclic);
    const back = await storage.get('cyclic');
    return [await storage.get(Object.keys(values)), back.self === back];
  },
  'functions and promises': async ({ storage, caught }) => {
    const list = [];
    for (const value of [() => 1, Symbol('s'), new WeakMap(), Promise.resolve(1), { deep: { f() {} } }, new Proxy({}, {})]) list.push(await caught(() => storage.put('bad', value)));
    return [list, await storage.get('bad')];
  },
  'instances of classes': async ({ storage, caught }) => {
    class Own { a = 1; get b() { return 2; } }
    return [await caught(() => storage.put('own', new Own())), await storage.get('own'), await caught(() => storage.put('bare', Object.assign(Object.create(null), { c: 3 }))), await storage.get('bare')];
  },
  'objects of the platform': { run: async ({ storage, caught }) => {
    const list = [];
    for (const value of [new Request('http://x/'), new Headers(), new ReadableStream(), new Blob(['x']), new URL('http://x/'), storage, new AbortController().signal]) list.push(await caught(() => storage.put('bad', value)).then((error: any) => [error.name, /^Could not serialize object of type "/.test(error.message)]));
    return [list, await storage.get('bad')];
  }, differs: { reason: 'the contract: objects of the platform are not data; the peer keeps some of them', insula: [Array.from({ length: 7 }, () => ['DataCloneError', true]), { $: 'undefined' }] } },
  'errors as values': async ({ storage }) => {
    await storage.put('error', Object.assign(new TypeError('kept', { cause: 'why' }), { code: 'E_OWN' }));
    const error = await storage.get('error');
    return [error, error instanceof TypeError, error.code, error.cause, typeof error.stack];
  },
  'all or nothing of a put that fails': async ({ storage, caught }) => {
    const error = await caught(() => storage.put({ a: 1, b: () => 1 }));
    return [error, await storage.list()];
  },
  'how a failing put fails': ({ storage, thrown }) => { const result = thrown(() => storage.put('a', () => 1)); result.none?.catch?.(() => {}); return [result instanceof Error, Object.keys(result)]; },
  'a copy is kept': async ({ storage }) => {
    const value = { n: 1 };
    const put = storage.put('a', value);
    value.n = 2;
    await put;
    const first = await storage.get('a');
    first.n = 3;
    return [first, await storage.get('a')];
  },
  'symbols and inherited properties of a put': async ({ storage }) => {
    await storage.put(Object.assign(Object.create({ inherited: 1 }), { own: 2, [Symbol.iterator]: 3 }));
    return storage.list();
  },
  '128 and 129 keys': { run: async ({ storage, caught }) => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `k${index}`);
    const pairs = (count: number) => Object.fromEntries(many(count).map((key) => [key, 1]));
    const told = (result: any) => result.message ?? 'passed';
    return [told(await caught(() => storage.put(pairs(128)))), (await storage.get(many(128))).size, told(await caught(() => storage.put(pairs(129)))), told(await caught(() => storage.get(many(129)))), told(await caught(() => storage.delete(many(129)))), (await storage.list()).size];
  }, differs: { reason: 'the contract: at most 128 keys in one call', insula: ['passed', 128, 'Maximum number of pairs is 128.', 'Maximum number of keys is 128.', 'Maximum number of keys is 128.', 128] } },
  'options': async ({ storage, caught }) => [
    await storage.put('a', 1, { allowUnconfirmed: true, allowConcurrency: true, noCache: true }), await storage.put({ b: 2 }, { allowUnconfirmed: true }),
    await storage.get('a', { allowConcurrency: true, noCache: true }), await storage.get(['a', 'b'], { noCache: true }), await storage.delete('a', { allowUnconfirmed: true }),
    await caught(() => storage.get('b', undefined)), await caught(() => storage.get('b', null)), await caught(() => storage.get('b', 1)), await caught(() => storage.put('b', 2, 'options')),
    await caught(() => storage.get('b', { noCache: 'yes' }))],
  'unused members of options': async ({ storage, caught }) => [await caught(() => storage.get('b', { other: 1 })), await caught(() => storage.put('b', 1, null)), await storage.get('b')],
  'two megabytes': { run: async ({ storage, caught }) => {
    const big = (bytes: number) => new Uint8Array(bytes);
    const results = [];
    for (const bytes of [2 * 1024 * 1024 - 64, 2 * 1024 * 1024 + 1]) results.push(await caught(() => storage.put('k', big(bytes))).then((error: any) => error.message === undefined ? 'kept' : error.message.includes('2097152')));
    return results;
  }, differs: { reason: 'the contract: key and value together at most 2 MiB', insula: ['kept', true] } },
});

storageProbes('storage: delete', {
  'tells what was there': async ({ storage }) => {
    await storage.put({ a: 1, b: 2, c: 3 });
    return [await storage.delete('a'), await storage.delete('a'), await storage.delete(['a', 'b', 'c', 'd']), await storage.delete([]), await storage.list()];
  },
  'names a key twice': async ({ storage }) => {
    await storage.put('a', 1);
    return storage.delete(['a', 'a']);
  },
  'all': async ({ storage, sql }) => {
    await storage.put({ a: 1 });
    sql.exec('CREATE TABLE t (a)');
    await storage.setAlarm(Date.now() + 1e7);
    const result = await storage.deleteAll();
    return [result, await storage.list(), sql.exec("SELECT name FROM sqlite_master WHERE name = 't'").toArray(), await storage.getAlarm()];
  },
  'all, and goes on': async ({ storage, sql }) => {
    await storage.put('a', 1);
    storage.deleteAll();
    storage.put('b', 2);
    sql.exec('CREATE TABLE t (a)');
    return [await storage.list(), sql.exec('SELECT count(*) AS n FROM t').one()];
  },
  'all in a transaction': async ({ storage, caught }) => [await caught(() => storage.transaction(async () => storage.deleteAll())), await caught(() => storage.transaction(async (txn: any) => typeof txn.deleteAll))],
  'all in transactionSync': { run: async ({ storage, caught }) => {
    storage.put('a', 1);
    return [await caught(() => storage.transactionSync(() => storage.deleteAll())), await storage.get('a')];
  }, differs: { reason: 'the peer has an internal error here', insula: [{ $error: 'Error', message: 'Cannot call deleteAll() within a transaction', class: 'Error' }, 1] } },
  'all, with options': async ({ storage, caught }) => [await caught(() => storage.deleteAll({ allowUnconfirmed: true })), await caught(() => storage.deleteAll(1))],
});

storageProbes('storage.kv: undefined', {
  'as a value': async ({ kv, storage }) => {
    kv.put('a', 1);
    kv.put('a', undefined);
    return [kv.get('a'), [...kv.list()], await storage.get(['a']), kv.delete('a')];
  },
});

storageProbes('storage: list', {
  'in the order of bytes': async ({ storage }) => {
    await storage.put({ b: 1, a: 2, Z: 3, 'ä': 4, 'é': 5, '\u{1f600}': 6, '\uffee': 7, aa: 8, '': 9 });
    return [...(await storage.list()).keys()];
  },
  'with each option': async ({ storage }) => {
    await storage.put({ a: 1, b: 2, c: 3, ca: 4, cb: 5, d: 6, e: 7 });
    const list = [];
    for (const options of [
      { start: 'b' }, { startAfter: 'b' }, { end: 'c' }, { prefix: 'c' }, { prefix: '' }, { limit: 2 }, { reverse: true }, { reverse: false }, { reverse: true, limit: 2 },
      { start: 'b', end: 'd' }, { start: 'b', end: 'd', reverse: true }, { start: 'b', end: 'd', reverse: true, limit: 1 }, { startAfter: 'b', end: 'd', reverse: true },
      { prefix: 'c', start: 'ca' }, { prefix: 'c', startAfter: 'ca' }, { prefix: 'c', end: 'cb' }, { prefix: 'c', start: 'a' }, { prefix: 'c', end: 'z' }, { prefix: 'c', start: 'd' },
      { prefix: 'c', reverse: true, limit: 2 }, { start: 'd', end: 'b' }, { start: 'b', end: 'b' }, { end: 'a' }, { start: 'z' }, { startAfter: 'e' }, { prefix: 'x' },
      { start: '' }, { startAfter: '' }, { end: '' }, { limit: 100 }, { allowConcurrency: true, noCache: true }, { prefix: 'c', startAfter: 'b' },
    ]) list.push([...(await storage.list(options)).keys()].join());
    return list;
  },
  'options of no use': async ({ storage, caught }) => {
    const list = [];
    await storage.put({ a: 1, b: 2 });
    for (const options of [
      { limit: 0 }, { limit: -1 }, { limit: 1.5 }, { limit: 'x' }, { limit: '1' }, { limit: null }, { limit: NaN }, { limit: 1e20 }, { limit: 2 ** 31 }, { limit: Infinity }, { start: 'a', startAfter: 'a' }, { start: 1 }, { start: null }, { prefix: null }, { end: null },
      { reverse: 1 }, { reverse: null }, { reverse: 'x' }, null, 1, 'x', [],
    ]) list.push(await caught(async () => [...(await storage.list(options)).keys()].join()));
    return list;
  },
  'prefixes at the end of the bytes': async ({ storage }) => {
    await storage.put({ '\u{10ffff}': 1, '\u{10ffff}a': 2, 'ÿ': 3, 'ÿz': 4, '\u0100': 5 });
    return [[...(await storage.list({ prefix: '\u{10ffff}' })).keys()], [...(await storage.list({ prefix: 'ÿ' })).keys()]];
  },
  'pairs and values': async ({ storage }) => {
    await storage.put({ a: { deep: [1] }, b: null });
    const map = await storage.list();
    return [map instanceof Map, map];
  },
});

storageProbes('storage.kv', {
  'get, put, delete': ({ kv }) => [kv.get('a'), kv.put('a', { n: 1 }), kv.get('a'), kv.delete('a'), kv.delete('a'), kv.get('a')],
  'the same keys as the asynchronous half': async ({ storage, kv }) => {
    await storage.put('a', 1);
    kv.put('b', 2);
    return [kv.get('a'), await storage.get('b'), [...kv.list()], await storage.list()];
  },
  'lists': ({ kv }) => {
    for (const key of ['c', 'a', 'b', 'ca']) kv.put(key, key + '!');
    const list = kv.list();
    const iterable = typeof list[Symbol.iterator];
    return [iterable, typeof list.next, Object.prototype.toString.call(list), [...list], [...list], [...kv.list({ prefix: 'c' })], [...kv.list({ start: 'b', limit: 1 })], [...kv.list({ reverse: true })], [...kv.list({ startAfter: 'a', end: 'c' })]];
  },
  'lists while it changes': ({ kv, thrown }) => {
    for (const key of ['a', 'b', 'c', 'd']) kv.put(key, 1);
    const seen: any[] = [];
    const result = thrown(() => {
      for (const [key] of kv.list()) {
        seen.push(key);
        if (key === 'a') kv.delete('c');
        if (key === 'b') kv.put('bb', 1);
      }
    });
    return [seen, result];
  },
  'two lists side by side': ({ kv, thrown }) => {
    for (const key of ['a', 'b', 'c']) kv.put(key, 1);
    const first = kv.list()[Symbol.iterator]();
    const one = thrown(() => first.next());
    const second = kv.list()[Symbol.iterator]();
    return [one, thrown(() => second.next()), thrown(() => first.next()), thrown(() => second.next())];
  },
  'a list after an await': async ({ kv, thrown }) => {
    for (const key of ['a', 'b', 'c']) kv.put(key, 1);
    const list = kv.list()[Symbol.iterator]();
    list.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    return [thrown(() => list.next()), thrown(() => [...list])];
  },
  'a list that is left early': ({ kv }) => {
    for (const key of ['a', 'b', 'c']) kv.put(key, 1);
    const list = kv.list();
    for (const [key] of list) if (key === 'a') break;
    return [...list];
  },
  'refusals': ({ kv, thrown }) => [
    thrown(() => kv.put('a', undefined)), thrown(() => kv.put('a')), thrown(() => kv.get()), thrown(() => kv.delete()), thrown(() => kv.get(['a'])), thrown(() => kv.put({ a: 1 })), thrown(() => kv.delete(['a'])),
    thrown(() => kv.put('a', () => 1)), thrown(() => kv.list({ limit: 0 })), thrown(() => kv.list({ start: 'a', startAfter: 'b' })), thrown(() => [...kv.list({ limit: -1 })]), thrown(() => kv.list(1)), thrown(() => kv.get(1)), thrown(() => kv.put(1, 2)), thrown(() => kv.get(undefined))],
  'its shape': ({ kv, storage, sql }) => [Object.prototype.toString.call(kv), Object.keys(kv), Object.getOwnPropertyNames(Object.getPrototypeOf(kv)).sort(), kv === storage.kv, sql === storage.sql, kv.constructor.name],
});

storageProbes('storage: shape', {
  'of ctx.storage': ({ storage }) => [Object.prototype.toString.call(storage), Object.keys(storage), Object.getOwnPropertyNames(Object.getPrototypeOf(storage)).sort(), storage.constructor.name, typeof (globalThis as any).DurableObjectStorage],
  'of ctx.storage.sql': ({ sql }) => [Object.prototype.toString.call(sql), Object.keys(sql), Object.getOwnPropertyNames(Object.getPrototypeOf(sql)).sort(), sql.constructor.name, typeof (globalThis as any).SqlStorage],
  'of a cursor': ({ sql }) => { const cursor = sql.exec('SELECT 1'); return [Object.prototype.toString.call(cursor), Object.keys(cursor), Object.getOwnPropertyNames(Object.getPrototypeOf(cursor)).sort(), cursor.constructor.name, cursor[Symbol.iterator]() === cursor, Object.prototype.toString.call(cursor.raw()), Object.prototype.toString.call(cursor[Symbol.iterator]())]; },
  'of a transaction': ({ storage }) => storage.transaction(async (txn: any) => [Object.prototype.toString.call(txn), Object.keys(txn), Object.getOwnPropertyNames(Object.getPrototypeOf(txn)).sort(), txn.constructor.name]),
  'primary, and what is not there': ({ storage }) => [typeof storage.primary, typeof storage.ensureReplicas, typeof storage.waitForBookmark],
  'methods on another this': ({ storage, sql, thrown }) => [thrown(() => storage.get.call({}, 'a')), thrown(() => sql.exec.call({}, 'SELECT 1')), thrown(() => Object.getPrototypeOf(storage).sql)],
  'how methods are defined': ({ storage, sql, kv }) => [storage, sql, kv].map((holder: any) => Object.getOwnPropertyNames(Object.getPrototypeOf(holder)).filter((name) => !/^[A-Z]|constructor/.test(name)).sort().map((name) => { const value = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(holder), name)!; return [name, typeof value.value, value.value?.length, value.enumerable]; })),
});
