// SPDX-License-Identifier: Apache-2.0
//
// Connection: turns, heads, input, time, and how a connection ends. Bodies of requests are in connection_body.cc,
// responses in connection_write.cc.
#include "src/supervisor/http/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "src/supervisor/http/server_core.h"

namespace insula::http {
namespace {

constexpr milliseconds kLingerWithin{2000};
// A client that sends without end lets others go first after so much.
constexpr std::size_t kReadTurnBytesMax = 1 * kMiB;
constexpr std::size_t kIdleInputBytesMax = 4 * kKiB;  // capacity that an idle connection may keep

}  // namespace

Connection::Connection(ServerCore& server, Fd socket, AddressKey address, std::string address_text)
    : server_(server),
      socket_(std::move(socket)),
      address_(address),
      address_text_(std::move(address_text)),
      parser_(server.limits()) {
  read_deadline_ = server_.now() + server_.limits().header_timeout;
}

Connection::~Connection() {
  // The callback may hold the exchange that holds the callback.
  if (exchange_ != nullptr) exchange_->cancelled_ = nullptr;
}

void Connection::on_ready(std::uint32_t events) {
  if (phase_ == Phase::Closed) return;  // closed earlier in this batch
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) is_broken_ = true;
  if ((events & EPOLLRDHUP) != 0) is_peer_finished_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP)) != 0) is_readable_ = true;
  if ((events & EPOLLOUT) != 0) is_write_blocked_ = false;
  requests_this_turn_ = 0;
  pump();
}

void Connection::pump() {
  if (is_pumping_ || phase_ == Phase::Closed) return;
  is_pumping_ = is_corked_ = true;
  bytes_this_turn_ = 0;
  finished_source_.reset();
  for (;;) {
    if (ends_now()) break;
    const Step next = step();
    if (next == Step::Continue) continue;
    if (next == Step::Wait) break;
    const Fill filled = fill();
    if (filled == Fill::Got) continue;
    if (filled == Fill::End) {
      on_end_of_input();
      if (phase_ != Phase::Closed && !ends_now() && phase_ == Phase::Exchange) continue;
    }
    break;
  }
  if (phase_ != Phase::Closed) {
    keep_leftover();
    is_corked_ = false;
    flush();
    if (response_ == Response::Streaming) grant_response();
    if (phase_ == Phase::Upgraded) takeover_->on_written();
    // The response may be fed by this connection's own request body: what was granted just now is not read by the loop
    // above any more.
    if (phase_ == Phase::Exchange && body_source_ != nullptr && body_source_->credit_bytes() > 0 &&
        (is_readable_ || !in_.empty())) {
      server_.schedule(*this);
    }
    if (phase_ == Phase::Closing && unsent_bytes() == 0 && !is_broken_) finish_closing();
  }
  is_pumping_ = is_corked_ = false;
}

bool Connection::ends_now() {
  if (phase_ == Phase::Closed) return true;
  if (must_cut_) {
    tear_down(Error(ErrorCode::Unavailable, "http: the connection was cut"));
    return true;
  }
  // A client that has closed its half is taken for gone while it waits for an answer: nothing tells it apart from one
  // that closed altogether, and its tenant should not work for nobody.
  const bool is_abandoned = is_peer_finished_ && phase_ == Phase::Exchange && response_ != Response::Done;
  if (is_broken_ || is_abandoned) {
    tear_down(Error(ErrorCode::Cancelled, "http: the client went away"));
    return true;
  }
  return false;
}

Connection::Step Connection::step() {
  switch (phase_) {
    case Phase::Head:
      return step_head();
    case Phase::Exchange:
      return step_body();
    case Phase::Upgraded:
      return step_upgraded();
    case Phase::Linger:
      in_ = {};
      return Step::NeedInput;
    case Phase::Closing:
    case Phase::Closed:
      break;
  }
  return Step::Wait;
}

Connection::Step Connection::step_head() {
  // A client that pipelines without reading waits for itself; one that pipelines much lets others go first.
  if (unsent_bytes() > 0 && (is_write_blocked_ || unsent_bytes() >= kInlineBodyBytesMax)) {
    flush();
    if (unsent_bytes() > 0) return Step::Wait;
  }
  if (requests_this_turn_ >= server_.limits().pipelined_max) {
    requests_this_turn_ = 0;
    server_.schedule(*this);
    return Step::Wait;
  }
  if (in_.empty()) return Step::NeedInput;

  if (exchange_ != nullptr) exchange_->cancelled_ = nullptr;  // it may hold the exchange itself
  if (exchange_ == nullptr || exchange_.use_count() > 1) exchange_ = std::make_shared<ConnectionExchange>();
  switch (parser_.parse(in_, exchange_->storage_)) {
    case HeadOutcome::Incomplete:
      if (!is_reading_head_) {
        is_reading_head_ = true;
        read_deadline_ = server_.now() + server_.limits().header_timeout;
      }
      return Step::NeedInput;
    case HeadOutcome::Rejected:
      is_http_1_0_ = is_head_request_ = false;
      lingers_ = true;
      respond_error(parser_.rejection().status, parser_.rejection().reason);
      return Step::Wait;
    case HeadOutcome::Complete:
      break;
  }
  in_.remove_prefix(parser_.head_bytes());
  begin_exchange();
  return Step::Continue;
}

void Connection::begin_exchange() {
  const ParsedHead& head = parser_.head();
  ++requests_this_turn_;
  is_reading_head_ = false;
  read_deadline_ = Monotonic::max();
  is_http_1_0_ = head.is_http_1_0;
  is_head_request_ = head.method == "HEAD";
  keeps_alive_ = head.keep_alive;
  expects_continue_ = head.expects_continue;
  closes_after_ = false;
  is_body_discarded_ = is_body_drained_ = false;
  discarded_bytes_ = 0;

  ConnectionExchange& exchange = *exchange_;
  exchange.was_cancelled_ = false;
  exchange.head_.method = head.method;
  exchange.head_.target = head.target;
  exchange.head_.authority = head.authority;
  exchange.head_.headers = head.headers;
  exchange.head_.wants_websocket = head.wants_websocket;
  exchange.head_.client_address = exchange.own_address(address_text_);
  exchange.body_ = RequestBody();
  phase_ = Phase::Exchange;
  response_ = Response::Awaited;
  prepare_body();
  if (phase_ != Phase::Exchange) return;  // a small body was malformed

  parser_.reset();
  exchange.connection_ = this;
  ++server_.counters().requests;
  server_.handler().handle(exchange_);
}

void Connection::finish_exchange() {
  body_source_.reset();
  if (closes_after_) {
    phase_ = Phase::Closing;
    return;
  }
  phase_ = Phase::Head;
  read_deadline_ = server_.now() + server_.limits().keep_alive_timeout;
}

// Reads once. Only pump() calls it, with `in_` consumed as far as possible.
Connection::Fill Connection::fill() {
  if (!is_readable_) return Fill::Nothing;
  if (bytes_this_turn_ >= kReadTurnBytesMax) {
    server_.schedule(*this);
    return Fill::Nothing;
  }
  const std::span<char> scratch = server_.scratch();
  keep_leftover();
  const ssize_t count = ::recv(socket_.get(), scratch.data(), scratch.size(), MSG_DONTWAIT);
  if (count < 0) {
    if (errno == EINTR) return Fill::Got;
    is_readable_ = false;
    if (errno != EAGAIN) is_broken_ = true;
    return is_broken_ ? Fill::End : Fill::Nothing;
  }
  const auto bytes = static_cast<std::size_t>(count);
  bytes_this_turn_ += bytes;
  if (bytes == 0) {
    is_readable_ = false;
    is_peer_finished_ = true;
    return Fill::End;
  }
  // A short read has emptied the socket, and more bytes will be a new event; but the end of input, when it is known
  // already, will not.
  if (bytes < scratch.size() && !is_peer_finished_) is_readable_ = false;
  if (phase_ == Phase::Linger) {
    discarded_bytes_ += bytes;
    if (discarded_bytes_ > kDrainBytesMax) is_broken_ = true;
  }
  if (input_.empty()) {
    in_ = BytesView(scratch.data(), bytes);
  } else {
    input_.append(scratch.data(), bytes);
    in_ = input_;
  }
  return Fill::Got;
}

// Moves what is not consumed from the scratch buffer, or from the middle of input_, to the front of input_.
void Connection::keep_leftover() {
  if (in_.empty()) {
    if (input_.capacity() > (phase_ == Phase::Upgraded ? kQuietBytesMax : kIdleInputBytesMax)) Bytes().swap(input_);
    input_.clear();
  } else if (input_.empty()) {
    input_.assign(in_);
  } else if (in_.size() != input_.size()) {
    input_.erase(0, input_.size() - in_.size());
  }
  in_ = input_;
}

void Connection::on_end_of_input() {
  if (phase_ == Phase::Closed || is_broken_) return;
  // In the middle of a head or a body there is nothing more to do; a response may still be on its way.
  if (phase_ == Phase::Exchange && response_ == Response::Done) {
    is_body_done_ = closes_after_ = true;
    return;
  }
  if (phase_ == Phase::Head && unsent_bytes() > 0) {
    phase_ = Phase::Closing;
    return;
  }
  tear_down(Error(ErrorCode::Cancelled, "http: the client went away"));
}

void Connection::finish_closing() {
  if (!lingers_ && in_.empty() && !is_readable_) {
    tear_down(Error(ErrorCode::Cancelled, "http: the connection is complete"));
    return;
  }
  ::shutdown(socket_.get(), SHUT_WR);
  phase_ = Phase::Linger;
  discarded_bytes_ = 0;
  in_ = {};
  keep_leftover();
  read_deadline_ = server_.now() + kLingerWithin;
  server_.schedule(*this);
}

void Connection::check_timeouts(Monotonic now) {
  if (phase_ == Phase::Closed) return;
  finished_source_.reset();
  if (phase_ == Phase::Upgraded) takeover_->on_tick(now);
  if (now >= write_deadline_) {
    ++server_.counters().timeouts;
    tear_down(Error(ErrorCode::TimedOut, "http: the client does not read"));
    return;
  }
  if (now >= read_deadline_) {
    read_deadline_ = Monotonic::max();
    const bool is_awaited = (phase_ == Phase::Head && is_reading_head_) ||
                            (phase_ == Phase::Exchange && response_ == Response::Awaited);
    if (phase_ != Phase::Linger) ++server_.counters().timeouts;
    if (!is_awaited) {
      tear_down(Error(ErrorCode::TimedOut, "http: the client was silent for too long"));
      return;
    }
    lingers_ = true;
    if (phase_ == Phase::Exchange) {
      refuse_body(408, "the rest of the request did not come in time");
    } else {
      respond_error(408, "the request did not come in time");
    }
    return;
  }
  if (phase_ == Phase::Head && !is_reading_head_ && exchange_ != nullptr) {
    exchange_->cancelled_ = nullptr;
    if (exchange_.use_count() == 1) exchange_->release_memory();
  }
  // The handler has dropped the exchange, so nobody can answer it any more.
  if (phase_ == Phase::Exchange && response_ == Response::Awaited && exchange_.use_count() == 1) {
    server_.log().error("http.exchange_dropped");
    respond_error(500, "the request was not answered");
  }
}

void Connection::start_draining() {
  if (phase_ == Phase::Head && in_.empty() && !is_readable_ && unsent_bytes() == 0) {
    tear_down(Error(ErrorCode::Cancelled, "http: the server is going away"));
  } else if (phase_ == Phase::Upgraded) {
    takeover_->on_draining();
  }
}

void Connection::cut() { tear_down(Error(ErrorCode::Cancelled, "http: the server is going away")); }

void Connection::abort() {
  // The handler knows: it is not told.
  exchange_->connection_ = nullptr;
  must_cut_ = true;
  server_.schedule(*this);
}

// Ends the exchange from our side. May call the handler, which finds the exchange ended already.
void Connection::cancel_exchange(const Error& why) {
  const auto exchange = exchange_;
  const auto source = std::move(body_source_);
  const auto response_source = std::move(response_source_);
  body_source_ = nullptr;
  response_source_ = nullptr;
  std::function<void()> cancelled;
  if (exchange != nullptr && std::exchange(exchange->connection_, nullptr) != nullptr) {
    ++server_.counters().requests_cancelled;
    cancelled = std::exchange(exchange->cancelled_, nullptr);
    exchange->was_cancelled_ = cancelled == nullptr;
  }
  if (response_source != nullptr) response_source->stop();
  if (source != nullptr) source->fail(why);
  if (cancelled) cancelled();
}

void Connection::tear_down(const Error& why) {
  if (phase_ == Phase::Closed) return;
  // Without a length, a closed connection would look like the end of the body: a reset does not.
  if (response_ == Response::Streaming && response_framing_ == Framing::Kind::UntilClose) {
    const linger reset{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  phase_ = Phase::Closed;
  socket_.reset();
  in_ = {};
  if (response_ != Response::Done) cancel_exchange(why);
  response_ = Response::Done;
  if (const auto source = std::move(body_source_)) source->fail(why);
  end_takeover(why);
  server_.remove(*this);
}

}  // namespace insula::http
