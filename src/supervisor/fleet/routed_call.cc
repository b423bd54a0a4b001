// SPDX-License-Identifier: Apache-2.0
//
// RoutedCall: the rules of trying again.
#include "src/supervisor/fleet/routed_call.h"

#include <utility>
#include <variant>

#include "src/supervisor/fleet/session.h"

namespace insula::fleet {
namespace {

// 101 with a stream is the answer to an upgrade, whose messages the stream carries.
bool is_sendable(int status, bool has_stream) { return status == 101 ? has_stream : status >= 200 && status <= 599; }

}  // namespace

RoutedCall::~RoutedCall() { let_go(); }

void RoutedCall::route(std::shared_ptr<Destination> destination) {
  destination_ = std::move(destination);
  stream_count_ = stream_count();
  again();
}

std::size_t RoutedCall::stream_count() const {
  std::size_t count = request_body_ != nullptr ? 1u : 0u;
  for (const auto& stream : arguments_.streams) {
    if (stream != nullptr) ++count;
  }
  return count;
}

void RoutedCall::let_go() {
  const auto session = std::exchange(session_, nullptr);
  if (session != nullptr && is_rpc_) session->finish(question_);
}

void RoutedCall::again() {
  state_ = State::Waiting;
  let_go();
  question_ = 0;
  const auto self = shared_from_this();
  const auto destination = destination_;
  destination->reach(self);
}

void RoutedCall::deliver(const std::shared_ptr<Session>& session, Address address) {
  if (state_ != State::Waiting) return;
  protocol::Invoke* const frame = invoke();
  if (frame == nullptr || stream_count() != stream_count_) return refuse(error_of(Fault::IsolateLost));
  frame->target.kind = address.kind;
  frame->target.number = address.number;
  frame->target.actor = address.actor;
  frame->target.object = frame->target.object_name = {};
  frame->target.facet = {};
  const protocol::QuestionId question = session->ask(*frame, request_body_, shared_from_this(), arguments_, props_);
  if (question == 0) return refuse(error_of(session->is_open() ? Fault::Overloaded : Fault::RunnerLost));
  request_body_.reset();
  arguments_.streams.clear();
  question_ = question;
  worker_ = address.kind == protocol::Target::Kind::Worker ? address.number : 0;
  session_ = session;
  state_ = State::Sent;
  on_delivered();
}

void RoutedCall::deliver_behind(RoutedCall& dependent) {
  if (!is_kept()) return dependent.refuse(error_of(Fault::IsolateLost));
  // Both may go while the call is sent.
  const auto session = session_;
  dependent.deliver(session, {protocol::Target::Kind::Promised, question_, 0});
}

std::shared_ptr<Destination> RoutedCall::end() {
  state_ = State::Over;
  request_body_.reset();
  arguments_ = {};
  props_ = {};
  return std::exchange(destination_, nullptr);
}

void RoutedCall::refuse(const protocol::ErrorInfo& error) {
  if (state_ == State::Over) return;
  const auto self = shared_from_this();
  const auto destination = end();
  let_go();
  on_refused(error);
  if (destination != nullptr) destination->leave(*this);
}

void RoutedCall::abandon() {
  if (state_ == State::Over) return;
  const auto self = shared_from_this();
  const bool is_sent = state_ == State::Sent;
  const auto destination = end();
  if (is_sent) {
    session_->cancel(question_);
    let_go();
  } else if (destination != nullptr) {
    destination->withdraw(*this);
  }
  if (destination != nullptr) destination->leave(*this);
}

void RoutedCall::on_return(const protocol::Return& outcome, io::ByteSourcePtr body, Carried carried) {
  if (state_ != State::Sent) return;
  if (const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome)) {
    if (error->fault == info_of(Fault::IsolateLost).code && !outcome.continues && may_replay() && !is_replayed_) {
      is_replayed_ = true;
      again();
      return;
    }
  } else if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome);
             fetch != nullptr && !is_sendable(fetch->status, body != nullptr)) {
    refuse(error_of(Fault::BadResponse));
    return;
  }
  const auto self = shared_from_this();
  const auto destination = end();
  if (!is_rpc_) session_.reset();
  on_outcome(outcome, std::move(body), std::move(carried));
  if (destination != nullptr) destination->leave(*this);
}

void RoutedCall::on_undelivered(const protocol::ErrorInfo&, io::ByteSourcePtr request_body,
                                std::vector<io::ByteSourcePtr> argument_streams) {
  if (state_ != State::Sent) return;
  if (is_resent_) return refuse(error_of(Fault::IsolateLost));
  is_resent_ = true;
  request_body_ = std::move(request_body);
  arguments_.streams = std::move(argument_streams);
  destination_->forget(*session_, worker_);
  again();
}

void RoutedCall::on_lost(const Loss& loss) {
  if (state_ != State::Sent) return;
  if (loss.may_replay && may_replay() && !is_replayed_) {
    is_replayed_ = true;
    again();
    return;
  }
  refuse(error_of(loss.fault));
}

}  // namespace insula::fleet
