// SPDX-License-Identifier: Apache-2.0
//
// Crash points of the supervisor's store: a child process writes batches and ends at one of them; every batch that was
// acknowledged is there afterwards, no batch by half, and none without those before it.
//
// INSULA_CRASH_ROUNDS: how many rounds per point (8).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "src/base/crash_point.h"
#include "src/storage/schema.h"
#include "src/storage/sqlite_store.h"

namespace insula::storage {
namespace {

namespace fs = std::filesystem;
using Process = CrashPointInfo::Process;

constexpr std::uint64_t kBatches = 40;

bool is_of_store(const CrashPointInfo& point) { return point.name.starts_with("store."); }

Batch batch_of(std::uint64_t number) {
  const std::string key = std::to_string(number);
  return {PutEntry{{"a", key, std::string(number * 137 % 5000, 'x')}}, PutEntry{{"b", key, ""}},
          SetAlarm{{"object", static_cast<TimeMs>(number), 0}}};
}

// Writes batches from `first` on, some while others are on their way, and says the number of each that is durable.
[[noreturn]] void work(const fs::path& path, std::uint64_t first, int out) {
  auto store = SqliteStore::open(path.string(), [](std::function<void()> what) { what(); });
  if (!store) ::_exit(1);
  for (std::uint64_t number = first; number < first + kBatches; ++number) {
    const auto written = std::make_shared<std::promise<bool>>();
    (*store)->write(batch_of(number), [out, number, written](Result<> result) {
      if (result && ::write(out, &number, sizeof number) < 0) ::_exit(2);
      written->set_value(result.has_value());
    });
    if (number % 3 == 0 && !written->get_future().get()) ::_exit(1);
  }
  store->reset();
  ::_exit(0);
}

struct Ended {
  int code = 0;
  std::uint64_t last = 0;  // acknowledged
};

Ended live(const fs::path& path, std::uint64_t first, const std::string& crash_at) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
    if (!arm_crash_points(crash_at, Process::Supervisor)) ::_exit(3);
    work(path, first, ends[1]);
  }
  ::close(ends[1]);
  Ended ended;
  for (std::uint64_t number = 0; ::read(ends[0], &number, sizeof number) == sizeof number;) {
    EXPECT_GT(number, ended.last);
    ended.last = number;
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return ended;
}

std::vector<std::uint64_t> numbers_in(sql::Database& database, const std::string& space) {
  std::vector<std::uint64_t> found;
  auto rows = database.prepare("SELECT CAST(key AS INTEGER), value FROM entries WHERE space = '" + space + "' ORDER BY 1");
  EXPECT_TRUE(rows);
  for (;;) {
    const auto row = rows->step();
    EXPECT_TRUE(row);
    if (!row || !*row) return found;
    found.push_back(static_cast<std::uint64_t>(rows->column_integer(0)));
    if (space == "a") {
      EXPECT_EQ(rows->column_text(1).size(), found.back() * 137 % 5000);
    }
  }
}

TEST(CrashPoints, OfTheStoreLeaveWhatWasAcknowledgedInOrder) {
  const char* const asked = std::getenv("INSULA_CRASH_ROUNDS");
  const int rounds = asked == nullptr ? 8 : std::atoi(asked);
  std::map<std::string_view, int> reached;
  std::string name = (fs::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/insula-crash-XXXXXX");
  const fs::path folder = ::mkdtemp(name.data());
  for (const CrashPointInfo& point : kCrashPoints) {
    if (!is_of_store(point)) continue;
    for (int round = 1; round <= rounds; ++round) {
      const std::string crash_at = std::string(point.name) + ":" + std::to_string(round % 7 + 1);
      SCOPED_TRACE("round " + std::to_string(round) + ", " + crash_at);
      const fs::path path = folder / (std::string(point.name) + std::to_string(round));
      std::uint64_t first = 1;
      for (int life = 0; life < 2; ++life) {
        const Ended ended = live(path, first, life == 0 ? crash_at : "store.committed:5");
        ASSERT_TRUE(ended.code == kExitCrashPoint || ended.code == 0) << ended.code;
        if (ended.code == kExitCrashPoint && life == 0) ++reached[point.name];
        // As whoever comes next: the schema is brought up to date, or whole.
        auto store = SqliteStore::open(path.string(), [](std::function<void()> what) { what(); });
        ASSERT_TRUE(store) << store.error().message();
        store->reset();
        auto database = sql::Database::open(path.string(), {});
        ASSERT_TRUE(database);
        auto check = database->prepare("PRAGMA integrity_check");
        ASSERT_TRUE(check && *check->step());
        EXPECT_EQ(check->column_text(0), "ok");
        check->reset();
        EXPECT_EQ(*database->integer("PRAGMA user_version"), kSchemaVersion);
        const auto found = numbers_in(*database, "a");
        EXPECT_EQ(found, numbers_in(*database, "b")) << "a batch was kept by half";
        ASSERT_GE(found.size(), ended.last) << "an acknowledged batch is gone";
        for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], i + 1) << "one without those before it";
        EXPECT_EQ(*database->integer("SELECT coalesce(max(due), 0) FROM alarms"), static_cast<std::int64_t>(found.size()));
        first = found.size() + 1;
      }
      for (const char* const ending : {"", "-wal", "-shm"}) fs::remove(path.string() + ending);
    }
  }
  fs::remove_all(folder);
  for (const CrashPointInfo& point : kCrashPoints) {
    if (is_of_store(point)) {
      EXPECT_GT(reached[point.name], 0) << point.name << " was never reached";
    }
  }
}

}  // namespace
}  // namespace insula::storage
