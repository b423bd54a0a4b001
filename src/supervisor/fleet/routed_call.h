// SPDX-License-Identifier: Apache-2.0
//
// RoutedCall: one call to a Worker that may have to be loaded, may be gone when the call arrives, or may be lost with
// its runner before it answers.
//
//   [dispatch: an HTTP event]   ┐                                  ┌ loaded: deliver() ──► Session::ask
//   [broker: a call of a Worker]┘ ─ route() ─► Destination::reach ─┤ not yet: waits there
//                                                                  └ never:  refuse()
//
// Invariants
//   1. The call has one outcome: on_outcome() or on_refused(), unless it is cancelled.
//   2. It is sent again at most once after a loss, and only when may_replay() and nothing was answered; and at most
//      once when the target says that it never saw the call.
//   3. The result of an RPC call stays with the callee, for others to call upon, until this object ends.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "src/io/byte_stream.h"
#include "src/protocol/frames.h"
#include "src/supervisor/fleet/calls.h"

namespace insula::fleet {

class RoutedCall;

// Where calls to one Worker go, wherever that Worker lives at the moment.
class Destination {
 public:
  virtual ~Destination() = default;
  // Leads, now or later, to call->deliver() or call->refuse().
  virtual void reach(const std::shared_ptr<RoutedCall>& call) = 0;
  // A runner answered that it has no such Worker.
  virtual void forget(Session& session, protocol::WorkerId worker) = 0;
  // A call that was delivered or refused is over.
  virtual void leave(RoutedCall& call) = 0;
  // A call that waits here is wanted no more.
  virtual void withdraw(RoutedCall& call) = 0;
};

class RoutedCall : public ReplySink, public std::enable_shared_from_this<RoutedCall> {
 public:
  // What a call is addressed to in a session: a Worker, an export of the runner, or an earlier question.
  struct Address {
    protocol::Target::Kind kind = protocol::Target::Kind::Worker;
    std::uint32_t number = 0;
    protocol::ActorId actor = 0;  // with a Worker: of it
  };

  ~RoutedCall() override;
  void route(std::shared_ptr<Destination> destination);
  // Nothing will be heard of the call any more.
  void abandon();

  // For destinations.
  void deliver(const std::shared_ptr<Session>& session, Address address);
  void deliver(const std::shared_ptr<Session>& session, protocol::WorkerId worker) {
    deliver(session, {protocol::Target::Kind::Worker, worker, 0});
  }
  void refuse(const protocol::ErrorInfo& error);
  bool is_over() const noexcept { return state_ == State::Over; }
  bool is_waiting() const noexcept { return state_ == State::Waiting; }
  bool is_rpc() const noexcept { return is_rpc_; }
  bool is_admitted = false;  // by the destination that counts its calls

  // ReplySink
  void on_return(const protocol::Return& outcome, io::ByteSourcePtr body, Carried carried) final;
  void on_undelivered(const protocol::ErrorInfo& error, io::ByteSourcePtr request_body,
                      std::vector<io::ByteSourcePtr> argument_streams) final;
  void on_lost(const Loss& loss) final;

 protected:
  // The call as a frame, for one attempt: valid until the next call of this function. Null: it was not kept.
  virtual protocol::Invoke* invoke() = 0;
  // Idempotent, and its body is complete.
  virtual bool may_replay() const = 0;
  virtual void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr body, Carried carried) = 0;
  virtual void on_refused(const protocol::ErrorInfo& error) = 0;
  // It is on its way to the runner.
  virtual void on_delivered() {}

  // The callee holds the result of this RPC call, or will.
  bool is_kept() const noexcept { return is_rpc_ && session_ != nullptr; }
  // Sends a call on the result of this one, which was delivered or is over.
  void deliver_behind(RoutedCall& dependent);

  io::ByteSourcePtr request_body_;  // until it is sent
  Carried arguments_;               // of an RPC call; until there is an outcome, the streams until they are sent
  Carried props_;
  bool is_rpc_ = false;

 private:
  enum class State : std::uint8_t { Idle, Waiting, Sent, Over };

  void again();
  // Ends the call; returns what kept it alive.
  std::shared_ptr<Destination> end();
  // The callee need not keep anything for us any more.
  void let_go();
  std::size_t stream_count() const;

  State state_ = State::Idle;
  bool is_replayed_ = false;
  bool is_resent_ = false;
  std::size_t stream_count_ = 0;  // that the request came with
  protocol::WorkerId worker_ = 0;
  protocol::QuestionId question_ = 0;
  std::shared_ptr<Session> session_;
  std::shared_ptr<Destination> destination_;
};

}  // namespace insula::fleet
