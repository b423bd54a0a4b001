// SPDX-License-Identifier: Apache-2.0
//
// OutboundCapability: from a frame to an egress request and back.
#include "src/supervisor/broker/outbound.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <variant>

#include "src/base/limits.h"
#include "src/supervisor/broker/call_budget.h"
#include "src/supervisor/fleet/session.h"
#include "src/supervisor/websocket/handshake.h"

namespace insula::broker {
namespace {

constexpr std::size_t kWaitingMax = 10000;  // of one invocation, for a connection

protocol::ErrorInfo error_of(const Error& error) {
  protocol::ErrorInfo shown;
  shown.name = "Error";
  switch (error.code()) {
    case ErrorCode::Denied: return fleet::error_of(Fault::OutboundBlocked);
    case ErrorCode::InvalidInput:
      shown.name = "TypeError";
      shown.message = "Fetch API cannot load: the URL, method or headers are not valid.";
      break;
    case ErrorCode::TimedOut: shown.message = "Network connection timed out."; break;
    case ErrorCode::Overloaded: return fleet::error_of(Fault::Overloaded, "Too many outgoing connections are open.");
    default: shown.message = "Network connection lost."; break;
  }
  return shown;
}

}  // namespace

void OutboundCapability::invoke(fleet::IncomingCall& call) {
  const auto* const fetch = std::get_if<protocol::FetchRequest>(&call.invoke.call);
  if (fetch == nullptr) {
    protocol::ErrorInfo error;
    error.name = "TypeError";
    error.message = "The outbound of this Worker has only fetch().";
    return call.session.answer_error(call.answer.question, error);
  }
  egress::OutboundRequest request;
  request.method = std::string(fetch->method);
  request.url = std::string(fetch->url);
  request.headers = Bytes(fetch->headers);
  request.partition = partition_;
  // A caller in its own runner says how deep it is; who lies there only loses the protection from itself.
  request.hops = std::max(call.depth, std::min<std::uint32_t>(call.invoke.depth, kCallDepthMax));
  if (fetch->body.kind == protocol::Body::Kind::Inline) {
    request.has_body = true;
    request.body = Bytes(fetch->body.bytes);
  } else if (call.body != nullptr && websocket::is_upgrade(fetch->method, fetch->headers)) {
    // The body is the Worker's side of a WebSocket, not the server's to see.
    const auto job = std::make_shared<EgressCall>(outbound_, call.answer, call.parent, std::move(request));
    job->ask_for_websocket(std::move(call.body));
    call.session.set_job(call.answer.question, job);
    return job->start(call.session);
  } else if (call.body != nullptr) {
    request.has_body = true;
    request.source = std::move(call.body);
    if (fetch->body.length >= 0) request.length = static_cast<std::uint64_t>(fetch->body.length);
  }
  const auto job = std::make_shared<EgressCall>(outbound_, call.answer, call.parent, std::move(request));
  call.session.set_job(call.answer.question, job);
  job->start(call.session);
}

EgressCall::~EgressCall() = default;

void EgressCall::ask_for_websocket(io::ByteSourcePtr from_worker) {
  std::array<char, 16> random{};
  INSULA_CHECK(::RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(random.size())) == 1);
  key_ = websocket::key_from(BytesView(random.data(), random.size()));
  tunnel_ = std::make_shared<websocket::SocketTunnel>(std::move(from_worker));
  request_.headers = websocket::request_fields(request_.headers, key_);
  request_.source = tunnel_->to_server();
  request_.is_upgrade = true;
}

void EgressCall::start(fleet::Session& session) {
  CallBudget* const budget = CallBudget::of(session, invocation_);
  // Calls outside of any invocation are not counted together: they have nothing in common.
  if (budget == nullptr || invocation_ == 0) return run();
  if (budget->connections >= kOutboundPerInvocationMax) {
    if (budget->waiting.size() >= kWaitingMax) {
      is_over_ = true;
      return session.answer_error(answer_.question, fleet::error_of(Fault::Overloaded));
    }
    budget->waiting.push_back(shared_from_this());
    return;
  }
  ++budget->connections;
  is_counted_ = true;
  run();
}

void EgressCall::run() {
  const auto self = shared_from_this();
  auto handle = outbound_.fetch(std::move(request_), [weak = weak_from_this()](Result<egress::InboundResponse> response) {
    if (const auto call = weak.lock()) call->on_response(std::move(response));
  });
  if (!is_over_) handle_ = std::move(handle);
}

void EgressCall::on_response(Result<egress::InboundResponse> response) {
  if (std::exchange(is_over_, true)) return;
  const auto self = shared_from_this();
  if (const auto session = answer_.session.lock()) {
    if (response) {
      protocol::Return outcome;
      protocol::FetchResponse fetch;
      fetch.status = static_cast<std::uint16_t>(response->status);
      fetch.status_text = response->reason;
      fetch.headers = response->headers;
      if (response->length) fetch.body.length = static_cast<std::int64_t>(*response->length);
      if (response->status == 101) {
        if (const auto agreed = websocket::check_response(response->headers, key_); !agreed) {
          session->answer_error(answer_.question, error_of(agreed.error()));
          return leave();
        }
        response->body = tunnel_->open(std::move(response->body));
      }
      outcome.outcome = fetch;
      session->answer(answer_.question, outcome, response->body);
    } else {
      session->answer_error(answer_.question, error_of(response.error()));
    }
  }
  leave();
}

void EgressCall::cancel() {
  if (std::exchange(is_over_, true)) return;
  const auto self = shared_from_this();
  handle_.reset();
  leave();
}

void EgressCall::leave() {
  if (!std::exchange(is_counted_, false)) return;
  const auto session = answer_.session.lock();
  if (session == nullptr) return;
  CallBudget* const budget = CallBudget::of(*session, invocation_);
  if (budget == nullptr) return;
  --budget->connections;
  while (!budget->waiting.empty()) {
    const auto next = std::move(budget->waiting.front());
    budget->waiting.pop_front();
    if (next->is_over_) continue;
    ++budget->connections;
    next->is_counted_ = true;
    next->run();
    return;
  }
}

}  // namespace insula::broker
