// SPDX-License-Identifier: Apache-2.0
//
// Connection after a 101 response: bytes in both directions for whoever has taken it over.
//
// is_corked_ is the part of pump() that still looks at everything afterwards; what is said outside it asks for a turn.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "src/supervisor/http/connection.h"
#include "src/supervisor/http/server_core.h"

namespace insula::http {
namespace {

// Nobody else notices that a quiet client has lost its network: the kernel asks it, and gives up after two minutes.
void watch_for_silence(int fd) noexcept {
  const int on = 1;
  const int idle_seconds = 60;
  const int interval_seconds = 15;
  const int probes = 4;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_seconds, sizeof idle_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_seconds, sizeof interval_seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

}  // namespace

void Connection::upgrade(const ResponseHead& head, std::shared_ptr<Takeover> takeover) {
  if (response_ != Response::Awaited || phase_ != Phase::Exchange || !exchange_->head_.wants_websocket) {
    takeover->on_gone(Error(ErrorCode::Conflict, "http: the request does not wait for an upgrade"));
    return;
  }
  if (!append_switching_head(output_, head, "websocket", server_.limits())) {
    respond_bad();
    takeover->on_gone(Error(ErrorCode::InvalidInput, "http: the fields of the response cannot be sent"));
    return;
  }
  exchange_->connection_ = nullptr;
  exchange_->cancelled_ = nullptr;
  exchange_.reset();
  response_ = Response::Done;
  closes_after_ = true;
  phase_ = Phase::Upgraded;
  read_deadline_ = Monotonic::max();
  watch_for_silence(socket_.get());
  takeover_ = takeover;
  takeover->on_started(*this);
  if (server_.is_draining()) takeover->on_draining();
  if (!is_corked_) server_.schedule(*this);
}

Connection::Step Connection::step_upgraded() {
  const auto takeover = takeover_;
  if (!takeover->wants_bytes()) return Step::Wait;
  if (in_.empty()) return Step::NeedInput;
  takeover->on_bytes(in_);
  return Step::Continue;
}

void Connection::write(BytesView bytes) {
  output_.append(bytes);
  if (!is_corked_) server_.schedule(*this);
}

void Connection::resume() {
  if (!is_corked_) server_.schedule(*this);
}

void Connection::finish() {
  if (phase_ != Phase::Upgraded) return;
  phase_ = Phase::Closing;
  lingers_ = true;  // what the client is still sending must not turn our last words into a reset
  if (!is_corked_) server_.schedule(*this);
}

void Connection::abandon() {
  must_cut_ = true;
  server_.schedule(*this);
}

Monotonic Connection::now() const noexcept { return server_.now(); }

void Connection::end_takeover(const Error& why) {
  if (const auto takeover = std::move(takeover_)) takeover->on_gone(why);
}

}  // namespace insula::http
