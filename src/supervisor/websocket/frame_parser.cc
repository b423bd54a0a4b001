// SPDX-License-Identifier: Apache-2.0
//
// FrameParser: heads byte by byte, so that a violation is seen at the same byte however the input is cut; payloads by
// the slice.
#include "src/supervisor/websocket/frame_parser.h"

#include <algorithm>
#include <cstring>

namespace insula::websocket {

ParsedEvent FrameParser::next(BytesView& input, Bytes& unmasked, std::size_t unmasked_bytes_max) {
  for (;;) {
    switch (state_) {
      case State::Head: {
        if (input.empty()) return {};
        const char byte = input.front();
        input.remove_prefix(1);
        const std::string_view violation = take_head_byte(byte);
        if (!violation.empty()) return fail(fail_code_, violation);
        // An empty payload is complete with its head.
        if (state_ == State::Control && length_ == 0) return finish_control();
        if (state_ == State::Data && length_ == 0) break;
        continue;
      }
      case State::Data:
        if (input.empty()) return {};
        break;
      case State::Control: {
        if (input.empty()) return {};
        const ParsedEvent event = take_control(input);
        if (event.kind == ParsedEvent::Kind::NeedInput) continue;
        return event;
      }
      case State::Over:
        input = {};
        return {};
    }
    const ParsedEvent piece = take_data(input, unmasked, unmasked_bytes_max);
    if (piece.kind != ParsedEvent::Kind::NeedInput) return piece;
  }
}

std::string_view FrameParser::take_head_byte(char byte) noexcept {
  const auto value = static_cast<unsigned char>(byte);
  const std::uint8_t at = head_bytes_++;
  if (at == 0) return check_first_byte(value);
  if (at == 1) {
    const std::string_view violation = check_second_byte(value);
    if (!violation.empty()) return violation;
    if (head_needed_ > (is_masked_ ? 6 : 2)) return {};  // a longer length follows
    const std::string_view too_long = check_length();
    if (!too_long.empty()) return too_long;
  } else if (at < head_needed_ - (is_masked_ ? 4 : 0)) {
    length_ = length_ << 8 | value;
    if (head_bytes_ == head_needed_ - (is_masked_ ? 4 : 0)) {
      const bool is_wide = head_needed_ - (is_masked_ ? 4 : 0) == 10;
      if (length_ <= (is_wide ? 0xffffU : kControlBytesMax)) return "the length of a frame is not in its shortest form";
      if (length_ >> 63 != 0) return "the length of a frame is negative";
      const std::string_view too_long = check_length();
      if (!too_long.empty()) return too_long;
    }
  } else {
    mask_[static_cast<std::size_t>(at) + 4 - head_needed_] = byte;
  }
  return head_bytes_ == head_needed_ ? start_payload() : std::string_view();
}

std::string_view FrameParser::check_first_byte(unsigned char byte) noexcept {
  if ((byte & 0x70) != 0) return "a reserved bit is set";
  is_last_fragment_ = (byte & 0x80) != 0;
  opcode_ = static_cast<Opcode>(byte & 0x0f);
  switch (opcode_) {
    case Opcode::Continuation:
      return is_in_message_ ? std::string_view() : "a continuation without a message";
    case Opcode::Text:
    case Opcode::Binary:
      return is_in_message_ ? "a new message before the last one is complete" : std::string_view();
    case Opcode::Close:
    case Opcode::Ping:
    case Opcode::Pong:
      return is_last_fragment_ ? std::string_view() : "a control frame in fragments";
  }
  return "a reserved opcode";
}

std::string_view FrameParser::check_second_byte(unsigned char byte) noexcept {
  is_masked_ = (byte & 0x80) != 0;
  if (is_masked_ && role_ == Role::Client) return "a frame of a server is masked";
  if (!is_masked_ && role_ == Role::Server) return "a frame of a client is not masked";
  const unsigned length = byte & 0x7fU;
  if (is_control() && length > kControlBytesMax) return "a control frame is too long";
  const unsigned extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  head_needed_ = static_cast<std::uint8_t>(2 + extended + (is_masked_ ? 4 : 0));
  length_ = extended == 0 ? length : 0;
  return {};
}

// The caps: before the first byte of the payload is looked at.
std::string_view FrameParser::check_length() noexcept {
  if (is_control()) return {};
  const std::uint64_t before = opcode_ == Opcode::Continuation ? message_bytes_ : 0;
  if (length_ > message_bytes_max_ - before) {
    fail_code_ = kCloseTooBig;
    return "Message is too large";
  }
  if (opcode_ == Opcode::Continuation && fragments_ >= kSocketFragmentsMax) {
    fail_code_ = kClosePolicy;
    return "Message has too many fragments";
  }
  return {};
}

std::string_view FrameParser::start_payload() noexcept {
  received_ = 0;
  if (is_control()) {
    state_ = State::Control;
    return {};
  }
  state_ = State::Data;
  if (opcode_ != Opcode::Continuation) {
    is_in_message_ = is_first_piece_ = true;
    is_text_ = opcode_ == Opcode::Text;
    fragments_ = 0;
    message_bytes_ = 0;
    utf8_.reset();
  }
  ++fragments_;
  message_bytes_ += length_;
  return {};
}

// One piece. An empty fragment in the middle of a message is none: NeedInput.
ParsedEvent FrameParser::take_data(BytesView& input, Bytes& unmasked, std::size_t bytes_max) {
  const auto count = static_cast<std::size_t>(
      std::min<std::uint64_t>(std::min(input.size(), std::max<std::size_t>(bytes_max, 1)), length_ - received_));
  BytesView piece = input.substr(0, count);
  input.remove_prefix(count);
  if (is_masked_) {
    unmasked.assign(piece);
    apply_mask(unmasked.data(), count, mask_, static_cast<std::size_t>(received_ % mask_.size()));
    piece = unmasked;
  }
  received_ += count;
  if (is_text_ && !utf8_.add(piece)) return fail(kCloseBadText, "the text is not UTF-8");
  const bool is_frame_over = received_ == length_;
  const bool is_final = is_frame_over && is_last_fragment_;
  if (is_final && is_text_ && !utf8_.is_complete()) return fail(kCloseBadText, "the text ends within a character");
  if (is_frame_over) {
    state_ = State::Head;
    head_bytes_ = 0;
  }
  ParsedEvent event;
  if (count == 0 && !is_final) return event;
  event.kind = ParsedEvent::Kind::Message;
  event.is_text = is_text_;
  event.is_first = is_first_piece_;
  event.is_final = is_final;
  event.bytes = piece;
  is_first_piece_ = false;
  if (is_final) is_in_message_ = false;
  return event;
}

ParsedEvent FrameParser::take_control(BytesView& input) {
  const auto count = std::min(input.size(), static_cast<std::size_t>(length_ - received_));
  std::memcpy(control_.data() + received_, input.data(), count);
  input.remove_prefix(count);
  received_ += count;
  return received_ == length_ ? finish_control() : ParsedEvent();
}

ParsedEvent FrameParser::finish_control() {
  const auto bytes = static_cast<std::size_t>(length_);
  if (is_masked_) apply_mask(control_.data(), bytes, mask_, 0);
  state_ = State::Head;
  head_bytes_ = 0;
  const BytesView body(control_.data(), bytes);
  if (opcode_ == Opcode::Close) return read_close(body);
  ParsedEvent event;
  event.kind = opcode_ == Opcode::Ping ? ParsedEvent::Kind::Ping : ParsedEvent::Kind::Pong;
  event.bytes = body;
  return event;
}

ParsedEvent FrameParser::read_close(BytesView body) {
  ParsedEvent event;
  event.kind = ParsedEvent::Kind::Close;
  event.code = kCloseNoCode;
  if (body.size() == 1) return fail(kCloseProtocolError, "a Close frame with half a code");
  if (body.size() >= 2) {
    event.code = static_cast<std::uint16_t>(static_cast<unsigned char>(body[0]) << 8 |
                                            static_cast<unsigned char>(body[1]));
    if (!is_close_code(event.code)) return fail(kCloseProtocolError, "a Close frame with a code that is not allowed");
    event.bytes = body.substr(2);
    Utf8Check check;
    if (!check.add(event.bytes) || !check.is_complete()) {
      return fail(kCloseBadText, "the reason of a Close frame is not UTF-8");
    }
  }
  state_ = State::Over;
  return event;
}

ParsedEvent FrameParser::fail(std::uint16_t code, std::string_view reason) noexcept {
  state_ = State::Over;
  ParsedEvent event;
  event.kind = ParsedEvent::Kind::Failed;
  event.code = code;
  event.bytes = reason;
  return event;
}

}  // namespace insula::websocket
