// SPDX-License-Identifier: Apache-2.0
//
// RoutedCall: the rules of trying again.
#include "src/supervisor/fleet/routed_call.h"

#include <utility>
#include <variant>

#include "src/supervisor/fleet/session.h"

namespace insula::fleet {

void RoutedCall::route(std::shared_ptr<Destination> destination) {
  destination_ = std::move(destination);
  had_body_ = request_body_ != nullptr;
  again();
}

void RoutedCall::again() {
  state_ = State::Waiting;
  session_.reset();
  question_ = 0;
  const auto self = shared_from_this();
  const auto destination = destination_;
  destination->reach(self);
}

void RoutedCall::deliver(const std::shared_ptr<Session>& session, protocol::WorkerId worker) {
  if (state_ != State::Waiting) return;
  protocol::Invoke* const frame = invoke();
  if (frame == nullptr || (had_body_ && request_body_ == nullptr)) return refuse(error_of(Fault::IsolateLost));
  frame->target.kind = protocol::Target::Kind::Worker;
  frame->target.number = worker;
  const protocol::QuestionId question = session->ask(*frame, request_body_, shared_from_this());
  if (question == 0) return refuse(error_of(Fault::Overloaded));
  request_body_.reset();
  question_ = question;
  worker_ = worker;
  session_ = session;
  state_ = State::Sent;
}

std::shared_ptr<Destination> RoutedCall::end() {
  state_ = State::Over;
  session_.reset();
  request_body_.reset();
  return std::exchange(destination_, nullptr);
}

void RoutedCall::refuse(const protocol::ErrorInfo& error) {
  if (state_ == State::Over) return;
  const auto self = shared_from_this();
  const auto destination = end();
  on_refused(error);
  if (destination != nullptr) destination->leave(*this);
}

void RoutedCall::abandon() {
  if (state_ == State::Over) return;
  const auto self = shared_from_this();
  const bool is_sent = state_ == State::Sent;
  const auto session = session_;
  const auto destination = end();
  if (is_sent) {
    session->cancel(question_);
  } else if (destination != nullptr) {
    destination->withdraw(*this);
  }
  if (destination != nullptr) destination->leave(*this);
}

void RoutedCall::on_return(const protocol::Return& outcome, io::ByteSourcePtr body) {
  if (state_ != State::Sent) return;
  if (const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome)) {
    if (error->fault == info_of(Fault::IsolateLost).code && !outcome.continues && may_replay() && !is_replayed_) {
      is_replayed_ = true;
      again();
      return;
    }
  } else if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome);
             fetch != nullptr && (fetch->status < 200 || fetch->status > 599)) {
    refuse(error_of(Fault::BadResponse));
    return;
  }
  const auto self = shared_from_this();
  const auto destination = end();
  on_outcome(outcome, std::move(body));
  if (destination != nullptr) destination->leave(*this);
}

void RoutedCall::on_undelivered(const protocol::ErrorInfo&, io::ByteSourcePtr request_body) {
  if (state_ != State::Sent) return;
  if (is_resent_) return refuse(error_of(Fault::IsolateLost));
  is_resent_ = true;
  request_body_ = std::move(request_body);
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
