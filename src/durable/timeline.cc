// SPDX-License-Identifier: Apache-2.0
//
// Timeline: which events each record stands for.
#include "src/durable/timeline.h"

#include <utility>

namespace insula::durable {
namespace {

constexpr std::uint64_t kEventsPerRecordMax = 4;

}  // namespace

std::vector<StreamEvent> Timeline::next(const Record& record) {
  ++number_;
  if (record.type == RecordType::Restarted) number_ = record.number + 1;
  std::vector<StreamEvent> events;
  const auto add = [&](std::string_view type) -> StreamEvent& {
    auto& event = events.emplace_back();
    event.id = number_ * kEventsPerRecordMax + events.size() - 1;
    event.at = record.at;
    event.type = type;
    return event;
  };
  const auto add_step = [&](std::string_view type) -> StreamEvent& {
    auto& event = add(type);
    if (record.step < steps_.size()) event.step_name = steps_[record.step].label;
    event.attempt = record.attempt;
    event.has_failure = record.has_failure;
    event.failure = record.failure;
    return event;
  };
  const auto close = [&] {
    if (record.step < steps_.size()) steps_[record.step].is_open = false;
  };
  switch (record.type) {
    case RecordType::Restarted:
      steps_.clear();
      has_started_ = false;
      [[fallthrough]];
    case RecordType::Created:
      params_ = record.value;
      add("workflow_queued");
      break;
    case RecordType::RunStarted:
      if (!std::exchange(has_started_, true)) {
        auto& event = add("workflow_started");
        event.has_value = true;
        event.value = params_;
      }
      add("workflow_running");
      break;
    case RecordType::RunContinued:
      add("workflow_running");
      break;
    case RecordType::RunLost:
    case RecordType::Resumed:
      add("workflow_queued");
      break;
    case RecordType::Waiting:
      add("workflow_waiting");
      break;
    case RecordType::PauseRequested:
      add("workflow_waiting_for_pause");
      break;
    case RecordType::Paused:
      add("workflow_paused");
      break;
    case RecordType::StepStarted: {
      auto& step = steps_.emplace_back();
      step.label = record.name + "-" + std::to_string(record.count);
      step.kind = record.kind;
      step.is_sensitive = record.config.is_sensitive;
      if (record.kind == StepKind::Do) {
        auto& event = add("step_started");
        event.step_name = step.label;
        event.has_config = true;
        event.config = record.config;
        auto& attempt = add("attempt_started");
        attempt.step_name = step.label;
        attempt.attempt = 1;
      } else if (record.kind == StepKind::Sleep) {
        auto& event = add("sleep_started");
        event.step_name = step.label;
        event.duration_ms = record.due - record.at;
      } else {
        auto& event = add("wait_started");
        event.step_name = step.label;
        event.event_type = record.text;
      }
      break;
    }
    case RecordType::AttemptStarted:
      add_step("attempt_started");
      break;
    case RecordType::AttemptFailed:
      add_step("attempt_errored").duration_ms = record.due != 0 ? record.due - record.at : 0;
      break;
    case RecordType::RetryScheduled:
    case RecordType::EventStored:
      break;
    case RecordType::StepCompleted: {
      add_step("attempt_completed");
      auto& event = add_step("step_completed");
      event.has_value = true;
      event.is_redacted = record.step < steps_.size() && steps_[record.step].is_sensitive;
      if (!event.is_redacted) event.value = record.value;
      close();
      break;
    }
    case RecordType::StepFailed:
      add_step("attempt_errored");
      add_step("step_errored");
      close();
      break;
    case RecordType::SleepEnded:
      add_step("sleep_completed");
      close();
      break;
    case RecordType::WaitEnded:
      add_step("wait_completed");
      close();
      break;
    case RecordType::WaitTimedOut:
      add_step("wait_timed_out");
      close();
      break;
    case RecordType::Completed: {
      auto& event = add("workflow_completed");
      event.has_value = true;
      event.value = record.value;
      break;
    }
    case RecordType::RollbackStarted:
      is_rolling_back_ = true;
      add("rollback_started");
      break;
    case RecordType::RollbackAttemptStarted:
      if (record.attempt == 1) add_step("rollback_step_started");
      add_step("rollback_attempt_started");
      break;
    case RecordType::RollbackAttemptFailed:
      add_step("rollback_attempt_errored").duration_ms = record.due - record.at;
      break;
    case RecordType::RollbackStepCompleted:
      add_step("rollback_attempt_completed");
      add_step("rollback_step_completed");
      break;
    case RecordType::RollbackStepFailed:
      add_step("rollback_step_errored");
      add_step("rollback_errored");
      is_rolling_back_ = false;
      break;
    case RecordType::Finished: {
      if (std::exchange(is_rolling_back_, false)) add("rollback_completed");
      auto& event = add(record.number == static_cast<std::uint64_t>(Status::Terminated) ? "workflow_terminated"
                                                                                          : "workflow_errored");
      event.has_failure = record.has_failure;
      event.failure = record.failure;
      break;
    }
    case RecordType::RestartedFrom: {
      // The same steps stay that the machine keeps: finished, and started before.
      std::vector<Step> kept;
      for (std::size_t i = 0; i < steps_.size() && i < record.step; ++i) {
        if (!steps_[i].is_open) kept.push_back(std::move(steps_[i]));
      }
      steps_ = std::move(kept);
      add("workflow_queued");
      break;
    }
  }
  return events;
}

}  // namespace insula::durable
