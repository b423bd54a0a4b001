// SPDX-License-Identifier: Apache-2.0
//
// Measurement, off by default: what exec costs without JavaScript around it, on a real file.
//
//   insula_runner_actors_test --gtest_also_run_disabled_tests --gtest_filter=*SqlMicro*
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/runner/actors/actor_storage.h"

namespace insula::runner::actors {
namespace {

constexpr int kTurns = 200;
constexpr int kPerTurn = 500;

void report(const char* what, std::chrono::steady_clock::time_point since, int times) {
  const auto spent = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - since);
  std::printf("%-28s %8.3f us\n", what, spent.count() / times);
}

TEST(SqlMicro, DISABLED_InsertAndPointRead) {
  std::string pattern = std::filesystem::temp_directory_path() / "insula-micro-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const std::filesystem::path folder = pattern;
  const auto descriptor = [&](const char* name) {
    return Fd(::open((folder / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  };
  auto since = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    const std::string name = "n" + std::to_string(i);
    auto storage = ActorStorage::open(descriptor((name + ".sqlite").c_str()), descriptor((name + ".sqlite-wal").c_str()),
                                      Fd(), 0);
    ASSERT_TRUE(storage);
    ASSERT_TRUE((*storage)->exec("create table t(a integer primary key, b text)"));
    ASSERT_TRUE((*storage)->commit());
    if (i == 0) std::printf("%-28s %8zu bytes\n", "heap of a new actor", (*storage)->heap_bytes());
  }
  report("new actor with a table", since, 100);

  auto opened = ActorStorage::open(descriptor("x.sqlite"), descriptor("x.sqlite-wal"), descriptor("x.history"), 0);
  ASSERT_TRUE(opened);
  ActorStorage& storage = **opened;
  ASSERT_TRUE(storage.exec("create table t(a integer primary key, b text, c)"));
  since = std::chrono::steady_clock::now();
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int i = 0; i < kPerTurn; ++i) {
      const SqlParameter parameters[] = {std::string_view("some text"), double(i)};
      ASSERT_TRUE(storage.exec("insert into t(b, c) values(?, ?)", parameters));
    }
    ASSERT_TRUE(storage.commit());
  }
  report("insert, 500 a turn", since, kTurns * kPerTurn);
  since = std::chrono::steady_clock::now();
  double sum = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int i = 0; i < kPerTurn; ++i) {
      const SqlParameter parameters[] = {double(1 + (i * 7919) % 1000)};
      auto cursor = storage.exec("select b, c from t where a = ?", parameters);
      ASSERT_TRUE(cursor);
      sum += (*cursor)->number(1) + static_cast<double>((*cursor)->text(0).size());
      ASSERT_TRUE((*cursor)->advance());
    }
    ASSERT_TRUE(storage.commit());
  }
  report("point read, 500 a turn", since, kTurns * kPerTurn);
  EXPECT_GT(sum, 0);
  since = std::chrono::steady_clock::now();
  for (int i = 0; i < kTurns * 20; ++i) {
    const SqlParameter parameters[] = {std::string_view("some text"), double(i)};
    ASSERT_TRUE(storage.exec("insert into t(b, c) values(?, ?)", parameters));
    ASSERT_TRUE(storage.commit());
  }
  report("insert, 1 a turn, no sync", since, kTurns * 20);
  since = std::chrono::steady_clock::now();
  for (int i = 0; i < kTurns; ++i) {
    ASSERT_TRUE(storage.put("key" + std::to_string(i % 100), "value"));
    ASSERT_TRUE(storage.commit());
    ASSERT_TRUE(storage.sync());
  }
  report("put, 1 a turn, with sync", since, kTurns);
  since = std::chrono::steady_clock::now();
  for (int i = 0; i < kTurns * kPerTurn; ++i) ASSERT_TRUE(storage.put("key" + std::to_string(i % 100), "value"));
  ASSERT_TRUE(storage.commit());
  report("put, all in one turn", since, kTurns * kPerTurn);
  opened->reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace insula::runner::actors
