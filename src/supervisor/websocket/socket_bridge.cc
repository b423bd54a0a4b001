// SPDX-License-Identifier: Apache-2.0
//
// SocketBridge: credit is translated, endings are passed on.
#include "src/supervisor/websocket/socket_bridge.h"

#include <algorithm>
#include <utility>

#include "src/base/limits.h"

namespace insula::websocket {
namespace {

constexpr std::size_t kKeptBytesMax = 128;

// Sockets are quiet for most of their lives, and there are many of them.
void release(Bytes& buffer) noexcept {
  if (buffer.capacity() > kKeptBytesMax) Bytes().swap(buffer);
}

}  // namespace

SocketBridge::~SocketBridge() = default;

void SocketBridge::open(io::MessageSocketPtr socket, io::ByteSourcePtr from_worker) {
  self_ = shared_from_this();
  const auto self = self_;
  socket_ = std::move(socket);
  from_worker_ = std::move(from_worker);
  is_pushing_ = true;  // both are there before anything is passed on
  from_worker_->attach(*this);
  socket_->attach(*this);
  is_pushing_ = false;
  push_down();
  grant_socket();
}

void SocketBridge::refuse() {
  const auto self = shared_from_this();
  append_broken_record(up_, {});
  is_up_complete_ = true;
  push_up();
}

// ---- Upwards

void SocketBridge::attach(io::ByteSink& sink) { sink_ = &sink; }

void SocketBridge::grant(std::size_t bytes) {
  const auto self = shared_from_this();
  up_credit_ += bytes;
  push_up();
  grant_socket();
}

void SocketBridge::stop() {
  const auto self = shared_from_this();
  is_up_over_ = true;
  sink_ = nullptr;
  up_.clear();
  grant_socket();  // what still comes is dropped, up to the socket's close
  end_if_over();
}

void SocketBridge::push_up() {
  while (!is_up_over_ && sink_ != nullptr && !up_.empty() && up_credit_ > 0) {
    const std::size_t count = std::min(up_.size(), up_credit_);
    up_credit_ -= count;
    Bytes now = std::exchange(up_, {});
    if (count < now.size()) up_ = now.substr(count);
    sink_->on_data(BytesView(now).substr(0, count));
  }
  if (is_up_complete_ && up_.empty() && sink_ != nullptr && !is_up_over_) {
    is_up_over_ = true;
    std::exchange(sink_, nullptr)->on_end();
    end_if_over();
  }
}

// The socket may send what the Worker has room for. A piece costs more than its record takes, so what it is given
// always fits, but for the one piece by which it may overdraw.
void SocketBridge::grant_socket() {
  if (socket_ == nullptr || is_socket_over_ || has_socket_closed_) return;
  const auto room = is_up_over_ ? static_cast<std::int64_t>(kSocketWindowBytes)
                                : static_cast<std::int64_t>(up_credit_) - static_cast<std::int64_t>(up_.size());
  const std::int64_t more = std::min<std::int64_t>(room, kSocketWindowBytes) - socket_credit_;
  if (more <= 0) return;
  socket_credit_ += more;
  socket_->grant(static_cast<std::size_t>(more));
}

void SocketBridge::on_piece(const io::MessagePiece& piece) {
  socket_credit_ -= static_cast<std::int64_t>(io::piece_cost(piece));
  if (!is_up_over_) {
    append_piece_record(up_, piece);
    push_up();
  }
  grant_socket();
}

void SocketBridge::on_close(std::uint16_t code, std::string_view reason) {
  const auto self = shared_from_this();
  has_socket_closed_ = true;
  if (has_closed_socket_) is_socket_over_ = true;
  append_close_record(up_, code, reason);
  push_up();
  end_if_over();
}

void SocketBridge::on_gone(const Error& why) {
  const auto self = shared_from_this();
  is_socket_over_ = true;
  if (!has_socket_closed_ && !is_up_complete_) {
    // A violation has a text for the Worker; whatever else happened to the connection is nobody's business.
    const bool is_violation = why.code() == ErrorCode::InvalidInput || why.code() == ErrorCode::LimitExceeded;
    append_broken_record(up_, is_violation ? std::string_view(why.message()) : std::string_view());
  }
  if (!std::exchange(is_down_over_, true)) from_worker_->stop();
  down_.clear();
  end_if_over();
}

// ---- Downwards

void SocketBridge::on_granted(std::size_t bytes) {
  send_credit_ += static_cast<std::int64_t>(bytes);
  push_down();
}

void SocketBridge::on_data(BytesView bytes) {
  down_granted_ -= std::min(down_granted_, bytes.size());
  down_.append(bytes);
  push_down();
}

void SocketBridge::push_down() {
  if (is_pushing_ || from_worker_ == nullptr) return;
  is_pushing_ = true;
  const auto self = shared_from_this();
  BytesView input = down_;
  while (send_credit_ > 0 && !is_socket_over_ && !has_closed_socket_) {
    const ReadRecord record = reader_.next(input);
    if (record.kind == ReadRecord::Kind::NeedInput) break;
    take(record);
  }
  if (has_closed_socket_ || is_socket_over_) input = {};
  down_.erase(0, down_.size() - input.size());
  if (down_.empty()) release(down_);
  reader_.rest();
  is_pushing_ = false;
  if (is_socket_over_) return end_if_over();
  if (is_down_over_) {
    // The Worker's stream has ended. With a close all is well; otherwise the connection is broken once all was sent.
    if (down_.empty() && !has_closed_socket_) break_socket();
    end_if_over();
    return;
  }
  const std::size_t in_flight = down_granted_ + down_.size();
  if (in_flight <= kSocketWindowBytes / 2) {
    const std::size_t more = kSocketWindowBytes - in_flight;
    down_granted_ += more;
    const auto source = from_worker_;
    source->grant(more);
  }
}

void SocketBridge::take(const ReadRecord& record) {
  switch (record.kind) {
    case ReadRecord::Kind::Piece:
      send_credit_ -= static_cast<std::int64_t>(io::piece_cost(record.piece));
      socket_->send(record.piece);
      return;
    case ReadRecord::Kind::Close:
      has_closed_socket_ = true;
      if (has_socket_closed_) is_socket_over_ = true;
      socket_->close(record.code, record.piece.bytes);
      return;
    case ReadRecord::Kind::Broken:
    case ReadRecord::Kind::Malformed:
      break_socket();
      return;
    case ReadRecord::Kind::NeedInput:
      return;
  }
}

void SocketBridge::on_end() {
  is_down_over_ = true;
  push_down();
}

void SocketBridge::on_failure(const Error&) {
  is_down_over_ = true;
  push_down();
}

// ---- Endings

void SocketBridge::break_socket() {
  if (std::exchange(is_socket_over_, true)) return;
  socket_->drop();
  if (!has_socket_closed_) append_broken_record(up_, {});
}

void SocketBridge::end_if_over() {
  if (!is_socket_over_ || self_ == nullptr) return;
  is_up_complete_ = true;
  if (!is_down_over_) {
    // Nothing that it could still say would be heard.
    is_down_over_ = true;
    from_worker_->stop();
  }
  // The upward stream's reader holds this as its source; the rest of up_ needs nobody else.
  const auto self = std::move(self_);
  push_up();
}

}  // namespace insula::websocket
