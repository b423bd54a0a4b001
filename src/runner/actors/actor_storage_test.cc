// SPDX-License-Identifier: Apache-2.0
//
// ActorStorage: turns, savepoints, keys, alarms, the quota, and what each failure leaves.
#include "src/runner/actors/actor_storage.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "src/runner/actors/storage_on_disks.h"
#include "src/sql/database.h"

namespace insula::runner::actors {
namespace {

class Storage : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(disks.open(), ""); }
  ActorStorage& storage() { return *disks.storage; }
  StorageOnDisks disks;
};

TEST_F(Storage, ACommitIsThereAfterOpeningAgain) {
  disks.run("create table t(a); insert into t values(1)");
  auto committed = storage().commit();
  ASSERT_TRUE(committed);
  EXPECT_EQ(committed->sequence, 1U);
  EXPECT_EQ(storage().durable_sequence(), 0U);
  EXPECT_TRUE(storage().needs_sync());
  EXPECT_EQ(storage().sync().value(), 1U);
  EXPECT_FALSE(storage().needs_sync());
  disks.run("insert into t values(2)");
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(disks.run("select a from t"), "1");
}

TEST_F(Storage, ATurnThatOnlyReadsNeedsNoSync) {
  disks.run("create table t(a)");
  ASSERT_EQ(disks.commit(), "");
  ASSERT_TRUE(storage().sync());
  disks.run("select * from t");
  EXPECT_EQ(storage().commit()->sequence, 1U);
  EXPECT_FALSE(storage().needs_sync());
  const auto syncs = disks.plan->syncs;
  ASSERT_TRUE(storage().sync());
  EXPECT_EQ(disks.plan->syncs, syncs);
}

TEST_F(Storage, OneSyncServesAllCommitsBeforeIt) {
  disks.run("create table t(a)");
  for (int i = 0; i < 10; ++i) {
    disks.run("insert into t values(1)");
    ASSERT_EQ(disks.commit(), "");
  }
  const auto syncs = disks.plan->syncs;
  EXPECT_EQ(storage().sync().value(), 10U);
  EXPECT_EQ(disks.plan->syncs, syncs + 2);  // the new file's first page, and the log
  disks.run("insert into t values(1)");
  ASSERT_EQ(disks.commit(), "");
  ASSERT_TRUE(storage().sync());
  EXPECT_EQ(disks.plan->syncs, syncs + 3);
}

TEST_F(Storage, ANewActorCostsNoSyncUntilItWrites) { EXPECT_EQ(disks.plan->syncs, 0U); }

TEST_F(Storage, KeysAreListedInByteOrder) {
  for (const char* key : {"b", "a", "é", "aa", "z", "B", "ab"}) ASSERT_TRUE(storage().put(key, key));
  EXPECT_EQ(disks.list({}), "B=B a=a aa=aa ab=ab b=b z=z é=é ");
  EXPECT_EQ(disks.list({.prefix = "a"}), "a=a aa=aa ab=ab ");
  EXPECT_EQ(disks.list({.prefix = "a", .reverse = true}), "ab=ab aa=aa a=a ");
  EXPECT_EQ(disks.list({.start = "aa", .end = "z"}), "aa=aa ab=ab b=b ");
  EXPECT_EQ(disks.list({.start_after = "aa", .limit = 2}), "ab=ab b=b ");
  EXPECT_EQ(disks.list({.reverse = true, .limit = 2}), "é=é z=z ");
  EXPECT_EQ(disks.list({.start = "ab", .prefix = "a"}), "ab=ab ");
  EXPECT_EQ(disks.list({.start_after = "a", .prefix = "a"}), "aa=aa ab=ab ");
  EXPECT_EQ(disks.list({.end = "ab", .prefix = "a"}), "a=a aa=aa ");
  EXPECT_EQ(disks.list({.start = "z", .end = "a"}), "");
  EXPECT_EQ(disks.list({.prefix = "\xff"}), "");
}

TEST_F(Storage, KeysComeAndGo) {
  EXPECT_EQ(disks.get("k"), "(none)");
  EXPECT_FALSE(storage().remove("k").value());
  ASSERT_TRUE(storage().put("k", "1"));
  ASSERT_TRUE(storage().put("k", std::string_view("\0\xff", 2)));
  EXPECT_EQ(disks.get("k"), std::string("\0\xff", 2));
  ASSERT_TRUE(storage().put("", ""));
  EXPECT_EQ(disks.get(""), "");
  EXPECT_TRUE(storage().remove("k").value());
  EXPECT_EQ(disks.get("k"), "(none)");
}

TEST_F(Storage, KeyAndValueTogetherHaveALimit) {
  EXPECT_TRUE(storage().put("k", std::string(kKeyValueBytesMax - 1, 'x')));
  const auto put = storage().put("kk", std::string(kKeyValueBytesMax - 1, 'x'));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code(), ErrorCode::LimitExceeded);
}

TEST_F(Storage, SavepointsNest) {
  disks.run("create table t(a)");
  ASSERT_TRUE(storage().begin_savepoint());
  disks.run("insert into t values(1)");
  ASSERT_TRUE(storage().put("outer", "1"));
  ASSERT_TRUE(storage().begin_savepoint());
  disks.run("insert into t values(2)");
  ASSERT_TRUE(storage().put("inner", "1"));
  ASSERT_TRUE(storage().rollback_savepoint());
  EXPECT_EQ(disks.run("select a from t"), "1");
  ASSERT_TRUE(storage().release_savepoint());
  ASSERT_EQ(disks.commit(), "");
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(disks.run("select a from t"), "1");
  EXPECT_EQ(disks.list({}), "outer=1 ");
}

TEST_F(Storage, CallsInTheWrongOrderAreErrors) {
  EXPECT_EQ(storage().release_savepoint().error().code(), ErrorCode::Conflict);
  EXPECT_EQ(storage().rollback_savepoint().error().code(), ErrorCode::Conflict);
  EXPECT_EQ(storage().end_transaction().error().code(), ErrorCode::Conflict);
  storage().rollback_transaction();
  ASSERT_TRUE(storage().begin_savepoint());
  EXPECT_EQ(storage().commit().error().code(), ErrorCode::Conflict);
  EXPECT_EQ(storage().begin_transaction().error().code(), ErrorCode::Conflict);
  EXPECT_EQ(storage().checkpoint().error().code(), ErrorCode::Conflict);
  ASSERT_TRUE(storage().release_savepoint());
  EXPECT_EQ(disks.commit(), "");
}

TEST_F(Storage, TheHiddenTableIsMadeAgainAfterItsMakingWasUndone) {
  ASSERT_TRUE(storage().begin_savepoint());
  ASSERT_TRUE(storage().put("a", "1"));
  ASSERT_TRUE(storage().rollback_savepoint());
  EXPECT_EQ(disks.get("a"), "(none)");
  ASSERT_TRUE(storage().put("a", "2"));
  storage().abandon();
  EXPECT_EQ(disks.get("a"), "(none)");
  ASSERT_TRUE(storage().put("a", "3"));
  EXPECT_EQ(disks.get("a"), "3");
}

TEST_F(Storage, AnExplicitTransactionSpansTurns) {
  disks.run("create table t(a); insert into t values(0)");
  ASSERT_TRUE(storage().begin_transaction());
  EXPECT_EQ(storage().committed_sequence(), 1U);
  disks.run("insert into t values(1)");
  ASSERT_EQ(disks.commit(), "");
  EXPECT_EQ(storage().committed_sequence(), 1U);
  disks.run("insert into t values(2)");
  storage().rollback_transaction();
  EXPECT_EQ(disks.run("select a from t"), "0");
  ASSERT_TRUE(storage().begin_transaction());
  disks.run("insert into t values(3)");
  EXPECT_EQ(storage().end_transaction()->sequence, 2U);
  EXPECT_FALSE(storage().in_explicit_transaction());
}

TEST_F(Storage, TheAlarmIsPartOfTheTurn) {
  EXPECT_EQ(storage().alarm().value(), std::nullopt);
  ASSERT_TRUE(storage().set_alarm(1234567890123));
  auto committed = storage().commit();
  ASSERT_TRUE(committed);
  EXPECT_TRUE(committed->alarm_changed);
  EXPECT_EQ(committed->alarm_ms, 1234567890123);
  ASSERT_TRUE(storage().set_alarm(5));
  storage().abandon();
  EXPECT_FALSE(storage().commit()->alarm_changed);
  EXPECT_EQ(storage().alarm().value(), 1234567890123);
  ASSERT_TRUE(storage().set_alarm(std::nullopt));
  committed = storage().commit();
  EXPECT_TRUE(committed->alarm_changed);
  EXPECT_EQ(committed->alarm_ms, std::nullopt);
}

TEST_F(Storage, TheAlarmIsToldByTheNextCommitWhateverCommittedBefore) {
  ASSERT_TRUE(storage().set_alarm(7));
  ASSERT_TRUE(storage().begin_transaction());
  EXPECT_FALSE(storage().commit()->alarm_changed);
  ASSERT_TRUE(storage().set_alarm(8));
  ASSERT_TRUE(storage().end_transaction());
  auto committed = storage().commit();
  ASSERT_TRUE(committed);
  EXPECT_TRUE(committed->alarm_changed);
  EXPECT_EQ(committed->alarm_ms, 8);
  EXPECT_FALSE(storage().commit()->alarm_changed);
}

TEST_F(Storage, DeleteAllLeavesAnEmptyDatabaseThatWorks) {
  disks.run("create table t(a); create view v as select * from t; create virtual table f using fts5(x)");
  disks.run("create table p(a primary key); create table c(a references p); insert into p values(1); "
            "insert into c values(1)");
  ASSERT_TRUE(storage().put("k", "v"));
  ASSERT_TRUE(storage().set_alarm(7));
  auto open_cursor = storage().exec("select name from sqlite_master");
  ASSERT_TRUE(storage().delete_all(true)) << storage().delete_all(true).error().message();
  EXPECT_EQ(disks.run("select count(*) from sqlite_master"), "0");
  EXPECT_EQ(disks.get("k"), "(none)");
  EXPECT_EQ(storage().database_bytes().value(), kPageBytes);
  auto committed = storage().commit();
  ASSERT_TRUE(committed) << committed.error().message();
  EXPECT_TRUE(committed->alarm_changed);
  EXPECT_EQ(committed->alarm_ms, std::nullopt);
  disks.run("create table t(b); insert into t values(2)");
  ASSERT_TRUE(storage().put("k", "w"));
  ASSERT_EQ(disks.commit(), "");
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(disks.run("select * from t"), "2");
  EXPECT_EQ(disks.get("k"), "w");
  EXPECT_EQ(disks.run("pragma quick_check"), "ok");
  EXPECT_EQ(disks.run("attach 'x' as y"), "not authorized: SQLITE_AUTH");
}

TEST_F(Storage, DeleteAllKeepsTheAlarmWhenAsked) {
  ASSERT_TRUE(storage().set_alarm(7));
  ASSERT_TRUE(storage().put("k", "v"));
  ASSERT_TRUE(storage().delete_all(false));
  EXPECT_EQ(storage().alarm().value(), 7);
  EXPECT_EQ(disks.get("k"), "(none)");
}

TEST_F(Storage, DeleteAllIsRefusedInATransaction) {
  ASSERT_TRUE(storage().begin_transaction());
  EXPECT_EQ(storage().delete_all(true).error().message(), "Cannot call deleteAll() within a transaction");
}

TEST_F(Storage, OverTheQuotaNothingOfTheTurnIsKeptAndReadsAndDeletesStillWork) {
  disks.storage.reset();
  disks.options.database_bytes_max = 64 * 4096;
  ASSERT_EQ(disks.open(), "");
  disks.run("create table t(a integer primary key, b)");
  std::string said;
  int kept = 0;
  for (; kept < 200; ++kept) {
    said = disks.run("insert into t(b) values(zeroblob(4000))");
    if (!said.empty()) break;
    ASSERT_EQ(disks.commit(), "");
  }
  EXPECT_EQ(said, "database or disk is full: SQLITE_FULL");
  EXPECT_GT(kept, 40);
  storage().abandon();
  EXPECT_EQ(disks.run("select count(*) from t"), std::to_string(kept));
  EXPECT_EQ(disks.run("delete from t where a <= 20"), "");
  ASSERT_EQ(disks.commit(), "");
  EXPECT_EQ(disks.run("insert into t(b) values(zeroblob(4000))"), "");
  ASSERT_EQ(disks.commit(), "");
  EXPECT_LE(storage().database_bytes().value(), 64U * 4096);
}

TEST_F(Storage, ARollbackBySqlIsCritical) {
  disks.run("create table t(a integer primary key)");
  ASSERT_EQ(disks.commit(), "");
  disks.run("insert into t values(1)");
  disks.run("insert or rollback into t values(1)");
  EXPECT_TRUE(storage().is_critical());
  EXPECT_EQ(disks.run("insert into t values(2)"), kCriticalText);
  EXPECT_EQ(disks.get("k"), kCriticalText);
  EXPECT_EQ(disks.commit(), kCriticalText);
  storage().abandon();
  EXPECT_EQ(disks.run("select count(*) from t"), "0");
}

TEST_F(Storage, ADeferredForeignKeyFailsTheCommit) {
  disks.run("create table p(a primary key); create table c(a references p deferrable initially deferred)");
  ASSERT_EQ(disks.commit(), "");
  disks.run("insert into c values(1)");
  EXPECT_EQ(disks.commit(), "FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)");
  EXPECT_TRUE(storage().is_critical());
  storage().abandon();
  EXPECT_EQ(disks.run("select count(*) from c"), "0");
}

TEST_F(Storage, AFailedSyncPoisonsForGood) {
  disks.run("create table t(a)");
  ASSERT_EQ(disks.commit(), "");
  disks.plan->fail_sync_at = disks.plan->syncs + 1;
  ASSERT_FALSE(storage().sync());
  EXPECT_TRUE(storage().is_poisoned());
  EXPECT_EQ(storage().durable_sequence(), 0U);
  disks.plan->fail_sync_at = UINT64_MAX;
  EXPECT_FALSE(storage().sync());
  EXPECT_NE(disks.run("select 1").find("could not be made durable"), std::string::npos);
  EXPECT_FALSE(storage().commit());
  EXPECT_FALSE(storage().close());
}

TEST_F(Storage, AFullDiskFailsTheTurnAndNotTheStorage) {
  disks.run("create table t(a)");
  ASSERT_EQ(disks.commit(), "");
  for (const bool is_short : {false, true}) {
    disks.run("insert into t values(1)");
    disks.plan->writes_short = is_short;
    disks.plan->write_errno = ENOSPC;
    disks.plan->fail_write_at = disks.plan->writes;
    EXPECT_NE(disks.commit().find("SQLITE_FULL"), std::string::npos);
    EXPECT_TRUE(storage().is_critical());
    storage().abandon();
    EXPECT_EQ(disks.run("select count(*) from t"), "0");
  }
  disks.run("insert into t values(2)");
  ASSERT_EQ(disks.commit(), "");
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(disks.run("select a from t"), "2");
}

TEST_F(Storage, ACheckpointEmptiesTheLogAndClosingLeavesOnlyTheDatabase) {
  disks.options.checkpoint_bytes = 20 * 4096;
  ASSERT_EQ(disks.open(), "");
  disks.run("create table t(a)");
  ASSERT_EQ(disks.commit(), "");
  EXPECT_FALSE(storage().checkpoint_due());
  for (int i = 0; i < 30; ++i) {
    disks.run("insert into t values(1)");
    ASSERT_EQ(disks.commit(), "");
  }
  EXPECT_TRUE(storage().checkpoint_due());
  ASSERT_TRUE(storage().checkpoint());
  EXPECT_FALSE(storage().checkpoint_due());
  EXPECT_FALSE(storage().needs_sync());
  EXPECT_EQ(disks.log->durable.size(), 0U);
  disks.run("insert into t values(1)");
  EXPECT_EQ(storage().checkpoint().error().code(), ErrorCode::Conflict);
  ASSERT_EQ(disks.commit(), "");
  ASSERT_TRUE(storage().close());
  EXPECT_EQ(disks.log->content.size(), 0U);
  EXPECT_NE(disks.run("select 1").find("closed"), std::string::npos);
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(disks.run("select count(*) from t"), "31");
}

TEST_F(Storage, TheLogIsBoundedWithoutHelp) {
  disks.options.checkpoint_hard_bytes = 50 * 4096;
  ASSERT_EQ(disks.open(), "");
  disks.run("create table t(a, b)");
  for (int i = 0; i < 300; ++i) {
    disks.run("insert into t values(1, zeroblob(3000))");
    ASSERT_EQ(disks.commit(), "");
    ASSERT_LT(disks.log->content.size(), 60U * 4200);
  }
}

TEST(ActorStorage, WhatIsNoDatabaseIsCorrupt) {
  StorageOnDisks disks;
  disks.database->content = std::string(8192, 'x');
  EXPECT_NE(disks.open().find("SQLITE_NOTADB"), std::string::npos);
}

TEST(ActorStorage, FilesAreThoseOfTheSqliteTool) {
  std::string pattern = std::filesystem::temp_directory_path() / "insula-actor-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  const std::string path = folder / "x.sqlite";
  const auto descriptor = [&](const char* suffix) {
    return Fd(::open((path + suffix).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  };
  {
    auto storage = ActorStorage::open(descriptor(""), descriptor("-wal"), Fd(), 0);
    ASSERT_TRUE(storage) << storage.error().message();
    ASSERT_TRUE((*storage)->exec("create table t(a); insert into t values(42)"));
    ASSERT_TRUE((*storage)->commit());
    ASSERT_TRUE((*storage)->sync());
    // Not closed: as after kill -9, the row is in the log only.
  }
  {
    auto tool = sql::Database::open(path, {.create = false});
    ASSERT_TRUE(tool);
    EXPECT_EQ(tool->integer("SELECT a FROM t").value(), 42);
    EXPECT_EQ(tool->integer("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'").value(), 1);
  }
  auto again = ActorStorage::open(descriptor(""), descriptor("-wal"), Fd(), 0);
  ASSERT_TRUE(again) << again.error().message();
  ASSERT_TRUE((*again)->exec("insert into t values(43)"));
  ASSERT_TRUE((*again)->commit());
  ASSERT_TRUE((*again)->close());
  EXPECT_EQ(std::filesystem::file_size(path + "-wal"), 0U);
  again->reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace insula::runner::actors
