// SPDX-License-Identifier: Apache-2.0
//
// Records: the messages of a WebSocket inside a byte stream between supervisor and runner.
//
// An upgraded request has a stream each way: that of its body carries what the client sends, that of the 101 response
// what the Worker sends. So a socket goes wherever a body goes: to a Worker in any runner, through a dispatcher that
// passes the response on, with the same flow control.
//
//   byte 0      kind: 1 text, 2 bytes, 3 close, 4 broken; with 80h: the message goes on in the next record
//   bytes 1-4   length of the payload, little-endian
//   payload     of a close: the code (two bytes, little-endian) and the reason; of broken: why, or nothing
//
// After a close or broken record comes nothing but the end of the stream, and that not before the socket is over in both
// directions: so its reader learns when there is nobody left to answer. An end without such a record means broken.
// src/builtins/runtime/sockets/records.ts is the other side.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/base/bytes.h"
#include "src/io/message_socket.h"

namespace insula::websocket {

enum class RecordKind : std::uint8_t { Text = 1, Bytes = 2, Close = 3, Broken = 4 };

inline constexpr std::size_t kRecordHeadBytes = 5;

void append_piece_record(Bytes& out, const io::MessagePiece& piece);
void append_close_record(Bytes& out, std::uint16_t code, std::string_view reason);
void append_broken_record(Bytes& out, std::string_view why);

struct ReadRecord {
  enum class Kind : std::uint8_t {
    NeedInput,
    Piece,
    Close,      // code, and the reason in piece.bytes
    Broken,     // piece.bytes: why
    Malformed,  // the stream is not one of records; the reader is finished
  };
  Kind kind = Kind::NeedInput;
  io::MessagePiece piece;
  std::uint16_t code = 0;
};

// Takes records from bytes that come in any pieces. A message of at most kSocketPieceBytesMax comes in one piece.
class RecordReader {
 public:
  // Consumes from the front of `input`. What it gives is valid until the next call.
  ReadRecord next(BytesView& input);
  // Nobody looks at what was given any more: between two records no memory of any size is kept.
  void rest() noexcept;

 private:
  ReadRecord take_piece(BytesView bytes);
  ReadRecord finish_short_record();
  ReadRecord fail() noexcept;

  std::array<char, kRecordHeadBytes> head_{};
  std::size_t head_bytes_ = 0;
  RecordKind kind_ = RecordKind::Text;
  bool goes_on_ = false;          // in the next record
  bool is_in_message_ = false;    // a piece was given, and not the last
  bool message_is_text_ = false;
  bool is_over_ = false;
  std::uint32_t remaining_ = 0;   // of the payload
  bool is_collected_ = false;     // the payload is short, and given whole
  Bytes collected_;
};

}  // namespace insula::websocket
