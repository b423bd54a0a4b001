// SPDX-License-Identifier: Apache-2.0
//
// BodyDecoder: data by the slice, chunk framing byte by byte.
#include "src/supervisor/http/body_decoder.h"

#include <algorithm>

#include "src/supervisor/http/syntax.h"

namespace insula::http {
namespace {

constexpr std::uint8_t kSizeDigitsMax = 15;  // 60 bits: no sum overflows
constexpr std::uint32_t kExtensionBytesMax = 4096;
constexpr std::uint32_t kTrailerBytesMax = 8192;

int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

constexpr BodyDecoder::Step kGoOn{BodyDecoder::Kind::NeedInput, {}, {}};

}  // namespace

void BodyDecoder::expect_length(std::uint64_t bytes) noexcept {
  state_ = bytes == 0 ? State::Done : State::Length;
  remaining_ = bytes;
}

void BodyDecoder::expect_chunks(std::uint64_t bytes_max) noexcept {
  state_ = State::SizeStart;
  digits_ = 0;
  extension_bytes_ = trailer_bytes_ = 0;
  remaining_ = 0;
  budget_bytes_ = bytes_max;
}

BodyDecoder::Step BodyDecoder::next(BytesView& input, std::size_t data_bytes_max) {
  for (;;) {
    if (state_ == State::Done) return {Kind::End, {}, {}};
    if (state_ == State::Failed) return {Kind::Malformed, {}, "the body was malformed"};
    if (input.empty()) return kGoOn;
    if (state_ == State::Length || state_ == State::Data) return take_data(input, data_bytes_max);
    const Step step = control_byte(input.front());
    if (step.kind != Kind::NeedInput) return step;
    input.remove_prefix(1);
  }
}

BodyDecoder::Step BodyDecoder::take_data(BytesView& input, std::size_t data_bytes_max) {
  const auto bytes = static_cast<std::size_t>(
      std::min<std::uint64_t>(remaining_, std::min(input.size(), data_bytes_max)));
  if (bytes == 0) return {Kind::Blocked, {}, {}};
  const BytesView data = input.substr(0, bytes);
  input.remove_prefix(bytes);
  remaining_ -= bytes;
  if (remaining_ == 0) state_ = state_ == State::Length ? State::Done : State::DataCr;
  return {Kind::Data, data, {}};
}

// Consumes one byte of chunk framing; anything but NeedInput ends next().
BodyDecoder::Step BodyDecoder::control_byte(char c) {
  switch (state_) {
    case State::SizeStart:
    case State::Size:
      return size_digit(c);
    case State::Extension:
      if (c == '\r') {
        state_ = State::SizeLf;
        return kGoOn;
      }
      if (!is_field_value_char(c)) return fail("control byte in a chunk extension");
      if (++extension_bytes_ > kExtensionBytesMax) return fail("the chunk extensions are too long");
      return kGoOn;
    case State::SizeLf:
      if (c != '\n') return fail("bare CR after a chunk size");
      state_ = remaining_ == 0 ? State::TrailerStart : State::Data;
      return kGoOn;
    case State::DataCr:
      if (c != '\r') return fail("a chunk is longer than its size");
      state_ = State::DataLf;
      return kGoOn;
    case State::DataLf:
      if (c != '\n') return fail("bare CR after a chunk");
      state_ = State::SizeStart;
      return kGoOn;
    case State::TrailerStart:
      if (c == '\r') {
        state_ = State::EndLf;
        return kGoOn;
      }
      if (!is_token_char(c)) return fail("malformed trailer field");
      state_ = State::TrailerName;
      break;
    case State::TrailerName:
      if (c == ':') {
        state_ = State::TrailerValue;
      } else if (!is_token_char(c)) {
        return fail("malformed trailer field name");
      }
      break;
    case State::TrailerValue:
      if (c == '\r') {
        state_ = State::TrailerLf;
      } else if (!is_field_value_char(c)) {
        return fail("control byte in a trailer field");
      }
      break;
    case State::TrailerLf:
      if (c != '\n') return fail("bare CR in a trailer field");
      state_ = State::TrailerStart;
      return kGoOn;
    case State::EndLf:
      if (c != '\n') return fail("bare CR after the last chunk");
      state_ = State::Done;
      return kGoOn;
    case State::Length:
    case State::Data:
    case State::Done:
    case State::Failed:
      break;
  }
  if (++trailer_bytes_ > kTrailerBytesMax) return fail("the trailer fields are too long");
  return kGoOn;
}

BodyDecoder::Step BodyDecoder::size_digit(char c) {
  const int digit = hex_value(c);
  if (digit >= 0) {
    if (state_ == State::SizeStart) {
      state_ = State::Size;
      digits_ = 0;
      remaining_ = 0;
    }
    if (++digits_ > kSizeDigitsMax) return fail("the chunk size has too many digits");
    remaining_ = remaining_ * 16 + static_cast<std::uint64_t>(digit);
    return kGoOn;
  }
  if (state_ == State::SizeStart) return fail("a chunk size must start with a digit");
  if (c == '\r') {
    state_ = State::SizeLf;
  } else if (c == ';') {
    state_ = State::Extension;
    if (++extension_bytes_ > kExtensionBytesMax) return fail("the chunk extensions are too long");
  } else {
    return fail("malformed chunk size");
  }
  if (remaining_ > budget_bytes_) {
    state_ = State::Failed;
    return {Kind::TooLong, {}, "the request body is too large"};
  }
  budget_bytes_ -= remaining_;
  return kGoOn;
}

BodyDecoder::Step BodyDecoder::fail(std::string_view reason) noexcept {
  state_ = State::Failed;
  return {Kind::Malformed, {}, reason};
}

}  // namespace insula::http
