// SPDX-License-Identifier: Apache-2.0
//
// Hop: one request and its response, from the URL to the last byte of the body.
//
//   check ──► resolve ──► judge all addresses ──► kept or new connection ──► upload ║ head ──► body
//
// Invariants
//   1. No packet leaves before every address of the host has passed the policy; the connection goes to one of them.
//   2. The callback is called at most once, never inside start(), and not after abandon().
//   3. A connection goes back to the pool only after a complete request and a complete, correctly framed response.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/egress/connection.h"
#include "src/supervisor/egress/egress.h"
#include "src/supervisor/egress/request_head.h"
#include "src/supervisor/egress/resolver.h"
#include "src/supervisor/egress/response_parser.h"
#include "src/supervisor/egress/services.h"
#include "src/supervisor/egress/upload.h"
#include "src/supervisor/egress/url.h"

namespace insula::egress {

class Hop final : public Upload::Listener, public std::enable_shared_from_this<Hop> {
 public:
  Hop(std::shared_ptr<Services> services, OutboundRequest request, FetchCallback callback);
  ~Hop() override;
  Hop(const Hop&) = delete;
  Hop& operator=(const Hop&) = delete;

  void start();
  // Ends everything; nobody is called any more.
  void abandon();
  // The same until the callback has been called; nothing afterwards.
  void cancel();

  // What the response's body source does with us.
  void attach_body(io::ByteSink& sink);
  void grant_body(std::size_t bytes);

 private:
  // Before the exchange (hop.cc).
  Result<> prepare();
  void resolve();
  void on_addresses(Result<Addresses> addresses);
  Error refuse(std::string_view reason, const boost::asio::ip::address* address);
  void acquire();
  void connect();
  void on_opened(Result<> opened);
  void fail(Error error);

  // The exchange (hop_exchange.cc).
  void exchange();
  void on_upload_progress(bool is_writing) override;
  void on_upload_done(Upload::Outcome outcome, const Error* error) override;
  void read_more();
  void on_read(const boost::system::error_code& error, std::size_t bytes);
  void pump();
  bool pump_step();
  void answer();
  void complete();
  bool retry_on_fresh_connection();
  void lose(Error error);
  void end_body(const Error* error);

  // One timer for all phases; what it means is what comes last.
  void expect_within(std::chrono::milliseconds limit, const char* what);
  void expect_until(std::chrono::steady_clock::time_point until, const char* what);
  void expect_nothing() noexcept { awaited_ = nullptr; }
  void watch_the_clock();
  void update_expectation();
  void release();

  const std::shared_ptr<Services> services_;
  OutboundRequest request_;
  FetchCallback callback_;

  Url url_;
  std::shared_ptr<const RequestHead> head_;
  std::shared_ptr<const Bytes> request_body_;
  Connection::Endpoints endpoints_;  // all checked

  std::shared_ptr<Connection> connection_;
  bool is_reused_ = false;  // the connection has served before and may be stale
  std::shared_ptr<Upload> upload_;
  bool upload_done_ = false;
  bool upload_complete_ = false;

  std::optional<ResponseParser> parser_;
  std::vector<char> input_;
  std::size_t begin_ = 0;  // input_[begin_, end_) has been read and not consumed
  std::size_t end_ = 0;
  bool is_reading_ = false;
  bool is_pumping_ = false;
  bool is_pump_wanted_ = false;

  io::ByteSink* sink_ = nullptr;
  std::size_t credit_ = 0;
  std::optional<Result<>> body_end_;  // reached before a sink was attached

  Timer timer_;
  std::chrono::steady_clock::time_point awaited_until_{};
  std::chrono::steady_clock::time_point head_until_{};  // not moved by a head that trickles in
  const char* awaited_ = nullptr;  // "egress: …" text of the time-out; null: nothing is awaited
  bool is_timer_running_ = false;

  bool is_switched_ = false;  // the answer was 101: what follows is not HTTP
  bool is_answered_ = false;  // the callback has been called, or will be with an error
  bool is_done_ = false;
};

}  // namespace insula::egress
