// SPDX-License-Identifier: Apache-2.0
//
// Crash points of an actor's storage: a child process works on real files and ends at one of them; what it said to be
// durable is there afterwards, of each turn all or nothing, and SQLite finds the file whole.
//
//   child    "I digest" before each commit: what the storage will hold then     "A" when that is durable
//   parent   opens what is left: it holds what the last A was about, or an I after it
//
// Each point is gone through at several of its occasions with several seeds; the files of one seed live through all points,
// one after the other. INSULA_CRASH_ROUNDS: how many seeds (8). A failure prints its seed: INSULA_CRASH_SEED runs that one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "src/base/crash_point.h"
#include "src/runner/actors/actor_storage.h"
#include "src/sql/heap.h"

namespace insula::runner::actors {
namespace {

namespace fs = std::filesystem;
using Process = CrashPointInfo::Process;

// Of those in a Worker's half of the way, which tests/faults goes through.
bool is_elsewhere(CrashPoint point) {
  return point == CrashPoint::ActorGateOpening || point == CrashPoint::ActorAlarmTold;
}

struct Folder {
  // In memory where possible: the end of a process loses nothing that the kernel has, so the disk would only cost time.
  Folder() {
    std::string name = (fs::exists("/dev/shm") ? "/dev/shm" : "/tmp") + std::string("/insula-crash-XXXXXX");
    path = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Fd file(const char* name) const { return Fd(::open((path / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)); }

  fs::path path;
};

// Some seeds cannot keep what one checkpoint moves, so that the history is given up now and then.
bool has_small_history(std::uint64_t seed) { return seed % 4 == 0; }

StorageOptions options_of(std::uint64_t seed) {
  StorageOptions options;
  options.checkpoint_hard_bytes = (4 + seed % 5 * 12) * 4096;
  options.cache_bytes = seed % 3 == 0 ? 16 * 1024 : 1024 * 1024;  // the small one spills into the log
  options.heap_bytes_max = 64 << 20;
  options.history_bytes_max = has_small_history(seed) ? 80 * 4096 : std::uint64_t{64} << 20;
  return options;
}

Result<std::unique_ptr<ActorStorage>> open_in(const Folder& folder, std::uint64_t seed) {
  return ActorStorage::open(folder.file("db"), folder.file("db-wal"), folder.file("history"), 1'000'000, options_of(seed));
}

// All that it holds, as a text.
std::string digest_of(ActorStorage& storage) {
  std::string out;
  auto named = storage.exec("select count(*) from sqlite_schema where name = 't'");
  if (named && (*named)->number(0) == 1) {
    named->reset();
    auto rows = storage.exec("select id, v, length(pad) from t");
    for (; rows && (*rows)->has_row();) {
      for (int column = 0; column < 3; ++column) {
        out += std::to_string(static_cast<std::int64_t>((*rows)->number(column))) + (column == 2 ? ";" : "|");
      }
      if (!(*rows)->advance()) return "broken";
    }
  }
  const auto listed = storage.list({}, [&](std::string_view key, BytesView value) {
    out += std::string(key) + "=" + std::string(value) + " ";
    return true;
  });
  if (!listed) return "broken";
  const auto alarm = storage.alarm();
  if (!alarm) return "broken";
  return out + "alarm " + std::to_string(alarm->value_or(0));
}

// ---- The child

class Worker {
 public:
  Worker(const Folder& folder, std::uint64_t seed, std::uint64_t life, int out)
      : folder_(folder), seed_(seed), random_(seed * 1'000'003 + life), out_(out) {}

  void work() {
    for (int opening = 0; opening < 3; ++opening) {
      auto opened = open_in(folder_, seed_);
      if (!opened) fail(opened.error());
      storage_ = *std::move(opened);
      for (auto turns = 2 + below(8); turns > 0; --turns) turn();
      if (below(2) == 0 && !bookmark_.empty()) restore_next();
      if (below(4) != 0) {
        sync();
        check(storage_->close());
      }
      storage_.reset();
    }
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  [[noreturn]] void fail(const Error& error) {
    say('F', error.message());
    ::_exit(1);
  }
  template <class T>
  void check(const Result<T>& result) {
    if (!result) fail(result.error());
  }
  void say(char what, std::string_view text = {}) {
    std::string line(1, what);
    line += text;
    line += '\n';
    if (::write(out_, line.data(), line.size()) < 0) ::_exit(2);
  }
  void sync() {
    check(storage_->sync());
    say('A');
  }

  void turn() {
    if (below(12) == 0) return delete_all();
    check(storage_->exec("create table if not exists t(id integer primary key, v, pad)"));
    for (auto writes = 1 + below(5); writes > 0; --writes) {
      switch (below(5)) {
        case 0:
        case 1:
          check(storage_->exec("insert or replace into t values(?, ?, zeroblob(?))",
                               std::vector<SqlParameter>{double(below(40)), double(below(1000)), double(below(9000))}));
          break;
        case 2: check(storage_->exec("update t set v = ?", std::vector<SqlParameter>{double(below(1000))})); break;
        case 3: check(storage_->put("k" + std::to_string(below(20)), std::to_string(below(1000)))); break;
        default: check(storage_->set_alarm(static_cast<std::int64_t>(1 + below(1000))));
      }
    }
    if (below(8) == 0) return storage_->abandon();
    say('I', digest_of(*storage_));
    check(storage_->commit());
    if (below(3) != 0) sync();
    if (below(6) == 0) {
      const auto bookmark = storage_->current_bookmark();
      check(bookmark);
      bookmark_ = *bookmark;
      digest_then_ = digest_of(*storage_);
    }
    if (below(10) == 0) check(storage_->checkpoint());
  }

  void delete_all() {
    const bool and_alarm = below(2) == 0;
    say('I', digest_of(*storage_));  // what the turn has done before is committed first
    say('I', "alarm 0");
    if (!and_alarm) say('I', "alarm " + std::to_string(storage_->alarm().value().value_or(0)));
    check(storage_->delete_all(and_alarm));
    check(storage_->commit());
    sync();
  }

  void restore_next() {
    sync();
    say('I', digest_then_);
    const auto undo = storage_->restore_at_next_open(bookmark_);
    // Where the history is small the bookmark may be too old by now, or become so by the opening.
    if (has_small_history(seed_)) say('I', digest_of(*storage_));
    if (!undo) return;
    check(storage_->sync());
    if (!has_small_history(seed_)) say('A');
    storage_.reset();
    auto opened = open_in(folder_, seed_);
    if (!opened) fail(opened.error());
    storage_ = *std::move(opened);
    if (digest_of(*storage_) != digest_then_ && !has_small_history(seed_)) {
      say('F', "the restored state is another one: " + digest_of(*storage_) + " instead of " + digest_then_);
      ::_exit(1);
    }
    say('I', digest_of(*storage_));
    storage_->abandon();
  }

  const Folder& folder_;
  const std::uint64_t seed_;
  std::mt19937_64 random_;
  const int out_;
  std::unique_ptr<ActorStorage> storage_;
  std::string bookmark_;
  std::string digest_then_;
};

// ---- The parent

struct Ended {
  int code = 0;
  std::vector<std::string> intended;  // since the beginning of its life; [0]: what was there before
  std::size_t acknowledged = 0;       // of those
  std::string failure;
};

Ended live(const Folder& folder, std::uint64_t seed, std::uint64_t life, const std::string& crash_at,
           const std::string& before) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    sql::initialize();
    ::sqlite3_randomness(0, nullptr);  // else all children have the same, and logs are told apart by random numbers
    const int quiet = ::open("/dev/null", O_WRONLY);
    ::dup2(quiet, STDERR_FILENO);
    if (!arm_crash_points(crash_at, Process::Runner)) ::_exit(3);
    Worker(folder, seed, life, ends[1]).work();
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  Ended ended;
  ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  ended.intended.push_back(before);
  for (std::size_t at = 0; at < said.size();) {
    const std::size_t end = said.find('\n', at);
    const std::string line = said.substr(at, end - at);
    if (line[0] == 'I') ended.intended.push_back(line.substr(1));
    if (line[0] == 'A') ended.acknowledged = ended.intended.size() - 1;
    if (line[0] == 'F') ended.failure = line.substr(1);
    at = end + 1;
  }
  return ended;
}

TEST(CrashPoints, OfAStorageLeaveWhatWasAcknowledgedAndNoHalfTurn) {
  const char* const asked = std::getenv("INSULA_CRASH_ROUNDS");
  const char* const one = std::getenv("INSULA_CRASH_SEED");
  const std::uint64_t first = one == nullptr ? 1 : std::strtoull(one, nullptr, 10);
  const std::uint64_t last = one != nullptr ? first : asked == nullptr ? 8 : std::strtoull(asked, nullptr, 10);
  std::map<std::string_view, int> reached;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    Folder folder;
    std::string before = "alarm 0";
    std::uint64_t life = 0;
    for (std::size_t index = 0; index < kCrashPoints.size(); ++index) {
      const auto& point = kCrashPoints[index];
      if (point.process != Process::Runner || is_elsewhere(static_cast<CrashPoint>(index))) continue;
      for (const int nth : {1, 2, 5}) {
        const std::string crash_at = std::string(point.name) + ":" + std::to_string(nth);
        SCOPED_TRACE("seed " + std::to_string(seed) + ", " + crash_at);
        if (point.name == "actor.database.made") {  // happens once in the life of an actor
          for (const char* const name : {"db", "db-wal", "history"}) fs::remove(folder.path / name);
          before = "alarm 0";
        }
        const Ended ended = live(folder, seed, ++life, crash_at, before);
        ASSERT_TRUE(ended.code == kExitCrashPoint || ended.code == 0) << ended.code << " " << ended.failure;
        if (ended.code == kExitCrashPoint) ++reached[point.name];
        auto opened = open_in(folder, seed);
        ASSERT_TRUE(opened) << opened.error().message();
        auto checked = (*opened)->exec("pragma quick_check");
        ASSERT_TRUE(checked);
        ASSERT_EQ((*checked)->text(0), "ok");
        checked->reset();
        before = digest_of(**opened);
        std::size_t found = ended.intended.size();
        while (found > ended.acknowledged && ended.intended[found - 1] != before) --found;
        ASSERT_GT(found, ended.acknowledged) << "found:        " << before << "\nacknowledged: "
                                             << ended.intended[ended.acknowledged];
        (*opened)->abandon();
      }
    }
  }
  for (std::size_t index = 0; index < kCrashPoints.size() && one == nullptr; ++index) {
    const auto& point = kCrashPoints[index];
    if (point.process != Process::Runner || is_elsewhere(static_cast<CrashPoint>(index))) continue;
    EXPECT_GT(reached[point.name], 0) << point.name << " was never reached";
  }
}

}  // namespace
}  // namespace insula::runner::actors
