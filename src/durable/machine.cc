// SPDX-License-Identifier: Apache-2.0
//
// Machine: the life of an instance from its creation over its runs to its end.
#include "src/durable/machine.h"

#include <algorithm>

namespace insula::durable {
namespace {

constexpr TimeMs kLossDelayMs = 100;
constexpr TimeMs kLossDelayMsMax = 60'000;

constexpr std::string_view kFatal = "WorkflowFatalError";
constexpr std::string_view kInternal = "WorkflowInternalError";

bool is_non_retryable(const Failure& failure) {
  constexpr std::string_view kName = "NonRetryableError";
  return failure.name == kName || failure.message.starts_with(kName);
}

}  // namespace

Machine::Run::Run() = default;
Machine::Rollback::Rollback() = default;

Reaction Machine::handle(Event event) {
  Reaction reaction;
  reaction_ = &reaction;
  now_ = event.at;
  std::visit([this](auto& what) { on(what); }, event.what);
  if (status_ == Status::WaitingForPause) settle_pause();
  if (rollback_) advance_rollback();
  reaction_ = nullptr;
  return reaction;
}

bool Machine::may_unload() const noexcept { return !run_ && not_before_ == 0 && !holds_slot(); }

TimeMs Machine::next_due() const noexcept {
  if (is_final(status_)) return kNever;
  TimeMs due = std::min(linger_until_, stall_at_);
  if (not_before_ != 0) due = std::min(due, not_before_);
  if (!attempt_timers_.empty()) due = std::min(due, attempt_timers_.begin()->first);
  const bool is_paused = status_ == Status::Paused || status_ == Status::WaitingForPause;
  if (!is_paused && !timers_.empty()) due = std::min(due, timers_.begin()->first);
  if (rollback_ && run_) due = std::min(due, rollback_->due);
  return due;
}

void Machine::on(const CreateAsked& asked) {
  if (records_ != 0) return;
  auto made = record(RecordType::Created);
  made.value = keep(Value::inline_of(asked.params));
  made.has_value = true;
  journal(std::move(made));
}

void Machine::on(const SlotGranted& granted) {
  if (!wants_slot()) return;
  if (run_) {
    journal(record(RecordType::RunContinued));
    flush();
    return;
  }
  auto started = record(RecordType::RunStarted);
  started.epoch = epoch_ + 1;
  started.text = granted.code_version;
  const auto before = records_;
  journal(std::move(started));
  run_.emplace();
  run_->epoch = epoch_;
  run_->first_record = before + 1;
  run_->is_only_rollback = rollback_.has_value();
  run_->is_strict = !code_version_.empty() && !is_mixed_ && !rollback_;
  linger_until_ = kNever;
  if (rollback_) {
    rollback_->has_begun = false;
    rollback_->is_invoked = false;
    stall_at_ = now_ + settings_.replay_stall_ms;
  }
  act(gate_, StartRun{epoch_, run_->is_only_rollback, may_go_ahead()});
}

// Answers what was resolved, and hears what was asked, while the instance was not running.
void Machine::flush() {
  auto ready = std::exchange(run_->ready, {});
  for (const auto index : ready) {
    if (status_ != Status::Running || !run_) return;
    if (steps_[index].phase == Phase::Due) {
      start_attempt(index);
    } else {
      resolve(index);
    }
  }
  auto held = std::exchange(run_->held, {});
  for (auto& asked : held) {
    if (!run_) return;
    ask(asked);
  }
}

void Machine::on(const RunIdle& idle) {
  if (!is_current(idle.epoch) || idle.answers != run_->answers || status_ != Status::Running) return;
  if (rollback_) {
    run_->is_quiet = true;  // a handler that is not there now will not come
    return;
  }
  if (!attempt_timers_.empty() || !run_->ready.empty() || !run_->held.empty()) return;
  if (!run_->barred.empty()) return diverge("the run waits");
  if (timers_.empty()) return;
  journal(record(RecordType::Waiting));
  linger_until_ = now_ + settings_.linger_ms;
}

void Machine::on(const RunReturned& returned) {
  if (!is_current(returned.epoch)) return;
  if (rollback_) {
    run_->is_over = run_->is_quiet = true;
    return;
  }
  const auto unasked = unasked_step();
  if (!unasked.empty()) {
    if (run_->is_strict) return diverge("the run returned");
    act(0, Notice{"the run returned without asking for step \"" + unasked + "\" of its earlier run"});
  }
  if (returned.value.size > settings_.value_bytes_max && !returned.value.is_stream) {
    return fail_run({std::string(kInternal), "Workflow output is too large. Maximum allowed size is 1MiB.", {}}, true);
  }
  auto completed = record(RecordType::Completed);
  completed.value = keep(returned.value);
  completed.has_value = true;
  journal(std::move(completed));
  release_run();
}

void Machine::on(const RunThrew& threw) {
  if (!is_current(threw.epoch)) return;
  if (rollback_) {
    run_->is_over = run_->is_quiet = true;
    return;
  }
  auto failure = threw.failure;
  if (!settings_.keeps_non_retryable_error && is_non_retryable(failure)) {
    failure = {std::string(kFatal),
               "The execution of the Workflow instance was terminated, as a step threw an NonRetryableError and it was "
               "not handled",
               {}};
  }
  fail_run(std::move(failure), true);
}

void Machine::fail_run(Failure failure, bool may_roll_back) {
  if (failure.message.size() > kFailureMessageBytesMax) failure.message.resize(kFailureMessageBytesMax);
  if (failure.thrown.size() > settings_.value_bytes_max) failure.thrown.clear();
  const bool has_handlers =
      std::any_of(steps_.begin(), steps_.end(), [](const Step& step) { return step.has_rollback; });
  if (!may_roll_back || !has_handlers) return finish(Status::Errored, std::move(failure));
  if (run_) run_->is_over = run_->is_quiet = true;
  auto started = record(RecordType::RollbackStarted);
  started.failure = std::move(failure);
  started.has_failure = true;
  started.number = static_cast<std::uint64_t>(Status::Errored);
  journal(std::move(started));
}

void Machine::finish(Status status, Failure failure) {
  auto finished = record(RecordType::Finished);
  finished.number = static_cast<std::uint64_t>(status);
  finished.failure = std::move(failure);
  finished.has_failure = status == Status::Errored;
  if (!finished.has_failure) finished.failure = {};
  journal(std::move(finished));
  release_run();
}

void Machine::release_run() {
  linger_until_ = stall_at_ = kNever;
  if (!run_) return;
  act(0, ReleaseRun{run_->epoch});
  run_.reset();
  for (const auto& [due, index] : attempt_timers_) steps_[index].attempt_due = 0;
  attempt_timers_.clear();
}

void Machine::on(const RunGone& gone) {
  if (!run_ || run_->epoch != gone.epoch) return;
  lose_run(gone.cause);
}

void Machine::on(const Recovered&) {
  if (!is_final(status_)) lose_run(RunGone::Cause::Withdrawn);
}

void Machine::lose_run(RunGone::Cause cause) {
  run_.reset();
  linger_until_ = stall_at_ = kNever;
  std::vector<std::uint32_t> open;
  for (const auto& [due, index] : attempt_timers_) open.push_back(index);
  std::sort(open.begin(), open.end());
  for (const auto index : open) {
    clear_attempt_due(index);
    if (steps_[index].phase != Phase::Attempting) continue;
    fail_attempt(index, {std::string(kInternal), "Attempt failed due to internal workflows error", {}});
  }
  if (status_ == Status::Running) {
    auto lost = record(RecordType::RunLost);
    lost.epoch = epoch_;
    lost.number = cause == RunGone::Cause::Crash ? 1 : 0;
    journal(std::move(lost));
    if (losses_ > settings_.losses_max) {
      finish(Status::Errored, {std::string(kInternal),
                               "The Workflow instance was lost " + std::to_string(losses_) +
                                   " times in a row without finishing a step",
                               {}});
      return;
    }
    if (losses_ > 1) not_before_ = now_ + std::min(kLossDelayMsMax, kLossDelayMs << std::min(losses_ - 2, 12U));
  }
  if (rollback_ && rollback_->is_invoked) {
    fail_rollback_attempt({std::string(kInternal), "Attempt failed due to internal workflows error", {}});
  }
}

void Machine::wake() {
  if (status_ != Status::Waiting) return;
  // Without a record: the deadline or call that wakes it is durable, or comes with the run.
  status_ = Status::Queued;
  linger_until_ = kNever;
}

void Machine::on(const TimerFired&) {
  if (is_final(status_)) return;
  if (not_before_ != 0 && not_before_ <= now_) not_before_ = 0;
  while (!attempt_timers_.empty() && attempt_timers_.begin()->first <= now_) {
    if (!fire_step_timer(attempt_timers_.begin()->second)) return;
  }
  const auto is_ticking = [&] { return status_ != Status::Paused && status_ != Status::WaitingForPause; };
  while (is_ticking() && !timers_.empty() && timers_.begin()->first <= now_) {
    if (!fire_step_timer(timers_.begin()->second)) return;
  }
  if (rollback_ && run_ && rollback_->due <= now_) {
    rollback_->due = kNever;
    if (rollback_->is_invoked) {
      const auto ms = steps_[rollback_->step].rollback_config.timeout.ms;
      fail_rollback_attempt({"WorkflowTimeoutError", "Execution timed out after " + std::to_string(ms) + "ms", {}});
    }  // else advance_rollback() goes on
  }
  if (run_ && stall_at_ <= now_) {
    stall_at_ = kNever;
    run_->is_quiet = true;
    if (!run_->barred.empty()) return diverge("the run waits");
  }
  if (run_ && status_ == Status::Waiting && linger_until_ <= now_) release_run();
}

}  // namespace insula::durable
