// SPDX-License-Identifier: Apache-2.0
//
// History: bookmarks, restores, their undoing, and what becomes of it all when files fail.
#include "src/runner/actors/history.h"

#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/runner/actors/storage_on_disks.h"

namespace insula::runner::actors {
namespace {

class PointInTime : public testing::Test {
 protected:
  void SetUp() override {
    disks.history = std::make_shared<SimulatedDisk>();
    ASSERT_EQ(disks.open(), "");
    disks.run("create table t(a integer)");
    ASSERT_EQ(disks.commit(), "");
  }
  void insert(int number) {
    disks.now_ms += 10'000;
    disks.storage->set_now(disks.now_ms);
    disks.run("insert into t values(?)", {double(number)});
    ASSERT_EQ(disks.commit(), "");
  }
  std::string rows() { return disks.run("select group_concat(a) from (select a from t order by a)"); }
  std::string bookmark() { return disks.storage->current_bookmark().value(); }
  std::string restore(const std::string& to) {
    auto undo = disks.storage->restore_at_next_open(to);
    EXPECT_TRUE(undo.has_value()) << undo.error().message();
    EXPECT_EQ(disks.open(), "");
    EXPECT_EQ(disks.run("pragma quick_check"), "ok");
    return undo ? *undo : "";
  }
  StorageOnDisks disks;
};

TEST(Bookmark, TextsCompareAsTheStatesDo) {
  const std::string text = Bookmark{3, 17}.text();
  EXPECT_EQ(text, "00000003-00000011-00000000-00000000000000000000000000000000");
  EXPECT_EQ(Bookmark::parse(text)->frame, 17U);
  EXPECT_LT(text, (Bookmark{3, kFrameLast}.text()));
  EXPECT_LT((Bookmark{3, kFrameLast}.text()), (Bookmark{4, 0}.text()));
  for (const char* bad : {"", "x", "00000003-00000011", "-0000003-00000011-00000000-00000000000000000000000000000000"}) {
    EXPECT_FALSE(Bookmark::parse(bad)) << bad;
  }
}

TEST_F(PointInTime, ABookmarkBringsItsStateBackAndTheUndoBringsItForth) {
  insert(1);
  const std::string one = bookmark();
  insert(2);
  ASSERT_TRUE(disks.storage->put("k", "v"));
  ASSERT_EQ(disks.commit(), "");
  EXPECT_LT(one, bookmark());
  const std::string undo = restore(one);
  EXPECT_EQ(rows(), "1");
  EXPECT_EQ(disks.get("k"), "(none)");
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(rows(), "1");  // once
  insert(5);
  restore(undo);
  EXPECT_EQ(rows(), "1,2");
  EXPECT_EQ(disks.get("k"), "v");
  insert(6);
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(rows(), "1,2,6");
}

TEST_F(PointInTime, EveryCommitOfManyGenerationsCanBeBroughtBack) {
  std::vector<std::pair<std::string, std::string>> states;
  for (int i = 1; i <= 30; ++i) {
    insert(i);
    if (i % 3 == 0) disks.run("delete from t where a = ?", {double(i - 1)});
    if (i == 15) disks.run("insert into t select zeroblob(5000) from t; delete from t where typeof(a) = 'blob'");
    ASSERT_EQ(disks.commit(), "");
    states.emplace_back(bookmark(), rows());
    if (i % 4 == 0) {
      ASSERT_TRUE(disks.storage->checkpoint());
    }
    if (i % 7 == 0) {
      ASSERT_TRUE(disks.storage->close());
      ASSERT_EQ(disks.open(), "");
    }
  }
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) {
    const auto& [mark, expected] = states[random() % states.size()];
    restore(mark);
    ASSERT_EQ(rows(), expected) << mark;
  }
}

TEST_F(PointInTime, DeleteAllCanBeUndone) {
  for (int i = 0; i < 5; ++i) insert(i);
  disks.run("create table big as select zeroblob(100000)");
  ASSERT_EQ(disks.commit(), "");
  ASSERT_TRUE(disks.storage->checkpoint());
  const std::string before = bookmark();
  ASSERT_TRUE(disks.storage->delete_all(true));
  ASSERT_TRUE(disks.storage->checkpoint());
  EXPECT_EQ(disks.database->content.size(), kPageBytes);
  restore(before);
  EXPECT_EQ(rows(), "0,1,2,3,4");
}

TEST_F(PointInTime, ATimeIsTheLastCommitBefore) {
  insert(1);
  const auto after_one = disks.now_ms;
  insert(2);
  ASSERT_TRUE(disks.storage->checkpoint());
  insert(3);
  ASSERT_EQ(disks.open(), "");
  insert(4);
  auto found = disks.storage->bookmark_for_time(after_one + 5000);
  ASSERT_TRUE(found);
  restore(*found);
  EXPECT_EQ(rows(), "1");
}

TEST_F(PointInTime, WhatIsTooOldIsSaidToBe) {
  disks.options.history_bytes_max = 200 * 1024;
  ASSERT_EQ(disks.open(), "");
  insert(1);
  const std::string old = bookmark();
  std::string recent;
  for (int i = 2; i < 80; ++i) {
    insert(i);
    ASSERT_TRUE(disks.storage->checkpoint());
    if (i == 75) recent = bookmark();
  }
  EXPECT_EQ(disks.storage->restore_at_next_open(old).error().code(), ErrorCode::NotFound);
  EXPECT_EQ(disks.storage->restore_at_next_open(Bookmark{9999, 1}.text()).error().code(), ErrorCode::InvalidInput);
  EXPECT_EQ(disks.storage->restore_at_next_open("nonsense").error().code(), ErrorCode::InvalidInput);
  restore(recent);
  EXPECT_EQ(disks.run("select max(a) from t"), "75");
  disks.now_ms += kHistoryMsMax + 1;
  insert(100);
  ASSERT_TRUE(disks.storage->checkpoint());
  insert(101);
  ASSERT_TRUE(disks.storage->checkpoint());
  EXPECT_EQ(disks.storage->restore_at_next_open(recent).error().code(), ErrorCode::NotFound);
}

TEST_F(PointInTime, WithoutAHistoryThereAreNoBookmarks) {
  disks.history = nullptr;
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(disks.storage->current_bookmark().error().code(), ErrorCode::Unsupported);
}

TEST_F(PointInTime, ADamagedHistoryBeginsAnewAndSaysSo) {
  insert(1);
  const std::string old = bookmark();
  ASSERT_TRUE(disks.storage->checkpoint());
  insert(2);
  disks.history->content[2000] ^= 1;
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(rows(), "1,2");
  EXPECT_EQ(disks.storage->restore_at_next_open(old).error().code(), ErrorCode::NotFound);
  const std::string now = bookmark();
  EXPECT_GT(now, old);
  insert(3);
  restore(now);
  EXPECT_EQ(rows(), "1,2");
}

TEST_F(PointInTime, AHistoryThatCannotBeWrittenCostsOnlyTheHistory) {
  insert(1);
  const std::string old = bookmark();
  disks.plan->write_errno = ENOSPC;
  disks.plan->fail_write_at = disks.plan->writes;
  ASSERT_TRUE(disks.storage->checkpoint());
  EXPECT_EQ(disks.storage->restore_at_next_open(old).error().code(), ErrorCode::NotFound);
  insert(2);
  ASSERT_EQ(disks.open(), "");
  EXPECT_EQ(rows(), "1,2");
}

// A machine that stops at any moment of a restore, or of the checkpoints around it: afterwards the state is the one before
// or the one after, and bookmarks still mean what they meant.
TEST_F(PointInTime, CrashesAroundARestoreLeaveTheOneStateOrTheOther) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    disks = StorageOnDisks();
    disks.history = std::make_shared<SimulatedDisk>();
    ASSERT_EQ(disks.open(), "");
    disks.run("create table t(a integer)");
    ASSERT_EQ(disks.commit(), "");
    const int target = 1 + static_cast<int>(random() % 6);
    std::string mark;
    std::string wanted;
    for (int i = 1; i <= 8; ++i) {
      insert(i);
      if (i == target) {
        mark = bookmark();
        wanted = rows();
      }
      if (random() % 3 == 0) {
        ASSERT_TRUE(disks.storage->checkpoint());
      }
    }
    const std::string all = rows();
    ASSERT_TRUE(disks.storage->restore_at_next_open(mark));
    ASSERT_TRUE(disks.storage->sync());
    disks.storage.reset();
    // The opening fails at a random operation, and the machine stops there.
    disks.plan->fail_write_at = disks.plan->writes + random() % 25;
    disks.plan->fail_sync_at = random() % 2 == 0 ? disks.plan->syncs + random() % 8 : UINT64_MAX;
    static_cast<void>(disks.open());
    disks.storage.reset();
    *disks.plan = FaultPlan();
    const unsigned percent = static_cast<unsigned>(random() % 101);
    for (const auto& disk : {disks.database, disks.log, disks.history}) *disk = disk->after_crash(random, percent);
    ASSERT_EQ(disks.open(), "") << "round " << round;
    ASSERT_EQ(disks.run("pragma quick_check"), "ok") << "round " << round;
    ASSERT_EQ(rows(), wanted) << "round " << round << ", all: " << all;
    restore(mark);
    ASSERT_EQ(rows(), wanted) << "round " << round;
  }
}

}  // namespace
}  // namespace insula::runner::actors
