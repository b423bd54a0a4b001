// SPDX-License-Identifier: Apache-2.0
//
// The engine with a store on disk and isolates that are a list of steps.
#include "src/supervisor/workflow/engine.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "src/storage/sqlite_store.h"
#include "src/supervisor/workflow/fake_runs_test.h"

namespace insula::workflow {
namespace {

using durable::StepKind;

std::size_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  statm >> size >> resident;
  return resident * 4;
}

// One life of a supervisor over a data directory that may outlive it.
struct Node {
  explicit Node(const std::string& folder, EngineOptions options = {}, const Clock& clock = system_clock()) {
    auto opened = storage::SqliteStore::open(folder + "/store.sqlite", loop.poster());
    if (!opened) {
      ADD_FAILURE() << opened.error().message();
      std::abort();
    }
    store = *std::move(opened);
    engine = std::make_unique<Engine>(*store, runs, loop, clock, options);
    runs.engine = engine.get();
    loop.on_wake = [this] { engine->tick(); };
    bool started = false;
    engine->start([&](Result<> result) {
      EXPECT_TRUE(result) << result.error().message();
      started = true;
    });
    EXPECT_TRUE(loop.run_until([&] { return started; }));
  }
  static const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
  }
  template <class T>
  Result<T> wait(const std::function<void(Done<T>)>& ask) {
    std::optional<Result<T>> told;
    ask([&](Result<T> result) { told.emplace(std::move(result)); });
    if (!loop.run_until([&] { return told.has_value(); })) return Error(ErrorCode::TimedOut, "no answer");
    return *std::move(told);
  }
  Result<InstanceRef> create(const std::string& id, const std::string& key = "k", Bytes params = "params") {
    return wait<InstanceRef>([&](auto done) {
      engine->create(NewInstance{"w", id, std::move(params), key, "m-" + key, {}, {}}, std::move(done));
    });
  }
  Result<InstanceStatus> status(const std::string& id) {
    return wait<InstanceStatus>([&](auto done) { engine->status({"w", id}, std::move(done)); });
  }
  bool reaches(const std::string& id, Status wanted) {
    for (int i = 0; i < 10'000; ++i) {
      auto now = status(id);
      if (!now) return false;
      if (now->status == wanted) return true;
      // One more turn of the loop; a wait without an event ends soon and looks again.
      loop.run_until([] { return false; }, std::chrono::milliseconds(1));
    }
    return false;
  }

  TestLoop loop;
  FakeRuns runs;
  std::unique_ptr<storage::SqliteStore> store;
  std::unique_ptr<Engine> engine;

  ~Node() {
    engine.reset();
    store.reset();
  }
};

class EngineTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "insula-engine-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::vector<FakeStep> steps(int count) {
    std::vector<FakeStep> program;
    for (int i = 0; i < count; ++i) program.push_back(FakeStep{StepKind::Do, "s" + std::to_string(i), 0, {}, "result"});
    return program;
  }

  std::string folder_;
};

TEST_F(EngineTest, AnInstanceRunsToItsEndAndOnlyItsRowStays) {
  Node node(folder_);
  node.runs.program = [](const RunStart& start) {
    EXPECT_EQ(start.params, "params");
    return steps(3);
  };
  ASSERT_TRUE(node.create("a"));
  ASSERT_TRUE(node.reaches("a", Status::Complete));
  const auto status = node.status("a");
  ASSERT_TRUE(status);
  ASSERT_TRUE(status->output);
  EXPECT_EQ(status->output->bytes, "output");
  EXPECT_TRUE(node.loop.run_until([&] { return node.engine->figures().resident == 0; }));
  EXPECT_EQ(node.runs.running(), 0U);
  EXPECT_EQ(node.engine->figures().resident_bytes, 0U);
}

TEST_F(EngineTest, OneIdIsCreatedOnce) {
  Node node(folder_);
  node.runs.program = [](const RunStart&) { return steps(1); };
  std::vector<Result<InstanceRef>> results;
  for (int i = 0; i < 2; ++i) {
    node.engine->create(NewInstance{"w", "same", {}, {}, {}, {}, {}},
                        [&](Result<InstanceRef> result) { results.push_back(std::move(result)); });
  }
  ASSERT_TRUE(node.loop.run_until([&] { return results.size() == 2; }));
  EXPECT_TRUE(results[0]);
  ASSERT_FALSE(results[1]);
  EXPECT_EQ(results[1].error().message(), "instance.already_exists");
  ASSERT_TRUE(node.reaches("same", Status::Complete));
  EXPECT_EQ(node.runs.started.size(), 1U);
  EXPECT_EQ(node.create("not an id").error().message(), "Workflow instance has invalid id");
  EXPECT_EQ(node.status("unknown").error().message(), "instance.not_found");
}

TEST_F(EngineTest, ASleeperHibernatesAndWakesByReplay) {
  EngineOptions options;
  options.settings.linger_ms = 0;
  Node node(folder_, options);
  node.runs.program = [](const RunStart&) {
    return std::vector<FakeStep>{{StepKind::Do, "before", 0, {}, "one"},
                                 {StepKind::Sleep, "nap", 150, {}, {}},
                                 {StepKind::Do, "after", 0, {}, std::string(5'000, 'x')}};
  };
  ASSERT_TRUE(node.create("s"));
  ASSERT_TRUE(node.reaches("s", Status::Waiting));
  ASSERT_TRUE(node.loop.run_until([&] { return node.engine->figures().resident == 0; }));
  ASSERT_TRUE(node.reaches("s", Status::Complete));
  EXPECT_EQ(node.runs.started.size(), 2U);
  EXPECT_EQ(node.runs.invocations["s/before-1"], 1);
  EXPECT_EQ(node.runs.invocations["s/after-1"], 1);
}

TEST_F(EngineTest, ASleeperSurvivesTheEndOfTheProcess) {
  EngineOptions options;
  options.settings.linger_ms = 0;
  const auto program = [](const RunStart&) {
    return std::vector<FakeStep>{{StepKind::Do, "before", 0, {}, std::string(3'000, 'y')},
                                 {StepKind::Sleep, "nap", 200, {}, {}},
                                 {StepKind::Wait, "approval", 60'000, "ok", {}},
                                 {StepKind::Do, "after", 0, {}, "two"}};
  };
  {
    Node node(folder_, options);
    node.runs.program = program;
    ASSERT_TRUE(node.create("s"));
    ASSERT_TRUE(node.reaches("s", Status::Waiting));
  }
  Node node(folder_, options);
  node.runs.program = program;
  EXPECT_TRUE(node.wait<void>([&](auto done) { node.engine->send_event({"w", "s"}, "ok", "yes", std::move(done)); }));
  ASSERT_TRUE(node.reaches("s", Status::Complete));
  EXPECT_EQ(node.runs.invocations["s/before-1"], 0) << "it was finished in the life before";
  EXPECT_EQ(node.runs.invocations["s/after-1"], 1);
  EXPECT_EQ(node.runs.answers["s"].front(), std::string(3'000, 'y'));
}

TEST_F(EngineTest, WorkUnderWayGoesOnAfterACrash) {
  const auto program = [](const RunStart&) { return steps(3); };
  {
    Node node(folder_);
    node.runs.program = program;
    node.runs.holds_callbacks = true;
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(node.create("c" + std::to_string(i)));
    ASSERT_TRUE(node.loop.run_until([&] { return node.runs.started.size() == 20; }));
  }
  Node node(folder_);
  node.runs.program = program;
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(node.reaches("c" + std::to_string(i), Status::Complete)) << i;
}

TEST_F(EngineTest, OperationsHaveTheirEffect) {
  EngineOptions options;
  options.settings.linger_ms = 0;
  Node node(folder_, options);
  node.runs.program = [](const RunStart&) {
    return std::vector<FakeStep>{{StepKind::Do, "a", 0, {}, "one"}, {StepKind::Wait, "wait", 60'000, "go", {}}};
  };
  const auto ask = [&](auto operation) { return node.wait<void>(operation); };
  ASSERT_TRUE(node.create("o"));
  ASSERT_TRUE(node.reaches("o", Status::Waiting));
  ASSERT_TRUE(ask([&](auto done) { node.engine->pause({"w", "o"}, done); }));
  EXPECT_EQ(node.status("o")->status, Status::Paused);
  ASSERT_TRUE(ask([&](auto done) { node.engine->send_event({"w", "o"}, "go", "1", done); }));
  EXPECT_EQ(node.status("o")->status, Status::Paused);
  ASSERT_TRUE(ask([&](auto done) { node.engine->resume({"w", "o"}, done); }));
  ASSERT_TRUE(node.reaches("o", Status::Complete));
  EXPECT_EQ(ask([&](auto done) { node.engine->terminate({"w", "o"}, false, done); }).error().message(),
            "(instance.cannot_terminate) Cannot terminate instance since its on a finite state");
  ASSERT_TRUE(ask([&](auto done) { node.engine->restart({"w", "o"}, {}, done); }));
  ASSERT_TRUE(node.reaches("o", Status::Waiting));
  EXPECT_EQ(node.runs.invocations["o/a-1"], 2);
  ASSERT_TRUE(ask([&](auto done) { node.engine->terminate({"w", "o"}, false, done); }));
  EXPECT_EQ(node.status("o")->status, Status::Terminated);
  ASSERT_TRUE(ask([&](auto done) {
    node.engine->restart({"w", "o"}, durable::RestartFrom{StepKind::Wait, "wait", 1}, done);
  }));
  ASSERT_TRUE(node.reaches("o", Status::Waiting));
  EXPECT_EQ(node.runs.invocations["o/a-1"], 2) << "the step before keeps its result";
  ASSERT_TRUE(ask([&](auto done) { node.engine->remove({"w", "o"}, done); }));
  EXPECT_FALSE(node.status("o"));
  ASSERT_TRUE(node.create("o")) << "the id is free again";
}

TEST_F(EngineTest, ListFiltersByWhatIsTrueNow) {
  EngineOptions options;
  options.settings.linger_ms = 60'000;
  Node node(folder_, options);
  node.runs.program = [](const RunStart& start) {
    if (start.id == "done") return steps(1);
    return std::vector<FakeStep>{{StepKind::Wait, "wait", 60'000, "go", {}}};
  };
  ASSERT_TRUE(node.create("done", "x"));
  ASSERT_TRUE(node.create("waits", "y"));
  ASSERT_TRUE(node.reaches("done", Status::Complete));
  ASSERT_TRUE(node.reaches("waits", Status::Waiting));
  const auto list = [&](storage::InstanceFilter filter) {
    std::string ids;
    const auto page = node.wait<std::vector<InstanceStatus>>([&](auto done) { node.engine->list(filter, done); });
    for (const auto& one : *page) ids += one.id + " ";
    return ids;
  };
  storage::InstanceFilter filter;
  EXPECT_EQ(list(filter), "waits done ");
  filter.status_mask = 1U << static_cast<unsigned>(Status::Waiting);
  EXPECT_EQ(list(filter), "waits ");
  filter.status_mask = 1U << static_cast<unsigned>(Status::Complete);
  EXPECT_EQ(list(filter), "done ");
  filter = {};
  filter.metadata = "m-x";
  EXPECT_EQ(list(filter), "done ");
  filter = {};
  filter.workflow = "other";
  EXPECT_EQ(list(filter), "");
}

TEST_F(EngineTest, SubscribersSeeTheHistoryAndThenWhatComes) {
  EngineOptions options;
  options.settings.linger_ms = 0;
  Node node(folder_, options);
  node.runs.program = [](const RunStart&) {
    return std::vector<FakeStep>{{StepKind::Do, "a", 0, {}, "one"}, {StepKind::Wait, "wait", 60'000, "go", {}}};
  };
  ASSERT_TRUE(node.create("e"));
  ASSERT_TRUE(node.reaches("e", Status::Waiting));
  std::string seen;
  std::uint64_t last = 0;
  const auto subscription = node.wait<std::uint64_t>([&](auto done) {
    node.engine->subscribe(
        {"w", "e"}, 0,
        [&](const std::vector<durable::StreamEvent>& events) {
          for (const auto& event : events) {
            EXPECT_GT(event.id, last);
            last = event.id;
            seen += std::string(event.type) + " ";
          }
        },
        done);
  });
  ASSERT_TRUE(subscription);
  ASSERT_TRUE(node.wait<void>([&](auto done) { node.engine->send_event({"w", "e"}, "go", "1", done); }));
  ASSERT_TRUE(node.loop.run_until([&] { return seen.find("workflow_completed") != std::string::npos; }));
  EXPECT_EQ(seen,
            "workflow_queued workflow_started workflow_running step_started attempt_started attempt_completed "
            "step_completed wait_started workflow_waiting wait_completed workflow_running workflow_completed ");
  node.engine->unsubscribe(*subscription);
  EXPECT_TRUE(node.loop.run_until([&] { return node.engine->figures().resident == 0; }));
  const auto timeline = node.wait<std::vector<durable::StreamEvent>>(
      [&](auto done) { node.engine->timeline({"w", "e"}, 0, done); });
  ASSERT_TRUE(timeline);
  EXPECT_EQ(timeline->back().id, last);
}

TEST_F(EngineTest, OneInstanceOfAnotherTenantNeedNotWaitForTenThousand) {
  EngineOptions options;
  options.slots = {4, 4};
  Node node(folder_, options);
  node.runs.program = [](const RunStart&) { return steps(1); };
  std::uint64_t created = 0;
  for (int i = 0; i < 10'000; ++i) {
    node.engine->create(NewInstance{"w", "many" + std::to_string(i), {}, "crowd", {}, {}, {}},
                        [&](Result<InstanceRef> result) { created += result ? 1U : 0U; });
  }
  std::size_t before = 0;
  bool is_created = false;
  node.engine->create(NewInstance{"w", "single", {}, "other", {}, {}, {}}, [&](Result<InstanceRef> result) {
    ASSERT_TRUE(result);
    before = node.runs.started.size();
    is_created = true;
  });
  ASSERT_TRUE(node.loop.run_until([&] { return is_created; }));
  ASSERT_TRUE(node.reaches("single", Status::Complete));
  const auto at = std::find(node.runs.started.begin(), node.runs.started.end(), "single") - node.runs.started.begin();
  EXPECT_LE(at, static_cast<std::ptrdiff_t>(before) + 8);
  EXPECT_EQ(created, 10'000U);
}

TEST_F(EngineTest, FinishedInstancesGoWhenTheirRetentionEnds) {
  ManualClock clock;
  EngineOptions options;
  options.success_retention_ms = 1'000;
  Node node(folder_, options, clock);
  node.runs.program = [](const RunStart&) { return steps(1); };
  ASSERT_TRUE(node.create("r"));
  ASSERT_TRUE(node.reaches("r", Status::Complete));
  ASSERT_TRUE(node.loop.run_until([&] { return node.engine->figures().resident == 0; }));
  clock.advance(std::chrono::minutes(2));
  node.engine->tick();
  ASSERT_TRUE(node.loop.run_until([&] { return !node.status("r"); }));
}

TEST_F(EngineTest, AMonthPassesInAMoment) {
  ManualClock clock;
  clock.advance(std::chrono::hours(24 * 365 * 50));
  EngineOptions options;
  options.settings.linger_ms = 0;
  options.lazy_write_ms = 0;
  Node node(folder_, options, clock);
  node.runs.program = [](const RunStart&) {
    std::vector<FakeStep> program;
    for (int day = 0; day < 30; ++day) {
      program.push_back({StepKind::Sleep, "night", 86'400'000, {}, {}});
      program.push_back({StepKind::Do, "day", 0, {}, "done"});
    }
    return program;
  };
  ASSERT_TRUE(node.create("month"));
  for (std::size_t day = 1; day <= 30; ++day) {
    ASSERT_TRUE(node.reaches("month", Status::Waiting)) << day;
    ASSERT_TRUE(node.loop.run_until([&] { return node.engine->figures().resident == 0; })) << day;
    clock.advance(std::chrono::hours(24));
    node.engine->tick();
    ASSERT_TRUE(node.loop.run_until([&] { return node.runs.started.size() == day + 1; })) << day;
  }
  ASSERT_TRUE(node.reaches("month", Status::Complete));
  EXPECT_EQ(node.runs.invocations["month/day-30"], 1);
}

int from_environment(const char* name, int fallback) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::atoi(text) : fallback;
}

// INSULA_SLEEPERS=1000000 for the large figure.
TEST_F(EngineTest, SleepersCostARowEachAndWakeAtTheirTime) {
  const int count = from_environment("INSULA_SLEEPERS", 20'000);
  EngineOptions options;
  options.settings.linger_ms = 0;
  Node node(folder_, options);
  node.runs.counts_invocations = false;
  // The last thousand sleep for a moment, the others until long after the test.
  node.runs.program = [&](const RunStart& start) {
    const bool is_short = std::stoi(start.id) >= count - 1'000;
    return std::vector<FakeStep>{{StepKind::Sleep, "nap", is_short ? 3'000.0 : 86'400'000.0, {}, {}}};
  };
  const auto begun = std::chrono::steady_clock::now();
  const auto before = resident_kib();
  int created = 0;
  int asked = 0;
  ASSERT_TRUE(node.loop.run_until(
      [&] {
        while (asked < count && asked - created < 2'000) {
          node.engine->create(NewInstance{"w", std::to_string(asked++), "params", std::to_string(asked % 97), {}, {}, {}},
                              [&](Result<InstanceRef> result) { created += result ? 1 : 0; });
        }
        return created == count && node.engine->figures().resident == 0 && node.engine->figures().queued == 0;
      },
      std::chrono::minutes(10)));
  const auto asleep = std::chrono::steady_clock::now();
  const auto after = resident_kib();
  ASSERT_TRUE(node.loop.run_until([&] { return node.runs.steps >= 1'000; }));
  const auto awake = std::chrono::steady_clock::now();
  const auto seconds = [](auto from, auto to) { return std::chrono::duration<double>(to - from).count(); };
  std::printf("%d sleepers: %.1f s to sleep, resident %zu KiB more, the last thousand awake %.2f s later, file %zu MiB\n",
              count, seconds(begun, asleep), after - std::min(after, before), seconds(asleep, awake),
              static_cast<std::size_t>(std::filesystem::file_size(folder_ + "/store.sqlite") >> 20));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(after - std::min(after, before), 200U * 1024);  // a sanitizer's own memory is no figure of ours
#endif
}

// Figures, printed with INSULA_BENCH=1. One instance is bound by one sync a step; many share it, and are bound by the two
// threads. Busy neighbours cost the lone instance most, for each of its steps changes threads twice.
TEST_F(EngineTest, ManyInstancesManySteps) {
  const bool bench = std::getenv("INSULA_BENCH") != nullptr;
  const auto seconds_since = [](auto from) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  };
  const auto measure = [&](int instances, int count) {
    const auto folder = folder_ + "/" + std::to_string(instances);
    std::filesystem::create_directory(folder);
    Node node(folder);
    node.runs.counts_invocations = false;
    node.runs.program = [count](const RunStart&) { return steps(count); };
    auto begun = std::chrono::steady_clock::now();
    int created = 0;
    for (int i = 0; i < instances; ++i) {
      node.engine->create(NewInstance{"w", "i" + std::to_string(i), "params", "k", {}, {}, {}},
                          [&](Result<InstanceRef> result) { created += result ? 1 : 0; });
    }
    ASSERT_TRUE(node.loop.run_until([&] { return created == instances; }));
    const auto creating = seconds_since(begun);
    begun = std::chrono::steady_clock::now();
    const auto already = node.runs.steps;
    const auto all = static_cast<std::uint64_t>(instances) * static_cast<std::uint64_t>(count);
    ASSERT_TRUE(node.loop.run_until([&] { return node.runs.steps == all && node.engine->figures().resident == 0; }));
    const auto working = seconds_since(begun);
    if (bench) {
      std::printf("%d instances, %d steps: created %.0f/s, %.0f steps/s, %.3f ms a step of one instance\n", instances,
                  count, instances / creating, static_cast<double>(all - already) / working, 1e3 * working / count);
    }
  };
  measure(1, bench ? 2'000 : 50);
  measure(200, bench ? 500 : 10);
  measure(1'000, bench ? 100 : 2);
  if (bench) measure(20'000, 1);
}

}  // namespace
}  // namespace insula::workflow
