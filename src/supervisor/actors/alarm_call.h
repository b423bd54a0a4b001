// SPDX-License-Identifier: Apache-2.0
//
// AlarmCall: the event "alarm" on its way to an actor, or "facetAlarm" on its way to the parent of one that does not run and
// has an alarm or a WebSocket's message to hear.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/supervisor/actors/alarms.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::actors {

class AlarmCall final : public fleet::RoutedCall {
 public:
  AlarmCall(std::string_view name, std::string detail, std::function<void(AlarmOutcome)> done, const Clock& clock)
      : name_(name),
        detail_(std::move(detail)),
        done_(std::move(done)),
        clock_(clock),
        started_(clock.now()) {}

  static std::string detail_of(const Ring& ring) {
    return fmt::format(R"({{"scheduledTime":{},"retryCount":{},"isRetry":{},"isLast":{},"now":{}}})", ring.scheduled,
                       ring.attempt, ring.attempt > 0, ring.attempt >= kAlarmRetriesMax, ring.now);
  }

  // Ends it when it has taken too long.
  void expire() {
    if (is_over() || clock_.now() - started_ < kAlarmWallMax) return;
    abandon();
    finish(AlarmOutcome::Failed);
  }

 private:
  protocol::Invoke* invoke() override {
    frame_ = {};
    frame_.call = protocol::EventCall{name_, detail_, {}};
    return &frame_;
  }
  bool may_replay() const override { return false; }
  void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr, fleet::Carried) override {
    const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome);
    finish(error == nullptr ? AlarmOutcome::Done : outcome_of(*error));
  }
  void on_refused(const protocol::ErrorInfo& error) override { finish(outcome_of(error)); }

  static AlarmOutcome outcome_of(const protocol::ErrorInfo& error) {
    const Fault fault = fault_from_code(error.fault).value_or(Fault::None);
    switch (fault) {
      case Fault::RunnerLost:
      case Fault::IsolateLost:
      case Fault::Overloaded:
      case Fault::Cancelled:
      case Fault::StorageFailed:
      case Fault::Internal: return AlarmOutcome::Undone;
      default: return AlarmOutcome::Failed;
    }
  }
  void finish(AlarmOutcome outcome) {
    if (const auto done = std::exchange(done_, nullptr)) done(outcome);
  }

  const std::string_view name_;  // a literal
  const std::string detail_;
  std::function<void(AlarmOutcome)> done_;
  const Clock& clock_;
  const Monotonic started_;
  protocol::Invoke frame_;
};

}  // namespace insula::actors
