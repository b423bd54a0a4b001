// SPDX-License-Identifier: Apache-2.0
//
// SocketEvent: the event "socket" on its way to an actor: a message of one of its WebSockets, or the end of one. Told once
// at most: when the runner is lost meanwhile, nobody knows whether it was heard.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "src/supervisor/actors/actor_sockets.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::actors {

class SocketEvent final : public fleet::RoutedCall {
 public:
  SocketEvent(ActorSockets& all, std::shared_ptr<ActorSocket> socket, std::string_view kind, BytesView payload,
              io::ByteSourcePtr body, bool is_end)
      : all_(all),
        is_alive_(all.is_alive_),
        socket_(std::move(socket)),
        detail_(fmt::format(R"({{"socket":{},"kind":"{}"}})", socket_->number(), kind)),
        payload_(payload),
        body_(body),
        is_end_(is_end) {
    if (body != nullptr) arguments_.streams.push_back(std::move(body));
  }

  bool is_end() const noexcept { return is_end_; }
  ActorSocket& socket() const noexcept { return *socket_; }
  Monotonic deadline = Monotonic::max();

  void expire(Monotonic now) {
    if (is_over() || now < deadline) return;
    const auto self = shared_from_this();
    abandon();
    finish();
  }

 private:
  protocol::Invoke* invoke() override {
    frame_ = {};
    protocol::EventCall event{"socket", detail_, {}};
    event.payload.bytes = payload_;
    event.payload.streams.resize(body_ != nullptr ? 1 : 0);
    frame_.call = std::move(event);
    return &frame_;
  }
  bool may_replay() const override { return false; }
  void on_outcome(const protocol::Return&, io::ByteSourcePtr, fleet::Carried) override { finish(); }
  void on_refused(const protocol::ErrorInfo& error) override {
    if (body_ != nullptr) body_->stop();  // The rest of the message is for nobody.
    if (!is_alive_.expired()) all_.note_unheard(error);
    finish();
  }
  void finish() {
    if (!std::exchange(is_finished_, true) && !is_alive_.expired()) all_.event_over(*this);
  }

  ActorSockets& all_;
  const std::weak_ptr<bool> is_alive_;
  const std::shared_ptr<ActorSocket> socket_;
  const std::string detail_;
  const Bytes payload_;
  const io::ByteSourcePtr body_;
  const bool is_end_;
  bool is_finished_ = false;
  protocol::Invoke frame_;
};

}  // namespace insula::actors
