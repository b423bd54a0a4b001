// SPDX-License-Identifier: Apache-2.0
//
// ResponseParser: head, framing and body pieces.
#include "src/supervisor/egress/response_parser.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "src/base/header_block.h"
#include "src/supervisor/egress/fields.h"

namespace insula::egress {
namespace {

struct Field {
  std::string name;  // lower case
  BytesView value;
};

Error corrupt(const char* what) {
  return Error(ErrorCode::Corrupt, std::string("egress: the server's answer ") + what);
}

// The line in front of the first CRLF, which is removed too; empty when there is none yet. A bare line feed is told
// at once, as its sender will not send more.
Result<std::optional<BytesView>> take_line(BytesView& input) {
  const auto feed = input.find('\n');
  if (feed == BytesView::npos) return std::optional<BytesView>();
  if (feed == 0 || input[feed - 1] != '\r') return corrupt("has a line that does not end with CR LF");
  const auto line = input.substr(0, feed - 1);
  input.remove_prefix(feed + 1);
  return std::optional(line);
}

Result<Field> parse_field(BytesView line) {
  const auto colon = line.find(':');
  if (colon == BytesView::npos) return corrupt("has a header line without a colon");
  Field field;
  field.name.reserve(colon);
  // A folded line begins with white space, which is no part of a name either.
  if (!lower_token(line.substr(0, colon), field.name)) return corrupt("has a malformed header name");
  field.value = trim(line.substr(colon + 1));
  if (!is_field_text(field.value)) return corrupt("has a control character in a header");
  return field;
}

std::optional<std::uint64_t> parse_length(BytesView text) noexcept {
  if (text.empty() || text.size() > 18) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<ResponseParser::Step> ResponseParser::next(BytesView input, std::size_t body_bytes_max) {
  const std::size_t all = input.size();
  has_begun_ = has_begun_ || all > 0;
  for (;;) {
    std::optional<Event> event;
    switch (state_) {
      case State::Head: {
        TRY(event, read_head(input));
        break;
      }
      case State::ChunkSize: {
        TRY(event, read_chunk_size(input));
        break;
      }
      case State::ChunkEnd: {
        TRY(event, read_chunk_end(input));
        break;
      }
      case State::Trailers: {
        TRY(event, read_trailers(input));
        break;
      }
      case State::Fixed:
      case State::ChunkData:
      case State::ToEnd: {
        if (input.empty()) return Step{Event::NeedMore, all, {}};
        if (body_bytes_max == 0) return Step{Event::Stalled, all - input.size(), {}};
        std::size_t size = std::min(input.size(), body_bytes_max);
        if (state_ != State::ToEnd) {
          size = static_cast<std::size_t>(std::min<std::uint64_t>(size, remaining_));
          remaining_ -= size;
          if (remaining_ == 0) state_ = state_ == State::Fixed ? State::Done : State::ChunkEnd;
        }
        const auto body = input.substr(0, size);
        input.remove_prefix(size);
        return Step{Event::Body, all - input.size(), body};
      }
      case State::Done: return Step{Event::End, all - input.size(), {}};
    }
    if (event) return Step{*event, all - input.size(), {}};
  }
}

Result<> ResponseParser::end_of_input() {
  if (state_ == State::ToEnd) state_ = State::Done;
  if (state_ == State::Done) return {};
  if (!has_begun_) return Error(ErrorCode::Unavailable, "egress: the server closed the connection without an answer");
  return Error(ErrorCode::Unavailable, "egress: the connection was lost before the answer was complete");
}

Result<std::optional<ResponseParser::Event>> ResponseParser::read_head(BytesView& input) {
  // Line ends are checked while searching, so that a server that sends bare line feeds is told at once.
  std::size_t end = BytesView::npos;
  for (auto feed = input.find('\n', scanned_); feed != BytesView::npos; feed = input.find('\n', feed + 1)) {
    if (feed == 0 || input[feed - 1] != '\r') return corrupt("has a line that does not end with CR LF");
    if (feed >= 3 && input[feed - 2] == '\n') {
      end = feed + 1;
      break;
    }
    if (feed == 1) return corrupt("begins with an empty line");
  }
  if (std::min(end, input.size()) > kResponseHeadBytesMax) {
    return Error(ErrorCode::Corrupt, "egress: the server's headers are larger than 128 KiB");
  }
  if (end == BytesView::npos) {
    scanned_ = input.size();
    return std::optional(Event::NeedMore);
  }
  const auto text = input.substr(0, end - 2);
  input.remove_prefix(end);
  scanned_ = 0;
  TRY_VOID(parse_head(text));
  if (head_.status >= 200 || (head_.status == 101 && may_switch_)) return std::optional(Event::Head);
  if (head_.status == 101) return corrupt("switches protocols, which was not asked for");
  if (++interim_count_ > kInterimResponsesMax) return corrupt("has too many interim responses");
  return std::optional<Event>();  // 100 Continue, 103 Early Hints: the real head follows
}

Result<> ResponseParser::parse_head(BytesView text) {
  TRY(const auto status_line, take_line(text));
  if (!status_line) return corrupt("has no status line");
  head_ = ParsedHead{};
  TRY_VOID(parse_status_line(*status_line));
  keep_alive_ = is_http11_;

  std::vector<Field> fields;
  FieldNames hop_by_hop;
  bool is_chunked = false;
  while (!text.empty()) {
    TRY(const auto line, take_line(text));
    INSULA_CHECK(line.has_value());  // read_head() has seen every line end
    if (fields.size() == kResponseFieldsMax) return corrupt("has more than 256 headers");
    TRY(auto field, parse_field(*line));
    if (field.name == "content-length") {
      if (head_.content_length) return corrupt("has more than one Content-Length");
      head_.content_length = parse_length(field.value);
      if (!head_.content_length) return corrupt("has a malformed Content-Length");
    } else if (field.name == "transfer-encoding") {
      if (is_chunked || !equals_ignoring_case(field.value, "chunked")) {
        return corrupt("has a Transfer-Encoding other than \"chunked\"");
      }
      is_chunked = true;
    } else if (field.name == "connection") {
      hop_by_hop.add_list(field.value);
    }
    fields.push_back(std::move(field));
  }
  if (hop_by_hop.contains("close")) keep_alive_ = false;
  for (const Field& field : fields) {
    if (is_hop_by_hop(field.name) || hop_by_hop.contains(field.name)) continue;
    append_header(head_.headers, field.name, field.value);
  }
  return choose_framing(is_chunked);
}

Result<> ResponseParser::parse_status_line(BytesView line) {
  if (line.starts_with("HTTP/1.1 ")) {
    is_http11_ = true;
  } else if (line.starts_with("HTTP/1.0 ")) {
    is_http11_ = false;
  } else {
    return corrupt("is not HTTP/1.0 or HTTP/1.1");
  }
  line.remove_prefix(9);
  const auto code = line.substr(0, 3);
  if (code.size() != 3 || !std::all_of(code.begin(), code.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return corrupt("has a malformed status");
  }
  head_.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  if (head_.status < 100 || head_.status > 599) return corrupt("has a status outside 100-599");
  line.remove_prefix(3);
  // The space is part of the grammar even without a phrase, but widely used servers leave it out.
  if (!line.empty() && line.front() != ' ') return corrupt("has a malformed status line");
  if (!line.empty()) line.remove_prefix(1);
  if (!is_field_text(line)) return corrupt("has a control character in its status line");
  head_.reason = std::string(line);
  return {};
}

Result<> ResponseParser::choose_framing(bool is_chunked) {
  if (is_chunked && head_.content_length) return corrupt("has both Content-Length and Transfer-Encoding");
  if (is_chunked && !is_http11_) return corrupt("is HTTP/1.0 with a Transfer-Encoding");
  if (head_.status < 200) {
    if (is_chunked || head_.content_length.value_or(0) != 0) return corrupt("has an interim response with a body");
    if (head_.status == 101 && may_switch_) {
      state_ = State::ToEnd;
      keep_alive_ = false;
    }
    return {};  // all others stay in State::Head
  }
  if (is_head_ || head_.status == 204 || head_.status == 304) {
    state_ = State::Done;
  } else if (is_chunked) {
    state_ = State::ChunkSize;
  } else if (head_.content_length) {
    remaining_ = *head_.content_length;
    state_ = remaining_ == 0 ? State::Done : State::Fixed;
  } else {
    state_ = State::ToEnd;
    keep_alive_ = false;
  }
  return {};
}

Result<std::optional<ResponseParser::Event>> ResponseParser::read_chunk_size(BytesView& input) {
  const auto before = input;
  TRY(const auto line, take_line(input));
  // An incomplete line may already have its CR.
  const bool is_overlong = line ? line->size() > kChunkLineBytesMax : before.size() > kChunkLineBytesMax + 1;
  if (is_overlong) return corrupt("has an overlong chunk header");
  if (!line) return std::optional(Event::NeedMore);
  std::uint64_t size = 0;
  std::size_t digits = 0;
  while (digits < line->size() && hex_value((*line)[digits]) >= 0) {
    size = size * 16 + static_cast<std::uint64_t>(hex_value((*line)[digits]));
    if (++digits > 15) return corrupt("has a chunk size that is too large");
  }
  if (digits == 0) return corrupt("has a malformed chunk size");
  const auto extension = line->substr(digits);
  if (!extension.empty() && (extension[0] != ';' || !is_field_text(extension))) {
    return corrupt("has a malformed chunk size");
  }
  remaining_ = size;
  state_ = size == 0 ? State::Trailers : State::ChunkData;
  return std::optional<Event>();
}

Result<std::optional<ResponseParser::Event>> ResponseParser::read_chunk_end(BytesView& input) {
  if (!BytesView("\r\n").starts_with(input.substr(0, 2))) return corrupt("has a chunk longer than it says");
  if (input.size() < 2) return std::optional(Event::NeedMore);
  input.remove_prefix(2);
  state_ = State::ChunkSize;
  return std::optional<Event>();
}

Result<std::optional<ResponseParser::Event>> ResponseParser::read_trailers(BytesView& input) {
  const auto before = input.size();
  TRY(const auto line, take_line(input));
  if (trailer_bytes_ + (line ? before - input.size() : before) > kTrailerBytesMax) {
    return corrupt("has more than 16 KiB of trailers");
  }
  if (!line) return std::optional(Event::NeedMore);
  trailer_bytes_ += before - input.size();
  if (line->empty()) {
    state_ = State::Done;
  } else {
    TRY_VOID(parse_field(*line));
  }
  return std::optional<Event>();
}

}  // namespace insula::egress
