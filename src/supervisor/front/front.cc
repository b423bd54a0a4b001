// SPDX-License-Identifier: Apache-2.0
//
// Front: one HttpEvent for each exchange.
#include "src/supervisor/front/front.h"

#include <optional>
#include <utility>
#include <variant>

#include "src/base/fault.h"
#include "src/base/header_block.h"
#include "src/base/limits.h"
#include "src/supervisor/websocket/client_socket.h"
#include "src/supervisor/websocket/socket_bridge.h"

namespace insula::front {
namespace {

constexpr int kSwitchingProtocols = 101;
constexpr std::size_t kLoggedBytesMax = 8 * kKiB;  // of an exception's message and stack each

}  // namespace

class HttpEvent final : public dispatch::Event {
 public:
  HttpEvent(Front& front, std::shared_ptr<http::Exchange> exchange) : front_(front), exchange_(std::move(exchange)) {
    const http::RequestHead& head = exchange_->head();
    http::RequestBody& body = exchange_->body();
    url_.reserve(8 + head.authority.size() + head.target.size());
    url_ += head.is_secure ? "https://" : "http://";
    url_ += head.authority;
    url_ += head.target;
    request_body_ = std::move(body.source);
    if (head.wants_websocket) {
      bridge_ = std::make_shared<websocket::SocketBridge>();
      request_body_ = bridge_;
    }
    // A request that this node has caused itself goes on where its cause was: the depth of calls ends loops.
    hops_ = front_.mark_.hops_in(head.headers, kCallDepthMax);
    is_replayable_ = request_body_ == nullptr && fleet::is_idempotent(head.method);
  }

  void listen_for_cancel() {
    exchange_->on_cancelled([weak = weak_from_this()] {
      if (const auto self = weak.lock()) static_cast<HttpEvent&>(*self).on_client_gone();
    });
  }

 private:
  protocol::Invoke* invoke() override {
    const http::RequestHead& head = exchange_->head();
    const http::RequestBody& body = exchange_->body();
    frame_ = {};
    frame_.depth = hops_;
    protocol::FetchRequest fetch;
    fetch.method = head.method;
    fetch.url = url_;
    fetch.headers = head.headers;
    if (request_body_ != nullptr) {
      fetch.body.length = body.length ? static_cast<std::int64_t>(*body.length) : -1;
    } else if (body.has_body) {
      fetch.body.kind = protocol::Body::Kind::Inline;
      fetch.body.bytes = body.complete;
      fetch.body.length = static_cast<std::int64_t>(body.complete.size());
    }
    frame_.call = fetch;
    return &frame_;
  }

  bool may_replay() const override { return is_replayable_; }

  void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr body, fleet::Carried) override {
    const auto exchange = take_exchange();
    if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome)) {
      Bytes copy;
      const http::ResponseHead head{fetch->status, fetch->status_text, without_reserved(fetch->headers, copy)};
      if (fetch->status == kSwitchingProtocols) return upgrade(*exchange, head.headers, std::move(body));
      if (body == nullptr) {
        exchange->respond(head, fetch->body.bytes);
      } else {
        std::optional<std::uint64_t> length;
        if (fetch->body.length >= 0) length = static_cast<std::uint64_t>(fetch->body.length);
        exchange->respond(head, std::move(body), length);
      }
      return;
    }
    if (const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome)) {
      respond_error(*exchange, *error);
    } else {
      respond(*exchange, Fault::BadResponse, front_.ids_.next());
    }
  }

  void on_refused(const protocol::ErrorInfo& error) override { respond_error(*take_exchange(), error); }

  void upgrade(http::Exchange& exchange, BytesView fields, io::ByteSourcePtr from_worker) {
    std::shared_ptr<websocket::ClientSocket> socket;
    if (bridge_ == nullptr) {
      respond(exchange, Fault::BadResponse, front_.ids_.next());
    } else {
      socket = websocket::accept_client(exchange, fields);
    }
    if (socket == nullptr) {
      from_worker->stop();
      if (bridge_ != nullptr) bridge_->refuse();
      return;
    }
    bridge_->open(std::move(socket), std::move(from_worker));
  }

  void on_client_gone() {
    take_exchange();
    cancel();
  }

  std::shared_ptr<http::Exchange> take_exchange() {
    exchange_->on_cancelled(nullptr);
    return std::exchange(exchange_, nullptr);
  }

  void respond_error(http::Exchange& exchange, const protocol::ErrorInfo& error) {
    const std::string id = front_.ids_.next();
    // Without a code it is the Worker's own: the client learns that there was one, the operator which.
    const Fault fault = fault_from_code(error.fault).value_or(Fault::Exception);
    if (error.fault.empty() || fault == Fault::LoadFailed) {
      front_.log_.error("worker.failed", {{"worker", front_.name_},
                                          {"request_id", id},
                                          {"name", error.name.substr(0, 256)},
                                          {"message", error.message.substr(0, kLoggedBytesMax)},
                                          {"stack", error.stack.substr(0, kLoggedBytesMax)}});
    }
    respond(exchange, fault, id);
  }

  static void respond(http::Exchange& exchange, Fault fault, const std::string& id) {
    const ErrorPage page = error_page(fault, id);
    exchange.respond({page.status, {}, page.headers}, page.body);
  }

  Front& front_;
  std::shared_ptr<http::Exchange> exchange_;  // until it is answered
  std::shared_ptr<websocket::SocketBridge> bridge_;  // of a request that asks for a WebSocket
  std::string url_;
  bool is_replayable_ = false;
  std::uint32_t hops_ = 0;
  protocol::Invoke frame_;
};

void Front::handle(std::shared_ptr<http::Exchange> exchange) {
  const auto event = std::make_shared<HttpEvent>(*this, std::move(exchange));
  event->listen_for_cancel();
  invoker_.submit(dispatcher_, event);
}

}  // namespace insula::front
