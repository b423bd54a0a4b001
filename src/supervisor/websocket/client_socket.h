// SPDX-License-Identifier: Apache-2.0
//
// ClientSocket: the WebSocket of a client, on the connection that its upgrade request came on.
//
//   client ◄──frames──► http: Connection ◄──Wire, Takeover──► [ClientSocket] ◄──MessageSocket──► whoever holds it
//
// Pings are answered here, pongs are dropped here, and violations of the protocol end here, with a Close frame that
// says which. What the holder sees is messages and at most one ending.
//
// Invariants
//   1. Nothing is read while the holder has given no credit, so what a client sends waits in the kernel, not here.
//   2. The holder is given credit for what the client has taken; what waits for a client is bounded by it. Of pings
//      that come faster than their answers leave, the last is answered (RFC 6455 section 5.5.3 allows that).
//   3. After a close in both directions the connection is closed, and the holder hears no more.
//   4. Whoever closes first does not wait for ever: kSocketCloseWithin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/clock.h"
#include "src/io/message_socket.h"
#include "src/supervisor/http/exchange.h"
#include "src/supervisor/http/takeover.h"
#include "src/supervisor/websocket/frame_parser.h"

namespace insula::websocket {

class ClientSocket final : public http::Takeover, public io::MessageSocket {
 public:
  ClientSocket() = default;
  ~ClientSocket() override = default;
  ClientSocket(const ClientSocket&) = delete;
  ClientSocket& operator=(const ClientSocket&) = delete;

  // For the holder.
  void attach(io::MessageSink& sink) override;
  void grant(std::size_t bytes) override;
  void send(const io::MessagePiece& piece) override;
  void close(std::uint16_t code, std::string_view reason) override;
  void drop() override;

  // For the connection.
  void on_started(http::Wire& wire) override;
  bool wants_bytes() const noexcept override;
  void on_bytes(BytesView& input) override;
  void on_written() override;
  void on_draining() override;
  void on_tick(Monotonic now) override;
  void on_gone(const Error& why) override;

 private:
  void take(const ParsedEvent& event);
  void answer_ping(BytesView payload);
  void send_close(std::uint16_t code, std::string_view reason);
  void end(const Error& why);  // tells the holder, once

  http::Wire* wire_ = nullptr;      // null: not there yet, or gone
  io::MessageSink* sink_ = nullptr;  // null: not there yet, or has heard the last
  bool is_discarding_ = false;       // nobody hears any more; only the client's Close frame is awaited
  FrameParser parser_{Role::Server, kSocketMessageBytesMax};
  std::int64_t credit_ = 0;         // that the holder has given
  std::int64_t send_credit_ = 0;    // that the holder has
  std::size_t sent_cost_ = 0;       // since it was last given some
  bool is_sending_message_ = false;  // pieces of one are out, and its last is not
  bool has_client_closed_ = false;
  bool has_closed_ = false;  // our Close frame is written
  bool is_over_ = false;     // the connection is on its way out
  std::optional<Bytes> pong_;  // waits until the client reads
  Monotonic close_deadline_ = Monotonic::max();
};

// Answers the exchange with 101 and the Worker's fields, and returns the client's socket; or refuses, with 400 or 426,
// and returns null, when the request's handshake is wrong. The request must be one that wants_websocket.
std::shared_ptr<ClientSocket> accept_client(http::Exchange& exchange, BytesView fields);

}  // namespace insula::websocket
