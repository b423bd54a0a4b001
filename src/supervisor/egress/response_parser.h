// SPDX-License-Identifier: Apache-2.0
//
// ResponseParser: strict reading of one HTTP/1 response from the bytes of a server, without any buffer of its own.
//
// Written by hand instead of on Beast's parser: the far side is hostile, and Beast needed a second scan of every head
// (folded lines, repeated lengths, any Transfer-Encoding beside "chunked" read as "until the end"), has no bound on
// trailers and chunk extensions, and asserts on states that input decides. The fuzzer holds both against each other.
//
// Refused, as Corrupt: bare CR or LF, control bytes, folded lines, space before a colon, Content-Length that is
// repeated, a list or not plain digits, Content-Length together with Transfer-Encoding, any transfer coding but one
// "chunked", chunk sizes beyond 15 digits, statuses outside 100-599, 101 unless an upgrade was asked for.
// Source: RFC 9112.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/limits.h"

namespace insula::egress {

inline constexpr std::size_t kResponseHeadBytesMax = HttpLimits{}.header_bytes_max;
inline constexpr std::size_t kResponseFieldsMax = HttpLimits{}.header_count_max;
inline constexpr std::size_t kChunkLineBytesMax = 256;         // size and extensions
inline constexpr std::size_t kTrailerBytesMax = 16 * kKiB;     // all of them; read and dropped
inline constexpr int kInterimResponsesMax = 8;                 // 100, 103 before the real one

struct ParsedHead {
  int status = 0;
  std::string reason;
  Bytes headers;  // header block, without hop-by-hop fields
  std::optional<std::uint64_t> content_length;
};

class ResponseParser {
 public:
  // is_head: the answer to a HEAD request, which has no body whatever its fields say.
  // may_switch: 101 is an answer, and everything behind its head is the body.
  explicit ResponseParser(bool is_head, bool may_switch = false) : is_head_(is_head), may_switch_(may_switch) {}

  enum class Event : std::uint8_t {
    NeedMore,  // bring more input, behind what was not consumed
    Head,      // head() is complete
    Body,      // `body` is the next piece
    Stalled,   // body bytes are there but body_bytes_max is 0
    End,       // the response is complete; what was not consumed does not belong to it
  };
  struct Step {
    Event event;
    std::size_t consumed;
    BytesView body;  // a part of the input
  };

  // Reads on. Call it with all unconsumed bytes (also when there are none) until NeedMore, Stalled or End.
  // body_bytes_max: the most bytes that `body` may have.
  Result<Step> next(BytesView input, std::size_t body_bytes_max);

  // The server ended the connection. An error unless that is how this body ends; then next() says End.
  Result<> end_of_input();

  const ParsedHead& head() const noexcept { return head_; }
  ParsedHead take_head() { return std::move(head_); }
  // After Head: whether a body follows, which may turn out to be empty.
  bool has_body() const noexcept { return state_ != State::Done; }
  // After Head: the server will take another request on this connection.
  bool is_keep_alive() const noexcept { return keep_alive_; }
  bool has_begun() const noexcept { return has_begun_; }

 private:
  enum class State : std::uint8_t { Head, Fixed, ChunkSize, ChunkData, ChunkEnd, Trailers, ToEnd, Done };

  // Each reads one element from the front of `input` and removes it; an empty optional asks for more.
  Result<std::optional<Event>> read_head(BytesView& input);
  Result<std::optional<Event>> read_chunk_size(BytesView& input);
  Result<std::optional<Event>> read_chunk_end(BytesView& input);
  Result<std::optional<Event>> read_trailers(BytesView& input);
  Result<> parse_head(BytesView text);
  Result<> parse_status_line(BytesView line);
  Result<> choose_framing(bool is_chunked);

  const bool is_head_;
  const bool may_switch_;
  State state_ = State::Head;
  bool has_begun_ = false;
  bool keep_alive_ = false;
  bool is_http11_ = false;
  int interim_count_ = 0;
  std::size_t scanned_ = 0;  // bytes of an incomplete head already searched for its end
  std::size_t trailer_bytes_ = 0;
  std::uint64_t remaining_ = 0;  // of the fixed body or the chunk
  ParsedHead head_;
};

}  // namespace insula::egress
