// SPDX-License-Identifier: Apache-2.0
//
// Machine: what a run asks for: steps, their attempts and retries, sleeps and waits; and replay, where what is finished
// answers from the records.
#include <algorithm>
#include <cmath>
#include <limits>

#include "src/durable/machine.h"

namespace insula::durable {
namespace {

constexpr std::string_view kFatal = "WorkflowFatalError";
constexpr std::size_t kTextShownMax = 300;
// With fewer steps left than this, each one is begun when the engine says so: the limit must not be exceeded by those
// that are on their way.
constexpr std::uint32_t kStepsAheadMin = 1'000;
// Calls that wait for the instance to run again; a run that asks for more is broken.
constexpr std::size_t kHeldMax = 50'000;
// A call that was answered at once and is no step.
constexpr std::uint32_t kNoStep = std::numeric_limits<std::uint32_t>::max();

bool is_non_retryable(const Failure& failure) {
  constexpr std::string_view kName = "NonRetryableError";
  return failure.name == kName || failure.message.starts_with(kName);
}

std::string shown(std::string_view name) { return std::string(name.substr(0, kTextShownMax)); }

TimeMs delay_before_retry(const Duration& base, Backoff backoff, std::uint32_t attempts) {
  const auto delay = static_cast<double>(base.ms);
  double ms = delay;
  if (backoff == Backoff::Linear) ms = delay * attempts;
  if (backoff == Backoff::Exponential) ms = delay * std::exp2(static_cast<double>(attempts) - 1);
  return ms >= static_cast<double>(kSleepMsMax) ? kSleepMsMax : static_cast<TimeMs>(ms);
}

}  // namespace

// A value that the journal can hold: small ones inline, others beside it.
Value Machine::keep(Value value) {
  value.size = value.is_stored() ? value.size : value.bytes.size();
  if (value.is_stored() || value.bytes.size() <= settings_.inline_bytes_max) return value;
  Value stored;
  stored.number = next_value_;
  stored.size = value.size;
  reaction_->values.push_back(StoredValue{stored.number, std::move(value.bytes)});
  return stored;
}

Machine::Step* Machine::step_of(std::uint64_t epoch, std::uint64_t call, std::uint32_t* index) {
  if (!is_current(epoch)) return nullptr;
  const auto found = run_->calls.find(call);
  if (found == run_->calls.end() || found->second == kNoStep) return nullptr;
  *index = found->second;
  return &steps_[found->second];
}

void Machine::throw_into(std::uint64_t call, std::string name, std::string message) {
  AnswerStep answer;
  answer.epoch = run_->epoch;
  answer.call = call;
  answer.how = AnswerStep::How::Throw;
  answer.failure = {std::move(name), std::move(message), {}};
  ++run_->answers;
  // A refusal that a rollback causes must not be heard if the rollback itself may yet be forgotten.
  act(rollback_ ? records_ : gate_, std::move(answer));
}

void Machine::on(StepAsked& asked) {
  if (!is_current(asked.epoch)) return;
  if (status_ != Status::Running) {
    if (run_->held.size() >= kHeldMax) return;
    run_->held.push_back(std::move(asked));
    wake();  // it was not idle after all
    return;
  }
  ask(asked);
}

void Machine::ask(StepAsked& asked) {
  if (status_ != Status::Running) {
    run_->held.push_back(std::move(asked));
    return;
  }
  if (!run_->calls.emplace(asked.call, kNoStep).second) return;
  const auto fatal = [&](std::string message) { throw_into(asked.call, std::string(kFatal), std::move(message)); };
  if (!is_step_name(asked.name)) {
    return fatal("Step name \"" + shown(asked.name) + "\" exceeds max length (256 chars) or invalid characters found");
  }
  if (asked.kind == StepKind::Do) {
    if (!asked.has_callback) return fatal("Step \"" + asked.name + "\" requires a callback function");
    if (asked.rollback_problem == "must be an object") {
      return fatal("Rollback options for \"" + asked.name + "\" must be an object");
    }
    if (!asked.rollback_problem.empty()) {
      return fatal("Rollback for \"" + asked.name + "\" " + asked.rollback_problem);
    }
  }
  std::string text;
  if (asked.kind == StepKind::Sleep) {
    text = asked.is_until                                  ? "until " + std::to_string(asked.until)
           : asked.length.form == RawDuration::Form::Text ? asked.length.text.substr(0, kTextShownMax)
                                                           : std::to_string(asked.length.number);
  } else if (asked.kind == StepKind::Wait) {
    text = asked.event_type;
  }
  const auto base = key_of(asked.kind, asked.name, text);
  const auto count = ++run_->counters[base];
  asked.length.text.swap(text);  // what identifies the step, from here on
  const auto known = index_.find(key_of(base, count));
  if (known == index_.end()) return start_step(asked, count);
  replay_step(asked, known->second);
}

void Machine::replay_step(const StepAsked& asked, std::uint32_t index) {
  auto& step = steps_[index];
  if (step.kind == StepKind::Wait && step.text != asked.event_type) {
    return diverge("waitForEvent \"" + label_of(step) + "\" waits for type \"" + shown(asked.event_type) +
                   "\" and was recorded with type \"" + step.text + "\"; the run");
  }
  if (step.call_epoch == run_->epoch) return;  // cannot be: counters make each key once
  step.call = asked.call;
  step.call_epoch = run_->epoch;
  run_->calls[asked.call] = index;
  while (run_->first_unasked < steps_.size() && steps_[run_->first_unasked].call_epoch == run_->epoch) {
    ++run_->first_unasked;
  }
  switch (step.phase) {
    case Phase::Done:
    case Phase::Failed:
      resolve(index);
      break;
    case Phase::Due:
      if (!rollback_) start_attempt(index);
      break;
    case Phase::NeedsDelay:
      if (!rollback_) fail_attempt(index, step.failure);
      break;
    default:
      break;  // its timer or event will come
  }
  release_barred();
}

void Machine::start_step(StepAsked& asked, std::uint32_t count) {
  const auto fatal = [&](std::string message) { throw_into(asked.call, std::string(kFatal), std::move(message)); };
  if (rollback_) {
    if (rollback_->has_begun || run_->is_over) fatal("Cannot execute steps during rollback phase");
    return;  // replayed for its handlers only: what is new stays unanswered
  }
  if (run_->is_strict && run_->first_unasked < steps_.size() &&
      steps_[run_->first_unasked].first_record < run_->first_record) {
    return diverge("step \"" + asked.name + "-" + std::to_string(count) + "\" was asked for");
  }
  if (asked.kind != StepKind::Sleep && counted_steps_ >= settings_.steps_max) {
    return fatal("The limit of " + std::to_string(settings_.steps_max) +
                 " steps has been reached. This limit can be changed in your worker configuration.");
  }
  if (storage_bytes_ > settings_.storage_bytes_max) {
    return finish(Status::Errored,
                  {std::string(kFatal), "The instance has exceeded the 1GiB storage limit", {}});
  }
  auto started = record(RecordType::StepStarted);
  started.kind = asked.kind;
  started.name = asked.name;
  started.count = count;
  const auto bad_config = [&](const Error& error) {
    fatal("Step config for \"" + asked.name + "\" is in a invalid format. " + error.message());
  };
  if (asked.kind == StepKind::Do) {
    auto config = resolve_config(asked.config, settings_.defaults);
    if (!config) return bad_config(config.error());
    started.config = *std::move(config);
    started.has_config = true;
    started.flag = asked.has_rollback;
    if (asked.has_rollback) {
      auto rollback = resolve_config(asked.rollback_config, settings_.defaults);
      if (rollback && rollback->has_delay_function) {
        rollback = Error(ErrorCode::InvalidInput, "rollbackConfig.retries.delay must be a duration");
      }
      if (!rollback) return bad_config(rollback.error());
      started.rollback_config = *std::move(rollback);
      started.has_rollback_config = true;
    }
  } else if (asked.kind == StepKind::Sleep) {
    started.text = asked.length.text;
    if (asked.is_until) {
      if (!(asked.until >= static_cast<double>(now_))) {
        return throw_into(asked.call, "Error", "You can't sleep until a time in the past, time-traveler");
      }
      started.due = asked.until - static_cast<double>(now_) > static_cast<double>(kSleepMsMax)
                        ? now_ + kSleepMsMax + 1
                        : static_cast<TimeMs>(asked.until);
    } else {
      auto length = asked.length.form == RawDuration::Form::Text ? parse_duration(asked.length.text)
                                                                  : duration_of(asked.length.number);
      if (!length) return fatal("Sleep \"" + asked.name + "\": " + length.error().message());
      started.due = now_ + std::min(length->ms, kSleepMsMax + 1);
    }
    if (started.due - now_ > kSleepMsMax) return fatal("Sleep \"" + asked.name + "\" is longer than 365 days");
  } else {
    if (!is_event_type(asked.event_type)) {
      return fatal("waitForEvent \"" + asked.name + "\": type must be 1 to 100 letters, digits, \"-\" or \"_\"");
    }
    Duration timeout{settings_.wait_timeout_ms, {}};
    if (asked.timeout.form != RawDuration::Form::Absent) {
      auto given = asked.timeout.form == RawDuration::Form::Text ? parse_duration(asked.timeout.text)
                                                                 : duration_of(asked.timeout.number);
      if (!given) return fatal("waitForEvent \"" + asked.name + "\": timeout: " + given.error().message());
      if (given->ms > kSleepMsMax) {
        return fatal("waitForEvent \"" + asked.name + "\": timeout is longer than 365 days");
      }
      timeout = *std::move(given);
    }
    started.text = asked.event_type;
    started.due = now_ + timeout.ms;
  }

  const auto index = static_cast<std::uint32_t>(steps_.size());
  if (run_->first_unasked == index) ++run_->first_unasked;
  journal(std::move(started));
  auto& step = steps_[index];
  step.call = asked.call;
  step.call_epoch = run_->epoch;
  run_->calls[asked.call] = index;
  if (step.kind == StepKind::Do) {
    const std::uint64_t needs = step.config.retries == 0 ? records_ : gate_;
    act(needs, InvokeStep{run_->epoch, step.call, step.name, step.count, 1, step.config});
  } else if (step.kind == StepKind::Wait) {
    deliver_events(index);
  }
}

void Machine::start_attempt(std::uint32_t index) {
  auto started = record(RecordType::AttemptStarted);
  started.step = index;
  started.attempt = steps_[index].attempt + 1;
  journal(std::move(started));
  const auto& step = steps_[index];
  const bool is_last = step.config.retries != kRetriesUnlimited && step.attempt > step.config.retries;
  act(is_last ? records_ : gate_,
      InvokeStep{run_->epoch, step.call, step.name, step.count, step.attempt, step.config});
}

void Machine::on(AttemptEnded& ended) {
  std::uint32_t index = 0;
  auto* const step = step_of(ended.epoch, ended.call, &index);
  if (step == nullptr || step->phase != Phase::Attempting || step->attempt != ended.attempt || rollback_) return;
  switch (ended.how) {
    case AttemptEnded::How::Threw:
      return fail_attempt(index, std::move(ended.failure));
    case AttemptEnded::How::NotSerialisable:
      return finish(Status::Errored, {std::string(kFatal),
                                      "The execution of the Workflow instance was terminated, as the step \"" +
                                          step->name + "\" returned a value which is not serialisable",
                                      {}});
    case AttemptEnded::How::Returned:
      break;
  }
  const auto size = ended.value.is_stored() ? ended.value.size : ended.value.bytes.size();
  if (!ended.value.is_stream && size > settings_.value_bytes_max) {
    return fail_attempt(index, {"WorkflowInternalError",
                                "Step " + label_of(*step) + " output is too large. Maximum allowed size is 1MiB.",
                                {}});
  }
  if (storage_bytes_ + size > settings_.storage_bytes_max) {
    return finish(Status::Errored,
                  {std::string(kFatal), "The instance has exceeded the 1GiB storage limit", {}});
  }
  auto completed = record(RecordType::StepCompleted);
  completed.step = index;
  completed.attempt = ended.attempt;
  completed.value = keep(std::move(ended.value));
  completed.has_value = true;
  journal(std::move(completed));
  steps_[index].returned_epoch = run_->epoch;
  resolve(index);
}

void Machine::fail_attempt(std::uint32_t index, Failure failure) {
  auto& step = steps_[index];
  if (failure.message.size() > kFailureMessageBytesMax) failure.message.resize(kFailureMessageBytesMax);
  if (failure.thrown.size() > settings_.value_bytes_max / 4) failure.thrown.clear();
  const bool is_exhausted = step.config.retries != kRetriesUnlimited && step.attempt > step.config.retries;
  if (is_exhausted || is_non_retryable(failure)) return fail_step(index, std::move(failure));
  if (step.phase == Phase::Attempting) {
    auto failed = record(RecordType::AttemptFailed);
    failed.step = index;
    failed.attempt = step.attempt;
    failed.failure = failure;
    failed.has_failure = true;
    if (!step.config.has_delay_function) {
      failed.due = now_ + delay_before_retry(step.config.delay, step.config.backoff, step.attempt);
    }
    journal(std::move(failed));
  }
  if (!step.config.has_delay_function || !run_ || step.call_epoch != run_->epoch) return;
  set_attempt_due(index, now_ + settings_.delay_function_ms);
  act(gate_, ComputeDelay{run_->epoch, step.call, step.name, step.count, step.attempt, step.config,
                          std::move(failure)});
}

void Machine::on(const DelayComputed& computed) {
  std::uint32_t index = 0;
  auto* const step = step_of(computed.epoch, computed.call, &index);
  if (step == nullptr || step->phase != Phase::NeedsDelay || step->attempt != computed.attempt || rollback_) return;
  const auto prefix = "The delay function for step \"" + label_of(*step) + "\" ";
  if (!computed.problem.empty()) {
    return fail_step(index, {"NonRetryableDelayError", prefix + shown(computed.problem), {}});
  }
  const auto delay = computed.delay.form == RawDuration::Form::Text ? parse_duration(computed.delay.text)
                                                                     : duration_of(computed.delay.number);
  if (!delay) {
    return fail_step(index, {"NonRetryableDelayError",
                             prefix + "returned an invalid duration: " + delay.error().message(), {}});
  }
  auto scheduled = record(RecordType::RetryScheduled);
  scheduled.step = index;
  scheduled.due = now_ + delay_before_retry(*delay, step->config.backoff, step->attempt);
  journal(std::move(scheduled));
}

void Machine::fail_step(std::uint32_t index, Failure failure) {
  auto failed = record(RecordType::StepFailed);
  failed.step = index;
  failed.attempt = steps_[index].attempt;
  failed.failure = std::move(failure);
  failed.has_failure = true;
  journal(std::move(failed));
  resolve(index);
}

bool Machine::fire_step_timer(std::uint32_t index) {
  auto& step = steps_[index];
  switch (step.phase) {
    case Phase::Attempting:
      clear_attempt_due(index);
      fail_attempt(index, {"WorkflowTimeoutError",
                           "Execution timed out after " + std::to_string(step.config.timeout.ms) + "ms",
                           {}});
      break;
    case Phase::NeedsDelay:
      clear_attempt_due(index);
      fail_step(index, {"NonRetryableDelayError",
                        "The delay function for step \"" + label_of(step) + "\" timed out after " +
                            std::to_string(settings_.delay_function_ms) + "ms",
                        {}});
      break;
    case Phase::Retrying:
      clear_due(index);
      step.phase = Phase::Due;
      if (!run_ || step.call_epoch != run_->epoch) {
        wake();
      } else if (status_ == Status::Running) {
        start_attempt(index);
      } else {
        run_->ready.push_back(index);
        wake();
      }
      break;
    case Phase::Sleeping: {
      auto ended = record(RecordType::SleepEnded);
      ended.step = index;
      journal(std::move(ended));
      resolve(index);
      break;
    }
    case Phase::Waiting: {
      auto out = record(RecordType::WaitTimedOut);
      out.step = index;
      out.failure = {"WorkflowTimeoutError",
                     "Execution timed out after " + std::to_string(step.due - step.due_since) + "ms",
                     {}};
      out.has_failure = true;
      journal(std::move(out));
      resolve(index);
      break;
    }
    default:
      clear_due(index);
      clear_attempt_due(index);
      break;
  }
  return !is_final(status_);
}

// Gives the oldest stored event of its type to an open wait.
void Machine::deliver_events(std::uint32_t index) {
  const auto pending = events_.find(steps_[index].text);
  if (pending == events_.end()) return;
  auto ended = record(RecordType::WaitEnded);
  ended.step = index;
  ended.number = pending->second.front().id;
  journal(std::move(ended));
  resolve(index);
}

// A step is finished: tells the run, if it has asked and may hear it now.
void Machine::resolve(std::uint32_t index) {
  const auto& step = steps_[index];
  if (!run_ || step.call_epoch != run_->epoch) return;
  if (status_ != Status::Running) {
    run_->ready.push_back(index);
  } else if (run_->is_strict) {
    run_->barred.emplace(step.record, index);
    release_barred();
  } else {
    answer(index);
  }
}

// In a strict replay an answer waits for all the steps that were asked for before it was first given: so the code sees
// the same order of things as the first time, and asks in the same order.
bool Machine::is_barred(std::uint32_t index) const {
  if (!run_->is_strict || run_->first_unasked >= steps_.size()) return false;
  return steps_[run_->first_unasked].first_record < steps_[index].record;
}

void Machine::release_barred() {
  while (run_ && !run_->barred.empty() && !is_barred(run_->barred.begin()->second)) {
    const auto index = run_->barred.begin()->second;
    run_->barred.erase(run_->barred.begin());
    answer(index);
  }
  if (rollback_ || !run_) return;
  stall_at_ = run_->barred.empty() ? kNever : now_ + settings_.replay_stall_ms;
}

// A run that has nothing left to replay asks for new steps alone. It may begin them at once and tell the outcome with the
// question. Not after a loss: what has brought a run down must be counted as an attempt.
bool Machine::may_go_ahead() const {
  return status_ == Status::Running && !rollback_ && losses_ == 0 && run_->first_unasked >= steps_.size() &&
         counted_steps_ + kStepsAheadMin <= settings_.steps_max;
}

void Machine::answer(std::uint32_t index) {
  const auto& step = steps_[index];
  AnswerStep told;
  told.epoch = run_->epoch;
  told.call = step.call;
  if (step.phase == Phase::Failed) {
    told.how = AnswerStep::How::Throw;
    told.failure = step.failure;
  } else if (step.kind == StepKind::Sleep) {
    told.how = AnswerStep::How::Nothing;
  } else {
    told.how = step.kind == StepKind::Do ? AnswerStep::How::Value : AnswerStep::How::Event;
    told.is_own = step.kind == StepKind::Do && step.returned_epoch == run_->epoch;
    if (told.is_own) {
      told.value.size = step.value.size;
    } else {
      told.value = step.value;
    }
    told.event_type = step.kind == StepKind::Wait ? step.text : std::string();
    told.event_at = step.event_at;
  }
  told.may_go_ahead = may_go_ahead();
  ++run_->answers;
  act(step.record, std::move(told));
}

std::string Machine::unasked_step() const {
  for (const auto& step : steps_) {
    if (step.first_record < run_->first_record && step.call_epoch != run_->epoch) return label_of(step);
  }
  return {};
}

void Machine::diverge(const std::string& what) {
  const auto unasked = unasked_step();
  finish(Status::Errored,
         {"WorkflowNonDeterminismError",
          "ERR_NONDETERMINISM: " + what +
              (unasked.empty() ? std::string(" differs from the recorded one")
                               : " where the recorded run asked for step \"" + unasked + "\"") +
              ". Code outside of steps must do the same at each replay",
          {}});
}

}  // namespace insula::durable
