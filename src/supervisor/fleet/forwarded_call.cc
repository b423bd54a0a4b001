// SPDX-License-Identifier: Apache-2.0
//
// ForwardedCall: from one session to another.
#include "src/supervisor/fleet/forwarded_call.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "src/base/limits.h"
#include "src/supervisor/fleet/session.h"

namespace insula::fleet {
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

ForwardedCall::~ForwardedCall() { drop(); }

void ForwardedCall::start(IncomingCall& call, std::shared_ptr<Destination> destination) {
  subject_ = call.session.subject_of(call.parent);
  request_body_ = std::move(call.body);
  arguments_ = std::move(call.arguments);
  props_ = std::move(call.props);
  if (fixed_.owner != nullptr) {
    props_ = {};
    if (fixed_.carried != nullptr) props_ = *fixed_.carried;
  }
  depth_ = call.depth;
  const auto* const fetch = std::get_if<protocol::FetchRequest>(&call.invoke.call);
  is_idempotent_ = fetch != nullptr && fleet::is_idempotent(fetch->method) && request_body_ == nullptr;
  is_rpc_ = std::holds_alternative<protocol::RpcCall>(call.invoke.call);
  const auto self = std::static_pointer_cast<ForwardedCall>(shared_from_this());
  call.session.set_job(call.answer.question, self);
  if (depth_ > kCallDepthMax) return refuse(error_of(Fault::DepthLimit));
  arrived_ = &call.invoke;
  route(std::move(destination));
  arrived_ = nullptr;
  if (!is_over()) keep(call.raw);
}

void ForwardedCall::keep(BytesView raw) {
  const bool fits = held_bytes_in_all() + raw.size() <= kHeldBytesMax;
  if (is_waiting()) {
    if (!fits) return refuse(error_of(Fault::Overloaded));
  } else if (!fits || raw.size() > kReplayBytesMax) {
    return;
  }
  held_.keep(raw);
  held_bytes_ = raw.size();
  held_bytes_in_all() += held_bytes_;
}

void ForwardedCall::drop() {
  held_bytes_in_all() -= std::exchange(held_bytes_, 0);
  held_ = {};
}

protocol::Invoke* ForwardedCall::invoke() {
  protocol::Invoke* const frame = arrived_ != nullptr ? std::exchange(arrived_, nullptr) : held_.decode<protocol::Invoke>();
  if (frame == nullptr) return nullptr;
  frame->depth = depth_;
  if (fixed_.owner != nullptr) {
    frame->target.entrypoint = fixed_.entrypoint;
    frame->target.props.bytes = fixed_.props;
  }
  return frame;
}

// ---- The outcome

void ForwardedCall::on_outcome(const protocol::Return& outcome, io::ByteSourcePtr body, Carried carried) {
  on_over();
  drop();
  const auto session = answer_.session.lock();
  if (session == nullptr) return;
  protocol::Return copy = outcome;
  if (auto* const error = std::get_if<protocol::ErrorInfo>(&copy.outcome)) {
    error->stack = {};  // the callee's own, for its log
    error->undelivered = false;
  }
  session->answer(answer_.question, copy, body, carried);
}

void ForwardedCall::on_refused(const protocol::ErrorInfo& error) {
  on_over();
  drop();
  if (const auto session = answer_.session.lock()) session->answer_error(answer_.question, error);
  refuse_dependents(error);
}

void ForwardedCall::cancel() {
  const auto self = shared_from_this();
  on_over();
  abandon();
  drop();
  refuse_dependents(error_of(Fault::Cancelled));
}

// ---- Calls on the result

void ForwardedCall::promised(IncomingCall& call) {
  const auto self = std::static_pointer_cast<ForwardedCall>(shared_from_this());
  std::make_shared<ForwardedCall>(call.answer)->start(call, std::shared_ptr<Destination>(self, this));
}

void ForwardedCall::reach(const std::shared_ptr<RoutedCall>& call) {
  if (is_waiting()) {
    dependents_.push_back(call);
  } else {
    deliver_behind(*call);
  }
}

void ForwardedCall::withdraw(RoutedCall& call) {
  const auto found = std::find_if(dependents_.begin(), dependents_.end(),
                                  [&call](const auto& waiting) { return waiting.get() == &call; });
  if (found != dependents_.end()) dependents_.erase(found);
}

void ForwardedCall::on_delivered() {
  while (!dependents_.empty() && !is_waiting()) {
    const auto next = std::move(dependents_.front());
    dependents_.pop_front();
    deliver_behind(*next);
  }
}

void ForwardedCall::refuse_dependents(const protocol::ErrorInfo& error) {
  for (const auto& call : std::exchange(dependents_, {})) call->refuse(error);
}

}  // namespace insula::fleet
