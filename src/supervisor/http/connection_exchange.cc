// SPDX-License-Identifier: Apache-2.0
//
// ConnectionExchange: passes the handler's answer on while there is a connection that waits for it.
#include "src/supervisor/http/connection_exchange.h"

#include <utility>

#include "src/supervisor/http/connection.h"

namespace insula::http {

void ConnectionExchange::respond(const ResponseHead& head, BytesView body) {
  if (connection_ != nullptr) connection_->respond(head, body);
}

void ConnectionExchange::respond(const ResponseHead& head, io::ByteSourcePtr body,
                                 std::optional<std::uint64_t> length) {
  if (connection_ != nullptr) {
    connection_->respond(head, std::move(body), length);
  } else if (body != nullptr) {
    body->stop();
  }
}

void ConnectionExchange::upgrade(const ResponseHead& head, std::shared_ptr<Takeover> takeover) {
  if (connection_ != nullptr) {
    connection_->upgrade(head, std::move(takeover));
  } else {
    takeover->on_gone(Error(ErrorCode::Cancelled, "http: the client went away"));
  }
}

void ConnectionExchange::abort() {
  if (connection_ != nullptr) connection_->abort();
}

void ConnectionExchange::on_cancelled(std::function<void()> callback) {
  if (connection_ != nullptr) {
    cancelled_ = std::move(callback);
  } else if (was_cancelled_ && callback) {
    was_cancelled_ = false;
    callback();
  }
}

std::string_view ConnectionExchange::own_address(std::string_view text) {
  if (client_address_.empty()) client_address_ = text;
  return client_address_;
}

void ConnectionExchange::release_memory() {
  constexpr std::size_t kKeptBytesMax = 4 * kKiB;  // per idle connection
  body_ = RequestBody();
  storage_.shrink_to(kKeptBytesMax);
  if (body_bytes_.capacity() > kKeptBytesMax) Bytes().swap(body_bytes_);
}

}  // namespace insula::http
