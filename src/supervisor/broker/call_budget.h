// SPDX-License-Identifier: Apache-2.0
//
// CallBudget: what one invocation has under way through the broker: distinct dynamic Workers, outgoing connections.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "src/base/limits.h"
#include "src/supervisor/fleet/calls.h"
#include "src/supervisor/fleet/session.h"

namespace insula::broker {

class DynamicWorker;
class EgressCall;

inline constexpr std::size_t kDynamicWorkersPerInvocationMax = 64;

class CallBudget final : public fleet::InvocationState {
 public:
  // The budget of an invocation (0: of calls outside of one), made when it is first needed; null when it has ended.
  static CallBudget* of(fleet::Session& session, protocol::QuestionId invocation) {
    std::unique_ptr<fleet::InvocationState>* const state = session.invocation_state(invocation);
    if (state == nullptr) return nullptr;
    if (*state == nullptr) *state = std::make_unique<CallBudget>();
    return static_cast<CallBudget*>(state->get());
  }

  // False when one more distinct Worker would be too many.
  bool add(const DynamicWorker* worker) {
    for (auto& [known, calls] : workers_) {
      if (known == worker) {
        ++calls;
        return true;
      }
    }
    if (workers_.size() >= kDynamicWorkersPerInvocationMax) return false;
    workers_.emplace_back(worker, 1);
    return true;
  }
  void remove(const DynamicWorker* worker) {
    const auto found = std::find_if(workers_.begin(), workers_.end(),
                                    [worker](const auto& entry) { return entry.first == worker; });
    if (found == workers_.end() || --found->second > 0) return;
    *found = workers_.back();
    workers_.pop_back();
  }

  std::size_t connections = 0;                            // outgoing, open
  std::deque<std::shared_ptr<EgressCall>> waiting;  // for a connection

 private:
  std::vector<std::pair<const DynamicWorker*, std::size_t>> workers_;
};

}  // namespace insula::broker
