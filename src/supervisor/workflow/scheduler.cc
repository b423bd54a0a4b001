// SPDX-License-Identifier: Apache-2.0
//
// Scheduler: two rounds of turns, of workflows and of the keys within each.
#include "src/supervisor/workflow/scheduler.h"

#include "src/base/error.h"

namespace insula::workflow {

void Scheduler::Key::Queue::pop_front() {
  ++head_;
  if (head_ == items_.size()) {
    items_ = {};
    head_ = 0;
  } else if (head_ >= 4'096 && head_ * 2 > items_.size()) {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

Scheduler::Key* Scheduler::key(const std::string& workflow, const std::string& fairness_key) {
  auto [found, is_new] = workflows_.try_emplace(workflow);
  if (is_new) found->second.limits = limits_;
  auto& key = found->second.keys[fairness_key];
  key.workflow = &found->second;
  return &key;
}

void Scheduler::set_limits(const std::string& workflow, SlotLimits limits) {
  auto& entry = workflows_[workflow];
  entry.limits = limits;
  for (auto& [name, key] : entry.keys) update(&key);
  update(entry);
}

void Scheduler::enqueue(Key* key, std::uint64_t ref, bool is_waking) {
  (is_waking ? key->waking : key->fresh).push_back(ref);
  ++queued_;
  ++key->workflow->queued;
  update(key);
}

std::optional<Scheduler::Grant> Scheduler::next() {
  if (turns_.empty()) return std::nullopt;
  auto& workflow = *turns_.front();
  auto* const key = workflow.turns.front();
  auto& queue = key->waking.empty() ? key->fresh : key->waking;
  const Grant grant{queue.front(), key};
  queue.pop_front();
  --queued_;
  --workflow.queued;
  ++granted_;
  ++key->granted;
  ++workflow.granted;
  // To the end of both rounds.
  workflow.turns.splice(workflow.turns.end(), workflow.turns, key->turn);
  turns_.splice(turns_.end(), turns_, workflow.turn);
  update(key);
  return grant;
}

void Scheduler::release(Key* key) {
  INSULA_CHECK(key->granted > 0);
  --granted_;
  --key->granted;
  --key->workflow->granted;
  update(key);
}

void Scheduler::update(Key* key) {
  auto& workflow = *key->workflow;
  const bool may = key->granted < workflow.limits.per_key && !(key->waking.empty() && key->fresh.empty());
  if (may && !key->has_turn) {
    key->turn = workflow.turns.insert(workflow.turns.end(), key);
  } else if (!may && key->has_turn) {
    workflow.turns.erase(key->turn);
  }
  key->has_turn = may;
  update(workflow);
}

void Scheduler::update(Workflow& workflow) {
  const bool may = workflow.granted < workflow.limits.per_workflow && !workflow.turns.empty();
  if (may && !workflow.has_turn) {
    workflow.turn = turns_.insert(turns_.end(), &workflow);
  } else if (!may && workflow.has_turn) {
    turns_.erase(workflow.turn);
  }
  workflow.has_turn = may;
}

}  // namespace insula::workflow
