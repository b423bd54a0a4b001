// SPDX-License-Identifier: Apache-2.0
//
// Machine: the saga. Handlers of the steps that were started, last first, one at a time; the first that fails for good
// ends the chain (spec/workflows.md, section 7).
#include <algorithm>
#include <cmath>

#include "src/durable/machine.h"

namespace insula::durable {

void Machine::advance_rollback() {
  if (status_ != Status::Running || rollback_->is_invoked || rollback_->due != kNever) return;
  auto end = std::min(rollback_->scan_end, steps_.size());
  while (end > 0 && !(steps_[end - 1].has_rollback && !steps_[end - 1].is_rolled_back)) --end;
  rollback_->scan_end = end;
  if (end == 0) return finish(rollback_->final_status, rollback_->failure);
  if (!run_) return;
  const auto index = static_cast<std::uint32_t>(end - 1);
  rollback_->step = index;
  if (steps_[index].call_epoch == run_->epoch) return begin_rollback_attempt();
  if (!run_->is_quiet) return;  // the replay may still come to it
  auto failed = record(RecordType::RollbackStepFailed);
  failed.step = index;
  failed.failure = {"WorkflowInternalError", "Rollback function not available in registry", {}};
  failed.has_failure = true;
  journal(std::move(failed));
  finish(rollback_->final_status, rollback_->failure);
}

void Machine::begin_rollback_attempt() {
  stall_at_ = kNever;
  auto started = record(RecordType::RollbackAttemptStarted);
  started.step = rollback_->step;
  started.attempt = rollback_->attempt + 1;
  journal(std::move(started));
  rollback_->has_begun = true;
  const auto& step = steps_[rollback_->step];
  rollback_->due = now_ + step.rollback_config.timeout.ms;
  act(records_, InvokeRollback{run_->epoch, step.call, step.name, step.count, rollback_->attempt, step.rollback_config,
                               rollback_->failure, step.phase == Phase::Done, step.value});
}

void Machine::on(const RollbackEnded& ended) {
  if (!rollback_ || !rollback_->is_invoked || !is_current(ended.epoch)) return;
  const auto& step = steps_[rollback_->step];
  if (step.call_epoch != run_->epoch || step.call != ended.call || rollback_->attempt != ended.attempt) return;
  if (!ended.succeeded) return fail_rollback_attempt(ended.failure);
  auto completed = record(RecordType::RollbackStepCompleted);
  completed.step = rollback_->step;
  journal(std::move(completed));
}

void Machine::fail_rollback_attempt(Failure failure) {
  if (failure.message.size() > kFailureMessageBytesMax) failure.message.resize(kFailureMessageBytesMax);
  failure.thrown.clear();
  const auto& config = steps_[rollback_->step].rollback_config;
  const bool is_exhausted = config.retries != kRetriesUnlimited && rollback_->attempt > config.retries;
  if (is_exhausted || failure.name == "NonRetryableError" || failure.message.starts_with("NonRetryableError")) {
    auto failed = record(RecordType::RollbackStepFailed);
    failed.step = rollback_->step;
    failed.failure = std::move(failure);
    failed.has_failure = true;
    journal(std::move(failed));
    return finish(rollback_->final_status, rollback_->failure);
  }
  const auto attempts = static_cast<double>(rollback_->attempt);
  double ms = static_cast<double>(config.delay.ms);
  if (config.backoff == Backoff::Linear) ms *= attempts;
  if (config.backoff == Backoff::Exponential) ms *= std::exp2(attempts - 1);
  auto failed = record(RecordType::RollbackAttemptFailed);
  failed.step = rollback_->step;
  failed.attempt = rollback_->attempt;
  failed.failure = std::move(failure);
  failed.has_failure = true;
  failed.due = now_ + static_cast<TimeMs>(std::min(ms, static_cast<double>(kSleepMsMax)));
  journal(std::move(failed));
}

}  // namespace insula::durable
