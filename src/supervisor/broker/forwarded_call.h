// SPDX-License-Identifier: Apache-2.0
//
// ForwardedCall: a call of one Worker on another, carried from the caller's runner to the callee's. Arguments and
// results are opaque bytes all the way.
//
//   runner A ──Invoke──► [ForwardedCall] ──Invoke──► runner B
//   runner A ◄──Return── [ForwardedCall] ◄──Return── runner B
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "src/supervisor/broker/held_frame.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::broker {

class CallBudget;
class DynamicWorker;

// Where the code of a dynamic Worker can be asked for: the runner that made the call, and a number of its own.
struct CodeSource {
  std::weak_ptr<fleet::Session> session;
  protocol::CapabilityId loader = 0;
  std::uint32_t source = 0;
};

class ForwardedCall final : public fleet::RoutedCall, public fleet::Job {
 public:
  // How a binding changes what the caller asked for.
  struct Fixed {
    bool is_fixed = false;        // entrypoint and props are the binding's
    std::string_view entrypoint;  // must outlive the call
  };

  ForwardedCall(fleet::Answer answer, Fixed fixed) : answer_(std::move(answer)), fixed_(fixed) {}
  ~ForwardedCall() override;

  // Forwards `call`; registers itself as the job behind its answer.
  void start(fleet::IncomingCall& call, std::shared_ptr<fleet::Destination> destination);

  // For calls to dynamic Workers.
  void set_source(CodeSource source) { source_ = std::move(source); }
  const CodeSource& source() const noexcept { return source_; }
  // Counts the call against the distinct Workers of its invocation until it is over.
  void hold(std::weak_ptr<fleet::Session> session, protocol::QuestionId parent, const DynamicWorker* worker);

  // Job
  void cancel() override;

 private:
  protocol::Invoke* invoke() override;
  bool may_replay() const override { return is_idempotent_; }
  void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr body) override;
  void on_refused(const protocol::ErrorInfo& error) override;
  void keep(BytesView raw);
  void release();

  const fleet::Answer answer_;
  const Fixed fixed_;
  CodeSource source_;
  bool is_idempotent_ = false;
  protocol::Invoke* arrived_ = nullptr;  // while the frame that brought the call is still there
  std::uint32_t depth_ = 0;
  HeldFrame held_;
  std::size_t held_bytes_ = 0;

  std::weak_ptr<fleet::Session> counted_session_;
  protocol::QuestionId counted_parent_ = 0;
  const DynamicWorker* counted_worker_ = nullptr;
};

}  // namespace insula::broker
