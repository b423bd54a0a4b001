// SPDX-License-Identifier: Apache-2.0
#include "src/storage/sqlite_store.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>

#include <gtest/gtest.h>

namespace insula::storage {
namespace {

class SqliteStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "insula-store-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/store.sqlite";
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  void open() {
    store_.reset();
    auto opened = SqliteStore::open(path_, [this](std::function<void()> what) {
      {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(what));
      }
      ready_.notify_one();
    });
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = *std::move(opened);
  }
  // Runs what the store posts until the answer is there.
  template <class T>
  Result<T> wait(const std::function<void(std::function<void(Result<T>)>)>& ask) {
    std::optional<Result<T>> told;
    ask([&](Result<T> result) { told.emplace(std::move(result)); });
    while (!told) {
      std::function<void()> next;
      {
        std::unique_lock lock(mutex_);
        if (!ready_.wait_for(lock, std::chrono::seconds(30), [this] { return !posted_.empty(); })) {
          return Error(ErrorCode::TimedOut, "the store does not answer");
        }
        next = std::move(posted_.front());
        posted_.pop_front();
      }
      next();
    }
    return *std::move(told);
  }
  Result<> write(Batch batch) {
    return wait<void>([&](auto done) { store_->write(std::move(batch), std::move(done)); });
  }
  static InstanceRow row(InstanceRef ref, std::string id) {
    InstanceRow made;
    made.ref = ref;
    made.workflow = "w";
    made.id = std::move(id);
    made.head = "head";
    made.records = 1;
    return made;
  }
  Result<StoredInstance> load(InstanceRef ref) {
    return wait<StoredInstance>([&](auto done) { store_->load_instance(ref, std::move(done)); });
  }

  std::string folder_;
  std::string path_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> posted_;
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(SqliteStoreTest, WhatWasAcknowledgedIsThereAfterReopening) {
  open();
  ASSERT_TRUE(write({InsertInstance{row(7, "a")}, PutValue{7, 1, "value"}, AppendLog{1, 7, 2, "logged"}}));
  open();
  const auto loaded = load(7);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->row.id, "a");
  ASSERT_EQ(loaded->history.size(), 1U);
  EXPECT_EQ(loaded->history[0], "head");
  EXPECT_EQ(*wait<Bytes>([&](auto done) { store_->read_value(7, 1, done); }), "value");
  const auto recovery = wait<Recovery>([&](auto done) { store_->recover(1, done); });
  ASSERT_TRUE(recovery);
  EXPECT_EQ(recovery->next_ref, 8U);
  EXPECT_EQ(recovery->next_sequence, 2U);
  ASSERT_EQ(recovery->log.size(), 1U);
  EXPECT_EQ(recovery->log[0].bytes, "logged");
  ASSERT_EQ(recovery->queued.size(), 1U);
  EXPECT_EQ(recovery->queued[0].ref, 7U);
}

TEST_F(SqliteStoreTest, AnIdTakenRefusesItsBatchAndNoOther) {
  open();
  ASSERT_TRUE(write({InsertInstance{row(1, "a")}}));
  std::vector<Result<>> results;
  for (const InstanceRef ref : {InstanceRef{2}, InstanceRef{3}}) {
    Batch batch;
    batch.emplace_back(InsertInstance{row(ref, ref == 2 ? "a" : "b")});
    batch.emplace_back(PutValue{ref, 1, "value"});
    store_->write(std::move(batch), [&](Result<> result) { results.push_back(std::move(result)); });
  }
  ASSERT_TRUE(write({}));
  ASSERT_EQ(results.size(), 2U);
  ASSERT_FALSE(results[0]);
  EXPECT_EQ(results[0].error().code(), ErrorCode::Conflict);
  EXPECT_TRUE(results[1]);
  EXPECT_FALSE(wait<Bytes>([&](auto done) { store_->read_value(2, 1, done); }));
  EXPECT_TRUE(wait<Bytes>([&](auto done) { store_->read_value(3, 1, done); }));
}

TEST_F(SqliteStoreTest, DeletingAnInstanceTakesAllThatIsIts) {
  open();
  ASSERT_TRUE(write({InsertInstance{row(1, "a")}, PutValue{1, 1, "value"}, AppendHistory{1, 2, "more"}}));
  ASSERT_TRUE(write({DeleteInstance{1}}));
  EXPECT_EQ(load(1).error().code(), ErrorCode::NotFound);
  EXPECT_FALSE(wait<Bytes>([&](auto done) { store_->read_value(1, 1, done); }));
  ASSERT_TRUE(write({InsertInstance{row(2, "a")}}));
}

TEST_F(SqliteStoreTest, DueRowsComeInOrderAndOnceByTheCursor) {
  open();
  for (InstanceRef ref = 1; ref <= 5; ++ref) {
    auto made = row(ref, std::to_string(ref));
    made.due = ref <= 3 ? 100 : 200;
    ASSERT_TRUE(write({InsertInstance{std::move(made)}}));
  }
  const auto due = [&](TimeMs from, InstanceRef after) {
    std::string refs;
    const auto rows = wait<std::vector<DueInstance>>([&](auto done) { store_->due_instances(from, after, 1'000, 2, done); });
    for (const auto& one : *rows) refs += std::to_string(one.ref) + " ";
    return refs;
  };
  EXPECT_EQ(due(0, 0), "1 2 ");
  EXPECT_EQ(due(100, 2), "3 4 ");
  EXPECT_EQ(due(200, 4), "5 ");
  EXPECT_EQ(due(200, 5), "");
}

TEST_F(SqliteStoreTest, ADamagedValueIsNoticed) {
  open();
  ASSERT_TRUE(write({InsertInstance{row(1, "a")}, PutValue{1, 1, "value"}}));
  store_.reset();
  {
    auto database = sql::Database::open(path_, {});
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("UPDATE blobs SET bytes = x'00'"));
  }
  open();
  const auto value = wait<Bytes>([&](auto done) { store_->read_value(1, 1, done); });
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code(), ErrorCode::Corrupt);
}

TEST_F(SqliteStoreTest, AFileFromTheFutureIsLeftAlone) {
  {
    auto database = sql::Database::open(path_, {});
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("PRAGMA user_version = 999"));
  }
  const auto opened = SqliteStore::open(path_, [](std::function<void()>) {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::Unsupported);
}

TEST_F(SqliteStoreTest, AnOlderOwnerCannotWriteAnyMore) {
  open();
  ASSERT_TRUE(write({SetAlarm{{"object", 5, 0}}}));
  {
    auto other = SqliteStore::open(path_, [](std::function<void()>) {});
    ASSERT_TRUE(other);
    EXPECT_GT((*other)->epoch(), store_->epoch());
  }
  EXPECT_EQ(write({SetAlarm{{"object", 6, 0}}}).error().code(), ErrorCode::Conflict);
  EXPECT_FALSE(write({SetAlarm{{"object", 6, 0}}}));
  EXPECT_EQ((*wait<std::optional<Alarm>>([&](auto done) { store_->find_alarm("object", done); }))->due, 5);
}

TEST_F(SqliteStoreTest, AlarmsAreOnePerObjectAndComeByTime) {
  open();
  ASSERT_TRUE(write({SetAlarm{{"b", 20, 0}}, SetAlarm{{"a", 30, 0}}, SetAlarm{{"a", 10, 2}}, SetAlarm{{"c", 99, 0}}}));
  const auto due = wait<std::vector<Alarm>>([&](auto done) { store_->due_alarms(50, 10, done); });
  ASSERT_EQ(due->size(), 2U);
  EXPECT_EQ((*due)[0].object, "a");
  EXPECT_EQ((*due)[0].attempt, 2U);
  EXPECT_EQ((*due)[1].object, "b");
  ASSERT_TRUE(write({ClearAlarm{"a"}}));
  EXPECT_FALSE((*wait<std::optional<Alarm>>([&](auto done) { store_->find_alarm("a", done); })).has_value());
}

TEST_F(SqliteStoreTest, ObjectsAreListedBySpaceAndKeepTheirFirstRow) {
  open();
  ASSERT_TRUE(write({PutObject{{"s", "1", "one", 5}}, PutObject{{"s", "2", "", 6}}, PutObject{{"t", "1", "", 7}},
                     PutObject{{"s", "1", "other", 8}}}));
  const auto listed = wait<std::vector<ObjectRow>>([&](auto done) { store_->list_objects("s", "", 10, done); });
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ((*listed)[0].name, "one");
  EXPECT_EQ((*listed)[0].created_at, 5);
  ASSERT_TRUE(write({DeleteObject{"s", "1"}}));
  EXPECT_FALSE((*wait<std::optional<ObjectRow>>([&](auto done) { store_->find_object("s", "1", done); })).has_value());
}

// A limit on the size of files stands for a disk that is full: the write fails in the same place.
TEST_F(SqliteStoreTest, AFullDiskAnswersAndLosesNothingAcknowledged) {
  open();
  ASSERT_TRUE(write({InsertInstance{row(1, "before")}}));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{2 << 20, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = write({InsertInstance{row(2, "large")}, PutValue{2, 1, std::string(4 << 20, 'x')}});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(load(1));
  EXPECT_EQ(load(2).error().code(), ErrorCode::NotFound);
  open();
  EXPECT_TRUE(load(1));
  EXPECT_TRUE(write({InsertInstance{row(3, "after")}}));
}

}  // namespace
}  // namespace insula::storage
