// SPDX-License-Identifier: Apache-2.0
//
// The engine over a disk that refuses writes and a process that dies: every instance ends, and no step that the code
// has heard of runs again.
//
//   INSULA_FAULT_ROUNDS=1000   how many lives (default 30); INSULA_FAULT_SEED: the first seed
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "src/storage/faulty_store.h"
#include "src/storage/sqlite_store.h"
#include "src/supervisor/workflow/engine.h"
#include "src/supervisor/workflow/fake_runs_test.h"

namespace insula::workflow {
namespace {

using durable::StepKind;

constexpr int kInstances = 25;

std::vector<FakeStep> program_of(const RunStart& start) {
  std::vector<FakeStep> program;
  const auto number = std::stoi(start.id);
  for (int i = 0; i < 6; ++i) {
    const auto name = "s" + std::to_string(i);
    if ((number + i) % 4 == 0) {
      program.push_back({StepKind::Sleep, name, 5, {}, {}});
    } else {
      // Some results are kept beside the journal.
      program.push_back({StepKind::Do, name, 0, {}, name + std::string(i == 3 ? 3'000 : 1, 'r')});
    }
  }
  return program;
}

// Runs that remember, over all lives, what the code was told.
class RememberingRuns final : public Runs {
 public:
  explicit RememberingRuns(std::map<std::string, Bytes>& told) : told_(told) { inner.program = program_of; }
  std::string code_version(const std::string& workflow) override { return inner.code_version(workflow); }
  void start(RunStart start) override {
    ids_[start.ref] = start.id;
    inner.start(std::move(start));
  }
  void release(InstanceRef ref, std::uint64_t epoch) override { inner.release(ref, epoch); }
  void answer(InstanceRef ref, durable::AnswerStep answer) override {
    inner.complete(ref, answer);
    if (answer.how == durable::AnswerStep::How::Value) {
      const auto key = ids_[ref] + "/" + std::to_string(answer.call);
      const auto [known, is_new] = told_.emplace(key, answer.value.bytes);
      EXPECT_TRUE(is_new || known->second == answer.value.bytes) << key << " was answered differently before";
    }
    inner.answer(ref, std::move(answer));
  }
  void invoke(InstanceRef ref, durable::InvokeStep invoke) override {
    const auto key = ids_[ref] + "/" + std::to_string(invoke.call);
    EXPECT_FALSE(told_.contains(key)) << key << " is finished and runs again";
    inner.invoke(ref, std::move(invoke));
  }
  void compute_delay(InstanceRef, durable::ComputeDelay) override {}
  void invoke_rollback(InstanceRef, durable::InvokeRollback) override {}
  void notice(InstanceRef, const std::string& text) override { ADD_FAILURE() << text; }

  FakeRuns inner;

 private:
  std::map<std::string, Bytes>& told_;
  std::map<InstanceRef, std::string> ids_;
};

int from_environment(const char* name, int fallback) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : fallback;
}

TEST(EngineFaults, CrashesAndRefusedWritesLoseNothingThatAnybodyWasTold) {
  const int rounds = from_environment("INSULA_FAULT_ROUNDS", 30);
  const int first = from_environment("INSULA_FAULT_SEED", 1);
  for (int seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE("INSULA_FAULT_SEED=" + std::to_string(seed) + " INSULA_FAULT_ROUNDS=1");
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    std::string folder = testing::TempDir() + "insula-faults-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    std::map<std::string, Bytes> told;
    std::set<std::string> acknowledged;
    EngineOptions options;
    options.settings.linger_ms = static_cast<TimeMs>(random() % 2 * 10);
    options.settings.losses_max = 1'000;
    options.reload_after_ms = 1;
    options.lazy_write_ms = static_cast<TimeMs>(random() % 3);
    options.log_entries_max = 20 + random() % 100;
    bool all_done = false;
    for (int life = 0; life < 6 && !all_done; ++life) {
      const bool is_last = life == 5;
      TestLoop loop;
      auto opened = storage::SqliteStore::open(folder + "/store.sqlite", loop.poster());
      ASSERT_TRUE(opened) << opened.error().message();
      storage::FaultyStore store(**opened);
      RememberingRuns runs(told);
      const SystemClock clock;
      auto engine = std::make_unique<Engine>(store, runs, loop, clock, options);
      runs.inner.engine = engine.get();
      loop.on_wake = [&] { engine->tick(); };
      const auto crash_at = 5 + random() % 200;
      const auto refuse_one_in = random() % 2 == 0 ? 0 : 5 + random() % 20;
      if (!is_last) {
        store.refuse = [&](std::uint64_t number) -> std::optional<Error> {
          if (number >= crash_at) store.holds = true;  // from here on nothing reaches the disk
          if (refuse_one_in == 0 || random() % refuse_one_in != 0) return std::nullopt;
          return Error(ErrorCode::LimitExceeded, "store: the disk is full");
        };
      }
      bool started = false;
      engine->start([&](Result<> result) { started = result.has_value(); });
      ASSERT_TRUE(loop.run_until([&] { return started; }));
      const std::function<void(int)> create = [&](int i) {
        const auto id = std::to_string(i);
        engine->create(NewInstance{"w", id, "params", std::to_string(i % 3), {}, {}, {}},
                       [&, i, id](Result<InstanceRef> result) {
                         if (result) {
                           EXPECT_TRUE(acknowledged.insert(id).second) << id << " was created twice";
                         } else if (result.error().code() == ErrorCode::Conflict) {
                           acknowledged.insert(id);  // of a life before, whose answer was lost
                         } else {
                           create(i);  // refused: a caller tries again
                         }
                       });
      };
      for (int i = 0; i < kInstances; ++i) create(i);
      std::size_t complete = 0;
      bool is_asking = false;
      const auto look = [&] {
        if (is_asking) return;
        is_asking = true;
        engine->list({}, [&](const Result<std::vector<InstanceStatus>>& page) {
          is_asking = false;
          complete = 0;
          if (!page) return;
          for (const auto& one : *page) {
            EXPECT_NE(one.status, Status::Errored) << one.id << ": " << one.failure->message;
            if (one.status != Status::Complete) continue;
            ++complete;
            // A row whose end is not known would be gone with the next look for what has expired.
            EXPECT_GT(one.ended_at, 0) << one.id;
            EXPECT_TRUE(one.output.has_value()) << one.id;
          }
        });
      };
      const bool ended = loop.run_until([&] {
        look();
        all_done = complete == kInstances && engine->figures().resident == 0;
        return store.holds || all_done;
      }, std::chrono::seconds(20));
      ASSERT_TRUE(ended) << "life " << life << ": " << complete << " complete, " << engine->figures().resident
                         << " resident, " << engine->figures().queued << " queued, " << engine->figures().running
                         << " running";
      if (store.holds) loop.run_until([] { return false; }, std::chrono::milliseconds(random() % 5));
      store.lose_held();
      engine.reset();
    }
    EXPECT_TRUE(all_done);
    EXPECT_EQ(acknowledged.size(), static_cast<std::size_t>(kInstances));
    std::filesystem::remove_all(folder);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace insula::workflow
