// SPDX-License-Identifier: Apache-2.0
//
// Simulation: random workflow programs under random crashes, losses, delays, duplicates, reorderings, operations and
// clock jumps, against what must hold whatever happens.
//
//   INSULA_SIM_HISTORIES=1000000   how many (default: 100,000)
//   INSULA_SIM_SEED=4711           replay one history; INSULA_SIM_TRACE=1 prints it
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/durable/machine.h"

namespace insula::durable {
namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 0x1234567) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(next() % end); }
  bool one_in(std::uint32_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

// One step of a program.
struct Op {
  StepKind kind = StepKind::Do;
  std::string name;
  std::uint32_t failures = 0;   // attempts that fail before one succeeds
  std::uint32_t retries = 0;
  bool is_fatal = false;        // throws NonRetryableError at last
  bool is_caught = true;
  bool has_rollback = false;
  bool has_delay_function = false;
  TimeMs length = 0;            // of the callback, the sleep, or the wait's time-out
  TimeMs timeout = 1'000;
  std::string type;
  bool big = false;
};
struct Program {
  std::vector<std::vector<Op>> branches;  // each in order, all at once
  bool throws_at_end = false;
};

Program make_program(Random& random) {
  Program program;
  const auto branches = random.one_in(3) ? 1 + random.below(3) : 1;
  for (std::uint32_t b = 0; b < branches; ++b) {
    auto& branch = program.branches.emplace_back();
    const auto length = 1 + random.below(5);
    for (std::uint32_t i = 0; i < length; ++i) {
      Op op;
      // Names of branches differ, for the order of parallel calls of one name is the author's responsibility.
      op.name = std::string(1, static_cast<char>('a' + b)) + std::to_string(random.below(3));
      const auto what = random.below(10);
      if (what < 6) {
        op.failures = random.one_in(3) ? random.below(4) : 0;
        op.retries = random.below(4);
        op.is_fatal = random.one_in(15);
        op.is_caught = !random.one_in(6);
        op.has_rollback = random.one_in(4);
        op.has_delay_function = random.one_in(8);
        op.length = random.below(400);
        if (random.one_in(12)) op.length = 1'500;  // beyond its time-out
        op.big = random.one_in(10);
      } else if (what < 8) {
        op.kind = StepKind::Sleep;
        op.length = random.below(20'000);
      } else {
        op.kind = StepKind::Wait;
        op.type = random.one_in(2) ? "x" : "y";
        op.length = 1 + random.below(30'000);
        op.is_caught = !random.one_in(5);
      }
      branch.push_back(std::move(op));
    }
  }
  program.throws_at_end = random.one_in(8);
  return program;
}

// A world in which one instance lives: the shell, the disk, the runner and the outside.
class World {
 public:
  explicit World(std::uint64_t seed)
      : random_(seed), program_(make_program(random_)), trace_(std::getenv("INSULA_SIM_TRACE") != nullptr) {
    settings_.linger_ms = random_.one_in(2) ? 0 : 500;
    settings_.inline_bytes_max = 16;
    machine_ = std::make_unique<Machine>(settings_);
    code_version_ = random_.one_in(2) ? "v1" : "";
    faults_left_ = random_.one_in(3) ? 0 : random_.below(6);
    step(CreateAsked{"params"});
    const auto operations = random_.one_in(2) ? 0 : random_.below(5);
    for (std::uint32_t i = 0; i < operations; ++i) {
      const auto at = now_ + random_.below(30'000);
      later(at, [this] { operate(); });
    }
    const auto events = random_.below(4);
    for (std::uint32_t i = 0; i < events; ++i) {
      later(now_ + random_.below(40'000), [this] {
        if (is_final(machine_->status())) return;
        step(EventSent{random_.one_in(2) ? "x" : "y", "event" + std::to_string(++events_sent_)});
      });
    }
  }

  // Empty: all was well.
  std::string run() {
    for (std::uint32_t turns = 0; problem_.empty(); ++turns) {
      if (turns > 20'000) return "it does not end";
      if (is_final(machine_->status()) && agenda_.empty()) break;
      if (agenda_.empty()) {
        // Nothing is on its way: only a deadline, a slot or a person can move the instance on.
        if (machine_->status() == Status::Paused) {
          step(ResumeAsked{});
        } else if (machine_->next_due() != kNever) {
          now_ = std::max(now_, machine_->next_due());
          step(TimerFired{});
        } else {
          return "it is stuck in " + std::string(name_of(machine_->status()));
        }
        continue;
      }
      auto at = agenda_.begin()->first;
      if (machine_->next_due() <= at) {
        now_ = std::max(now_, machine_->next_due());
        step(TimerFired{});
        continue;
      }
      auto what = std::move(agenda_.begin()->second);
      agenda_.erase(agenda_.begin());
      now_ = std::max(now_, at);
      what();
      if (faults_left_ > 0 && random_.one_in(12)) fault();
    }
    if (problem_.empty()) check_end();
    return problem_;
  }

 private:
  struct Branch {
    std::size_t at = 0;
    std::uint64_t call = 0;
    bool is_over = false;
  };
  struct Isolate {
    std::uint64_t epoch = 0;
    bool only_rollback = false;
    bool is_over = false;
    std::vector<Branch> branches;
    std::map<std::uint64_t, std::size_t> calls;  // to branches
    std::map<std::uint64_t, Op> ops;
    std::map<std::uint64_t, std::pair<std::uint32_t, Bytes>> returned;  // by call: what its newest attempt has returned
    std::uint64_t next_call = 1;
    std::uint64_t answers = 0;
    std::uint32_t callbacks = 0;
    TimeMs in_order_until = 0;
  };

  void say(const std::string& line) const {
    if (trace_) std::fprintf(stderr, "%8lld %-12s %s\n", static_cast<long long>(now_),
                             std::string(name_of(machine_->status())).c_str(), line.c_str());
  }
  void fail(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }
  void later(TimeMs at, std::function<void()> what) { agenda_.emplace(at, std::move(what)); }

  // The shell: journals, then acts.
  void step(Happening what) {
    const auto was_final = is_final(machine_->status());
    auto reaction = machine_->handle(Event{now_, std::move(what)});
    if (reaction.wipes_history) {
      pending_wipes_ = true;
    }
    for (auto& value : reaction.values) unsynced_values_[value.number] = value.bytes;
    for (auto& made : reaction.records) {
      say("record " + std::to_string(static_cast<int>(made.type)) + " step " + std::to_string(made.step) + " attempt " +
          std::to_string(made.attempt) + " " + made.name + " " + made.failure.name + " " + made.failure.message);
      if (made.type == RecordType::Restarted) unsynced_.clear();
      unsynced_.push_back(made);
    }
    for (auto& action : reaction.actions) waiting_.push_back(std::move(action));
    if (!was_final && is_final(machine_->status())) ++ends_;
    if (was_final && !is_final(machine_->status())) --ends_;  // restarted
    if (!unsynced_.empty() && !is_syncing_) {
      is_syncing_ = true;
      const auto generation = generation_;
      later(now_ + random_.below(3), [this, generation] {
        if (generation == generation_) sync();
      });
    }
    act();
    if (machine_->wants_slot() && !is_granting_) {
      is_granting_ = true;
      const auto generation = generation_;
      later(now_ + random_.below(50), [this, generation] {
        if (generation != generation_) return;
        is_granting_ = false;
        step(SlotGranted{code_version_});
      });
    }
    // Hibernation: what may be unloaded must come back as it was.
    if (machine_->may_unload() && unsynced_.empty() && random_.one_in(4)) reload(false);
  }

  void sync() {
    is_syncing_ = false;
    if (pending_wipes_) disk_.clear();
    pending_wipes_ = false;
    for (auto& made : unsynced_) {
      encode(made, disk_);
      if (made.type == RecordType::Restarted || made.type == RecordType::RestartedFrom) forget_model();
    }
    unsynced_.clear();
    for (auto& [number, bytes] : unsynced_values_) disk_values_[number] = bytes;
    unsynced_values_.clear();
    durable_ = machine_->records();
    act();
  }

  // Restarts make steps run again, rightly.
  void forget_model() {
    told_.clear();
    finished_keys_.clear();
  }

  void act() {
    std::vector<Action> now;
    std::vector<Action> rest;
    for (auto& action : waiting_) (action.needs <= durable_ ? now : rest).push_back(std::move(action));
    waiting_ = std::move(rest);
    for (auto& action : now) std::visit([this](auto& what) { perform(what); }, action.what);
  }

  void perform(StartRun& start) {
    say("start run " + std::to_string(start.epoch));
    isolate_ = std::make_shared<Isolate>();
    isolate_->epoch = start.epoch;
    isolate_->only_rollback = start.only_rollback;
    isolate_->branches.resize(program_.branches.size());
    deliver([this](Isolate& isolate) {
      for (std::size_t b = 0; b < isolate.branches.size(); ++b) advance(isolate, b);
      settle(isolate);
    });
  }
  void perform(ReleaseRun& release) {
    say("release run " + std::to_string(release.epoch));
    if (isolate_ && isolate_->epoch == release.epoch) isolate_.reset();
  }
  void perform(Notice&) {
    if (!had_faults_) fail("a notice without a fault");
  }

  // Runs something in the isolate later, in the order of sending, if it is still the same one.
  void deliver(std::function<void(Isolate&)> what) {
    auto isolate = isolate_;
    if (!isolate) return;
    isolate->in_order_until = std::max(isolate->in_order_until, now_ + random_.below(3));
    later(isolate->in_order_until, [this, isolate, what = std::move(what)] {
      if (isolate_ == isolate && !isolate->is_over) what(*isolate);
    });
  }

  // What the isolate says to the engine; sometimes twice.
  void say_to_engine(Happening what) {
    if (random_.one_in(20)) {
      // Of the same process: what a dead one said dies with its channel.
      later(now_ + random_.below(100), [this, what, generation = generation_] {
        if (generation == generation_) step(what);
      });
    }
    step(std::move(what));
  }

  void advance(Isolate& isolate, std::size_t b) {
    auto& branch = isolate.branches[b];
    if (isolate_.get() != &isolate) return;
    const auto& ops = program_.branches[b];
    if (branch.at >= ops.size()) {
      branch.is_over = true;
      return;
    }
    const auto& op = ops[branch.at];
    StepAsked asked;
    asked.epoch = isolate.epoch;
    asked.call = branch.call = isolate.next_call++;
    asked.kind = op.kind;
    asked.name = op.name;
    isolate.calls[asked.call] = b;
    isolate.ops[asked.call] = op;
    if (op.kind == StepKind::Do) {
      asked.config.has_retries = asked.config.has_limit = true;
      asked.config.limit = op.retries;
      asked.config.delay = {op.has_delay_function ? RawDuration::Form::Function : RawDuration::Form::Number, 100, {}};
      asked.config.timeout = {RawDuration::Form::Number, static_cast<double>(op.timeout), {}};
      asked.has_rollback = op.has_rollback;
    } else if (op.kind == StepKind::Sleep) {
      asked.length = {RawDuration::Form::Number, static_cast<double>(op.length), {}};
    } else {
      asked.event_type = op.type;
      asked.timeout = {RawDuration::Form::Number, static_cast<double>(op.length), {}};
    }
    say_to_engine(std::move(asked));
  }

  void settle(Isolate& isolate) {
    if (isolate_.get() != &isolate || isolate.is_over) return;
    bool all_over = true;
    for (const auto& branch : isolate.branches) all_over = all_over && branch.is_over;
    if (all_over) return end(isolate, program_.throws_at_end);
    if (isolate.callbacks == 0) say_to_engine(RunIdle{isolate.epoch, isolate.answers});
  }
  void end(Isolate& isolate, bool throws) {
    isolate.is_over = true;
    ended_normally_ = !throws;
    if (throws) {
      say_to_engine(RunThrew{isolate.epoch, {"TypeError", "thrown by run", {}}});
    } else {
      say_to_engine(RunReturned{isolate.epoch, Value::inline_of("output")});
    }
  }

  void perform(AnswerStep& answer) {
    if (!isolate_ || isolate_->epoch != answer.epoch) return;
    deliver([this, answer](Isolate& isolate) {
      ++isolate.answers;
      const auto b = isolate.calls.at(answer.call);
      const auto& op = isolate.ops.at(answer.call);
      auto& branch = isolate.branches[b];
      if (branch.call != answer.call) return fail("an answer to a call that has one");
      auto told = answer;
      if (told.is_own) told.value.bytes = isolate.returned.at(answer.call).second;  // it is not sent back
      check_answer(b, branch.at, op, told);
      branch.call = 0;
      if (answer.how == AnswerStep::How::Throw && !op.is_caught) {
        for (auto& other : isolate.branches) other.is_over = true;
        return end(isolate, true);
      }
      ++branch.at;
      advance(isolate, b);
      settle(isolate);
    });
  }

  std::string text_of(const Value& value) {
    if (!value.is_stored()) return value.bytes;
    const auto found = disk_values_.find(value.number);
    if (found != disk_values_.end()) return found->second;
    return unsynced_values_.contains(value.number) ? unsynced_values_[value.number] : "LOST";
  }

  void check_answer(std::size_t b, std::size_t at, const Op& op, const AnswerStep& answer) {
    auto text = std::to_string(static_cast<int>(answer.how)) + "|" + text_of(answer.value) + "|" + answer.failure.name +
                "|" + answer.failure.message;
    if (text.find("LOST") != std::string::npos) return fail("the value of step " + op.name + " is lost");
    say("answer " + op.name + " " + text);
    const auto key = std::make_pair(b, at);
    const auto [known, is_new] = told_.emplace(key, text);
    if (!is_new && known->second != text) fail("step " + op.name + " answered " + known->second + ", then " + text);
    if (op.kind == StepKind::Do) finished_keys_.insert(key);
    if (op.kind == StepKind::Sleep && now_ < asked_at_.emplace(key, now_).first->second) fail("time goes back");
  }

  void perform(InvokeStep& invoke) {
    if (!isolate_ || isolate_->epoch != invoke.epoch) return;
    const auto b = isolate_->calls.at(invoke.call);
    const auto& op = isolate_->ops.at(invoke.call);
    if (finished_keys_.contains({b, isolate_->branches[b].at})) fail("step " + op.name + " is finished and runs again");
    if (op.retries != kRetriesUnlimited && invoke.attempt > op.retries + 1) fail("an attempt too many of " + op.name);
    if (isolate_->only_rollback) fail("a new attempt in a replay for rollback");
    ++isolate_->callbacks;
    const auto attempt = invoke.attempt;
    const auto call = invoke.call;
    later(now_ + op.length, [this, isolate = isolate_, op, call, attempt] {
      if (isolate_ != isolate) return;
      --isolate->callbacks;
      AttemptEnded ended;
      ended.epoch = isolate->epoch;
      ended.call = call;
      ended.attempt = attempt;
      if (attempt <= op.failures) {
        ended.how = AttemptEnded::How::Threw;
        ended.failure = {"Error", "attempt failed", {}};
      } else if (op.is_fatal) {
        ended.how = AttemptEnded::How::Threw;
        ended.failure = {"NonRetryableError", "no", {}};
      } else {
        // Differs at each execution, so that an answer that is not the recorded one shows.
        ended.value.bytes = "result " + std::to_string(++results_) + (op.big ? std::string(40, 'x') : "");
        auto& newest = isolate->returned[call];
        if (attempt >= newest.first) newest = {attempt, ended.value.bytes};
      }
      say_to_engine(std::move(ended));
      if (isolate_ == isolate) settle(*isolate);
    });
  }
  void perform(ComputeDelay& compute) {
    if (!isolate_ || isolate_->epoch != compute.epoch) return;
    DelayComputed computed{compute.epoch, compute.call, compute.attempt, {RawDuration::Form::Number, 50, {}}, {}};
    if (random_.one_in(10)) computed.problem = "threw an error";
    if (random_.one_in(10)) return;  // never settles
    later(now_ + random_.below(100), [this, isolate = isolate_, computed] {
      if (isolate_ != isolate) return;
      say_to_engine(computed);
      if (isolate_ == isolate) settle(*isolate);
    });
  }
  void perform(InvokeRollback& invoke) {
    if (!isolate_ || isolate_->epoch != invoke.epoch) return;
    if (!isolate_->calls.contains(invoke.call)) return fail("a rollback of a call that was never made");
    if (!rolled_back_.insert(invoke.name + "-" + std::to_string(invoke.count) + "/" + std::to_string(invoke.attempt))
             .second) {
      fail("the same rollback attempt twice");
    }
    const bool succeeds = !random_.one_in(6);
    later(now_ + random_.below(100), [this, isolate = isolate_, call = invoke.call, attempt = invoke.attempt, succeeds] {
      if (isolate_ != isolate) return;
      say_to_engine(RollbackEnded{isolate->epoch, call, attempt, succeeds, {"Error", "rollback failed", {}}});
    });
  }

  void operate() {
    switch (random_.below(12)) {
      case 0:
        if (!is_final(machine_->status())) step(TerminateAsked{random_.one_in(2)});
        break;
      case 1:
        rolled_back_.clear();
        step(RestartAsked{});
        break;
      case 2:
        rolled_back_.clear();
        step(RestartAsked{RestartFrom{StepKind::Do, "a" + std::to_string(random_.below(3)), 1}});
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        step(ResumeAsked{});
        break;
      default:
        step(PauseAsked{});
        break;
    }
  }

  void fault() {
    --faults_left_;
    had_faults_ = true;
    switch (random_.below(4)) {
      case 0:
        say("CRASH of the supervisor");
        ++generation_;
        reload(true);
        break;
      case 1:
      case 2:
        if (isolate_) {
          say("CRASH of the runner");
          const auto epoch = isolate_->epoch;
          isolate_.reset();
          say_to_engine(RunGone{epoch, random_.one_in(2) ? RunGone::Cause::Crash : RunGone::Cause::Withdrawn});
        }
        break;
      default:
        now_ += random_.below(10'000);  // the clock jumps ahead; it never goes back, by contract of the shell
        step(TimerFired{});
        break;
    }
  }

  // The instance is read back from the disk.
  void reload(bool after_crash) {
    if (after_crash) {
      unsynced_.clear();
      unsynced_values_.clear();
      pending_wipes_ = false;
      waiting_.clear();
      isolate_.reset();
      is_syncing_ = is_granting_ = false;
    }
    const auto before = machine_->status();
    machine_ = std::make_unique<Machine>(settings_);
    BytesView bytes(disk_);
    while (!bytes.empty()) {
      auto made = decode(bytes);
      if (!made) return fail("the disk cannot be read: " + made.error().message());
      if (auto applied = machine_->apply(*made); !applied) return fail(applied.error().message());
    }
    if (machine_->records() == 0) {  // never acknowledged: the caller asks again
      now_ += 1;
      return step(CreateAsked{"params"});
    }
    durable_ = machine_->records();
    if (!after_crash && is_final(before) && before != machine_->status()) fail("the end was forgotten");
    if (after_crash) ends_ = is_final(machine_->status()) ? 1 : 0;
    if (after_crash) return step(Recovered{});
    step(TimerFired{});
  }

  void check_end() {
    if (!unsynced_.empty()) return fail("records were left behind");
    if (!waiting_.empty()) return fail("actions were left behind");
    if (isolate_) return fail("a run was left behind");
    if (ends_ != 1) return fail("it ended " + std::to_string(ends_) + " times");
    if (machine_->status() == Status::Complete && !ended_normally_) return fail("complete, but run() threw");
    if (machine_->status() == Status::Complete) {
      for (std::size_t b = 0; b < program_.branches.size(); ++b) {
        for (std::size_t i = 0; i < program_.branches[b].size(); ++i) {
          if (!told_.contains({b, i})) return fail("complete, but a step was never answered");
        }
      }
    }
    if (machine_->status() == Status::Errored) {
      if (!machine_->failure()) return fail("errored without an error");
      if (machine_->failure()->name == "WorkflowNonDeterminismError") return fail(machine_->failure()->message);
    }
  }

  Random random_;
  Program program_;
  const bool trace_;
  Settings settings_;
  std::unique_ptr<Machine> machine_;
  std::shared_ptr<Isolate> isolate_;
  std::multimap<TimeMs, std::function<void()>> agenda_;
  TimeMs now_ = 1'000'000;
  std::string code_version_;
  std::string problem_;
  std::uint32_t faults_left_ = 0;
  bool had_faults_ = false;
  bool ended_normally_ = false;
  // The disk.
  Bytes disk_;
  std::map<std::uint64_t, Bytes> disk_values_;
  std::vector<Record> unsynced_;
  std::map<std::uint64_t, Bytes> unsynced_values_;
  std::uint64_t durable_ = 0;
  std::vector<Action> waiting_;
  bool is_syncing_ = false;
  bool is_granting_ = false;
  bool pending_wipes_ = false;
  std::uint64_t generation_ = 0;
  // The model.
  int ends_ = 0;
  std::uint32_t events_sent_ = 0;
  std::uint64_t results_ = 0;
  std::set<std::pair<std::size_t, std::size_t>> finished_keys_;
  std::map<std::pair<std::size_t, std::size_t>, std::string> told_;
  std::map<std::pair<std::size_t, std::size_t>, TimeMs> asked_at_;
  std::set<std::string> rolled_back_;
};

TEST(MachineSimulation, EveryHistoryEndsOnceAndRunsNoFinishedStepAgain) {
  if (const char* seed = std::getenv("INSULA_SIM_SEED")) {
    World world(std::strtoull(seed, nullptr, 10));
    EXPECT_EQ(world.run(), "");
    return;
  }
  const char* const wanted = std::getenv("INSULA_SIM_HISTORIES");
  const char* const first = std::getenv("INSULA_SIM_FIRST");
  const std::uint64_t from = first != nullptr ? std::strtoull(first, nullptr, 10) : 1;
  const std::uint64_t count = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 100'000;
  for (std::uint64_t seed = from; seed < from + count; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    const auto problem = world.run();
    ASSERT_EQ(problem, "") << "replay it with INSULA_SIM_SEED=" << seed << " INSULA_SIM_TRACE=1";
  }
}

}  // namespace
}  // namespace insula::durable
