// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage.sql of Durable Objects: cursors, values, errors, limits (contract: durable-objects, section 5).
import { storageProbes } from '../support/storage_probes.ts';

storageProbes('sql: cursors', {
  'iterate over rows': ({ sql }) => {
    const rows = [];
    for (const row of sql.exec('SELECT 1 AS a, 2 AS b UNION ALL SELECT 3, 4')) rows.push(row);
    return [rows, Object.getPrototypeOf(rows[0]) === Object.prototype, JSON.stringify(rows)];
  },
  'next': ({ sql }) => {
    const cursor = sql.exec("SELECT 'x' AS a UNION ALL SELECT 'y'");
    return [cursor.next(), cursor.next(), cursor.next(), cursor.next(), Object.keys(cursor.next())];
  },
  'toArray, also of the rest': ({ sql }) => {
    const cursor = sql.exec('SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3');
    cursor.next();
    return [cursor.toArray(), cursor.toArray(), cursor.next()];
  },
  'one': ({ sql, thrown }) => [
    thrown(() => sql.exec('SELECT 1 AS a').one()), thrown(() => sql.exec('SELECT 1 AS a WHERE 0').one()), thrown(() => sql.exec('SELECT 1 AS a UNION ALL SELECT 2').one()),
    thrown(() => { const cursor = sql.exec('SELECT 1 AS a UNION ALL SELECT 2'); cursor.next(); return cursor.one(); }), thrown(() => { const cursor = sql.exec('SELECT 1 AS a'); cursor.one(); return cursor.one(); }),
    thrown(() => { const cursor = sql.exec('SELECT 1 AS a UNION ALL SELECT 2'); try { cursor.one(); } catch {} return cursor.toArray(); })],
  'raw': ({ sql }) => {
    const cursor = sql.exec("SELECT 1 AS a, 'b' AS a, NULL UNION ALL SELECT 2, 'c', x'00ff'");
    return [...cursor.raw()];
  },
  'raw shares the position': ({ sql }) => {
    const cursor = sql.exec('SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4');
    const raw = cursor.raw();
    return [raw.next(), cursor.next(), raw.next(), cursor.toArray(), raw.next(), Array.from(cursor.raw()), typeof raw.toArray, thrownName(() => raw.toArray())];
    function thrownName(run: () => unknown) { try { return run(); } catch (error: any) { return error.name; } }
  },
  'raw.toArray': ({ sql, thrown }) => [thrown(() => sql.exec('SELECT 1 AS a UNION ALL SELECT 2').raw().toArray()), thrown(() => sql.exec('SELECT 1 WHERE 0').raw().toArray())],
  'iterators and their ends': ({ sql, thrown }) => {
    const cursor = sql.exec('SELECT 1 AS a UNION ALL SELECT 2 UNION ALL SELECT 3');
    const iterator = cursor[Symbol.iterator]();
    for (const row of cursor) { if ((row as any).a === 1) break; }
    return [typeof iterator.return, iterator.next(), cursor.toArray(), iterator.next(), iterator[Symbol.iterator]() === iterator, thrown(() => [...cursor.raw().map((row: any) => row[0])])];
  },
  'columnNames': ({ sql }) => {
    sql.exec('CREATE TABLE t (a, b)');
    const cursor = sql.exec('SELECT a, b AS "the b", a, 1 + 1, count(*) FROM t');
    const done = sql.exec('SELECT a FROM t');
    done.toArray();
    const returning = sql.exec('INSERT INTO t VALUES (1, 2) RETURNING a');
    returning.toArray(); // The peer cannot commit while it is open.
    cursor.toArray();
    return [cursor.columnNames, cursor.columnNames === cursor.columnNames, done.columnNames, sql.exec('INSERT INTO t VALUES (1, 2)').columnNames, returning.columnNames, sql.exec('CREATE TABLE u (a)').columnNames];
  },
  'columns of one name': ({ sql }) => [sql.exec('SELECT 1 AS a, 2 AS b, 3 AS a').toArray(), sql.exec('SELECT 1 AS a, 2 AS b, 3 AS a').columnNames, sql.exec('SELECT 1 AS __proto__, 2 AS constructor, 3 AS "0", 4 AS ""').toArray().map((row: any) => [Object.keys(row), Object.getPrototypeOf(row) === Object.prototype])],
  'properties of rows': ({ sql }) => {
    const row = sql.exec('SELECT 1 AS a').one();
    row.a = 2;
    row.b = 3;
    return [row, Object.getOwnPropertyDescriptor(row, 'a')];
  },
  'rows read and written': ({ sql }) => {
    const list: any[] = [];
    const note = (cursor: any) => { list.push([cursor.rowsRead, cursor.rowsWritten]); cursor.toArray(); list.push([cursor.rowsRead, cursor.rowsWritten]); };
    note(sql.exec('CREATE TABLE t (a INTEGER PRIMARY KEY, b)'));
    note(sql.exec('INSERT INTO t VALUES (1, 2), (2, 3), (3, 4)'));
    note(sql.exec('SELECT * FROM t'));
    note(sql.exec('SELECT * FROM t WHERE a = 2'));
    note(sql.exec('SELECT * FROM t WHERE b = 3'));
    note(sql.exec('CREATE INDEX i ON t (b)'));
    note(sql.exec('SELECT * FROM t WHERE b = 3'));
    note(sql.exec('UPDATE t SET b = b + 1'));
    note(sql.exec('INSERT INTO t VALUES (9, 9)'));
    note(sql.exec('DELETE FROM t WHERE a = 1'));
    note(sql.exec('SELECT count(*) FROM t'));
    note(sql.exec('INSERT INTO t VALUES (10, 10) RETURNING a'));
    note(sql.exec('SELECT 1'));
    return list;
  },
  'rows are counted as they are read': ({ sql }) => {
    sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)');
    const cursor = sql.exec('SELECT a FROM t');
    const counts = [cursor.rowsRead];
    cursor.next();
    counts.push(cursor.rowsRead);
    cursor.next();
    counts.push(cursor.rowsRead);
    cursor.toArray();
    counts.push(cursor.rowsRead);
    return counts;
  },
  'statements run at once': ({ sql }) => {
    sql.exec('CREATE TABLE t (a)');
    const cursor = sql.exec('INSERT INTO t VALUES (1) RETURNING a');
    const before = sql.exec('SELECT count(*) AS n FROM t').one();
    return [before, cursor.toArray()];
  },
  'several statements': ({ sql, thrown }) => {
    const cursor = sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); SELECT a FROM t WHERE a > ?', 1);
    return [cursor.toArray(), cursor.rowsWritten, thrown(() => sql.exec('INSERT INTO t VALUES (?); SELECT 1', 1)), thrown(() => sql.exec('INSERT INTO t VALUES (?); SELECT ?', 1, 2)), thrown(() => sql.exec('INSERT INTO t VALUES (7); INSERT INTO nothing VALUES (1)')), sql.exec('SELECT a FROM t').toArray()];
  },
  'no statement': ({ sql, thrown }) => ['', ' ', ';', '-- c', '/* c */', 'SELECT 1; -- c', 'SELECT 1;;', 'SELECT 1;', 'SELECT 1; ', '; SELECT 1', '-- c\nSELECT 1', 'SELECT 1 -- c'].map((text) => thrown(() => sql.exec(text).toArray())),
  'the same text while a cursor is open': ({ sql }) => {
    sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)');
    const first = sql.exec('SELECT a FROM t');
    first.next();
    const second = sql.exec('SELECT a FROM t');
    return [second.next(), first.next(), second.toArray(), first.toArray()];
  },
  'after an await': async ({ sql }) => {
    sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)');
    const cursor = sql.exec('SELECT a FROM t');
    cursor.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    sql.exec('INSERT INTO t VALUES (4)');
    return cursor.toArray();
  },
  'while the table changes': ({ sql }) => {
    sql.exec('CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)');
    const seen = [];
    for (const row of sql.exec('SELECT a FROM t ORDER BY a')) {
      seen.push((row as any).a);
      if ((row as any).a === 1) sql.exec('DELETE FROM t WHERE a = 2');
      if ((row as any).a === 3) sql.exec('INSERT INTO t VALUES (4)');
    }
    return seen;
  },
  'while the table goes': ({ sql, thrown }) => {
    sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)');
    const cursor = sql.exec('SELECT a FROM t');
    cursor.next();
    return [thrown(() => { sql.exec('DROP TABLE t'); }), thrown(() => cursor.toArray())];
  },
  'changes of a table that a kept statement names': ({ sql }) => {
    sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)');
    const before = sql.exec('SELECT * FROM t').toArray();
    sql.exec('ALTER TABLE t ADD COLUMN b DEFAULT 5');
    const after = sql.exec('SELECT * FROM t');
    return [before, after.columnNames, after.toArray()];
  },
  'no constructors': ({ sql, thrown }) => [thrown(() => new sql.Cursor()), thrown(() => new sql.Statement()), thrown(() => new sql.constructor()), sql.exec('SELECT 1') instanceof sql.Cursor, Object.getOwnPropertyDescriptor(Object.getPrototypeOf(sql), 'Cursor')!.enumerable],
  'getters on another this': ({ sql, thrown }) => {
    const cursor = sql.exec('SELECT 1');
    const prototype = Object.getPrototypeOf(cursor);
    return [thrown(() => prototype.columnNames), thrown(() => prototype.next.call({})), Object.getOwnPropertyDescriptor(prototype, 'rowsRead')!.get !== undefined, Object.getOwnPropertyDescriptor(cursor, 'columnNames') === undefined];
  },
});

storageProbes('sql: values', {
  'as parameters': ({ sql }) => sql.exec('SELECT ? AS a, typeof(?) AS b, ? AS c, typeof(?) AS d, typeof(?) AS e, typeof(?) AS f, ? AS g, typeof(?) AS h', 1.5, 1, 'text', 'text', null, undefined, new Uint8Array([1, 2]), new ArrayBuffer(3)).toArray(),
  'booleans': ({ sql }) => sql.exec('SELECT ? AS a, typeof(?) AS b, ? AS c', true, true, false).toArray(),
  'big integers': ({ sql, thrown }) => [thrown(() => sql.exec('SELECT ?', 1n).toArray()), sql.exec('SELECT 9007199254740993 AS a, -9007199254740993 AS b, 9223372036854775807 AS c, 1e300 AS d').toArray(), sql.exec('SELECT ? AS a, ? AS b', 2 ** 53 + 2, 1e21).toArray()],
  'numbers of note': ({ sql }) => sql.exec('SELECT ? AS a, ? AS b, ? AS c, ? AS d, typeof(?) AS e', NaN, Infinity, -Infinity, -0, NaN).toArray(),
  'numbers in columns of each kind': ({ sql }) => { sql.exec('CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB, e NUMERIC, f)'); sql.exec('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)', 45, 45, 45, 45, 45, 45); return [sql.exec('SELECT * FROM t').toArray(), sql.exec('SELECT typeof(a), typeof(b), typeof(c), typeof(d), typeof(e), typeof(f) FROM t').raw().next()]; },
  'views of bytes': ({ sql }) => {
    const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
    return sql.exec('SELECT ? AS a, ? AS b, ? AS c, ? AS d', bytes.subarray(2, 4), new Uint16Array(bytes.buffer, 2, 2), new DataView(bytes.buffer, 1, 3), new Uint8Array()).toArray();
  },
  'other objects': ({ sql, thrown }) => [{}, [1, 2], new Date(0), Symbol('s'), () => 1, new Map(), Object(5), { toString: () => 'own' }].map((value) => thrown(() => sql.exec('SELECT ? AS a', value).toArray())),
  'text': ({ sql }) => sql.exec("SELECT ? AS a, length(?) AS b, ? AS c, ? AS d, hex(?) AS e, '' AS f", 'ünï😀', 'ünï😀', 'a\0b', '\ud800', '\ud800').toArray(),
  'text that is no UTF-8': ({ sql }) => sql.exec("SELECT CAST(x'ff41' AS TEXT) AS a").toArray(),
  'blobs are copies': ({ sql }) => {
    const { a } = sql.exec("SELECT x'0102' AS a").one();
    const { a: b } = sql.exec('SELECT ? AS a', a).one();
    new Uint8Array(a)[0] = 9;
    return [a, b, a instanceof ArrayBuffer, a === b];
  },
  'named and numbered parameters': ({ sql, thrown }) => [thrown(() => sql.exec('SELECT ?2 AS a, ?1 AS b', 1, 2).toArray()), thrown(() => sql.exec('SELECT :x AS a, :y AS b, :x AS c', 1, 2).toArray()), thrown(() => sql.exec('SELECT ?3 AS a', 1, 2, 3).toArray()), thrown(() => sql.exec('SELECT :x AS a', { x: 1 }).toArray())],
  'the wrong number': ({ sql, thrown }) => [thrown(() => sql.exec('SELECT ?')), thrown(() => sql.exec('SELECT ?', 1, 2)), thrown(() => sql.exec('SELECT 1', 1)), thrown(() => sql.exec('SELECT ?', undefined).toArray())],
  'what is no query': ({ sql, thrown }) => [undefined, null, 1, {}, ['SELECT 1'], Symbol('s')].map((query) => thrown(() => sql.exec(query).toArray())),
  'exec without arguments': ({ sql, thrown }) => thrown(() => sql.exec()),
});

storageProbes('sql: errors', {
  'of syntax': ({ sql, thrown }) => ['selec 1', 'SELECT * FROM', "SELECT 'x", 'SELECT a FROM nothing', 'SELECT nothing', 'CREATE TABLE t (a,)', 'SELECT 1 2', 'INSERT INTO nothing VALUES (1)', 'SELECT nofunction(1)', 'SELECT abs(1, 2)', 'SELECT (1, 2)', 'SELECT "x"', 'SELECT 1;  selec', 'SELECT 1; -- c\n selec', '  selec'].map((text) => thrown(() => sql.exec(text).toArray())),
  'of constraints': ({ sql, thrown }) => {
    sql.exec('CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE, c NOT NULL, d CHECK (d > 0), e REFERENCES t (a))');
    sql.exec('INSERT INTO t VALUES (1, 1, 1, 1, NULL)');
    return ["(1, 2, 1, 1, NULL)", "(2, 1, 1, 1, NULL)", "(2, 2, NULL, 1, NULL)", "(2, 2, 1, 0, NULL)", "(2, 2, 1, 1, 77)", "('x', 2, 1, 1, NULL)"].map((values) => thrown(() => sql.exec(`INSERT INTO t VALUES ${values}`)));
  },
  'while rows are read': ({ sql, thrown }) => {
    const cursor = sql.exec('SELECT abs(a) AS n FROM (SELECT 1 AS a UNION ALL SELECT -9223372036854775808 UNION ALL SELECT 3)');
    return thrown(() => cursor.next());
  },
  'leave what was before': ({ sql, thrown }) => {
    sql.exec('CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1)');
    return [thrown(() => sql.exec('INSERT INTO t VALUES (2), (1)')), thrown(() => sql.exec('INSERT OR FAIL INTO t VALUES (3), (1)')), sql.exec('SELECT a FROM t').toArray()];
  },
  'own properties of one': ({ sql, thrown }) => { const error = thrown(() => sql.exec('selec')); return [Object.keys(error), error.constructor.name, error.code]; },
  'transactions in SQL': ({ sql, thrown }) => ['BEGIN', 'BEGIN IMMEDIATE', 'COMMIT', 'END', 'ROLLBACK', 'SAVEPOINT a', 'RELEASE a', 'ROLLBACK TO a', 'begin transaction'].map((text) => thrown(() => sql.exec(text))),
  'reserved names': ({ sql, storage, thrown }) => {
    storage.kv.put('a', 1);
    return ['CREATE TABLE _cf_x (a)', 'CREATE TABLE _CF_x (a)', 'SELECT * FROM _cf_KV', 'DROP TABLE _cf_KV', 'CREATE TABLE x_cf_ (a)', 'CREATE INDEX _cf_i ON x_cf_ (a)', 'CREATE VIEW _cf_v AS SELECT 1', 'ALTER TABLE x_cf_ RENAME TO _cf_y', 'PRAGMA table_info(_cf_KV)', "INSERT INTO _cf_KV VALUES ('x', 'y')", 'WITH _cf_c AS (SELECT 1) SELECT * FROM _cf_c', 'CREATE TRIGGER _cf_t AFTER INSERT ON x_cf_ BEGIN SELECT 1; END', 'CREATE TABLE y AS SELECT 1 AS _cf_a', 'CREATE VIRTUAL TABLE _cf_f USING fts5(a)'].map((text) => thrown(() => sql.exec(text).toArray()));
  },
  'reserved names in ALTER TABLE': { run: ({ sql, thrown }) => {
    sql.exec('CREATE TABLE t (a)');
    return [thrown(() => sql.exec('ALTER TABLE t RENAME TO _cf_t').toArray()).message, thrown(() => sql.exec('ALTER TABLE t ADD COLUMN _cf_b').toArray()).message ?? 'passed'];
  }, differs: { reason: 'SQLite does not tell the new name, so no name in the statement may be a reserved one', insula: ['not authorized: SQLITE_AUTH', 'not authorized: SQLITE_AUTH'] } },
  'what the schema shows of hidden tables': ({ sql, storage }) => {
    storage.kv.put('a', 1);
    sql.exec('CREATE TABLE t (a)');
    return [sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '%METADATA'").toArray(), sql.exec("SELECT name FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%' AND name NOT LIKE '%METADATA' ORDER BY name").toArray()];
  },
  'what is not allowed': ({ sql, thrown }) => ["ATTACH ':memory:' AS x", 'DETACH main', 'VACUUM', "VACUUM INTO 'x'", 'CREATE TEMP TABLE x (a)', 'CREATE TEMPORARY VIEW x AS SELECT 1', 'SELECT sqlite_version()', "SELECT sqlite_compileoption_used('x')", 'SELECT sqlite_source_id()', 'PRAGMA journal_mode', 'PRAGMA page_count', 'PRAGMA user_version', 'PRAGMA cache_size = 1', 'PRAGMA page_size', 'PRAGMA page_size = 512', 'PRAGMA data_version', 'PRAGMA writable_schema = 1', 'PRAGMA temp_store', 'PRAGMA database_list', 'PRAGMA compile_options', 'PRAGMA integrity_check', 'PRAGMA nothing', 'SELECT * FROM sqlite_stat1', 'REINDEX', 'ANALYZE', 'EXPLAIN SELECT 1', 'EXPLAIN QUERY PLAN SELECT 1', "SELECT fts3_tokenizer('x')", 'SELECT randomblob(2) IS NOT NULL AS a', 'UPDATE sqlite_master SET name = 1'].map((text) => [text, thrown(() => sql.exec(text).toArray())]).map(([text, result]: any) => [text, result.message ?? (text.includes('EXPLAIN') ? 'rows' : result)]),
  'pragmas that are': ({ sql, thrown }) => {
    sql.exec('CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t (a)); CREATE INDEX i ON t (b)');
    return ['PRAGMA table_list(t)', 'PRAGMA table_info(t)', 'PRAGMA table_xinfo(t)', 'PRAGMA index_list(t)', 'PRAGMA index_info(i)', 'PRAGMA index_xinfo(i)', 'PRAGMA foreign_key_list(t)', 'PRAGMA foreign_key_check', 'PRAGMA foreign_keys', 'PRAGMA foreign_keys = OFF', 'PRAGMA foreign_keys', 'PRAGMA defer_foreign_keys', 'PRAGMA defer_foreign_keys = ON', 'PRAGMA ignore_check_constraints', 'PRAGMA legacy_alter_table', 'PRAGMA recursive_triggers', 'PRAGMA reverse_unordered_selects', 'PRAGMA case_sensitive_like = ON', 'PRAGMA quick_check', 'PRAGMA optimize', 'PRAGMA Table_Info(t)', "SELECT * FROM pragma_table_info('t')"].map((text) => thrown(() => sql.exec(text).toArray()));
  },
});

storageProbes('sql: limits', {
  'of statements': ({ sql, thrown }) => {
    const told = (result: any) => (result.message ?? 'passed').slice(0, 200);
    const list = (count: number, item: (index: number) => string) => Array.from({ length: count }, (_, index) => item(index)).join(', ');
    const parameters = (count: number) => Array.from({ length: count }, () => 1);
    return [
      ...[99998, 100001].map((bytes) => told(thrown(() => sql.exec('SELECT 1' + ' '.repeat(bytes - 8))))),
      ...[100, 101].map((count) => told(thrown(() => sql.exec(`SELECT ${list(count, () => '?')}`, ...parameters(count))))),
      ...[100, 101].map((count) => told(thrown(() => sql.exec(`CREATE TABLE t${count} (${list(count, (index) => `c${index}`)})`)))),
      ...[50, 51].map((length) => told(thrown(() => sql.exec(`SELECT 'x' LIKE '${'a'.repeat(length)}'`)))),
      ...[5, 6].map((count) => told(thrown(() => sql.exec(Array.from({ length: count }, () => 'SELECT 1').join(' UNION ALL '))))),
      ...[98, 102].map((depth) => told(thrown(() => sql.exec(`SELECT ${'('.repeat(depth)}1${')'.repeat(depth)}`)))),
      ...[90, 110].map((depth) => told(thrown(() => sql.exec(`SELECT ${'1+'.repeat(depth)}1`)))),
      ...[127, 128].map((count) => told(thrown(() => sql.exec(`SELECT max(${list(count, () => '1')})`)))),
      told(thrown(() => sql.exec('SELECT ?101', 1))),
    ];
  },
  'of values': { run: ({ sql, thrown }) => {
    const told = (result: any) => result.message ?? 'passed';
    return [told(thrown(() => sql.exec('SELECT length(?) AS n', 'x'.repeat(2097152)).toArray())), told(thrown(() => sql.exec('SELECT length(?) AS n', 'x'.repeat(4 * 1048576 + 1)).toArray())), told(thrown(() => sql.exec('SELECT length(zeroblob(?)) AS n', 4 * 1048576 + 1).toArray())), told(thrown(() => sql.exec('SELECT ? AS n', new Uint8Array(4 * 1048576 + 1)).toArray()))];
  }, differs: { reason: 'the contract: 4 MiB for a value', insula: ['passed', ...Array.from({ length: 3 }, () => 'string or blob too big: SQLITE_TOOBIG')] } },
  'of triggers': ({ sql, thrown }) => {
    sql.exec('CREATE TABLE t (a); CREATE TRIGGER r AFTER INSERT ON t WHEN new.a > 0 BEGIN INSERT INTO t VALUES (new.a - 1); END; PRAGMA recursive_triggers = ON');
    return [thrown(() => sql.exec('INSERT INTO t VALUES (5)').rowsWritten), thrown(() => sql.exec('INSERT INTO t VALUES (20)').rowsWritten)];
  },
});

storageProbes('sql: what it can do', {
  'full text search': ({ sql }) => {
    sql.exec("CREATE VIRTUAL TABLE f USING fts5(a, tokenize = 'porter'); INSERT INTO f VALUES ('the quick brown foxes'), ('lazy dogs')");
    return [sql.exec("SELECT a, highlight(f, 0, '[', ']') AS b, snippet(f, 0, '<', '>', '…', 3) AS c FROM f WHERE f MATCH 'fox' ORDER BY bm25(f)").toArray(), sql.exec("SELECT name FROM sqlite_master WHERE name LIKE 'f%' ORDER BY name").toArray()];
  },
  'trees of rectangles': ({ sql, thrown }) => thrown(() => { sql.exec('CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 10), (2, 20, 30)'); return sql.exec('SELECT id FROM r WHERE x0 < 15').toArray(); }),
  'JSON': ({ sql }) => sql.exec(`SELECT json_extract('{"a":[1,2,{"b":"c"}]}', '$.a[2].b') AS a, '{"x":5}' ->> 'x' AS b, json_group_array(value) AS c, json('[1, 2]') AS d FROM json_each('[1,2,3]')`).toArray(),
  'windows': ({ sql }) => sql.exec('WITH t(a) AS (VALUES (1), (2), (3)) SELECT a, sum(a) OVER (ORDER BY a) AS s, row_number() OVER () AS n, lag(a) OVER (ORDER BY a) AS l FROM t').toArray(),
  'mathematics': ({ sql }) => sql.exec('SELECT round(sqrt(2), 4) AS a, pow(2, 10) AS b, floor(1.5) AS c, round(pi(), 3) AS d, 7 % 3 AS e, 7 / 2 AS f').toArray(),
  'recursion': ({ sql }) => sql.exec('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT sum(i) AS s FROM n').toArray(),
  'upserts, returning, generated columns': ({ sql }) => {
    sql.exec('CREATE TABLE t (a INTEGER PRIMARY KEY, b, c AS (b * 2) STORED) STRICT'.replace(' STRICT', ''));
    return [sql.exec('INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = b + 1 RETURNING *').toArray(), sql.exec('INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = b + 1 RETURNING *').toArray()];
  },
  'strict tables': ({ sql, thrown }) => { sql.exec('CREATE TABLE t (a INTEGER, b TEXT) STRICT'); return [thrown(() => sql.exec('INSERT INTO t VALUES (?, ?)', 1, 'x')), thrown(() => sql.exec('INSERT INTO t VALUES (?, ?)', 1.5, 'x')), thrown(() => sql.exec('INSERT INTO t VALUES (?, ?)', 'y', 'x')), sql.exec('SELECT * FROM t').toArray()]; },
  'time': ({ sql }) => { const [row] = sql.exec("SELECT unixepoch() AS a, strftime('%Y', 0, 'unixepoch') AS b, date('2024-02-29', '+1 year') AS c").toArray(); return [Math.abs(row.a - Date.now() / 1000) < 2, row.b, row.c]; },
  'functions about rows': ({ sql }) => { sql.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)'); return sql.exec('SELECT changes() AS a, total_changes() > 0 AS b, last_insert_rowid() AS c').toArray(); },
  'the size of the database': ({ sql }) => {
    const sizes = [sql.databaseSize > 0];
    sql.exec('CREATE TABLE t (a)');
    const small = sql.databaseSize;
    sql.exec('INSERT INTO t VALUES (zeroblob(1000000))');
    return [...sizes, small % 4096, sql.databaseSize - small > 1000000, typeof sql.databaseSize];
  },
  'views and triggers': ({ sql }) => {
    sql.exec('CREATE TABLE t (a); CREATE TABLE log (a); CREATE VIEW v AS SELECT a * 2 AS b FROM t; CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END; INSERT INTO t VALUES (4)');
    return [sql.exec('SELECT * FROM v').toArray(), sql.exec('SELECT * FROM log').toArray()];
  },
});
