// SPDX-License-Identifier: Apache-2.0
//
// Machine: one workflow instance as a pure function, (state, event) -> (state, reaction).
//
//   shell --Event{at, ...}--> handle() --Reaction{records, values, actions}--> shell journals, then acts
//   store --Record-------> apply()                                            (to bring an instance back)
//
// Invariants
//   1. What is durable is changed by apply() alone, so a fold of the records is the state. The rest is about the run
//      at hand (calls, counters, time-outs of attempts) and is lost with it.
//   2. An action that tells anybody of a record names it in `needs`. The start of an attempt is the exception: it may
//      go ahead of its record, for another attempt is what a crash costs anyway; the *last* attempt waits, so that a
//      step with no retries left does not run once more.
//   3. Time comes in events and never goes back; the machine holds deadlines and next_due() is the earliest.
//   4. A finished step is never invoked again and always answers the same.
//
// Statuses and who moves them
//
//   queued --SlotGranted--> running --RunIdle--> waiting --timer, event--> queued
//   running | waiting --PauseAsked--> (waitingForPause -->) paused --ResumeAsked--> queued
//   any --RunReturned | RunThrew | TerminateAsked--> complete | errored | terminated --RestartAsked--> queued
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/durable/event.h"

namespace insula::durable {

class Machine {
 public:
  explicit Machine(const Settings& settings) : settings_(settings) {}
  Machine(Machine&&) = default;

  // Decides what an event means. Everything in the reaction has been applied.
  Reaction handle(Event event);

  // Brings one recorded fact back. Errors: Corrupt (it cannot follow what came before).
  Result<> apply(const Record& record);

  Status status() const noexcept { return status_; }
  // Queued, and not held back after a loss: give it a slot.
  bool wants_slot() const noexcept { return status_ == Status::Queued && not_before_ == 0; }
  // A waking instance goes before one that has never run.
  bool has_run() const noexcept { return epoch_ > 0; }
  bool holds_slot() const noexcept { return status_ == Status::Running || status_ == Status::WaitingForPause; }
  // Nothing is in memory that is not in the records.
  bool may_unload() const noexcept;
  TimeMs next_due() const noexcept;  // kNever: none
  bool has_run_at_hand() const noexcept { return run_.has_value(); }

  std::uint64_t records() const noexcept { return records_; }
  std::uint64_t epoch() const noexcept { return epoch_; }
  const Value& params() const noexcept { return params_; }
  TimeMs created_at() const noexcept { return created_at_; }
  const Value& output() const noexcept { return output_; }
  const std::optional<Failure>& failure() const noexcept { return failure_; }
  std::uint64_t storage_bytes() const noexcept { return storage_bytes_; }
  std::uint64_t next_value() const noexcept { return next_value_; }
  // For what is stored outside of events (the pieces of a stream): names the next values before their record comes.
  std::uint64_t reserve_values(std::uint64_t count) noexcept { return std::exchange(next_value_, next_value_ + count); }
  std::size_t step_count() const noexcept { return steps_.size(); }
  std::size_t memory_bytes() const noexcept { return memory_bytes_; }  // about

 private:
  enum class Phase : std::uint8_t { Attempting, NeedsDelay, Retrying, Due, Sleeping, Waiting, Done, Failed };
  struct Step {
    StepKind kind = StepKind::Do;
    Phase phase = Phase::Attempting;
    bool has_rollback = false;
    bool is_rolled_back = false;
    std::uint32_t count = 0;
    std::uint32_t attempt = 0;
    std::uint64_t record = 0;  // that started, or finished it
    std::uint64_t first_record = 0;
    TimeMs due = 0;            // durable: end of sleep, wait or retry delay
    TimeMs due_since = 0;
    std::string name;
    std::string text;          // duration of a sleep, type of an event
    StepConfig config;
    StepConfig rollback_config;
    Value value;
    Failure failure;
    TimeMs event_at = 0;
    // About the run at hand.
    std::uint64_t call = 0;
    std::uint64_t call_epoch = 0;
    std::uint64_t returned_epoch = 0;  // the run that has returned the value
    TimeMs attempt_due = 0;
  };
  struct PendingEvent {
    std::uint64_t id = 0;
    TimeMs at = 0;
    Value value;
  };
  struct Run {
    Run();  // out of line, for std::optional of a nested class
    std::uint64_t epoch = 0;
    bool is_strict = false;       // same code as the last run: it must ask for the same steps
    bool is_only_rollback = false;
    bool is_over = false;         // run() has ended; its handlers may still be called
    bool is_quiet = false;
    std::uint64_t answers = 0;
    std::uint64_t first_record = 0;  // steps that started before it are replayed
    std::size_t first_unasked = 0;
    std::unordered_map<std::string, std::uint32_t> counters;
    std::unordered_map<std::uint64_t, std::uint32_t> calls;  // to steps
    std::vector<std::uint32_t> ready;                        // resolved, to be answered when running
    std::vector<StepAsked> held;                             // asked while not running
    std::map<std::uint64_t, std::uint32_t> barred;           // strict replay: by record, answers that come too early
  };
  struct Rollback {
    Rollback();
    Failure failure;
    Status final_status = Status::Errored;
    std::uint32_t step = 0;
    std::uint32_t attempt = 0;  // 0: the next one has not been begun
    bool is_invoked = false;
    bool has_begun = false;     // in this run
    TimeMs due = kNever;
    std::size_t scan_end = 0;   // no step from here on is left to roll back
  };
  using Timers = std::set<std::pair<TimeMs, std::uint32_t>>;

  // machine.cc: the life of the instance
  void on(const CreateAsked& asked);
  void on(const SlotGranted& granted);
  void on(const RunIdle& idle);
  void on(const RunReturned& returned);
  void on(const RunThrew& threw);
  void on(const RunGone& gone);
  void on(const TimerFired& fired);
  void on(const Recovered& recovered);
  void lose_run(RunGone::Cause cause);
  void wake();
  void finish(Status status, Failure failure);
  void fail_run(Failure failure, bool may_roll_back);
  void release_run();
  bool is_current(std::uint64_t epoch) const noexcept { return run_ && run_->epoch == epoch && !is_final(status_); }

  // operations.cc: what callers ask of it
  void on(const EventSent& sent);
  void on(const PauseAsked& asked);
  void on(const ResumeAsked& asked);
  void on(const TerminateAsked& asked);
  void on(const RestartAsked& asked);
  void on(const DeleteAsked& asked);
  void settle_pause();
  void refuse(std::string name, std::string message);

  // steps.cc: what the run asks for
  void on(StepAsked& asked);
  void on(AttemptEnded& ended);
  void on(const DelayComputed& computed);
  void ask(StepAsked& asked);
  void start_step(StepAsked& asked, std::uint32_t count);
  void replay_step(const StepAsked& asked, std::uint32_t index);
  void start_attempt(std::uint32_t index);
  void fail_attempt(std::uint32_t index, Failure failure);
  void schedule_retry(std::uint32_t index, const Duration& base);
  void fail_step(std::uint32_t index, Failure failure);
  void resolve(std::uint32_t index);
  void answer(std::uint32_t index);
  bool may_go_ahead() const;
  void throw_into(std::uint64_t call, std::string name, std::string message);
  void release_barred();
  bool fire_step_timer(std::uint32_t index);
  void deliver_events(std::uint32_t index);
  Step* step_of(std::uint64_t epoch, std::uint64_t call, std::uint32_t* index);
  std::string unasked_step() const;
  bool is_barred(std::uint32_t index) const;
  void diverge(const std::string& what);
  void flush();
  bool has_attempt_in_flight() const;
  Value keep(Value value);

  // rollback.cc: the saga
  void on(const RollbackEnded& ended);
  void advance_rollback();
  void begin_rollback_attempt();
  void fail_rollback_attempt(Failure failure);

  // apply.cc: the fold
  void journal(Record record);
  bool fits(const Record& record) const noexcept;
  bool fold_rollback(const Record& record);
  bool fold_status(const Record& record);
  void fold_step(const Record& record);
  void resume_timers(TimeMs at);
  void become_final(Status status);
  void fold(const Record& record);
  void fold_step_started(const Record& record);
  void truncate_steps(std::size_t from);
  void set_due(std::uint32_t index, TimeMs due, TimeMs since);
  void clear_due(std::uint32_t index);
  void set_attempt_due(std::uint32_t index, TimeMs due);
  void clear_attempt_due(std::uint32_t index);
  void count_value(const Value& value);
  static std::string key_of(StepKind kind, std::string_view name, std::string_view text);
  static std::string key_of(std::string_view base, std::uint32_t count);
  std::string label_of(const Step& step) const;

  Record record(RecordType type) const;
  template <class What>
  void act(std::uint64_t needs, What what) {
    reaction_->actions.push_back(Action{needs, std::move(what)});
  }

  const Settings& settings_;
  // Durable.
  Status status_ = Status::Queued;
  std::uint64_t records_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint64_t gate_ = 0;  // the record without which no run may start: of creation or restart
  TimeMs created_at_ = 0;
  TimeMs pause_from_ = 0;
  Value params_;
  Value output_;
  std::optional<Failure> failure_;
  std::string code_version_;
  bool is_mixed_ = false;  // not all steps come from one uninterrupted history of one version: replay by name only
  std::vector<Step> steps_;
  std::unordered_map<std::string, std::uint32_t> index_;
  std::unordered_map<std::string, std::deque<PendingEvent>> events_;  // by type
  std::uint64_t next_event_ = 1;
  std::uint64_t next_value_ = 1;
  std::uint64_t storage_bytes_ = 0;
  std::uint32_t counted_steps_ = 0;
  std::uint32_t losses_ = 0;
  Timers timers_;  // of steps, durable ones
  std::optional<Rollback> rollback_;
  std::size_t memory_bytes_ = 0;
  // About the run at hand.
  std::optional<Run> run_;
  Timers attempt_timers_;
  TimeMs linger_until_ = kNever;
  TimeMs stall_at_ = kNever;
  TimeMs not_before_ = 0;  // after a loss, no new run before
  // Within one handle().
  TimeMs now_ = 0;
  Reaction* reaction_ = nullptr;
};

}  // namespace insula::durable
