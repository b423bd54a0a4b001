// SPDX-License-Identifier: Apache-2.0
//
// SocketTunnel: the client's side of RFC 6455 between byte streams.
#include "src/supervisor/websocket/socket_tunnel.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "src/base/limits.h"

namespace insula::websocket {
namespace {

constexpr std::size_t kPongBacklogBytes = 4 * kKiB;

// Unpredictable, so that nobody can make a Worker send chosen bytes to what takes them for something else.
MaskKey fresh_key() {
  MaskKey key{};
  INSULA_CHECK(::RAND_bytes(reinterpret_cast<unsigned char*>(key.data()), static_cast<int>(key.size())) == 1);
  return key;
}

}  // namespace

// Both hold the tunnel; it goes with the last of them.
class SocketTunnel::ToServer final : public io::ByteSource {
 public:
  explicit ToServer(std::shared_ptr<SocketTunnel> tunnel) : tunnel_(std::move(tunnel)) {}
  ~ToServer() override { stop(); }
  void attach(io::ByteSink& sink) override {
    if (tunnel_ != nullptr) tunnel_->to_server_.sink = &sink;
  }
  void grant(std::size_t bytes) override {
    if (tunnel_ == nullptr) return;
    tunnel_->to_server_.credit += bytes;
    tunnel_->move();
  }
  void stop() override {
    const auto tunnel = std::exchange(tunnel_, nullptr);
    if (tunnel == nullptr) return;
    tunnel->to_server_.sink = nullptr;
    if (std::exchange(tunnel->to_server_.is_over, true)) return;
    tunnel->break_off();
  }

 private:
  std::shared_ptr<SocketTunnel> tunnel_;
};

class SocketTunnel::ToWorker final : public io::ByteSource {
 public:
  explicit ToWorker(std::shared_ptr<SocketTunnel> tunnel) : tunnel_(std::move(tunnel)) {}
  ~ToWorker() override { stop(); }
  void attach(io::ByteSink& sink) override {
    if (tunnel_ != nullptr) tunnel_->to_worker_.sink = &sink;
  }
  void grant(std::size_t bytes) override {
    if (tunnel_ == nullptr) return;
    tunnel_->to_worker_.credit += bytes;
    tunnel_->move();
  }
  void stop() override {
    const auto tunnel = std::exchange(tunnel_, nullptr);
    if (tunnel == nullptr) return;
    tunnel->to_worker_.sink = nullptr;
    tunnel->to_worker_.is_over = true;
    tunnel->to_worker_.waiting.clear();
    tunnel->move();
  }

 private:
  std::shared_ptr<SocketTunnel> tunnel_;
};

SocketTunnel::~SocketTunnel() {
  if (from_worker_ != nullptr && !is_worker_over_) from_worker_->stop();
  if (from_server_ != nullptr && !is_server_over_) from_server_->stop();
}

io::ByteSourcePtr SocketTunnel::to_server() { return std::make_shared<ToServer>(shared_from_this()); }

io::ByteSourcePtr SocketTunnel::open(io::ByteSourcePtr from_server) {
  const auto self = shared_from_this();
  from_server_ = std::move(from_server);
  auto records = std::make_shared<ToWorker>(self);
  is_moving_ = true;
  from_worker_->attach(worker_ear_);
  from_server_->attach(server_ear_);
  is_moving_ = false;
  move();
  return records;
}

// ---- Moving

void SocketTunnel::move() {
  if (from_server_ == nullptr || std::exchange(is_moving_, true)) return;
  const auto self = shared_from_this();
  read_records();
  if (pong_ && to_server_.waiting.size() <= kPongBacklogBytes) {
    const Bytes payload = *std::exchange(pong_, std::nullopt);
    if (!has_closed_) append_frame(to_server_.waiting, Opcode::Pong, true, payload, fresh_key());
  }
  if (has_closed_ && has_server_closed_) to_server_.is_complete = to_worker_.is_complete = true;
  push(to_server_);
  push(to_worker_);
  is_moving_ = false;

  if (!is_worker_over_) {
    const std::size_t in_flight = worker_granted_ + records_.size() + to_server_.waiting.size();
    if (in_flight <= kSocketWindowBytes / 2) {
      const std::size_t more = kSocketWindowBytes - in_flight;
      worker_granted_ += more;
      from_worker_->grant(more);
    }
  }
  if (!is_server_over_) {
    // After a close, or when the Worker reads no more, what comes is read only for its end.
    const bool is_dropped = to_worker_.is_over || has_server_closed_;
    const std::size_t room = is_dropped ? kSocketWindowBytes : std::min(to_worker_.credit, kSocketWindowBytes);
    const std::size_t in_flight = server_granted_ + to_worker_.waiting.size();
    if (room > in_flight) {
      const std::size_t more = room - in_flight;
      server_granted_ += more;
      from_server_->grant(more);
    }
  }
}

void SocketTunnel::push(Exit& exit) {
  while (!exit.is_over && exit.sink != nullptr && !exit.waiting.empty() && exit.credit > 0) {
    const std::size_t count = std::min(exit.waiting.size(), exit.credit);
    exit.credit -= count;
    const Bytes now = std::exchange(exit.waiting, {});
    exit.waiting = now.substr(count);
    exit.sink->on_data(BytesView(now).substr(0, count));
  }
  if (exit.is_complete && exit.waiting.empty() && exit.sink != nullptr && !std::exchange(exit.is_over, true)) {
    std::exchange(exit.sink, nullptr)->on_end();
  }
}

// ---- From the Worker

void SocketTunnel::take_records(BytesView bytes) {
  worker_granted_ -= std::min(worker_granted_, bytes.size());
  records_.append(bytes);
  move();
}

void SocketTunnel::end_records() {
  is_worker_over_ = true;
  move();
  if (!has_closed_) break_off();
}

void SocketTunnel::read_records() {
  BytesView input = records_;
  while (!has_closed_ && to_server_.waiting.size() <= kSocketWindowBytes) {
    const ReadRecord record = reader_.next(input);
    if (record.kind == ReadRecord::Kind::NeedInput) break;
    if (record.kind == ReadRecord::Kind::Piece) {
      const Opcode first = record.piece.is_text ? Opcode::Text : Opcode::Binary;
      append_frame(to_server_.waiting, is_sending_message_ ? Opcode::Continuation : first, record.piece.is_final,
                   record.piece.bytes, fresh_key());
      is_sending_message_ = !record.piece.is_final;
    } else if (record.kind == ReadRecord::Kind::Close) {
      send_close(record.code, record.piece.bytes);
    } else {
      input = {};
      break_off();
      break;
    }
  }
  if (has_closed_) input = {};
  records_.erase(0, records_.size() - input.size());
}

// ---- From the server

void SocketTunnel::take_frames(BytesView bytes) {
  server_granted_ -= std::min(server_granted_, bytes.size());
  Bytes unmasked;
  while (!bytes.empty()) {
    const ParsedEvent event = parser_.next(bytes, unmasked, kSocketPieceBytesMax);
    if (event.kind == ParsedEvent::Kind::NeedInput) break;
    take(event);
  }
  move();
}

void SocketTunnel::take(const ParsedEvent& event) {
  switch (event.kind) {
    case ParsedEvent::Kind::Message:
      if (!to_worker_.is_over) {
        append_piece_record(to_worker_.waiting, {event.is_text, event.is_first, event.is_final, event.bytes});
      }
      return;
    case ParsedEvent::Kind::Ping:
      pong_ = Bytes(event.bytes);
      return;
    case ParsedEvent::Kind::Close:
      has_server_closed_ = true;
      if (!to_worker_.is_over) append_close_record(to_worker_.waiting, event.code, event.bytes);
      return;
    case ParsedEvent::Kind::Failed:
      break_worker(std::to_string(event.code) + ": " + std::string(event.bytes));
      if (!has_closed_) send_close(event.code, event.bytes);
      return;
    case ParsedEvent::Kind::Pong:
    case ParsedEvent::Kind::NeedInput:
      return;
  }
}

void SocketTunnel::end_frames() {
  is_server_over_ = true;
  if (has_server_closed_) {
    to_worker_.is_complete = true;
  } else {
    break_worker({});
  }
  has_closed_ = true;  // nobody would read it
  to_server_.waiting.clear();
  to_server_.is_complete = true;
  if (!std::exchange(is_worker_over_, true)) from_worker_->stop();
  move();
}

// ---- Endings

void SocketTunnel::send_close(std::uint16_t code, std::string_view reason) {
  has_closed_ = true;
  append_close(to_server_.waiting, code, reason, fresh_key());
}

// The Worker hears that the connection is broken, once.
void SocketTunnel::break_worker(std::string_view why) {
  if (std::exchange(has_server_closed_, true)) return;
  if (!to_worker_.is_over) append_broken_record(to_worker_.waiting, why);
  to_worker_.is_complete = true;
}

// The Worker has gone without a close, or the upload has: the connection goes with it.
void SocketTunnel::break_off() {
  const auto self = shared_from_this();
  has_closed_ = true;
  to_server_.waiting.clear();
  to_server_.is_complete = true;
  break_worker({});
  to_worker_.is_complete = true;
  if (!std::exchange(is_worker_over_, true)) from_worker_->stop();
  if (from_server_ != nullptr && !std::exchange(is_server_over_, true)) from_server_->stop();
  move();
}

}  // namespace insula::websocket
