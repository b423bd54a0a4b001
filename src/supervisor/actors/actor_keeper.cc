// SPDX-License-Identifier: Apache-2.0
//
// Actor: the keeper of its hibernatable WebSockets.
#include <utility>

#include <boost/asio/post.hpp>

#include "src/supervisor/actors/actor.h"
#include "src/supervisor/actors/directory.h"
#include "src/supervisor/actors/socket_event.h"

namespace insula::actors {

// ---- From the instance

void Actor::on_socket_call(fleet::IncomingCall& call) {
  const auto& fetch = std::get<protocol::FetchRequest>(call.invoke.call);
  if (sockets_ == nullptr) sockets_ = std::make_unique<ActorSockets>(*this);
  auto accepted = sockets_->accept(fetch.cf, std::move(call.body));
  if (!accepted) {
    const bool is_full = accepted.error().code() == ErrorCode::LimitExceeded;
    return call.session.answer_error(call.answer.question, fleet::error_of(is_full ? Fault::Overloaded : Fault::Internal));
  }
  protocol::Return outcome;
  protocol::FetchResponse response;
  response.status = 101;
  outcome.outcome = response;
  call.session.answer(call.answer.question, outcome, *accepted);
}

bool Actor::on_socket_said(const protocol::SocketSay& said) {
  if (sockets_ == nullptr) sockets_ = std::make_unique<ActorSockets>(*this);
  const auto self = shared_from_this();
  return sockets_->say(said);
}

// ---- For the sockets

void Actor::route_socket_event(const std::shared_ptr<SocketEvent>& event) {
  const auto self = shared_from_this();
  if (!is_facet() || state_ == State::Open || state_ == State::Opening) return event->route(self);
  // What the facet is, its parent knows best.
  waking_.push_back(event);
  if (waking_.size() > 1) return;
  const auto wake = [self] {
    self->all_.wake_facet(self, [self] {
      for (const auto& waiting : std::exchange(self->waking_, {})) waiting->route(self);
    });
  };
  if (state_ == State::Closing) {
    on_closed_.push_back(wake);
  } else {
    wake();
  }
}

bool Actor::may_wake() const { return state_ == State::Open || !all_.is_closing(); }

void Actor::want_ticks() {
  if (!std::exchange(wants_ticks_, true)) all_.add_ticks(weak_from_this());
}

bool Actor::tick_sockets() {
  wants_ticks_ = sockets_ != nullptr && sockets_->tick();
  return wants_ticks_;
}

void Actor::tell_socket(protocol::SocketTell tell) {
  if (state_ != State::Open) return;
  tell.actor = actor_;
  session_->tell_socket(tell);
}

void Actor::on_sockets_empty() {
  boost::asio::post(all_.io(), [self = shared_from_this()] { self->drop_if_unused(); });
}

void Actor::on_unheard(std::string_view why) { all_.warn_unheard(*this, why); }

const Clock& Actor::clock() const { return all_.clock(); }

}  // namespace insula::actors
