// SPDX-License-Identifier: Apache-2.0
//
// ForwardedCall: a call of one Worker on another, or on its object, carried from the caller's runner to the callee's.
// Arguments and results are opaque bytes all the way.
//
//   runner A ──Invoke──► [ForwardedCall] ──Invoke──► runner B
//   runner A ◄──Return── [ForwardedCall] ◄──Return── runner B
//
// An RPC call lives on until runner A finishes it, because A may call upon its result (pipelining): such a call goes to
// runner B as soon as this one went there, and waits behind it until then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "src/supervisor/fleet/held_frame.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::fleet {

class ForwardedCall : public RoutedCall, public Job, private Destination {
 public:
  // What a binding puts in the place of the caller's words.
  struct Fixed {
    std::shared_ptr<const Capability> owner;  // of the views; null: the caller's own words stand
    std::string_view entrypoint;
    BytesView props;
    const Carried* carried = nullptr;  // with the props
  };

  explicit ForwardedCall(Answer answer) : ForwardedCall(std::move(answer), Fixed{}) {}
  ForwardedCall(Answer answer, Fixed fixed) : answer_(std::move(answer)), fixed_(std::move(fixed)) {}
  ~ForwardedCall() override;

  // Forwards `call`; registers itself as the job behind its answer.
  void start(IncomingCall& call, std::shared_ptr<Destination> destination);

  // Job
  void cancel() override;
  bool has_result() const override { return is_kept(); }
  void promised(IncomingCall& call) override;

  std::string_view subject() const override { return subject_; }

 protected:
  // The call has its outcome, or is cancelled.
  virtual void on_over() {}

 private:
  // RoutedCall
  protocol::Invoke* invoke() override;
  bool may_replay() const override { return is_idempotent_; }
  void on_delivered() override;
  void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr body, Carried carried) override;
  void on_refused(const protocol::ErrorInfo& error) override;

  std::string subject_;  // the caller's

  // Destination: of calls on the result
  void reach(const std::shared_ptr<RoutedCall>& call) override;
  void forget(Session&, protocol::WorkerId) override {}
  void leave(RoutedCall&) override {}
  void withdraw(RoutedCall& call) override;

  void keep(BytesView raw);
  void drop();
  void refuse_dependents(const protocol::ErrorInfo& error);

  const Answer answer_;
  const Fixed fixed_;
  bool is_idempotent_ = false;
  protocol::Invoke* arrived_ = nullptr;  // while the frame that brought the call is still there
  std::uint32_t depth_ = 0;
  HeldFrame held_;
  std::size_t held_bytes_ = 0;
  std::deque<std::shared_ptr<RoutedCall>> dependents_;  // until this call is delivered
};

}  // namespace insula::fleet
