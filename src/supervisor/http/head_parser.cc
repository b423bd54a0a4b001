// SPDX-License-Identifier: Apache-2.0
//
// HeadParser: one strict pass over a complete head; a cheap line scan while the head is still arriving.
#include "src/supervisor/http/head_parser.h"

#include <algorithm>
#include <cstring>

#include "src/base/header_block.h"
#include "src/supervisor/http/syntax.h"

namespace insula::http {
namespace {

constexpr std::size_t kMethodBytesMax = 32;
constexpr std::string_view kVersion11 = "HTTP/1.1\r\n";
constexpr std::string_view kVersion10 = "HTTP/1.0\r\n";

bool is_http_version(std::string_view text) noexcept {
  return text.size() == kVersion11.size() && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' &&
         is_digit(text[7]) && text.ends_with("\r\n");
}

// Upper case, digits, '-' and '_': every registered method. Case matters in methods, so "get" is an unknown one.
bool is_plain_method(std::string_view method) noexcept {
  for (const char c : method) {
    if (!((c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_')) return false;
  }
  return true;
}

}  // namespace

void HeadParser::reset() noexcept {
  attempted_ = false;
  scanned_ = 0;
  line_start_ = 0;
  first_line_end_ = 0;
}

HeadOutcome HeadParser::parse(BytesView input, HeadStorage& storage) {
  // One empty line in front is tolerated (RFC 9112 section 2.2): some clients send it after a body.
  std::size_t skipped = 0;
  if (!input.empty() && input.front() == '\r') {
    if (input.size() < 2) return HeadOutcome::Incomplete;
    if (input[1] != '\n') return reject(400, "bare CR before the request line");
    skipped = 2;
    input.remove_prefix(2);
  }
  if (input.empty()) return HeadOutcome::Incomplete;

  if (!attempted_) {
    attempted_ = true;
    const HeadOutcome outcome = parse_all(input, storage);
    if (outcome != HeadOutcome::Incomplete) {
      head_bytes_ += skipped;
      return outcome;
    }
  }
  HeadOutcome outcome = look_for_end(input);
  if (outcome != HeadOutcome::Complete) return outcome;
  outcome = parse_all(input, storage);
  if (outcome == HeadOutcome::Incomplete) return reject(400, "malformed request line");
  head_bytes_ += skipped;
  return outcome;
}

HeadOutcome HeadParser::parse_all(BytesView input, HeadStorage& storage) {
  head_ = ParsedHead();
  field_count_ = 0;
  absolute_authority_ = {};
  has_host_ = has_transfer_encoding_ = says_close_ = says_keep_alive_ = says_upgrade_ = false;
  websocket_upgrades_ = 0;
  nominated_count_ = 0;

  // A field shrinks by one byte when it loses "\r\n" and ":" and gains two NULs, so the input's size is room enough.
  char* out = storage.reserve(input.size());
  const char* p = input.data();
  const char* const end = p + input.size();
  HeadOutcome outcome = parse_request_line(p, end, out);
  if (outcome != HeadOutcome::Complete) return outcome;
  block_ = out;
  outcome = parse_fields(p, end, out);
  if (outcome != HeadOutcome::Complete) return outcome;
  head_bytes_ = static_cast<std::size_t>(p - input.data());
  return finish(out);
}

HeadOutcome HeadParser::parse_request_line(const char*& p, const char* end, char*& out) {
  const char* start = p;
  while (p != end && is_token_char(*p)) ++p;
  if (p != end && *p != ' ') return reject(400, "the method is not a token followed by one space");
  const std::string_view method(start, static_cast<std::size_t>(p - start));
  if (method.size() > kMethodBytesMax) return reject(501, "the method is too long");
  if (p == end) return HeadOutcome::Incomplete;
  if (method.empty()) return reject(400, "the request line starts with a space");
  if (!is_plain_method(method) || method == "CONNECT" || method == "TRACE" || method == "TRACK") {
    return reject(501, "this method is not supported");
  }

  start = ++p;
  while (p != end && *p > 0x20 && *p < 0x7f && *p != '#') ++p;
  std::string_view target(start, static_cast<std::size_t>(p - start));
  if (target.size() > limits_.target_bytes_max) return reject(414, "the request target is too long");
  if (p == end) return HeadOutcome::Incomplete;
  if (*p != ' ') return reject(400, "the request target has a byte that must be percent-encoded");
  if (target.empty()) return reject(400, "two spaces in the request line");
  ++p;

  if (static_cast<std::size_t>(end - p) < kVersion11.size()) return HeadOutcome::Incomplete;
  const std::string_view version(p, kVersion11.size());
  if (version == kVersion10) {
    head_.is_http_1_0 = true;
  } else if (version != kVersion11) {
    if (is_http_version(version)) return reject(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    return reject(400, "the request line does not end in an HTTP version");
  }
  p += kVersion11.size();

  std::memcpy(out, method.data(), method.size());
  head_.method = std::string_view(out, method.size());
  out += method.size();
  std::memcpy(out, target.data(), target.size());
  head_.target = std::string_view(out, target.size());
  char* const target_out = out;
  out += target.size();
  if (target.front() == '/') return HeadOutcome::Complete;

  // Absolute form, as sent to proxies: good only if it says the same as Host (checked in finish()).
  constexpr std::string_view kScheme = "http://";
  if (target.size() <= kScheme.size() || !equals_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
    return reject(400, "the request target must be a path");
  }
  const std::size_t path = std::min(target.find_first_of("/?", kScheme.size()), target.size());
  absolute_authority_ = target.substr(kScheme.size(), path - kScheme.size());
  if (absolute_authority_.empty()) return reject(400, "the request target names no host");
  if (path < target.size() && target[path] == '/') {
    head_.target = std::string_view(target_out + path, target.size() - path);
  } else {
    // "http://a?b" has no path of its own: the byte in front, the end of the authority, becomes its slash.
    target_out[path - 1] = '/';
    head_.target = std::string_view(target_out + path - 1, target.size() - path + 1);
  }
  return HeadOutcome::Complete;
}

HeadOutcome HeadParser::parse_fields(const char*& p, const char* end, char*& out) {
  const char* const start = p;
  for (;;) {
    if (static_cast<std::size_t>(p - start) > limits_.header_bytes_max) {
      return reject(431, "the header fields are too long");
    }
    if (p == end) return HeadOutcome::Incomplete;
    if (*p == '\r') {
      if (end - p < 2) return HeadOutcome::Incomplete;
      if (p[1] != '\n') return reject(400, "bare CR between the header fields");
      p += 2;
      return HeadOutcome::Complete;
    }
    const HeadOutcome outcome = parse_field(p, end, out);
    if (outcome != HeadOutcome::Complete) return outcome;
  }
}

HeadOutcome HeadParser::parse_field(const char*& p, const char* end, char*& out) {
  char* const name = out;
  char* o = out;
  const char* in = p;
  while (in != end) {
    const char c = lower_token_char(*in);
    if (c == 0) break;
    *o++ = c;
    ++in;
  }
  if (in == end) return HeadOutcome::Incomplete;
  if (*in != ':' || o == name) {
    return reject(400, is_blank(*in) && o == name ? "folded header field" : "malformed header field name");
  }
  const std::string_view name_view(name, static_cast<std::size_t>(o - name));
  *o++ = '\0';
  ++in;
  while (in != end && is_blank(*in)) ++in;
  const char* const value_start = in;
  while (in != end && is_field_value_char(*in)) ++in;
  if (in == end) return HeadOutcome::Incomplete;
  if (*in != '\r') return reject(400, *in == '\n' ? "bare LF in a header field" : "control byte in a header field");
  if (end - in < 2) return HeadOutcome::Incomplete;
  if (in[1] != '\n') return reject(400, "bare CR in a header field");
  const char* value_end = in;
  while (value_end != value_start && is_blank(value_end[-1])) --value_end;
  if (++field_count_ > limits_.header_count_max) return reject(431, "too many header fields");

  const auto value_bytes = static_cast<std::size_t>(value_end - value_start);
  std::memcpy(o, value_start, value_bytes);
  const FieldUse use = use_field(name_view, o, value_bytes);
  if (use == FieldUse::Reject) return HeadOutcome::Rejected;
  if (use == FieldUse::Keep) {
    o += value_bytes;
    *o++ = '\0';
    out = o;
  }
  p = in + 2;
  return HeadOutcome::Complete;
}

// Switches on the length first: almost every field is none of these and costs one comparison.
HeadParser::FieldUse HeadParser::use_field(std::string_view name, char* value_start, std::size_t value_bytes) {
  const std::string_view value(value_start, value_bytes);
  switch (name.size()) {
    case 2:
      return name == "te" ? FieldUse::Drop : FieldUse::Keep;
    case 4:
      return name == "host" ? use_host(value_start, value_bytes) : FieldUse::Keep;
    case 6:
      if (name != "expect") return FieldUse::Keep;
      if (head_.is_http_1_0) return FieldUse::Drop;
      if (!equals_ignoring_case(value, "100-continue")) return refuse(417, "only Expect: 100-continue is supported");
      head_.expects_continue = true;
      return FieldUse::Drop;
    case 7:
      if (name == "upgrade") return use_upgrade(value);
      return name == "trailer" ? FieldUse::Drop : FieldUse::Keep;
    case 10:
      if (name == "connection") return use_connection(value);
      return name == "keep-alive" ? FieldUse::Drop : FieldUse::Keep;
    case 14:
      if (name != "content-length") return FieldUse::Keep;
      if (head_.content_length) return refuse(400, "Content-Length is repeated");
      if (has_transfer_encoding_) return refuse(400, "both Content-Length and Transfer-Encoding");
      head_.content_length = parse_length(value);
      return head_.content_length ? FieldUse::Keep : refuse(400, "malformed Content-Length");
    case 16:
      return name == "proxy-connection" ? FieldUse::Drop : FieldUse::Keep;
    case 17:
      if (name != "transfer-encoding") return FieldUse::Keep;
      if (head_.content_length) return refuse(400, "both Content-Length and Transfer-Encoding");
      if (has_transfer_encoding_) return refuse(400, "Transfer-Encoding is repeated");
      if (head_.is_http_1_0) return refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
      if (!equals_ignoring_case(value, "chunked")) return refuse(400, "the only Transfer-Encoding is chunked");
      has_transfer_encoding_ = head_.is_chunked = true;
      return FieldUse::Drop;
    default:
      return FieldUse::Keep;
  }
}

// What a client may ask to change to is one thing, and everything else it can ask for is ignored, as the RFC allows.
HeadParser::FieldUse HeadParser::use_upgrade(std::string_view value) {
  if (!equals_ignoring_case(value, "websocket")) return FieldUse::Drop;
  if (websocket_upgrades_ < 2) ++websocket_upgrades_;
  return FieldUse::Keep;  // until finish() knows the rest
}

HeadParser::FieldUse HeadParser::use_host(char* value, std::size_t value_bytes) {
  if (has_host_) return refuse(400, "Host is repeated");
  has_host_ = true;
  // In place: the block carries the same spelling that routing sees.
  if (!normalize_authority(std::string_view(value, value_bytes), value)) return refuse(400, "malformed Host");
  head_.authority = std::string_view(value, value_bytes);
  return FieldUse::Keep;
}

HeadParser::FieldUse HeadParser::use_connection(std::string_view value) {
  bool is_well_formed = true;
  for_each_list_element(value, [&](std::string_view option) {
    if (equals_ignoring_case(option, "close")) {
      says_close_ = true;
    } else if (equals_ignoring_case(option, "keep-alive")) {
      says_keep_alive_ = true;
    } else if (!is_token(option) || nominated_count_ == nominated_.size()) {
      is_well_formed = false;
    } else {
      if (equals_ignoring_case(option, "upgrade")) says_upgrade_ = true;
      nominated_[nominated_count_++] = option;
    }
  });
  if (!is_well_formed) return refuse(400, "malformed Connection");
  // Kept until finish() has removed what it names: the views point into it.
  return nominated_count_ > 0 ? FieldUse::Keep : FieldUse::Drop;
}

HeadOutcome HeadParser::finish(char* block_end) {
  head_.headers = BytesView(block_, static_cast<std::size_t>(block_end - block_));
  if (!has_host_) return reject(400, "no Host");
  if (!absolute_authority_.empty() && !equals_ignoring_case(absolute_authority_, head_.authority)) {
    return reject(400, "the request target and Host disagree");
  }
  if (head_.content_length && *head_.content_length > limits_.body_bytes_max) {
    return reject(413, "the request body is too large");
  }
  head_.keep_alive = !says_close_ && (!head_.is_http_1_0 || says_keep_alive_);
  head_.wants_websocket = websocket_upgrades_ == 1 && says_upgrade_ && !head_.is_http_1_0 && head_.method == "GET" &&
                          !head_.is_chunked && head_.content_length.value_or(0) == 0;
  if (nominated_count_ > 0 || websocket_upgrades_ > 0) remove_nominated_fields();
  return HeadOutcome::Complete;
}

// Rare: the client named fields as hop-by-hop in Connection ("Connection: Upgrade, HTTP2-Settings").
void HeadParser::remove_nominated_fields() {
  const auto is_nominated = [this](std::string_view name) {
    if (name == "host" || name == "content-length") return false;  // what everybody needs cannot be taken away
    if (name == "upgrade") return !head_.wants_websocket;
    for (std::size_t i = 0; i < nominated_count_; ++i) {
      if (equals_ignoring_case(nominated_[i], name)) return true;
    }
    return false;
  };
  // By way of a copy, since moving fields up would overwrite the nominations that are being read.
  Bytes kept;
  for_each_header(head_.headers, [&](std::string_view name, std::string_view value) {
    if (name != "connection" && !is_nominated(name)) append_header(kept, name, value);
  });
  std::memcpy(block_, kept.data(), kept.size());
  head_.headers = BytesView(block_, kept.size());
  head_.authority = find_header(head_.headers, "host");
}

// While a head is arriving piecemeal: finds its end, and whatever can be refused before it.
HeadOutcome HeadParser::look_for_end(BytesView input) {
  for (; scanned_ < input.size(); ++scanned_) {
    const char c = input[scanned_];
    const bool after_cr = scanned_ > line_start_ && input[scanned_ - 1] == '\r';
    if (c == '\n') {
      if (!after_cr) return reject(400, "bare LF in the head");
      const bool is_empty_line = scanned_ - line_start_ == 1;
      if (is_empty_line && first_line_end_ == 0) return reject(400, "empty request line");
      line_start_ = scanned_ + 1;
      if (first_line_end_ == 0) first_line_end_ = line_start_;
      if (is_empty_line) return HeadOutcome::Complete;
    } else if (after_cr) {
      return reject(400, "bare CR in the head");
    } else if (c != '\r' && !is_field_value_char(c)) {
      return reject(400, "control byte in the head");
    }
  }
  if (first_line_end_ == 0) {
    const std::size_t line_bytes_max = limits_.target_bytes_max + kMethodBytesMax + kVersion11.size() + 2;
    if (input.size() > line_bytes_max) return reject(414, "the request target is too long");
  } else if (input.size() - first_line_end_ > limits_.header_bytes_max + 2) {  // the empty line does not count
    return reject(431, "the header fields are too long");
  }
  return HeadOutcome::Incomplete;
}

HeadOutcome HeadParser::reject(int status, std::string_view reason) noexcept {
  rejection_ = HeadRejection{status, reason};
  return HeadOutcome::Rejected;
}

HeadParser::FieldUse HeadParser::refuse(int status, std::string_view reason) noexcept {
  rejection_ = HeadRejection{status, reason};
  return FieldUse::Reject;
}

}  // namespace insula::http
