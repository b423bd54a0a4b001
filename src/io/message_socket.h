// SPDX-License-Identifier: Apache-2.0
//
// MessageSocket, MessageSink: one end of a WebSocket inside the supervisor.
//
// A client's connection, a socket that a Worker holds in a runner, and an outgoing connection are all MessageSockets,
// so that any two of them can be joined (JoinedSockets), and so that anything else can stand in for the
// Worker. Messages travel in pieces, because 32 MiB belong into the memory of whoever wants them whole, and under
// credit in both directions, because neither side may make the supervisor keep what the other does not read.
//
//     holder ──send, close──► MessageSocket (the other side's end)
//     holder ◄──on_piece, on_close── (the holder is its MessageSink)
//
// Rules
//   1. attach() is called once, first. The socket calls its sink no more after on_gone() or drop(), and after a close
//      in both directions: on_close() and the holder's close().
//   2. A piece costs piece_cost(). The socket delivers at most what grant() gave it, overdrawn by at most one piece;
//      the holder sends at most what on_granted() gave it, overdrawn by at most one piece.
//   3. After on_close() comes nothing but on_granted(), and on_gone() if the holder does not close in turn.
//   4. Sink functions may run inside attach() and grant(), never inside send(), close() or drop().
//   5. A holder that goes before the end calls drop().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/error.h"

namespace insula::io {

struct MessagePiece {
  bool is_text = false;   // the same in all pieces of a message
  bool is_first = true;
  bool is_final = true;
  BytesView bytes;  // borrowed for the duration of the call; of a text, UTF-8 that may be cut within a character
};

// Something for the piece itself, so that empty messages without end are not free.
inline constexpr std::size_t kPieceOverheadBytes = 64;
inline std::size_t piece_cost(const MessagePiece& piece) { return piece.bytes.size() + kPieceOverheadBytes; }

inline constexpr std::uint16_t kNoCloseCode = 1005;  // as RFC 6455 calls a close that names no code

class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void on_piece(const MessagePiece& piece) = 0;
  // The other side has closed: no more pieces.
  virtual void on_close(std::uint16_t code, std::string_view reason) = 0;
  // So much more may be sent.
  virtual void on_granted(std::size_t bytes) = 0;
  // The end without a close: the connection broke (Unavailable, Cancelled), or the other side broke the rules
  // (InvalidInput, LimitExceeded). The last call.
  virtual void on_gone(const Error& why) = 0;
};

class MessageSocket {
 public:
  virtual ~MessageSocket() = default;
  virtual void attach(MessageSink& sink) = 0;
  virtual void grant(std::size_t bytes) = 0;
  virtual void send(const MessagePiece& piece) = 0;
  // Once; nothing is sent after it. kNoCloseCode: a close without a code.
  virtual void close(std::uint16_t code, std::string_view reason) = 0;
  // The holder is gone without a close: the other side finds the connection broken.
  virtual void drop() = 0;
};

using MessageSocketPtr = std::shared_ptr<MessageSocket>;

}  // namespace insula::io
