// SPDX-License-Identifier: Apache-2.0
//
// OutboundCapability: the global fetch() of a Worker, out to the network.
//
// At most kOutboundPerInvocationMax requests of one invocation are on their way at once; further ones wait. What goes
// wrong outside is told in the words of the API, never with an address.
#pragma once

#include <memory>
#include <string>

#include "src/supervisor/egress/egress.h"
#include "src/supervisor/fleet/calls.h"
#include "src/supervisor/websocket/socket_tunnel.h"

namespace insula::broker {

class OutboundCapability final : public fleet::Capability {
 public:
  // partition: on whose behalf, so that nobody shares a connection with somebody else.
  OutboundCapability(egress::Outbound& outbound, std::string partition)
      : outbound_(outbound), partition_(std::move(partition)) {}
  void invoke(fleet::IncomingCall& call) override;

 private:
  egress::Outbound& outbound_;
  const std::string partition_;
};

// One request on its way.
class EgressCall final : public fleet::Job, public std::enable_shared_from_this<EgressCall> {
 public:
  EgressCall(egress::Outbound& outbound, fleet::Answer answer, protocol::QuestionId invocation,
             egress::OutboundRequest request)
      : outbound_(outbound), answer_(std::move(answer)), invocation_(invocation), request_(std::move(request)) {}
  ~EgressCall() override;

  // First, for a request that asks for a WebSocket: what the Worker will send on it.
  void ask_for_websocket(io::ByteSourcePtr from_worker);
  // Now, or when one of the invocation's connections is free.
  void start(fleet::Session& session);
  void cancel() override;

 private:
  void run();
  void on_response(Result<egress::InboundResponse> response);
  // Gives its connection to the next in line.
  void leave();

  egress::Outbound& outbound_;
  const fleet::Answer answer_;
  const protocol::QuestionId invocation_;
  egress::OutboundRequest request_;
  std::shared_ptr<websocket::SocketTunnel> tunnel_;  // and the key that was sent
  std::string key_;
  std::unique_ptr<egress::Outbound::Handle> handle_;
  bool is_counted_ = false;
  bool is_over_ = false;
};

}  // namespace insula::broker
