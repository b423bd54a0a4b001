// SPDX-License-Identifier: Apache-2.0
//
// Machine, the fold: the only code that changes what is durable about an instance.
#include <algorithm>

#include "src/durable/machine.h"

namespace insula::durable {
namespace {

// Bytes that a step costs in memory beside its texts: the Step, its key, its places in the tables.
constexpr std::size_t kStepOverheadBytes = 900;

}  // namespace

std::string Machine::key_of(StepKind kind, std::string_view name, std::string_view text) {
  // Names hold no control characters, so these separators cannot be forged.
  std::string key;
  key.reserve(name.size() + text.size() + 16);
  key.push_back(static_cast<char>('0' + static_cast<int>(kind)));
  key.append(name);
  if (kind == StepKind::Sleep) {
    key.push_back('\x01');
    key.append(text);
  }
  return key;
}

std::string Machine::key_of(std::string_view base, std::uint32_t count) {
  std::string key(base);
  key.push_back('\x02');
  key.append(std::to_string(count));
  return key;
}

std::string Machine::label_of(const Step& step) const { return step.name + "-" + std::to_string(step.count); }

Result<> Machine::apply(const Record& record) {
  if (!fits(record)) {
    return Error(ErrorCode::Corrupt, "workflow history: record " + std::to_string(records_ + 1) + " of type " +
                                         std::to_string(static_cast<int>(record.type)) + " cannot follow the others");
  }
  fold(record);
  return {};
}

bool Machine::fits(const Record& record) const noexcept {
  const bool begins = record.type == RecordType::Created || record.type == RecordType::Restarted;
  if (records_ == 0) return begins;
  if (record.type == RecordType::Created) return false;
  if (is_final(status_)) return begins || record.type == RecordType::RestartedFrom;
  const auto has_step = [&](StepKind kind) {
    return record.step < steps_.size() && steps_[record.step].kind == kind && steps_[record.step].phase != Phase::Done &&
           steps_[record.step].phase != Phase::Failed;
  };
  switch (record.type) {
    case RecordType::AttemptStarted:
    case RecordType::AttemptFailed:
    case RecordType::RetryScheduled:
    case RecordType::StepCompleted:
    case RecordType::StepFailed:
      return has_step(StepKind::Do);
    case RecordType::SleepEnded:
      return has_step(StepKind::Sleep);
    case RecordType::WaitTimedOut:
      return has_step(StepKind::Wait);
    case RecordType::WaitEnded: {
      if (!has_step(StepKind::Wait)) return false;
      const auto pending = events_.find(steps_[record.step].text);
      return pending != events_.end() && !pending->second.empty() && pending->second.front().id == record.number;
    }
    case RecordType::StepStarted:
      return record.count > 0 && record.count <= kRetriesUnlimited;
    case RecordType::RollbackStarted:
      return !rollback_ && record.number < kStatusCount && is_final(static_cast<Status>(record.number));
    case RecordType::RollbackAttemptStarted:
    case RecordType::RollbackAttemptFailed:
    case RecordType::RollbackStepCompleted:
    case RecordType::RollbackStepFailed:
      return rollback_ && record.step < steps_.size();
    case RecordType::Finished:
      return record.number < kStatusCount && is_final(static_cast<Status>(record.number));
    case RecordType::RestartedFrom:
      return record.step < steps_.size();
    default:
      return true;
  }
}

void Machine::journal(Record record) {
  fold(record);
  reaction_->records.push_back(std::move(record));
}

Record Machine::record(RecordType type) const {
  Record made;
  made.type = type;
  made.at = now_;
  return made;
}

void Machine::count_value(const Value& value) {
  storage_bytes_ += value.size;
  if (value.is_stored()) next_value_ = std::max(next_value_, value.number + rows_of(value));
  memory_bytes_ += value.bytes.size();
}

void Machine::set_due(std::uint32_t index, TimeMs due, TimeMs since) {
  clear_due(index);
  steps_[index].due = due;
  steps_[index].due_since = since;
  timers_.emplace(due, index);
}

void Machine::clear_due(std::uint32_t index) {
  if (steps_[index].due != 0) timers_.erase({steps_[index].due, index});
  steps_[index].due = 0;
}

void Machine::set_attempt_due(std::uint32_t index, TimeMs due) {
  clear_attempt_due(index);
  steps_[index].attempt_due = due;
  attempt_timers_.emplace(due, index);
}

void Machine::clear_attempt_due(std::uint32_t index) {
  if (steps_[index].attempt_due != 0) attempt_timers_.erase({steps_[index].attempt_due, index});
  steps_[index].attempt_due = 0;
}

void Machine::become_final(Status status) {
  status_ = status;
  timers_.clear();
  attempt_timers_.clear();
  events_.clear();
  rollback_.reset();
  linger_until_ = stall_at_ = kNever;
  not_before_ = 0;
}

// Deadlines move by the time that the instance was paused; those set during the pause, by the rest of it.
void Machine::resume_timers(TimeMs at) {
  Timers shifted;
  for (const auto& [due, index] : timers_) {
    auto& step = steps_[index];
    step.due = due + std::max<TimeMs>(0, at - std::max(pause_from_, step.due_since));
    shifted.emplace(step.due, index);
  }
  timers_ = std::move(shifted);
  pause_from_ = 0;
}

void Machine::truncate_steps(std::size_t from) {
  std::vector<Step> kept;
  for (std::size_t i = 0; i < from; ++i) {
    auto& step = steps_[i];
    if (step.phase != Phase::Done && step.phase != Phase::Failed) continue;
    step.is_rolled_back = false;
    step.call_epoch = 0;
    kept.push_back(std::move(step));
  }
  steps_ = std::move(kept);
  index_.clear();
  counted_steps_ = 0;
  for (std::uint32_t i = 0; i < steps_.size(); ++i) {
    const auto& step = steps_[i];
    index_.emplace(key_of(key_of(step.kind, step.name, step.text), step.count), i);
    if (step.kind != StepKind::Sleep) ++counted_steps_;
  }
  timers_.clear();
  attempt_timers_.clear();
}

void Machine::fold(const Record& record) {
  ++records_;
  storage_bytes_ += 32 + record.name.size() + record.text.size() + record.failure.thrown.size();
  if (record.has_value) count_value(record.value);
  if (fold_status(record) || fold_rollback(record)) return;
  fold_step(record);
}

// Records about the instance as a whole.
bool Machine::fold_status(const Record& record) {
  switch (record.type) {
    case RecordType::Created:
      params_ = record.value;
      created_at_ = record.at;
      status_ = Status::Queued;
      gate_ = records_;
      return true;
    case RecordType::RunStarted:
      epoch_ = record.epoch;
      if (!steps_.empty() && record.text != code_version_) is_mixed_ = true;
      code_version_ = record.text;
      status_ = Status::Running;
      return true;
    case RecordType::RunContinued:
      status_ = Status::Running;
      return true;
    case RecordType::RunLost:
      if (status_ == Status::Running) status_ = Status::Queued;
      if (record.number != 0) ++losses_;
      return true;
    case RecordType::Waiting:
      status_ = Status::Waiting;
      return true;
    case RecordType::PauseRequested:
      status_ = Status::WaitingForPause;
      pause_from_ = record.at;
      return true;
    case RecordType::Paused:
      if (status_ != Status::WaitingForPause) pause_from_ = record.at;
      status_ = Status::Paused;
      return true;
    case RecordType::Resumed:
      status_ = status_ == Status::WaitingForPause ? Status::Running : Status::Queued;
      resume_timers(record.at);
      return true;
    case RecordType::EventStored:
      events_[record.text].push_back(PendingEvent{record.number, record.at, record.value});
      next_event_ = std::max(next_event_, record.number + 1);
      memory_bytes_ += record.text.size() + sizeof(PendingEvent);
      return true;
    case RecordType::Completed:
      output_ = record.value;
      become_final(Status::Complete);
      return true;
    case RecordType::Finished:
      if (record.has_failure) failure_ = record.failure;
      become_final(static_cast<Status>(record.number));
      return true;
    case RecordType::Restarted: {
      const auto values = next_value_;
      become_final(Status::Queued);
      steps_.clear();
      index_.clear();
      output_ = {};
      failure_.reset();
      losses_ = counted_steps_ = 0;
      is_mixed_ = false;
      records_ = record.number + 1;
      epoch_ = record.epoch;
      created_at_ = record.due;
      params_ = record.value;
      storage_bytes_ = record.value.size;
      memory_bytes_ = record.value.bytes.size();
      next_value_ = std::max(values, record.count);
      gate_ = records_;
      return true;
    }
    case RecordType::RestartedFrom:
      become_final(Status::Queued);
      truncate_steps(record.step);
      is_mixed_ = true;
      output_ = {};
      failure_.reset();
      losses_ = 0;
      gate_ = records_;
      return true;
    default:
      return false;
  }
}

bool Machine::fold_rollback(const Record& record) {
  switch (record.type) {
    case RecordType::RollbackStarted:
      rollback_.emplace();
      rollback_->failure = record.failure;
      rollback_->final_status = static_cast<Status>(record.number);
      rollback_->scan_end = steps_.size();
      status_ = holds_slot() ? Status::Running : Status::Queued;
      timers_.clear();
      attempt_timers_.clear();
      for (auto& step : steps_) step.due = step.attempt_due = 0;
      return true;
    case RecordType::RollbackAttemptStarted:
      rollback_->step = record.step;
      rollback_->attempt = record.attempt;
      rollback_->is_invoked = true;
      return true;
    case RecordType::RollbackAttemptFailed:
      rollback_->is_invoked = false;
      rollback_->due = record.due;
      return true;
    case RecordType::RollbackStepCompleted:
      steps_[record.step].is_rolled_back = true;
      rollback_->scan_end = record.step;
      rollback_->is_invoked = false;
      rollback_->attempt = 0;
      rollback_->due = kNever;
      return true;
    case RecordType::RollbackStepFailed:
      rollback_->is_invoked = false;
      rollback_->due = kNever;
      return true;
    default:
      return false;
  }
}

void Machine::fold_step(const Record& record) {
  if (record.type == RecordType::StepStarted) return fold_step_started(record);
  auto& step = steps_[record.step];
  const auto close = [&](Phase phase) {
    clear_due(record.step);
    clear_attempt_due(record.step);
    step.phase = phase;
    step.record = records_;
    losses_ = 0;
    memory_bytes_ += record.value.bytes.size() + record.failure.message.size() + record.failure.thrown.size();
    // What the instance slept or waited for has come.
    if (status_ == Status::Waiting) {
      status_ = Status::Queued;
      linger_until_ = kNever;
    }
  };
  switch (record.type) {
    case RecordType::AttemptStarted:
      clear_due(record.step);
      step.phase = Phase::Attempting;
      step.attempt = record.attempt;
      set_attempt_due(record.step, record.at + step.config.timeout.ms);
      break;
    case RecordType::AttemptFailed:
      clear_attempt_due(record.step);
      step.failure = record.failure;
      step.phase = record.due != 0 ? Phase::Retrying : Phase::NeedsDelay;
      if (record.due != 0) set_due(record.step, record.due, record.at);
      break;
    case RecordType::RetryScheduled:
      clear_attempt_due(record.step);
      step.phase = Phase::Retrying;
      set_due(record.step, record.due, record.at);
      break;
    case RecordType::StepCompleted:
      close(Phase::Done);
      step.value = record.value;
      step.failure = {};
      break;
    case RecordType::StepFailed:
    case RecordType::WaitTimedOut:
      close(Phase::Failed);
      step.failure = record.failure;
      break;
    case RecordType::SleepEnded:
      close(Phase::Done);
      break;
    case RecordType::WaitEnded: {
      close(Phase::Done);
      auto pending = events_.find(step.text);
      step.value = std::move(pending->second.front().value);
      step.event_at = pending->second.front().at;
      pending->second.pop_front();
      if (pending->second.empty()) events_.erase(pending);
      break;
    }
    default:
      break;
  }
}

void Machine::fold_step_started(const Record& record) {
  const auto index = static_cast<std::uint32_t>(steps_.size());
  auto& step = steps_.emplace_back();
  step.kind = record.kind;
  step.name = record.name;
  step.text = record.text;
  step.count = static_cast<std::uint32_t>(record.count);
  step.has_rollback = record.flag;
  step.record = step.first_record = records_;
  if (record.has_config) step.config = record.config;
  if (record.has_rollback_config) step.rollback_config = record.rollback_config;
  index_.emplace(key_of(key_of(step.kind, step.name, step.text), step.count), index);
  if (step.kind != StepKind::Sleep) ++counted_steps_;
  memory_bytes_ += kStepOverheadBytes + 2 * step.name.size() + step.text.size();
  losses_ = 0;
  if (step.kind == StepKind::Do) {
    step.phase = Phase::Attempting;
    step.attempt = 1;
    set_attempt_due(index, record.at + step.config.timeout.ms);
  } else {
    step.phase = step.kind == StepKind::Sleep ? Phase::Sleeping : Phase::Waiting;
    set_due(index, record.due, record.at);
  }
}

}  // namespace insula::durable
