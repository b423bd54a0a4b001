// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage of Durable Objects: transactions and alarms as the object sees them (contract: durable-objects, sections 6, 7).
import { storageProbes } from '../support/storage_probes.ts';

storageProbes('storage: transactionSync', {
  'returns what its function returns': ({ storage }) => [storage.transactionSync(() => 42), storage.transactionSync(() => undefined), storage.transactionSync(() => ({ a: 1 }))],
  'rolls everything back': async ({ storage, sql, kv, thrown }) => {
    sql.exec('CREATE TABLE t (a)');
    kv.put('a', 1);
    const error = thrown(() => storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (1)'); kv.put('a', 2); kv.put('b', 2); storage.put('c', 3); storage.setAlarm(Date.now() + 1e7); throw new RangeError('back'); }));
    return [error, sql.exec('SELECT * FROM t').toArray(), [...kv.list()], await storage.getAlarm()];
  },
  'nests': ({ storage, sql, thrown }) => {
    sql.exec('CREATE TABLE t (a)');
    const result = storage.transactionSync(() => {
      sql.exec('INSERT INTO t VALUES (1)');
      const inner = thrown(() => storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (2)'); throw new Error('inner'); }));
      storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (3)'); });
      return inner;
    });
    return [result, sql.exec('SELECT * FROM t').toArray()];
  },
  'outer failure after an inner success': ({ storage, sql, thrown }) => {
    sql.exec('CREATE TABLE t (a)');
    const error = thrown(() => storage.transactionSync(() => { storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (1)'); }); throw new Error('outer'); }));
    return [error, sql.exec('SELECT * FROM t').toArray()];
  },
  'undoes what made tables': ({ storage, sql, kv, thrown }) => {
    const error = thrown(() => storage.transactionSync(() => { sql.exec('CREATE TABLE t (a)'); kv.put('a', 1); throw new Error('x'); }));
    return [error, thrown(() => sql.exec('SELECT * FROM t')), kv.get('a'), thrown(() => kv.put('a', 2)), kv.get('a')];
  },
  'its function and promises': async ({ storage, sql, thrown }) => {
    sql.exec('CREATE TABLE t (a)');
    const result = thrown(() => storage.transactionSync(async () => { sql.exec('INSERT INTO t VALUES (1)'); return 5; }));
    return [result.none instanceof Promise, await result.none, sql.exec('SELECT * FROM t').toArray()];
  },
  'this': ({ storage }) => storage.transactionSync(function (this: any) { return this === globalThis; }),
  'what is no function': ({ storage, thrown }) => [thrown(() => storage.transactionSync()), thrown(() => storage.transactionSync(1)), thrown(() => storage.transactionSync({}))],
  'this and arguments': ({ storage }) => storage.transactionSync(function (this: any, ...args: any[]) { return [args.length, this === undefined]; }),
  'cursors across its end': ({ storage, sql, thrown }) => {
    sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)');
    const cursor = sql.exec('SELECT a FROM t');
    cursor.next();
    const within = storage.transactionSync(() => { const made = sql.exec('SELECT a FROM t'); made.next(); return made; });
    thrown(() => storage.transactionSync(() => { sql.exec('DELETE FROM t'); throw new Error('undo'); }));
    return [thrown(() => cursor.toArray()), thrown(() => within.toArray()), sql.exec('SELECT count(*) AS n FROM t').one()];
  },
  'errors of SQL in it': ({ storage, sql, thrown }) => {
    sql.exec('CREATE TABLE t (a UNIQUE)');
    const result = storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (1)'); return thrown(() => sql.exec('INSERT INTO t VALUES (1)')); });
    return [result, sql.exec('SELECT * FROM t').toArray()];
  },
});

storageProbes('storage: transaction', {
  'returns what its function returns': async ({ storage }) => [await storage.transaction(async () => 1), await storage.transaction(() => 2), await storage.transaction(async () => {})],
  'keeps what was done': async ({ storage }) => {
    await storage.transaction(async (txn: any) => { await txn.put('a', 1); await txn.put({ b: 2, c: 3 }); await txn.delete('c'); return [await txn.get('a'), await txn.get(['a', 'b']), await txn.list()]; });
    return storage.list();
  },
  'rolls back what it threw in': async ({ storage, sql, caught }) => {
    await storage.put('a', 1);
    sql.exec('CREATE TABLE t (a)');
    const error = await caught(() => storage.transaction(async (txn: any) => { await txn.put('a', 2); await storage.put('b', 2); sql.exec('INSERT INTO t VALUES (1)'); throw new RangeError('back'); }));
    return [error, await storage.list(), sql.exec('SELECT * FROM t').toArray()];
  },
  'rolls back when told': async ({ storage, caught }) => {
    await storage.put('a', 1);
    const result = await storage.transaction(async (txn: any) => {
      await txn.put('a', 2);
      const told = txn.rollback();
      const list = [told];
      for (const run of [() => txn.get('a'), () => txn.put('a', 3), () => txn.delete('a'), () => txn.list(), () => txn.getAlarm(), () => txn.setAlarm(Date.now() + 1e7), () => txn.deleteAlarm(), () => txn.rollback(), () => txn.get(['a']), () => txn.put({ a: 3 }), () => txn.deleteAll()]) list.push(await caught(run));
      return list;
    });
    return [result, await storage.get('a')];
  },
  'is over when it is over': async ({ storage, caught }) => {
    let kept: any;
    await storage.transaction(async (txn: any) => { kept = txn; await txn.put('a', 1); });
    const list = [];
    for (const run of [() => kept.get('a'), () => kept.put('a', 3), () => kept.delete('a'), () => kept.list(), () => kept.getAlarm(), () => kept.setAlarm(Date.now() + 1e7), () => kept.deleteAlarm(), () => kept.rollback(), () => kept.deleteAll()]) list.push(await caught(run));
    return [list, await storage.get('a')];
  },
  'after a failure it is over too': async ({ storage, caught }) => {
    let kept: any;
    await caught(() => storage.transaction(async (txn: any) => { kept = txn; throw new Error('x'); }));
    return [await caught(() => kept.get('a')), await caught(() => kept.rollback())];
  },
  'the storage itself joins': async ({ storage }) => {
    const inside = await storage.transaction(async (txn: any) => { await storage.put('a', 1); const seen = await txn.get('a'); txn.rollback(); return seen; });
    return [inside, await storage.get('a')];
  },
  'over several turns': async ({ storage, sql }) => {
    sql.exec('CREATE TABLE t (a)');
    await storage.transaction(async (txn: any) => { await txn.put('a', 1); await new Promise((resolve) => setTimeout(resolve, 5)); sql.exec('INSERT INTO t VALUES (1)'); await new Promise((resolve) => setTimeout(resolve, 5)); await txn.put('b', 2); });
    return [await storage.list(), sql.exec('SELECT * FROM t').toArray()];
  },
  'undone over several turns': async ({ storage, sql, caught }) => {
    sql.exec('CREATE TABLE t (a)');
    const error = await caught(() => storage.transaction(async (txn: any) => { await txn.put('a', 1); await new Promise((resolve) => setTimeout(resolve, 5)); sql.exec('INSERT INTO t VALUES (1)'); await new Promise((resolve) => setTimeout(resolve, 5)); throw new Error('undo'); }));
    return [error, await storage.list(), sql.exec('SELECT * FROM t').toArray()];
  },
  'with transactionSync inside': async ({ storage, sql, thrown }) => {
    sql.exec('CREATE TABLE t (a)');
    await storage.transaction(async () => {
      storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (1)'); });
      thrown(() => storage.transactionSync(() => { sql.exec('INSERT INTO t VALUES (2)'); throw new Error('x'); }));
    });
    return sql.exec('SELECT * FROM t').toArray();
  },
  'one in another': async ({ storage, caught }) => {
    const result = await caught(() => storage.transaction(async (outer: any) => {
      await outer.put('a', 1);
      const inner = await caught(() => storage.transaction(async (txn: any) => { await txn.put('b', 2); throw new Error('inner'); }));
      const good = await caught(() => storage.transaction(async (txn: any) => { await txn.put('c', 3); return 'good'; }));
      return [inner, good];
    }));
    return [result, await storage.list()];
  },
  'two at once': async ({ storage }) => {
    const order: string[] = [];
    const run = (name: string) => storage.transaction(async (txn: any) => { order.push(name + ' begins'); const n = (await txn.get('n')) ?? 0; await new Promise((resolve) => setTimeout(resolve, 5)); await txn.put('n', n + 1); order.push(name + ' ends'); });
    await Promise.all([run('first'), run('second')]);
    return [order, await storage.get('n')];
  },
  'what is no function': async ({ storage, caught }) => [await caught(() => storage.transaction()), await caught(() => storage.transaction(1))],
  'what was done before it is kept': async ({ storage, caught }) => {
    storage.put('before', 1);
    await caught(() => storage.transaction(async (txn: any) => { await txn.put('a', 1); throw new Error('x'); }));
    return storage.list();
  },
  'a get that refuses its arguments': ({ storage, caught }) => storage.transaction(async (txn: any) => [await caught(() => txn.get()), await caught(() => txn.put('a', undefined)), await caught(() => txn.list({ limit: 0 })), await caught(() => txn.put())]),
});

storageProbes('storage: how refusals come', {
  'at once or with the promise': ({ storage, thrown }) => [() => storage.get(), () => storage.get('a', 1), () => storage.put('a', undefined), () => storage.put('a', () => 1), () => storage.list({ limit: 0 }), () => storage.list(1), () => storage.setAlarm(0), () => storage.setAlarm(), () => storage.transaction(1), () => storage.get(Symbol('s')), () => storage.deleteAll(1)]
    .map((run) => { const result = thrown(run); result.none?.catch?.(() => {}); return 'none' in result ? 'promise' : 'at once'; }),
});

storageProbes('storage: alarms', {
  'set, get, delete': async ({ storage }) => {
    const when = 4102444800000;
    return [await storage.getAlarm(), await storage.setAlarm(when), await storage.getAlarm(), await storage.setAlarm(new Date(when + 1)), await storage.getAlarm(), await storage.deleteAlarm(), await storage.getAlarm(), await storage.deleteAlarm()];
  },
  'times of no use': async ({ storage, caught }) => {
    const list = [];
    for (const time of [0, -1, NaN, Infinity, -Infinity, '1', 'x', null, undefined, {}, true, new Date(NaN), new Date(0), new Date(-5), 0.5, 1e300, 8.64e15 + 1, 8.64e15]) list.push(await caught(() => storage.setAlarm(time)), await storage.getAlarm(), await storage.deleteAlarm());
    return list;
  },
  'the last time': async ({ storage, caught }) => [await caught(() => storage.setAlarm(9223372036854)), await storage.getAlarm(), await caught(() => storage.setAlarm(9223372036855)), await storage.deleteAlarm()],
  'fractions': async ({ storage }) => { await storage.setAlarm(4102444800000.7); return storage.getAlarm(); },
  'a time in the past': async ({ storage }) => { await storage.setAlarm(1000); const alarm = await storage.getAlarm(); await storage.deleteAlarm(); return Math.abs(alarm - Date.now()) < 5000; },
  'options': async ({ storage, caught }) => [await caught(() => storage.setAlarm(4102444800000, { allowUnconfirmed: true })), await caught(() => storage.getAlarm({ allowConcurrency: true })), await caught(() => storage.deleteAlarm({ allowUnconfirmed: true })), await caught(() => storage.getAlarm(1)), await caught(() => storage.setAlarm(4102444800000, 1)), await caught(() => storage.deleteAlarm(1))],
  'in a transaction that is undone': async ({ storage }) => {
    await storage.setAlarm(4102444800000);
    await storage.transaction(async (txn: any) => { await txn.setAlarm(4102444900000); txn.rollback(); });
    const first = await storage.getAlarm();
    await storage.transaction(async (txn: any) => { await txn.deleteAlarm(); });
    return [first, await storage.getAlarm()];
  },
  'what bookmarks refuse': async ({ storage, caught }) => [await caught(() => storage.getBookmarkForTime()), await caught(() => storage.getBookmarkForTime('x')), await caught(() => storage.getBookmarkForTime(NaN)), await caught(() => storage.onNextSessionRestoreBookmark())],
  'bookmarks': async ({ storage }) => [typeof await storage.getCurrentBookmark(), /^[0-9a-f-]+$/.test(await storage.getCurrentBookmark())],
});
