// SPDX-License-Identifier: Apache-2.0
//
// Worker: promises that nobody handles.
#include <algorithm>

#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

// Rejected promises of one step that are told of.
constexpr std::size_t kRejectionsMax = 1000;

}  // namespace

void WorkerImpl::on_promise_reject(v8::PromiseRejectMessage message) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  auto* owner = static_cast<WorkerImpl*>(isolate->GetData(3));
  if (owner == nullptr) return;
  const auto promise = message.GetPromise();
  if (message.GetEvent() == v8::kPromiseRejectWithNoHandler) {
    if (owner->rejections_.size() >= kRejectionsMax) return;
    Rejection rejection;
    rejection.promise.Reset(isolate, promise);
    rejection.reason.Reset(isolate, message.GetValue());
    owner->rejections_.push_back(std::move(rejection));
  } else if (message.GetEvent() == v8::kPromiseHandlerAddedAfterReject) {
    const auto erased = std::erase_if(owner->rejections_, [&](const Rejection& one) { return one.promise == promise; });
    if (erased > 0 || owner->handled_late_.size() >= kRejectionsMax) return;
    Rejection late;
    late.promise.Reset(isolate, promise);
    late.reason.Reset(isolate, promise->Result());
    owner->handled_late_.push_back(std::move(late));
  }
}

void WorkerImpl::report_rejections() {
  const auto tell = [this](std::vector<Rejection>& list, const char* function) {
    std::vector<Rejection> pending;
    pending.swap(list);
    for (const Rejection& rejection : pending) {
      v8::Local<v8::Value> arguments[2] = {rejection.reason.Get(v8()), rejection.promise.Get(v8())};
      call_runtime(function, 2, arguments);
    }
  };
  // Listeners may reject in their turn; the CPU limit ends what does so for ever.
  while ((!rejections_.empty() || !handled_late_.empty()) && !v8()->IsExecutionTerminating()) {
    tell(rejections_, "unhandledRejection");
    tell(handled_late_, "rejectionHandled");
    v8()->PerformMicrotaskCheckpoint();
  }
}

}  // namespace insula::runner
