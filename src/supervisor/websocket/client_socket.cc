// SPDX-License-Identifier: Apache-2.0
//
// ClientSocket: frames of a client to and from pieces of messages.
#include "src/supervisor/websocket/client_socket.h"

#include <string>
#include <utility>

#include "src/base/header_block.h"
#include "src/base/limits.h"
#include "src/supervisor/websocket/handshake.h"

namespace insula::websocket {
namespace {

// A client that leaves so much unread gets its pongs later.
constexpr std::size_t kPongBacklogBytes = 4 * kKiB;
constexpr std::size_t kGrantStepBytes = kSocketWindowBytes / 4;

}  // namespace

void ClientSocket::attach(io::MessageSink& sink) {
  if (is_over_) {
    sink.on_gone(Error(ErrorCode::Cancelled, "websocket: the client went away"));
    return;
  }
  sink_ = &sink;
  send_credit_ += static_cast<std::int64_t>(kSocketWindowBytes);
  sink.on_granted(kSocketWindowBytes);
}

void ClientSocket::grant(std::size_t bytes) {
  const bool was_waiting = credit_ <= 0;
  credit_ += static_cast<std::int64_t>(bytes);
  if (was_waiting && credit_ > 0 && wire_ != nullptr) wire_->resume();
}

void ClientSocket::send(const io::MessagePiece& piece) {
  if (has_closed_ || is_over_ || wire_ == nullptr) return;
  // One who sends more than it was given would have us keep it: that is the end.
  if (send_credit_ <= 0) {
    wire_->abandon();
    is_over_ = true;
    return;
  }
  const std::size_t cost = io::piece_cost(piece);
  send_credit_ -= static_cast<std::int64_t>(cost);
  sent_cost_ += cost;
  const Opcode first = piece.is_text ? Opcode::Text : Opcode::Binary;
  Bytes head;
  append_frame_head(head, is_sending_message_ ? Opcode::Continuation : first, piece.is_final, piece.bytes.size(), {});
  is_sending_message_ = !piece.is_final;
  wire_->write(head);
  wire_->write(piece.bytes);
}

void ClientSocket::close(std::uint16_t code, std::string_view reason) {
  if (has_closed_ || is_over_) return;
  send_close(code, reason);
  if (has_client_closed_ && wire_ != nullptr) {
    sink_ = nullptr;
    is_over_ = true;
    wire_->finish();
  }
}

void ClientSocket::drop() {
  sink_ = nullptr;
  if (is_over_ || wire_ == nullptr) return;
  is_over_ = true;
  wire_->abandon();
}

void ClientSocket::on_started(http::Wire& wire) { wire_ = &wire; }

bool ClientSocket::wants_bytes() const noexcept {
  if (is_over_) return false;
  // After the client's Close there is nothing to hear but the end of its connection.
  return credit_ > 0 || has_client_closed_ || is_discarding_;
}

void ClientSocket::on_bytes(BytesView& input) {
  Bytes unmasked;
  while (wants_bytes() && !input.empty()) {
    const ParsedEvent event = parser_.next(input, unmasked, kSocketPieceBytesMax);
    if (event.kind == ParsedEvent::Kind::NeedInput) return;
    take(event);
  }
}

void ClientSocket::take(const ParsedEvent& event) {
  switch (event.kind) {
    case ParsedEvent::Kind::Message: {
      const io::MessagePiece piece{event.is_text, event.is_first, event.is_final, event.bytes};
      credit_ -= static_cast<std::int64_t>(io::piece_cost(piece));
      if (sink_ != nullptr) sink_->on_piece(piece);
      return;
    }
    case ParsedEvent::Kind::Ping:
      answer_ping(event.bytes);
      return;
    case ParsedEvent::Kind::Close:
      has_client_closed_ = true;
      close_deadline_ = Monotonic::max();
      if (has_closed_) {
        is_over_ = true;
        wire_->finish();
      }
      if (sink_ != nullptr) (has_closed_ ? std::exchange(sink_, nullptr) : sink_)->on_close(event.code, event.bytes);
      return;
    case ParsedEvent::Kind::Failed: {
      if (!has_closed_) send_close(event.code, event.bytes);
      is_over_ = true;
      wire_->finish();
      const ErrorCode code = event.code == kCloseTooBig ? ErrorCode::LimitExceeded : ErrorCode::InvalidInput;
      end(Error(code, std::to_string(event.code) + ": " + std::string(event.bytes)));
      return;
    }
    case ParsedEvent::Kind::Pong:
    case ParsedEvent::Kind::NeedInput:
      return;
  }
}

void ClientSocket::answer_ping(BytesView payload) {
  if (has_closed_) return;
  if (wire_->unwritten_bytes() > kPongBacklogBytes) {
    pong_ = Bytes(payload);
    return;
  }
  Bytes frame;
  append_frame(frame, Opcode::Pong, true, payload, {});
  wire_->write(frame);
}

void ClientSocket::on_written() {
  if (is_over_) return;
  const std::size_t waiting = wire_->unwritten_bytes();
  if (pong_ && waiting <= kPongBacklogBytes) {
    const Bytes payload = *std::exchange(pong_, std::nullopt);
    answer_ping(payload);
  }
  // What the client has not taken counts against the window, so credit comes back as the backlog shrinks.
  if (sink_ == nullptr || sent_cost_ < kGrantStepBytes || waiting > kSocketWindowBytes / 2) return;
  const std::size_t given = std::exchange(sent_cost_, 0);
  send_credit_ += static_cast<std::int64_t>(given);
  sink_->on_granted(given);
}

void ClientSocket::on_draining() {
  if (is_over_) return;
  if (!has_closed_) send_close(kCloseGoingAway, "the server is going away");
  if (has_client_closed_) {
    is_over_ = true;
    wire_->finish();
  }
  is_discarding_ = true;
  end(Error(ErrorCode::Cancelled, "websocket: the server is going away"));
}

void ClientSocket::on_tick(Monotonic now) {
  if (now >= close_deadline_ && !is_over_) {
    is_over_ = true;
    wire_->abandon();
  }
}

void ClientSocket::on_gone(const Error& why) {
  wire_ = nullptr;
  is_over_ = true;
  end(why);
}

void ClientSocket::send_close(std::uint16_t code, std::string_view reason) {
  has_closed_ = true;
  if (wire_ == nullptr) return;
  Bytes frame;
  append_close(frame, code, reason, {});
  wire_->write(frame);
  close_deadline_ = wire_->now() + kSocketCloseWithin;
}

void ClientSocket::end(const Error& why) {
  if (io::MessageSink* const sink = std::exchange(sink_, nullptr)) sink->on_gone(why);
}

std::shared_ptr<ClientSocket> accept_client(http::Exchange& exchange, BytesView fields) {
  const Result<std::string> accept = check_request(exchange.head().headers);
  if (!accept) {
    const bool is_version = accept.error().code() == ErrorCode::Unsupported;
    Bytes answer;
    append_header(answer, "content-type", "text/plain;charset=utf-8");
    if (is_version) append_header(answer, "sec-websocket-version", "13");
    const int status = is_version ? 426 : 400;
    exchange.respond({.status = status, .reason = {}, .headers = answer},
                     std::to_string(status) + ": " + accept.error().message() + "\n");
    return nullptr;
  }
  auto socket = std::make_shared<ClientSocket>();
  const Bytes all = response_fields(fields, *accept);
  exchange.upgrade({.status = 101, .reason = {}, .headers = all}, socket);
  return socket;
}

}  // namespace insula::websocket
