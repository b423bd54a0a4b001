// SPDX-License-Identifier: Apache-2.0
//
// Machine: what callers ask of an instance from outside of its run (spec/workflows.md, section 6).
#include <algorithm>

#include "src/durable/machine.h"

namespace insula::durable {
namespace {

constexpr std::size_t kPendingEventsMax = 10'000;

}  // namespace

void Machine::refuse(std::string name, std::string message) {
  reaction_->refusal = Failure{std::move(name), std::move(message), {}};
}

void Machine::on(const EventSent& sent) {
  if (is_final(status_)) {
    return refuse("WorkflowError",
                  "(instance.cannot_send_event) Cannot send an event to an instance that is on a finite state");
  }
  if (!is_event_type(sent.type)) {
    return refuse("WorkflowError", "Event type must be 1 to 100 letters, digits, \"-\" or \"_\"");
  }
  if (sent.payload.size() > settings_.value_bytes_max) {
    return refuse("WorkflowError", "Event payload is too large. Maximum allowed size is 1MiB.");
  }
  std::size_t pending = 0;
  for (const auto& [type, queue] : events_) pending += queue.size();
  if (pending >= kPendingEventsMax || storage_bytes_ + sent.payload.size() > settings_.storage_bytes_max) {
    return refuse("WorkflowError", "The instance holds too many events that nobody has waited for");
  }
  auto stored = record(RecordType::EventStored);
  stored.number = next_event_;
  stored.text = sent.type;
  stored.value = keep(Value::inline_of(sent.payload));
  stored.has_value = true;
  journal(std::move(stored));

  if (status_ == Status::Paused || status_ == Status::WaitingForPause) return;
  // The oldest waiter of that type.
  std::uint32_t oldest = static_cast<std::uint32_t>(steps_.size());
  for (const auto& [due, index] : timers_) {
    if (steps_[index].phase == Phase::Waiting && steps_[index].text == sent.type) oldest = std::min(oldest, index);
  }
  if (oldest < steps_.size()) deliver_events(oldest);
}

void Machine::on(const PauseAsked&) {
  if ((status_ != Status::Running && status_ != Status::Waiting) || rollback_) return;
  if (has_attempt_in_flight()) {
    journal(record(RecordType::PauseRequested));
    return;
  }
  journal(record(RecordType::Paused));
  release_run();
}

void Machine::settle_pause() {
  if (has_attempt_in_flight()) return;
  journal(record(RecordType::Paused));
  release_run();
}

bool Machine::has_attempt_in_flight() const {
  return std::any_of(attempt_timers_.begin(), attempt_timers_.end(),
                     [&](const auto& timer) { return steps_[timer.second].phase == Phase::Attempting; });
}

void Machine::on(const ResumeAsked&) {
  if (status_ != Status::Paused && status_ != Status::WaitingForPause) return;
  journal(record(RecordType::Resumed));
  std::vector<std::uint32_t> waiters;
  for (const auto& [due, index] : timers_) {
    if (steps_[index].phase == Phase::Waiting) waiters.push_back(index);
  }
  std::sort(waiters.begin(), waiters.end());
  for (const auto index : waiters) deliver_events(index);
  if (run_) flush();
}

void Machine::on(const TerminateAsked& asked) {
  if (is_final(status_)) {
    return refuse("WorkflowError",
                  "(instance.cannot_terminate) Cannot terminate instance since its on a finite state");
  }
  const bool has_handlers =
      std::any_of(steps_.begin(), steps_.end(), [](const Step& step) { return step.has_rollback; });
  if (!asked.rollback || !has_handlers || rollback_) return finish(Status::Terminated, {});
  auto started = record(RecordType::RollbackStarted);
  started.failure = {"Terminated", "Instance terminated during rollback", {}};
  started.has_failure = true;
  started.number = static_cast<std::uint64_t>(Status::Terminated);
  journal(std::move(started));
  linger_until_ = kNever;
  not_before_ = 0;
  if (run_) {
    run_->is_strict = false;
    run_->barred.clear();
    run_->ready.clear();
    run_->held.clear();
    stall_at_ = now_ + settings_.replay_stall_ms;
  }
}

void Machine::on(const RestartAsked& asked) {
  if (asked.from) {
    std::uint32_t seen = 0;
    std::size_t found = steps_.size();
    for (std::size_t i = 0; i < steps_.size() && found == steps_.size(); ++i) {
      if (steps_[i].kind == asked.from->kind && steps_[i].name == asked.from->name && ++seen == asked.from->count) {
        found = i;
      }
    }
    if (found == steps_.size()) {
      return refuse("WorkflowError", "(instance.cannot_restart) Step \"" + asked.from->name +
                                         "\" not found in execution history");
    }
    release_run();
    auto restarted = record(RecordType::RestartedFrom);
    restarted.step = static_cast<std::uint32_t>(found);
    journal(std::move(restarted));
    return;
  }
  release_run();
  // Params, the only stored value that stays, has the first number if any.
  reaction_->wipes_history = true;
  reaction_->void_values_from = params_.is_stored() ? params_.number + 1 : 1;
  reaction_->void_values_to = next_value_;
  auto restarted = record(RecordType::Restarted);
  restarted.number = records_;
  restarted.epoch = epoch_;
  restarted.count = next_value_;
  restarted.due = created_at_;
  restarted.value = params_;
  restarted.has_value = true;
  journal(std::move(restarted));
}

void Machine::on(const DeleteAsked&) { release_run(); }

}  // namespace insula::durable
