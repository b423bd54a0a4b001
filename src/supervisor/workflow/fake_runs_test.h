// SPDX-License-Identifier: Apache-2.0
//
// What the tests of this room share: a loop on the test's thread, and isolates that execute a list of steps.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "src/supervisor/workflow/engine.h"

namespace insula::workflow {

// Runs what is posted from any thread, and wakes the engine, on the thread that calls run_until().
class TestLoop final : public Wakeup {
 public:
  std::function<void(std::function<void()>)> poster() {
    return [this](std::function<void()> what) {
      {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(what));
      }
      ready_.notify_one();
    };
  }
  void wake_in(std::chrono::milliseconds delay) override { wake_at_ = std::chrono::steady_clock::now() + delay; }

  // False: the condition did not come true in time.
  bool run_until(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() >= deadline) return false;
      std::deque<std::function<void()>> now;
      {
        std::unique_lock lock(mutex_);
        const auto until = std::min(deadline, wake_at_.value_or(deadline));
        ready_.wait_until(lock, until, [this] { return !posted_.empty(); });
        now.swap(posted_);
      }
      for (auto& what : now) what();
      if (wake_at_ && *wake_at_ <= std::chrono::steady_clock::now()) {
        wake_at_.reset();
        if (on_wake) on_wake();
      }
    }
    return true;
  }

  std::function<void()> on_wake;

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> posted_;
  std::optional<std::chrono::steady_clock::time_point> wake_at_;
};

struct FakeStep {
  durable::StepKind kind = durable::StepKind::Do;
  std::string name;
  double ms = 0;        // of a sleep, or the time-out of a wait
  std::string type;     // of a wait
  std::string result = "result";
};

// Executes the steps of a program one after the other, callbacks at once.
class FakeRuns final : public Runs {
 public:
  Engine* engine = nullptr;
  std::function<std::vector<FakeStep>(const RunStart&)> program;
  std::map<std::string, int> invocations;  // by "id/step-count"
  std::vector<std::string> started;        // ids, in order
  std::uint64_t steps = 0;
  bool counts_invocations = true;
  bool reports_idle = true;
  bool holds_callbacks = false;            // they never end

  std::string code_version(const std::string&) override { return "v1"; }
  void start(RunStart start) override {
    if (counts_invocations) started.push_back(start.id);
    auto& run = runs_[start.ref];
    run = Run{start.epoch, program(start), 0, 0, start.id};
    next(start.ref, run);
  }
  void release(InstanceRef ref, std::uint64_t epoch) override {
    const auto found = runs_.find(ref);
    if (found != runs_.end() && found->second.epoch == epoch) runs_.erase(found);
  }
  // What an attempt of the run at hand has returned is not told again: the run has it.
  void complete(InstanceRef ref, durable::AnswerStep& answer) const {
    const auto found = runs_.find(ref);
    if (!answer.is_own || found == runs_.end()) return;
    answer.value.bytes = found->second.program[found->second.at].result;
    answer.is_own = false;
  }
  void answer(InstanceRef ref, durable::AnswerStep answer) override {
    complete(ref, answer);
    const auto found = runs_.find(ref);
    if (found == runs_.end() || found->second.epoch != answer.epoch) return;
    auto& run = found->second;
    ++run.answers;
    ++steps;
    if (answer.how == durable::AnswerStep::How::Throw) {
      return engine->report(ref, durable::RunThrew{run.epoch, answer.failure});
    }
    answers[run.id].push_back(answer.value.bytes);
    ++run.at;
    next(ref, run);
  }
  void invoke(InstanceRef ref, durable::InvokeStep invoke) override {
    const auto found = runs_.find(ref);
    if (found == runs_.end()) return;
    if (counts_invocations) ++invocations[found->second.id + "/" + invoke.name + "-" + std::to_string(invoke.count)];
    if (holds_callbacks) return;
    durable::AttemptEnded ended;
    ended.epoch = invoke.epoch;
    ended.call = invoke.call;
    ended.attempt = invoke.attempt;
    ended.value.bytes = found->second.program[found->second.at].result;
    engine->report(ref, std::move(ended));
  }
  void compute_delay(InstanceRef, durable::ComputeDelay) override {}
  void invoke_rollback(InstanceRef, durable::InvokeRollback) override {}
  void notice(InstanceRef, const std::string&) override {}

  std::size_t running() const { return runs_.size(); }
  std::map<std::string, std::vector<Bytes>> answers;

 private:
  struct Run {
    std::uint64_t epoch = 0;
    std::vector<FakeStep> program;
    std::size_t at = 0;
    std::uint64_t answers = 0;
    std::string id;
  };
  void next(InstanceRef ref, Run& run) {
    const auto epoch = run.epoch;
    if (run.at == run.program.size()) {
      return engine->report(ref, durable::RunReturned{epoch, durable::Value::inline_of("output")});
    }
    const auto& step = run.program[run.at];
    const auto answers_before = run.answers;
    durable::StepAsked asked;
    asked.epoch = epoch;
    asked.call = run.at + 1;
    asked.kind = step.kind;
    asked.name = step.name;
    asked.length = {durable::RawDuration::Form::Number, step.ms, {}};
    asked.event_type = step.type;
    asked.timeout = asked.length;
    const bool waits = step.kind != durable::StepKind::Do;
    engine->report(ref, std::move(asked));
    if (waits && reports_idle) engine->report(ref, durable::RunIdle{epoch, answers_before});
  }
  std::map<InstanceRef, Run> runs_;
};

}  // namespace insula::workflow
