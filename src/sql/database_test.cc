// SPDX-License-Identifier: Apache-2.0
//
// Database, Statement, Transaction, HeapBudget: what the wrapper promises.
#include "src/sql/database.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <unistd.h>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "src/sql/heap.h"
#include "src/sql/result_code.h"

namespace insula::sql {
namespace {

Database in_memory() {
  auto database = Database::open(":memory:", {});
  EXPECT_TRUE(database.has_value()) << database.error().message();
  return *std::move(database);
}

std::string message_of(const Result<>& result) { return result ? "" : result.error().message(); }

TEST(Database, KeepsWhatIsBoundWithItsType) {
  Database database = in_memory();
  ASSERT_TRUE(database.run("CREATE TABLE t (a, b, c, d, e, f)"));
  auto insert = database.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)");
  ASSERT_TRUE(insert);
  const std::string text("te\0xt", 5);
  ASSERT_TRUE(insert->run(std::int64_t{1} << 62, 1.5, text, Blob(std::string_view("\0b", 2)), nullptr,
                          std::optional<int>()));

  auto select = database.prepare("SELECT * FROM t");
  ASSERT_TRUE(select);
  auto row = select->step();
  ASSERT_TRUE(row.has_value() && *row);
  EXPECT_EQ(select->column_count(), 6);
  EXPECT_EQ(select->column_name(1), "b");
  EXPECT_EQ(select->column_integer(0), std::int64_t{1} << 62);
  EXPECT_EQ(select->column_real(1), 1.5);
  EXPECT_EQ(select->column_text(2), text);
  EXPECT_EQ(select->column_type(3), ColumnType::Blob);
  EXPECT_EQ(select->column_blob(3), std::string_view("\0b", 2));
  EXPECT_TRUE(select->column_is_null(4));
  EXPECT_TRUE(select->column_is_null(5));
  row = select->step();
  EXPECT_TRUE(row.has_value() && !*row);
}

TEST(Database, AnEmptyTextIsNotNull) {
  Database database = in_memory();
  auto select = database.prepare("SELECT typeof(?), typeof(?)");
  ASSERT_TRUE(select);
  ASSERT_TRUE(select->bind(std::string_view(), Blob(BytesView())));
  ASSERT_TRUE(select->step());
  EXPECT_EQ(select->column_text(0), "text");
  EXPECT_EQ(select->column_text(1), "blob");
}

TEST(Database, RefusesAWrongNumberOfValues) {
  Database database = in_memory();
  auto select = database.prepare("SELECT ?");
  ASSERT_TRUE(select);
  const auto bound = select->bind(1, 2);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code(), ErrorCode::InvalidInput);
}

TEST(Database, ErrorsHaveSqlitesTextAndTheNameOfTheCode) {
  Database database = in_memory();
  ASSERT_TRUE(database.run("CREATE TABLE t (a UNIQUE, b CHECK (b > 0)); INSERT INTO t VALUES (1, 1)"));
  EXPECT_EQ(message_of(database.run("INSERT INTO t VALUES (1, 1)")),
            "UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)");
  EXPECT_EQ(message_of(database.run("SELEC 1")), "near \"SELEC\": syntax error at offset 0: SQLITE_ERROR");
  const auto check = database.run("INSERT INTO t VALUES (2, 0)");
  ASSERT_FALSE(check);
  EXPECT_EQ(check.error().code(), ErrorCode::Conflict);
}

TEST(Database, PrepareTakesOneStatementOnly) {
  Database database = in_memory();
  EXPECT_FALSE(database.prepare("SELECT 1; SELECT 2"));
  EXPECT_FALSE(database.prepare("-- nothing"));
  EXPECT_TRUE(database.prepare("SELECT 1; \n"));
}

TEST(Database, ATransactionThatIsNotCommittedLeavesNothing) {
  Database database = in_memory();
  ASSERT_TRUE(database.run("CREATE TABLE t (a)"));
  {
    auto transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.run("INSERT INTO t VALUES (1)"));
  }
  EXPECT_EQ(database.integer("SELECT count(*) FROM t").value(), 0);
  {
    auto transaction = Transaction::begin(database);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.run("INSERT INTO t VALUES (1)"));
    ASSERT_TRUE(transaction->commit());
  }
  EXPECT_EQ(database.integer("SELECT count(*) FROM t").value(), 1);
  EXPECT_FALSE(database.in_transaction());
}

TEST(Database, AFailedCommitEndsTheTransaction) {
  Database database = in_memory();
  ASSERT_TRUE(database.run("CREATE TABLE p (a PRIMARY KEY);"
                           "CREATE TABLE c (a REFERENCES p DEFERRABLE INITIALLY DEFERRED)"));
  auto transaction = Transaction::begin(database);
  ASSERT_TRUE(transaction);
  ASSERT_TRUE(database.run("INSERT INTO c VALUES (1)"));
  EXPECT_EQ(message_of(transaction->commit()),
            "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)");
  EXPECT_FALSE(database.in_transaction());
  EXPECT_EQ(database.integer("SELECT count(*) FROM c").value(), 0);
}

TEST(Database, AFileIsThereAgainAfterClosing) {
  std::string pattern = std::filesystem::temp_directory_path() / "insula-sql-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  const std::string path = folder / "store.sqlite";
  {
    auto database = Database::open(path, {.exclusive = true, .journal = Journal::Wal});
    ASSERT_TRUE(database) << database.error().message();
    ASSERT_TRUE(database->run("CREATE TABLE t (a); INSERT INTO t VALUES (7)"));
    EXPECT_TRUE(std::filesystem::exists(path + "-wal"));
    EXPECT_FALSE(std::filesystem::exists(path + "-shm"));
    ASSERT_TRUE(database->checkpoint());
    EXPECT_EQ(std::filesystem::file_size(path + "-wal"), 0U);
  }
  auto database = Database::open(path, {.create = false});
  ASSERT_TRUE(database);
  EXPECT_EQ(database->integer("SELECT a FROM t").value(), 7);
  EXPECT_FALSE(Database::open(folder / "none.sqlite", {.create = false}));
  std::filesystem::remove_all(folder);
}

struct Counted {
  const char* text;
  std::uint32_t read;
  std::uint32_t written;
};

// In this order on one database; the figures are what the peer reports.
constexpr Counted kCounted[] = {
    {"insert into t values(1,2,3)", 1, 2},
    {"insert into t values(2,2,3),(3,4,5),(4,4,4)", 3, 6},
    {"select * from t", 4, 0},
    {"select * from t where a=2", 1, 0},
    {"select * from t where a=99", 1, 0},
    {"select * from t where b=4", 2, 0},
    {"select * from t where c=4", 4, 0},
    {"select count(*) from t", 4, 0},
    {"update t set c=9 where a=1", 1, 1},
    {"update t set b=9 where a=1", 1, 2},
    {"update t set b=10", 4, 8},
    {"update t set a=100 where a=1", 3, 2},
    {"delete from t where a=2", 1, 1},
    {"delete from t", 0, 3},
    {"select max(a) from t", 1, 0},
    {"insert into t values(1,2,3) returning *", 2, 2},
    {"insert into t select a+100,b,c from t", 3, 2},
    {"replace into t values(1,5,5)", 1, 2},
    {"insert into t values(1,5,5) on conflict do update set c=7", 1, 1},
    {"with recursive x(n) as (select 1 union all select n+1 from x where n<5) select * from x", 6, 0},
    {"select * from t x join t y", 6, 0},
    {"select * from t order by c", 4, 0},
    {"drop index tb", 3, 0},
    {"create index tb on t(b)", 6, 3},
    {"create table wr(a primary key, b) without rowid", 1, 2},
    {"insert into wr values(1,2),(2,3)", 0, 2},
    {"select * from wr where a=1", 1, 0},
    {"create table n(a,b)", 1, 2},
    {"insert into n values(1,2)", 0, 1},
    {"delete from n where a=1", 1, 1},
    {"select 1", 0, 0},
    {"select * from t where a in (1,101,7)", 6, 0},
    {"select exists(select 1 from t where a=1)", 1, 0},
};

TEST(Database, CountsRowsAsThePeerDoes) {
  Database database = in_memory();
  ASSERT_TRUE(database.run("create table t(a integer primary key,b,c); create index tb on t(b)"));
  for (const Counted& counted : kCounted) {
    auto statement = database.prepare(counted.text);
    ASSERT_TRUE(statement) << counted.text << ": " << statement.error().message();
    ASSERT_TRUE(statement->run()) << counted.text;
    EXPECT_EQ(statement->rows_read(), counted.read) << counted.text;
    EXPECT_EQ(statement->rows_written(), counted.written) << counted.text;
  }
}

TEST(Database, AHeapBudgetEndsInOutOfMemoryAndTheConnectionGoesOn) {
  Database database = in_memory();
  HeapBudget budget(512 * 1024);
  {
    const HeapScope scope(budget);
    const auto run = database.run("SELECT length(group_concat(hex(zeroblob(100000)))) FROM "
                                  "(SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4)");
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().message(), "out of memory: SQLITE_NOMEM");
    EXPECT_EQ(run.error().code(), ErrorCode::LimitExceeded);
    EXPECT_TRUE(database.run("SELECT 1"));
  }
  EXPECT_LT(budget.bytes(), 64U * 1024);
  EXPECT_TRUE(database.run("SELECT length(hex(zeroblob(1000000)))"));
}

TEST(ResultCode, KnowsExtendedNames) {
  EXPECT_EQ(name_of_result(SQLITE_IOERR_FSYNC), "SQLITE_IOERR_FSYNC");
  EXPECT_EQ(name_of_result(SQLITE_IOERR | (200 << 8)), "SQLITE_IOERR");
  EXPECT_EQ(error_code_of_result(SQLITE_IOERR_FSYNC), ErrorCode::Unavailable);
  EXPECT_EQ(error_code_of_result(SQLITE_CORRUPT_VTAB), ErrorCode::Corrupt);
}

}  // namespace
}  // namespace insula::sql
