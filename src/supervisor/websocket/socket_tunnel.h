// SPDX-License-Identifier: Apache-2.0
//
// SocketTunnel: a WebSocket to a server elsewhere. On the Worker's side records, on the server's side frames, and on
// both sides byte streams: the body of an upgrade request that a Worker makes and of the 101 response to it.
//
//   Worker ──records──► [SocketTunnel] ──masked frames──► upload of the request      (egress)
//   Worker ◄──records── [SocketTunnel] ◄──────frames───── rest of the connection
//
// Invariants
//   1. Nothing is written before open(): what the Worker says while the answer is awaited waits in its own process.
//   2. Each side is read only as the other takes what comes of it.
//   3. Whatever ends on one side ends the other: a close as a close, everything else as a broken connection. After a
//      close in both directions the server closes the connection; egress gives it time for that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "src/base/bytes.h"
#include "src/io/byte_stream.h"
#include "src/supervisor/websocket/frame_parser.h"
#include "src/supervisor/websocket/record.h"

namespace insula::websocket {

class SocketTunnel final : public std::enable_shared_from_this<SocketTunnel> {
 public:
  // from_worker: its records.
  explicit SocketTunnel(io::ByteSourcePtr from_worker) : from_worker_(std::move(from_worker)) {}
  ~SocketTunnel();
  SocketTunnel(const SocketTunnel&) = delete;
  SocketTunnel& operator=(const SocketTunnel&) = delete;

  // What goes to the server: empty until open(). Stopping it ends everything.
  io::ByteSourcePtr to_server();
  // The server has agreed, and `from_server` is what follows its head. Returns the records for the Worker.
  io::ByteSourcePtr open(io::ByteSourcePtr from_server);

 private:
  class ToServer;
  class ToWorker;
  // What comes in, from either side.
  class Ear final : public io::ByteSink {
   public:
    using Take = void (SocketTunnel::*)(BytesView);
    using End = void (SocketTunnel::*)();
    Ear(SocketTunnel& tunnel, Take take, End end) : tunnel_(tunnel), take_(take), end_(end) {}
    void on_data(BytesView bytes) override { (tunnel_.*take_)(bytes); }
    void on_end() override { (tunnel_.*end_)(); }
    void on_failure(const Error&) override { (tunnel_.*end_)(); }

   private:
    SocketTunnel& tunnel_;
    const Take take_;
    const End end_;
  };
  // One direction's way out.
  struct Exit {
    io::ByteSink* sink = nullptr;
    std::size_t credit = 0;
    Bytes waiting;
    bool is_complete = false;  // nothing follows what waits
    bool is_over = false;      // its end was told, or its reader wants no more
  };

  void take_records(BytesView bytes);
  void end_records();
  void take_frames(BytesView bytes);
  void end_frames();
  void take(const ParsedEvent& event);
  void read_records();
  void push(Exit& exit);
  void move();  // whatever can be moved now
  void send_close(std::uint16_t code, std::string_view reason);
  void break_worker(std::string_view why);
  void break_off();

  io::ByteSourcePtr from_worker_;
  io::ByteSourcePtr from_server_;  // null before open()
  Ear worker_ear_{*this, &SocketTunnel::take_records, &SocketTunnel::end_records};
  Ear server_ear_{*this, &SocketTunnel::take_frames, &SocketTunnel::end_frames};
  Exit to_server_;
  Exit to_worker_;

  RecordReader reader_;
  Bytes records_;                    // from the Worker, not read yet
  std::size_t worker_granted_ = 0;   // and not used yet
  FrameParser parser_{Role::Client, kSocketMessageBytesMax};
  std::size_t server_granted_ = 0;
  bool is_sending_message_ = false;  // pieces of one are out, and its last is not
  std::optional<Bytes> pong_;        // waits until the server reads

  bool has_closed_ = false;         // our Close frame is on its way
  bool has_server_closed_ = false;
  bool is_worker_over_ = false;     // its stream has ended
  bool is_server_over_ = false;
  bool is_moving_ = false;
};

}  // namespace insula::websocket
