// SPDX-License-Identifier: Apache-2.0
//
// ConnectionExchange: the Exchange of one Connection. It owns the head and a small body, so that its views stay valid
// for as long as anybody holds it, even after the connection has gone.
#pragma once

#include <functional>
#include <optional>

#include "src/supervisor/http/exchange.h"
#include "src/supervisor/http/head_parser.h"

namespace insula::http {

class Connection;

class ConnectionExchange final : public Exchange {
 public:
  const RequestHead& head() const override { return head_; }
  RequestBody& body() override { return body_; }
  void respond(const ResponseHead& head, BytesView body) override;
  void respond(const ResponseHead& head, io::ByteSourcePtr body, std::optional<std::uint64_t> length) override;
  void upgrade(const ResponseHead& head, std::shared_ptr<Takeover> takeover) override;
  void abort() override;
  void on_cancelled(std::function<void()> callback) override;

 private:
  friend class Connection;

  // Keeps the text with the exchange, and gives memory beyond a small amount back.
  std::string_view own_address(std::string_view text);
  void release_memory();

  Connection* connection_ = nullptr;  // null: answered or cancelled
  bool was_cancelled_ = false;
  RequestHead head_;
  RequestBody body_;
  HeadStorage storage_;
  Bytes body_bytes_;
  Bytes client_address_;
  std::function<void()> cancelled_;
};

}  // namespace insula::http
