// SPDX-License-Identifier: Apache-2.0
//
// ForwardedCall: from one session to another.
#include "src/supervisor/broker/forwarded_call.h"

#include <utility>
#include <variant>

#include "src/base/limits.h"
#include "src/supervisor/broker/call_budget.h"
#include "src/supervisor/fleet/session.h"

namespace insula::broker {
namespace {

// Calls that wait for their Worker, or that may have to be sent again, are kept. All of them together may take this
// much; beyond it, who waits is refused and who was sent is sent once only.
constexpr std::size_t kHeldBytesMax = 256 * kMiB;
// A call this large is not kept for the rare second attempt.
constexpr std::size_t kReplayBytesMax = 1 * kMiB;

// One thread, one event loop: the sum of what all calls hold.
std::size_t& held_bytes_in_all() {
  static std::size_t bytes = 0;
  return bytes;
}

}  // namespace

ForwardedCall::~ForwardedCall() {
  held_bytes_in_all() -= held_bytes_;
  release();
}

void ForwardedCall::start(fleet::IncomingCall& call, std::shared_ptr<fleet::Destination> destination) {
  request_body_ = std::move(call.body);
  depth_ = call.depth;
  const auto* const fetch = std::get_if<protocol::FetchRequest>(&call.invoke.call);
  is_idempotent_ = fetch != nullptr && fleet::is_idempotent(fetch->method) && request_body_ == nullptr;
  const auto self = std::static_pointer_cast<ForwardedCall>(shared_from_this());
  call.session.set_job(call.answer.question, self);
  if (depth_ > kCallDepthMax) return refuse(fleet::error_of(Fault::DepthLimit));
  arrived_ = &call.invoke;
  route(std::move(destination));
  arrived_ = nullptr;
  if (!is_over()) keep(call.raw);
}

void ForwardedCall::keep(BytesView raw) {
  const bool fits = held_bytes_in_all() + raw.size() <= kHeldBytesMax;
  if (is_waiting()) {
    if (!fits) return refuse(fleet::error_of(Fault::Overloaded));
  } else if (!fits || raw.size() > kReplayBytesMax) {
    return;
  }
  held_.keep(raw);
  held_bytes_ = raw.size();
  held_bytes_in_all() += held_bytes_;
}

protocol::Invoke* ForwardedCall::invoke() {
  protocol::Invoke* const frame = arrived_ != nullptr ? std::exchange(arrived_, nullptr) : held_.decode<protocol::Invoke>();
  if (frame == nullptr) return nullptr;
  frame->depth = depth_;
  if (fixed_.is_fixed) {
    frame->target.entrypoint = fixed_.entrypoint;
    frame->target.props = {};
  }
  return frame;
}

void ForwardedCall::on_outcome(const protocol::Return& outcome, io::ByteSourcePtr body) {
  release();
  const auto session = answer_.session.lock();
  if (session == nullptr) return;
  protocol::Return copy = outcome;
  if (auto* const error = std::get_if<protocol::ErrorInfo>(&copy.outcome)) {
    error->stack = {};  // the callee's own, for its log
    error->undelivered = false;
  }
  session->answer(answer_.question, copy, body);
}

void ForwardedCall::on_refused(const protocol::ErrorInfo& error) {
  release();
  if (const auto session = answer_.session.lock()) session->answer_error(answer_.question, error);
}

void ForwardedCall::cancel() {
  release();
  abandon();
}

void ForwardedCall::hold(std::weak_ptr<fleet::Session> session, protocol::QuestionId parent,
                         const DynamicWorker* worker) {
  counted_session_ = std::move(session);
  counted_parent_ = parent;
  counted_worker_ = worker;
}

void ForwardedCall::release() {
  const DynamicWorker* const worker = std::exchange(counted_worker_, nullptr);
  if (worker == nullptr) return;
  const auto session = counted_session_.lock();
  if (session == nullptr) return;
  if (CallBudget* const budget = CallBudget::of(*session, counted_parent_)) budget->remove(worker);
}

}  // namespace insula::broker
