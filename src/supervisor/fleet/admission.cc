// SPDX-License-Identifier: Apache-2.0
//
// Admission: the counters and the queue.
#include "src/supervisor/fleet/admission.h"

#include <algorithm>
#include <utility>

namespace insula::fleet {

bool Admission::enter(const std::shared_ptr<RoutedCall>& call) {
  if (running_ < running_max_) {
    ++running_;
    call->is_admitted = true;
    return true;
  }
  waiting_.push_back({call, clock_.now()});
  if (waiting_.size() > waiting_max_) refuse_oldest();
  return false;
}

std::shared_ptr<RoutedCall> Admission::leave() {
  --running_;
  if (waiting_.empty() || running_ >= running_max_) return nullptr;
  auto next = std::move(waiting_.front().call);
  waiting_.pop_front();
  ++running_;
  next->is_admitted = true;
  return next;
}

void Admission::withdraw(const RoutedCall& call) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&](const Waiting& waiting) { return waiting.call.get() == &call; });
  if (found != waiting_.end()) waiting_.erase(found);
}

void Admission::refuse_oldest() {
  const auto oldest = std::move(waiting_.front().call);
  waiting_.pop_front();
  oldest->refuse(error_of(Fault::Overloaded));
}

void Admission::expire() {
  const Monotonic now = clock_.now();
  while (!waiting_.empty() && now - waiting_.front().since >= kQueueWaitMax) refuse_oldest();
}

}  // namespace insula::fleet
