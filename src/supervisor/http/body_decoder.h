// SPDX-License-Identifier: Apache-2.0
//
// BodyDecoder: finds the end of a request body, by length or by chunks (RFC 9112 section 7.1), without copying.
//
// As strict as the head: sizes are 1 to 15 hexadecimal digits with nothing around them, lines end in CRLF, extensions
// and trailers are bounded, checked for control bytes, and dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/base/bytes.h"

namespace insula::http {

class BodyDecoder {
 public:
  enum class Kind : std::uint8_t {
    NeedInput,  // all input is consumed, the body goes on
    Blocked,    // there is data, but data_bytes_max was 0
    Data,       // `data` is a view into the input
    End,        // the body is complete; input starts with whatever follows
    Malformed,  // `reason` says why; the decoder is finished
    TooLong,    // a chunked body above its limit
  };
  struct Step {
    Kind kind;
    BytesView data;
    std::string_view reason;  // static text
  };

  void expect_nothing() noexcept { expect_length(0); }
  void expect_length(std::uint64_t bytes) noexcept;
  void expect_chunks(std::uint64_t bytes_max) noexcept;

  // Consumes from the front of `input` until there is something to say. At most data_bytes_max bytes of data.
  Step next(BytesView& input, std::size_t data_bytes_max);

  bool is_done() const noexcept { return state_ == State::Done; }
  // Bytes that are certain to follow: the rest of a length, or of the present chunk.
  std::uint64_t remaining_bytes() const noexcept { return remaining_; }

 private:
  enum class State : std::uint8_t {
    Length,
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
    Failed,
  };

  Step take_data(BytesView& input, std::size_t data_bytes_max);
  Step control_byte(char c);
  Step size_digit(char c);
  Step fail(std::string_view reason) noexcept;

  State state_ = State::Done;
  std::uint8_t digits_ = 0;
  std::uint32_t extension_bytes_ = 0;  // over the whole body
  std::uint32_t trailer_bytes_ = 0;
  std::uint64_t remaining_ = 0;
  std::uint64_t budget_bytes_ = 0;     // of data still allowed in chunks
};

}  // namespace insula::http
