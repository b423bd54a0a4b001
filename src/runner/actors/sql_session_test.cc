// SPDX-License-Identifier: Apache-2.0
//
// SqlSession, SqlCursor, SqlPolicy: what a tenant's SQL does and what it may not.
#include "src/runner/actors/sql_session.h"

#include <string>

#include <gtest/gtest.h>

#include "src/runner/actors/storage_on_disks.h"

namespace insula::runner::actors {
namespace {

class Sql : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(disks.open(), ""); }
  std::string run(std::string_view text, std::vector<SqlParameter> parameters = {}) {
    return disks.run(text, std::move(parameters));
  }
  std::unique_ptr<SqlCursor> cursor(std::string_view text) {
    auto made = disks.storage->exec(text);
    EXPECT_TRUE(made.has_value()) << made.error().message();
    return *std::move(made);
  }
  StorageOnDisks disks;
};

TEST_F(Sql, RunsAllStatementsAndBindsToTheLast) {
  EXPECT_EQ(run("create table t(a,b); insert into t values(1,2); insert into t values(?,?) returning b", {5.0, "x"}), "x");
  EXPECT_EQ(run("select * from t"), "1|2;5|x");
}

TEST_F(Sql, ErrorsAreWordForWord) {
  run("create table t(a integer primary key, b unique)");
  run("insert into t values(1, 1)");
  EXPECT_EQ(run("select ?, ?", {1.0}), "Wrong number of parameter bindings for SQL query.");
  EXPECT_EQ(run("select ?", {1.0, 2.0}), "Wrong number of parameter bindings for SQL query.");
  EXPECT_EQ(run("insert into t values(?, 2); select 1", {1.0}),
            "When executing multiple SQL statements in a single call, only the last statement can have parameters.");
  for (const char* text : {"", "  ", ";", "-- c", "select 1; -- c", "select 1;;"}) {
    EXPECT_EQ(run(text), "SQL code did not contain a statement.") << text;
  }
  EXPECT_EQ(run("select 1;  \n"), "1");
  EXPECT_EQ(run("selec 1"), "near \"selec\": syntax error at offset 0: SQLITE_ERROR");
  EXPECT_EQ(run("SELECT 1;\n  selec"), "near \"selec\": syntax error at offset 0: SQLITE_ERROR");
  EXPECT_EQ(run("select ("), "incomplete input: SQLITE_ERROR");
  EXPECT_EQ(run("select * from nope"), "no such table: nope: SQLITE_ERROR");
  EXPECT_EQ(run("insert into t values(1, 2)"),
            "UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)");
  EXPECT_EQ(run("insert into t values(2, 1)"),
            "UNIQUE constraint failed: t.b: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)");
  EXPECT_EQ(run("select * from t"), "1|1");
}

TEST_F(Sql, TakesNamesOfNothingForTexts) {
  EXPECT_EQ(run("select \"x\""), "x");
  EXPECT_EQ(run("create table t(a default \"d\"); insert into t default values; select a from t where a = \"d\""), "d");
}

TEST_F(Sql, RefusesTransactionsWithTheContractsText) {
  for (const char* text : {"begin", "begin immediate", "commit", "end", "rollback", "savepoint x", "release x",
                           "rollback to x"}) {
    EXPECT_EQ(run(text).substr(0, 75),
              "To execute a transaction, please use the state.storage.transaction() or sta")
        << text;
  }
}

TEST_F(Sql, TypesGoInAndComeOut) {
  EXPECT_EQ(run("select typeof(?), typeof(?), typeof(?), typeof(?)",
                {1.0, "x", std::monostate{}, SqlBlob{"b"}}), "real|text|null|blob");
  EXPECT_EQ(run("select 9007199254740993"), "9007199254740992");
  EXPECT_EQ(run("select ?", {std::string_view("a\0b", 3)}), std::string("a\0b", 3));
  EXPECT_EQ(run("select typeof(?), typeof(?)", {std::string_view(), SqlBlob{}}), "text|blob");
  EXPECT_EQ(run("select x'6162'"), "blob:ab");
}

TEST_F(Sql, ACursorHasItsFirstRowAtOnceAndIsLazyAfterThat) {
  run("create table t(a); insert into t values(1),(2),(3)");
  auto rows = cursor("select a, a as b from t");
  EXPECT_EQ(rows->column_count(), 2);
  EXPECT_EQ(rows->column_name(1), "b");
  EXPECT_EQ(rows->rows_read(), 1U);
  ASSERT_TRUE(rows->advance());
  EXPECT_EQ(rows->rows_read(), 2U);
  EXPECT_EQ(StorageOnDisks::rest_of(*rows), "2|2;3|3");
  EXPECT_EQ(rows->rows_read(), 3U);
  EXPECT_EQ(rows->column_name(0), "a");
  EXPECT_FALSE(rows->has_row());
  EXPECT_TRUE(rows->advance());

  auto written = cursor("insert into t values(4),(5)");
  EXPECT_EQ(written->rows_written(), 2U);
  EXPECT_EQ(written->column_count(), 0);
}

TEST_F(Sql, ASettledCursorGoesOnFromMemory) {
  run("create table t(a, b); insert into t values(1,'x'),(2,'y'),(3,'z'),(4,'w')");
  auto whole = cursor("select a, b from t");
  ASSERT_TRUE(whole->advance());
  whole->settle(10, 1000);
  run("delete from t where a = 3");
  EXPECT_EQ(whole->rows_read(), 4U);
  EXPECT_EQ(whole->column_name(1), "b");
  EXPECT_EQ(StorageOnDisks::rest_of(*whole), "2|y;3|z;4|w");
  EXPECT_FALSE(whole->has_row());

  auto part = cursor("select a, b from t order by a");
  part->settle(2, 1000);
  run("delete from t where a = 2");
  EXPECT_EQ(StorageOnDisks::rest_of(*part), "1|x;2|y;4|w");

  auto detached = cursor("select a from t order by a");
  detached->settle(1, 1000);
  ASSERT_EQ(disks.commit(), "");
  ASSERT_TRUE(disks.storage->checkpoint());
  EXPECT_EQ(StorageOnDisks::rest_of(*detached), "1;4");

  auto failing = cursor("select abs(column1) from (values (1), (2), (-9223372036854775808), (4))");
  failing->settle(10, 1000);
  EXPECT_EQ(failing->number(0), 1);
  ASSERT_TRUE(failing->advance());
  EXPECT_EQ(failing->number(0), 2);
  EXPECT_EQ(failing->advance().error().message(), "integer overflow: SQLITE_ERROR");
  EXPECT_FALSE(failing->has_row());
}

TEST_F(Sql, TheSameTextTwiceAtOnceIsTwoStatements) {
  run("create table t(a); insert into t values(1),(2)");
  auto first = cursor("select a from t");
  auto second = cursor("select a from t");
  ASSERT_TRUE(second->advance());
  EXPECT_EQ(first->number(0), 1);
  EXPECT_EQ(second->number(0), 2);
  EXPECT_EQ(StorageOnDisks::rest_of(*first), "1;2");
}

TEST_F(Sql, AnOpenCursorLivesOnAfterCommitAndAfterClose) {
  run("create table t(a); insert into t values(1),(2),(3)");
  ASSERT_EQ(disks.commit(), "");
  auto read = cursor("select a from t");
  auto returning = cursor("insert into t values(4),(5) returning a");
  ASSERT_EQ(disks.commit(), "");
  EXPECT_EQ(StorageOnDisks::rest_of(*returning), "4;5");
  auto third = cursor("select a from t where a > 3");
  ASSERT_TRUE(disks.storage->checkpoint());
  ASSERT_TRUE(disks.storage->close());
  disks.storage.reset();
  EXPECT_EQ(read->column_name(0), "a");
  EXPECT_EQ(StorageOnDisks::rest_of(*third), "4;5");
  EXPECT_EQ(StorageOnDisks::row_of(*read), "1");
}

TEST_F(Sql, ADetachedCursorWithTooManyRowsEndsInAnError) {
  auto rows = cursor("with recursive n(i) as (select 1 union all select i+1 from n where i < 40) "
                     "select hex(zeroblob(500000)) from n");
  ASSERT_TRUE(disks.storage->checkpoint());
  int count = 0;
  Result<> last;
  while (rows->has_row()) {
    ++count;
    last = rows->advance();
  }
  EXPECT_LT(count, 40);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), ErrorCode::LimitExceeded);
}

TEST_F(Sql, ADetachedCursorThatWouldRunForeverEndsInAnError) {
  run("create table t(a); insert into t values(1)");
  ASSERT_EQ(disks.commit(), "");
  auto rows = cursor("with recursive n(i) as (select 1 union all select i+1 from n) select i from n where i < 2");
  ASSERT_TRUE(disks.storage->checkpoint());
  EXPECT_EQ(StorageOnDisks::row_of(*rows), "1");
  const auto advanced = rows->advance();
  ASSERT_FALSE(advanced);
  EXPECT_EQ(advanced.error().code(), ErrorCode::LimitExceeded);
  EXPECT_EQ(run("select a from t"), "1");
}

TEST_F(Sql, AResetEndsCursors) {
  run("create table t(a); insert into t values(1),(2)");
  ASSERT_EQ(disks.commit(), "");
  auto rows = cursor("select a from t");
  auto none = cursor("select a from t where a = 3");
  disks.storage->abandon();
  EXPECT_EQ(StorageOnDisks::row_of(*rows), "1");
  EXPECT_EQ(rows->advance().error().code(), ErrorCode::Cancelled);
  EXPECT_FALSE(rows->has_row());
  EXPECT_TRUE(none->advance());
}

TEST_F(Sql, AShapeChangesWithTheColumns) {
  run("create table t(a); insert into t values(1)");
  const auto before = cursor("select * from t")->shape();
  EXPECT_EQ(cursor("select * from t")->shape(), before);
  run("alter table t add column b");
  auto after = cursor("select * from t");
  EXPECT_NE(after->shape(), before);
  EXPECT_EQ(after->column_count(), 2);
  EXPECT_EQ(after->column_name(1), "b");
}

TEST_F(Sql, HiddenTablesCannotBeReached) {
  ASSERT_TRUE(disks.storage->put("k", "secret"));
  run("create table t(a)");
  for (const char* text :
       {"select * from _cf_KV", "select count(*) from _cf_KV", "create table _cf_x(a)", "create table _CF_x(a)",
        "create table \"_cf_x\"(a)", "create index _cf_i on t(a)", "create index i on _cf_KV(value)", "drop table _cf_KV",
        "create trigger x after insert on _cf_KV begin select 1; end", "insert into _cf_KV values('a', 'b')",
        "delete from _cf_METADATA", "update _cf_KV set value = 1", "alter table _cf_KV rename to t2",
        "alter table t rename to _cf_t", "pragma table_info(_cf_KV)", "select * from pragma_table_info('_cf_KV')",
        "create view _cf_v as select 1", "with x as (select * from _cf_KV) select * from x",
        "create view v as select * from _cf_KV; select * from v",
        "create virtual table _cf_f using fts5(x)",
        "create virtual table f using fts5(key, content='_cf_KV'); select * from f"}) {
    const std::string said = run(text);
    EXPECT_TRUE(said.find("SQLITE_AUTH") != std::string::npos || said.find("prohibited") != std::string::npos ||
                said.find("no such table") != std::string::npos || said.find("no such column") != std::string::npos)
        << text << " => " << said;
  }
  EXPECT_EQ(disks.get("k"), "secret");
}

TEST_F(Sql, WhatIsNotOnTheListsIsRefused) {
  run("create table t(a)");
  for (const char* text :
       {"attach ':memory:' as x", "attach 'file:x' as x", "detach x", "create temp table x(a)",
        "create temp view x as select 1", "create temp trigger x after insert on t begin select 1; end",
        "create virtual table g using fts4(x)", "pragma journal_mode", "pragma journal_mode = off", "pragma synchronous",
        "pragma locking_mode", "pragma max_page_count", "pragma max_page_count = 1000000", "pragma page_size = 8192",
        "pragma writable_schema = on", "pragma integrity_check", "pragma database_list", "pragma cache_size",
        "pragma wal_checkpoint", "pragma compile_options", "pragma function_list", "pragma schema_version = 1",
        "pragma user_version = 3", "pragma hard_heap_limit = 1", "pragma temp_store_directory = '/'", "pragma mmap_size",
        "select * from pragma_database_list"}) {
    EXPECT_NE(run(text).find("not authorized: SQLITE_AUTH"), std::string::npos) << text << " => " << run(text);
  }
  for (const char* text : {"select sqlite_version()", "select sqlite_source_id()", "select sqlite_compileoption_used('x')",
                           "select sqlite_log(1, 'x')", "select fts5_source_id()"}) {
    EXPECT_NE(run(text).find("not authorized to use function"), std::string::npos) << text << " => " << run(text);
  }
  for (const char* text : {"select load_extension('x')", "select fts3_tokenizer('x')", "select readfile('/etc/passwd')",
                           "select writefile('x', 'y')", "select edit('x')"}) {
    EXPECT_NE(run(text).find("no such function"), std::string::npos) << text << " => " << run(text);
  }
  for (const char* text : {"vacuum", "vacuum into 'x'"}) {
    EXPECT_EQ(run(text), "cannot VACUUM from within a transaction: SQLITE_ERROR");
  }
  EXPECT_EQ(run("delete from sqlite_master"), "table sqlite_master may not be modified: SQLITE_ERROR");
}

TEST_F(Sql, WhatIsOnTheListsWorks) {
  run("create table t(a integer primary key, b); create index tb on t(b); insert into t values(1,2)");
  for (const char* pragma : {"table_list", "table_info(t)", "table_xinfo(t)", "index_list(t)", "index_info(tb)",
                             "index_xinfo(tb)", "foreign_key_list(t)", "foreign_key_check", "foreign_keys",
                             "defer_foreign_keys = on", "ignore_check_constraints", "legacy_alter_table",
                             "recursive_triggers", "reverse_unordered_selects", "case_sensitive_like = off",
                             "quick_check", "optimize", "data_version", "page_size"}) {
    EXPECT_EQ(run(std::string("pragma ") + pragma).find("SQLITE"), std::string::npos) << pragma;
  }
  EXPECT_EQ(run("pragma page_size"), "4096");
  EXPECT_EQ(run("select name from pragma_table_info('t')"), "a;b");
  EXPECT_EQ(run("alter table t rename to t2; alter table t2 rename column b to c; alter table t2 add column d; "
                "alter table t2 drop column d; select * from t2"), "1|2");
  EXPECT_EQ(run("create virtual table f using fts5(x); insert into f values('hello world'); "
                "select highlight(f, 0, '<', '>'), bm25(f) < 0 from f where f match 'hello'"), "<hello> world|1");
  EXPECT_EQ(run("create virtual table r using rtree(id, a, b); insert into r values(1, 0, 5); "
                "select id from r where a >= 0"), "1");
  EXPECT_EQ(run("select json_extract('{\"a\":[1,2]}', '$.a[1]'), json('[1]') ->> 0"), "2|1");
  EXPECT_EQ(run("select value from json_each('[3,4]')"), "3;4");
  EXPECT_EQ(run("select sum(column1) over (order by column1) from (values (1),(2))"), "1;3");
  EXPECT_EQ(run("select pow(2, 10), sqrt(16), round(pi(), 2)"), "1024|4|3.14");
  EXPECT_EQ(run("reindex; analyze; select 1"), "1");
  // A full-text index that triggers keep, and a view over a table-valued function: the usual way to use both.
  EXPECT_EQ(run("create table doc(body); create virtual table idx using fts5(body, content='doc'); "
                "create trigger doc_in after insert on doc begin "
                "insert into idx(rowid, body) values (new.rowid, new.body); end; "
                "insert into doc values('find me'); select rowid from idx where idx match 'find'"), "1");
  EXPECT_EQ(run("create view each_one as select value from json_each('[7]'); select * from each_one"), "7");
}

TEST_F(Sql, LimitsOfTheContract) {
  EXPECT_EQ(run("select '" + std::string(100000, 'x') + "'"), "statement too long: SQLITE_TOOBIG");
  const auto repeat = [](std::string_view part, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += part;
    return text;
  };
  EXPECT_NE(run("select " + repeat("?,", 100) + "?").find("too many SQL variables"), std::string::npos);
  EXPECT_NE(run("select " + repeat("1,", 100) + "1").find("too many columns in result set"), std::string::npos);
  EXPECT_NE(run("select " + repeat("1+", 101) + "1").find("maximum depth 100"), std::string::npos);
  EXPECT_NE(run(repeat("select 1 union all ", 5) + "select 1").find("too many terms"), std::string::npos);
  EXPECT_EQ(run("select 'a' like ?", {std::string(50, 'x')}), "0");
  EXPECT_EQ(run("select 'a' like ?", {std::string(51, 'x')}), "LIKE or GLOB pattern too complex: SQLITE_ERROR");
  EXPECT_NE(run("select length(zeroblob(5000000))").find("SQLITE_TOOBIG"), std::string::npos);
}

TEST_F(Sql, TimeIsWhatTheTurnSays) {
  disks.storage->set_now(1795466688000);
  EXPECT_EQ(run("select datetime('now'), unixepoch(), current_timestamp"),
            "2026-11-23 20:44:48|1795466688|2026-11-23 20:44:48");
}

class Stop final : public SqlMonitor {
 public:
  explicit Stop(int after) : left(after) {}
  bool should_stop() noexcept override { return --left < 0; }
  int left;
};

constexpr const char* kEndless = "with recursive n(i) as (select 1 union all select i+1 from n) select count(*) from n";

TEST_F(Sql, AMonitorEndsAnEndlessStatement) {
  Stop stop(3);
  disks.storage->set_monitor(&stop);
  EXPECT_NE(run(kEndless).find("SQLITE_INTERRUPT"), std::string::npos);
  disks.storage->set_monitor(nullptr);
  EXPECT_EQ(run("select 1"), "1");
  EXPECT_FALSE(disks.storage->is_critical());
}

TEST_F(Sql, AnInterruptedWriteKeepsNothingOfTheTurn) {
  run("create table t(a)");
  ASSERT_EQ(disks.commit(), "");
  run("insert into t values(1)");
  Stop stop(3);
  disks.storage->set_monitor(&stop);
  run("insert into t with recursive n(i) as (select 1 union all select i+1 from n) select i from n");
  disks.storage->set_monitor(nullptr);
  EXPECT_TRUE(disks.storage->is_critical());
  EXPECT_EQ(disks.commit(), kCriticalText);
  disks.storage->abandon();
  EXPECT_EQ(run("select count(*) from t"), "0");
}

TEST_F(Sql, TheHeapIsBounded) {
  disks.storage.reset();
  disks.options.heap_bytes_max = 4 << 20;
  ASSERT_EQ(disks.open(), "");
  EXPECT_NE(run("select length(group_concat(hex(zeroblob(400000)))) from (values (1),(2),(3),(4),(5))")
                .find("SQLITE_NOMEM"), std::string::npos);
  EXPECT_LT(disks.storage->heap_bytes(), 4U << 20);
}

TEST_F(Sql, ManyTextsDoNotPileUp) {
  run("create table t(a)");
  for (int i = 0; i < 500; ++i) ASSERT_EQ(run("insert into t values(" + std::to_string(i) + ")"), "");
  EXPECT_EQ(run("select count(*) from t"), "500");
  EXPECT_LT(disks.storage->heap_bytes(), 3U << 20);
}

}  // namespace
}  // namespace insula::runner::actors
