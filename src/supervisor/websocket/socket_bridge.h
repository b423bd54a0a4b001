// SPDX-License-Identifier: Apache-2.0
//
// SocketBridge: a MessageSocket on one side, the two byte streams of an upgraded request on the other.
//
//   client ◄──► ClientSocket ◄──MessageSocket──► [SocketBridge] ──records──► body of the request (we are its source)
//                                                               ◄──records── body of the 101 response
//
// It is made with the request, before anybody knows whether the answer will be a 101: open() follows, or nothing.
//
// Invariants
//   1. What the streams' other ends do not take is not read from the socket, and the other way round; what waits here
//      in between is at most one piece upwards, and one window downwards.
//   2. Whatever ends on one side ends the other: a close as a close, everything else as a broken connection. The stream
//      to the Worker ends when the socket is over.
//   3. From open() to the end of both sides it keeps itself alive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "src/base/bytes.h"
#include "src/io/byte_stream.h"
#include "src/io/message_socket.h"
#include "src/supervisor/websocket/record.h"

namespace insula::websocket {

class SocketBridge final : public io::ByteSource,
                           public io::ByteSink,
                           public io::MessageSink,
                           public std::enable_shared_from_this<SocketBridge> {
 public:
  SocketBridge() = default;
  ~SocketBridge() override;
  SocketBridge(const SocketBridge&) = delete;
  SocketBridge& operator=(const SocketBridge&) = delete;

  // Once: the socket, and what the Worker sends to it.
  void open(io::MessageSocketPtr socket, io::ByteSourcePtr from_worker);
  // Instead of open(): the answer was a 101, but there is no socket. The Worker finds the connection broken.
  void refuse();

  // ByteSource: what the socket sends to the Worker.
  void attach(io::ByteSink& sink) override;
  void grant(std::size_t bytes) override;
  void stop() override;

 private:
  // ByteSink: what the Worker sends.
  void on_data(BytesView bytes) override;
  void on_end() override;
  void on_failure(const Error& error) override;

  // MessageSink: what the socket says.
  void on_piece(const io::MessagePiece& piece) override;
  void on_close(std::uint16_t code, std::string_view reason) override;
  void on_granted(std::size_t bytes) override;
  void on_gone(const Error& why) override;

  void push_up();
  void grant_socket();
  void push_down();
  void take(const ReadRecord& record);
  void break_socket();
  void end_if_over();

  io::MessageSocketPtr socket_;
  io::ByteSourcePtr from_worker_;
  std::shared_ptr<SocketBridge> self_;  // from open() to the end

  // Upwards, to the Worker.
  io::ByteSink* sink_ = nullptr;
  Bytes up_;                        // encoded, not taken yet
  std::size_t up_credit_ = 0;       // that the Worker has given
  std::int64_t socket_credit_ = 0;  // that we have given to the socket
  bool is_up_complete_ = false;     // nothing follows what is in up_
  bool is_up_over_ = false;         // its end was told, or the Worker wants no more

  // Downwards, to the socket.
  RecordReader reader_;
  Bytes down_;                     // not read yet
  std::size_t down_granted_ = 0;   // to the Worker, not used yet
  std::int64_t send_credit_ = 0;   // that the socket has given
  bool is_down_over_ = false;
  bool is_pushing_ = false;

  bool has_socket_closed_ = false;
  bool has_closed_socket_ = false;
  bool is_socket_over_ = false;
};

}  // namespace insula::websocket
