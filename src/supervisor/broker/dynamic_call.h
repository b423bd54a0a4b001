// SPDX-License-Identifier: Apache-2.0
//
// DynamicCall: a call on a Worker of a loader. It knows where that Worker's code can be asked for, and counts against
// the distinct Workers of its invocation until it is over.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "src/supervisor/broker/call_budget.h"
#include "src/supervisor/fleet/forwarded_call.h"

namespace insula::broker {

// Where the code of a dynamic Worker can be asked for: the runner that made the call, and a number of its own.
struct CodeSource {
  std::weak_ptr<fleet::Session> session;
  protocol::CapabilityId loader = 0;
  std::uint32_t source = 0;
};

class DynamicCall final : public fleet::ForwardedCall {
 public:
  DynamicCall(fleet::Answer answer, CodeSource source)
      : ForwardedCall(std::move(answer)), source_(std::move(source)) {}
  ~DynamicCall() override { release(); }

  const CodeSource& source() const noexcept { return source_; }
  // The invocation's budget has been asked for `worker` already.
  void hold(protocol::QuestionId invocation, const DynamicWorker* worker) {
    invocation_ = invocation;
    worker_ = worker;
  }

 private:
  void on_over() override { release(); }
  void release() {
    const DynamicWorker* const worker = std::exchange(worker_, nullptr);
    if (worker == nullptr) return;
    const auto session = source_.session.lock();
    if (session == nullptr) return;
    if (CallBudget* const budget = CallBudget::of(*session, invocation_)) budget->remove(worker);
  }

  const CodeSource source_;
  protocol::QuestionId invocation_ = 0;
  const DynamicWorker* worker_ = nullptr;
};

}  // namespace insula::broker
