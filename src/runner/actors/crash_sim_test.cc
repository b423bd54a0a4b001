// SPDX-License-Identifier: Apache-2.0
//
// Crash simulation: seeded lives of an actor's storage with failing files, killed processes and machines that stop.
//
// After each end the storage is opened on what is left, and must be exactly the state after one of the commits: of a
// killed process the last one, of a stopped machine one that is not older than the last successful sync. Half of the
// seeds keep a history, and bring back one of their bookmarks now and then. A failure prints its seed; run that one with
// --gtest_filter=CrashSim.* and INSULA_CRASH_SEED=n.
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/runner/actors/storage_on_disks.h"

namespace insula::runner::actors {
namespace {

constexpr int kSeeds = 300;
constexpr int kLivesPerSeed = 4;

// What the tables should hold.
struct Model {
  std::map<std::uint64_t, std::uint64_t> rows;
  std::map<std::string, std::string> keys;
  std::int64_t alarm = 0;

  std::string text() const {
    std::string out;
    for (const auto& [id, value] : rows) out += std::to_string(id) + "|" + std::to_string(value) + ";";
    for (const auto& [key, value] : keys) out += key + "=" + value + " ";
    return out + "alarm " + std::to_string(alarm);
  }
};

class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed) {
    disks_.options.checkpoint_hard_bytes = (1 + random_() % 40) * 4096;
    disks_.options.cache_bytes = random_() % 3 == 0 ? 16 * 1024 : 1024 * 1024;  // the small one spills into the log
    disks_.options.heap_bytes_max = 64 << 20;
    if (seed % 2 == 0) disks_.history = std::make_shared<SimulatedDisk>();
  }

  static inline int restores = 0;

  void live() {
    states_ = {Model()};
    for (int life = 0; life < kLivesPerSeed && !testing::Test::HasFailure(); ++life) one_life();
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  ActorStorage& storage() { return *disks_.storage; }

  void one_life() {
    ASSERT_EQ(disks_.open(), "");
    first_sequence_ = states_.size() - 1 - storage().committed_sequence();
    if (below(3) == 0) plan_a_fault();
    const auto turns = 1 + below(30);
    for (std::uint64_t i = 0; i < turns && !storage().is_poisoned(); ++i) {
      turn();
      if (below(3) == 0) static_cast<void>(storage().sync());
      if (below(12) == 0) static_cast<void>(storage().checkpoint());
    }
    if (below(4) == 0 && !storage().is_poisoned()) half_a_turn();
    end();
  }

  void plan_a_fault() {
    *disks_.plan = FaultPlan();
    disks_.plan->writes_short = below(2) == 0;
    disks_.plan->write_errno = below(2) == 0 ? ENOSPC : EIO;
    if (below(2) == 0) disks_.plan->fail_write_at = below(100);
    if (below(2) == 0) disks_.plan->fail_sync_at = below(10);
  }

  bool write(Model& model) {
    switch (below(7)) {
      case 0:
      case 1: {
        const auto id = below(50);
        const auto value = below(1000);
        model.rows[id] = value;
        return ok(storage().exec("insert or replace into t values(?, ?, zeroblob(?))",
                                 std::vector<SqlParameter>{double(id), double(value), double(below(9000))}));
      }
      case 2: {
        const auto value = below(1000);
        for (auto& [id, old] : model.rows) old = value;
        return ok(storage().exec("update t set v = ?", std::vector<SqlParameter>{double(value)}));
      }
      case 3: {
        const auto id = below(50);
        model.rows.erase(id);
        return ok(storage().exec("delete from t where id = ?", std::vector<SqlParameter>{double(id)}));
      }
      case 4: {
        const std::string key = "k" + std::to_string(below(20));
        const std::string value(below(30), static_cast<char>('a' + below(26)));
        model.keys[key] = value;
        return ok(storage().put(key, value));
      }
      case 5: {
        model.alarm = static_cast<std::int64_t>(1 + below(1000));
        return ok(storage().set_alarm(model.alarm));
      }
      default: {
        Model inner = model;
        if (!ok(storage().begin_savepoint())) return false;
        const bool done = write(inner);
        const bool keep = below(2) == 0;
        const bool ended = ok(keep ? storage().release_savepoint() : storage().rollback_savepoint());
        if (keep) model = inner;
        return done && ended;
      }
    }
  }

  static bool ok(const auto& result) { return result.has_value(); }

  bool begin_turn(Model& model) {
    if (!ok(storage().exec("create table if not exists t(id integer primary key, v, pad)"))) return false;
    for (auto writes = 1 + below(6); writes > 0; --writes) {
      if (!write(model)) return false;
    }
    return true;
  }

  void turn() {
    Model model = states_.back();
    const bool done = begin_turn(model);
    if (!done || below(10) == 0) {
      storage().abandon();
      return;
    }
    const auto before = storage().committed_sequence();
    const auto committed = storage().commit();
    // A commit may have happened and its checkpoint failed.
    if (storage().committed_sequence() > before) {
      states_.push_back(model);
      auto bookmark = committed && disks_.history ? storage().current_bookmark() : Result<std::string>();
      if (bookmark && !bookmark->empty()) bookmarks_[states_.size() - 1] = *bookmark;
    } else if (!committed) {
      storage().abandon();
    }
  }

  void half_a_turn() {
    Model model = states_.back();
    static_cast<void>(begin_turn(model));
  }

  void end() {
    const std::uint64_t durable = first_sequence_ + storage().durable_sequence();
    const bool clean = below(5) == 0 && !storage().is_poisoned() && (storage().abandon(), storage().close().has_value());
    disks_.storage.reset();
    *disks_.plan = FaultPlan();
    std::uint64_t oldest = states_.size() - 1;
    if (!clean && below(4) != 0) {
      oldest = durable;
      const unsigned percent = std::vector<unsigned>{0, 30, 50, 70, 95}[below(5)];
      *disks_.database = disks_.database->after_crash(random_, percent);
      *disks_.log = disks_.log->after_crash(random_, percent);
      if (disks_.history) *disks_.history = disks_.history->after_crash(random_, percent);
    }
    ASSERT_EQ(disks_.open(), "");
    EXPECT_EQ(disks_.run("pragma quick_check"), "ok");
    const std::string found = found_state();
    std::size_t at = states_.size();
    while (at > oldest && states_[at - 1].text() != found) --at;
    ASSERT_GT(at, oldest) << "found: " << found << "\nnewest: " << states_.back().text() << "\nlast durable: "
                          << states_[oldest].text();
    states_.resize(at);
    // One of a commit that is lost means nothing: nobody may be told of it before it is durable.
    bookmarks_.erase(bookmarks_.upper_bound(oldest), bookmarks_.end());
    if (states_.size() == 1 && states_[0].text() != Model().text()) FAIL();
    storage().abandon();
    if (below(2) == 0 && !bookmarks_.empty()) bring_back();
    disks_.storage.reset();
  }

  void bring_back() {
    auto chosen = bookmarks_.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(below(bookmarks_.size())));
    const auto undo = storage().restore_at_next_open(chosen->second);
    if (!undo) {
      // After a failure of its file the history began anew.
      ASSERT_EQ(undo.error().code(), ErrorCode::NotFound) << undo.error().message();
      bookmarks_.erase(chosen);
      return;
    }
    ASSERT_TRUE(storage().sync());
    ASSERT_EQ(disks_.open(), "");
    ASSERT_EQ(found_state(), states_[chosen->first].text());
    ASSERT_EQ(disks_.run("pragma quick_check"), "ok");
    states_.push_back(states_[chosen->first]);
    ++restores;
  }

  std::string found_state() {
    Model model;
    if (disks_.run("select count(*) from sqlite_schema where name = 't'") == "1") {
      auto rows = storage().exec("select id, v from t");
      EXPECT_TRUE(rows);
      for (; (*rows)->has_row();) {
        model.rows[static_cast<std::uint64_t>((*rows)->number(0))] = static_cast<std::uint64_t>((*rows)->number(1));
        EXPECT_TRUE((*rows)->advance());
      }
    }
    EXPECT_TRUE(storage().list({}, [&](std::string_view key, BytesView value) {
      model.keys[std::string(key)] = value;
      return true;
    }));
    model.alarm = storage().alarm().value().value_or(0);
    return model.text();
  }

  std::mt19937_64 random_;
  StorageOnDisks disks_;
  std::map<std::size_t, std::string> bookmarks_;  // of states_
  std::vector<Model> states_;         // by commit, since the beginning
  std::uint64_t first_sequence_ = 0;  // of states_, at this storage's sequence 0
};

TEST(CrashSim, EveryEndLeavesACommitThatIsNotOlderThanTheLastSync) {
  const char* const one = std::getenv("INSULA_CRASH_SEED");
  const std::uint64_t first = one == nullptr ? 1 : std::strtoull(one, nullptr, 10);
  const std::uint64_t last = one == nullptr ? kSeeds : first;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("INSULA_CRASH_SEED=" + std::to_string(seed));
    Life(seed).live();
    if (HasFailure()) return;
  }
  if (one == nullptr) {
    EXPECT_GT(Life::restores, kSeeds / 20);
  }
}

}  // namespace
}  // namespace insula::runner::actors
