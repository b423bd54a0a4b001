// SPDX-License-Identifier: Apache-2.0
//
// FrameParser: what arrives on a WebSocket, as messages in pieces, pings, pongs and the close (RFC 6455 section 5).
//
//   bytes ──► [FrameParser] ──► Message(text, "He", first), Message(text, "llo", last), Ping(...), Close(1000, "")
//
// Nothing is collected here: a message of 32 MiB passes through in pieces, and whoever wants it whole pays for it.
// How the input is cut changes where pieces end and nothing else.
//
// Invariants
//   1. Exactly one reading: what the RFC forbids (a reserved bit or opcode, a wrong mask, a length that is longer than
//      need be, a control frame in pieces or above 125 bytes, text that is not UTF-8) ends the connection.
//   2. All memory is a few words and, for a control frame, 125 bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/base/bytes.h"
#include "src/supervisor/websocket/frame.h"
#include "src/supervisor/websocket/utf8.h"

namespace insula::websocket {

struct ParsedEvent {
  enum class Kind : std::uint8_t {
    NeedInput,  // all input is consumed
    Message,    // a piece of one
    Ping,       // bytes: what the Pong must repeat
    Pong,
    Close,   // the other side's Close frame: code (kCloseNoCode: none), bytes: the reason. Nothing comes after it
    Failed,  // a violation: code to close with, bytes: what was wrong (static text). Nothing comes after it
  };
  Kind kind = Kind::NeedInput;
  bool is_text = false;
  bool is_first = false;
  bool is_final = false;
  std::uint16_t code = 0;
  BytesView bytes;
};

class FrameParser {
 public:
  // role: whose ears these are. message_bytes_max: over all fragments.
  FrameParser(Role role, std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max), role_(role) {}

  // Consumes from the front of `input` up to one event. `unmasked` is memory for its bytes, which stay valid until the
  // next call; of data at most unmasked_bytes_max come at once (at least 1).
  ParsedEvent next(BytesView& input, Bytes& unmasked, std::size_t unmasked_bytes_max);

  // True: no frame and no message is under way.
  bool is_idle() const noexcept { return state_ == State::Head && head_bytes_ == 0 && !is_in_message_; }

 private:
  enum class State : std::uint8_t { Head, Data, Control, Over };

  // Each returns a static text that tells the violation, or an empty one.
  std::string_view check_first_byte(unsigned char byte) noexcept;
  std::string_view check_second_byte(unsigned char byte) noexcept;
  std::string_view check_length() noexcept;
  std::string_view take_head_byte(char byte) noexcept;
  std::string_view start_payload() noexcept;
  ParsedEvent take_data(BytesView& input, Bytes& unmasked, std::size_t bytes_max);
  ParsedEvent take_control(BytesView& input);
  ParsedEvent finish_control();
  ParsedEvent read_close(BytesView body);
  ParsedEvent fail(std::uint16_t code, std::string_view reason) noexcept;
  bool is_control() const noexcept { return (static_cast<unsigned>(opcode_) & 0x8U) != 0; }

  const std::size_t message_bytes_max_;
  const Role role_;
  State state_ = State::Head;

  // The frame that is being read.
  Opcode opcode_ = Opcode::Continuation;
  bool is_last_fragment_ = false;
  bool is_masked_ = false;
  std::uint8_t head_bytes_ = 0;   // of the head, so far
  std::uint8_t head_needed_ = 2;  // how long it will be
  std::uint16_t fail_code_ = kCloseProtocolError;
  MaskKey mask_{};
  std::uint64_t length_ = 0;    // of its payload
  std::uint64_t received_ = 0;  // of it

  // The message that is being read: control frames may stand between its fragments.
  bool is_in_message_ = false;
  bool is_text_ = false;
  bool is_first_piece_ = false;
  std::uint32_t fragments_ = 0;
  std::uint64_t message_bytes_ = 0;
  Utf8Check utf8_;

  std::array<char, kControlBytesMax> control_{};
};

}  // namespace insula::websocket
