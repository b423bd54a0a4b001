// SPDX-License-Identifier: Apache-2.0
//
// HeadParser: the request line and the fields of one HTTP/1 request, with exactly one reading of each byte sequence.
//
// Written by hand, because everything that a lenient parser repairs (folded lines, bare LF, repeated lengths, space
// before a colon) is where two parsers in a row disagree about where a request ends; see
// docs/decisions/0010-http-head-parser.md. What is not plainly well-formed is rejected, and the connection closes.
//
// The parser copies into a HeadStorage: the views it returns do not depend on the input buffer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/limits.h"

namespace insula::http {

// Memory for one parsed head, reused from request to request.
class HeadStorage {
 public:
  char* reserve(std::size_t bytes) {
    if (bytes > capacity_) {
      bytes_ = std::make_unique_for_overwrite<char[]>(bytes);
      capacity_ = bytes;
    }
    return bytes_.get();
  }
  // Gives memory above `bytes` back; the views into it end.
  void shrink_to(std::size_t bytes) {
    if (capacity_ <= bytes) return;
    bytes_.reset();
    capacity_ = 0;
  }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
};

struct ParsedHead {
  std::string_view method;
  std::string_view target;     // origin form
  std::string_view authority;  // lower case
  BytesView headers;           // header block without hop-by-hop fields (but see wants_websocket) and Expect
  std::optional<std::uint64_t> content_length;
  bool is_chunked = false;
  bool is_http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool wants_websocket = false;  // asks to go on as a WebSocket; only then `headers` has `upgrade`
};

struct HeadRejection {
  int status = 400;
  std::string_view reason;  // static text
};

enum class HeadOutcome : std::uint8_t { Incomplete, Complete, Rejected };

class HeadParser {
 public:
  explicit HeadParser(const HttpLimits& limits) : limits_(limits) {}

  // Forgets the request; the next parse() starts another one.
  void reset() noexcept;

  // input: all bytes since the start of the request. Incomplete: call again with the same bytes and more behind them;
  // the whole work over all calls is linear in the size of the head.
  HeadOutcome parse(BytesView input, HeadStorage& storage);

  const ParsedHead& head() const noexcept { return head_; }
  std::size_t head_bytes() const noexcept { return head_bytes_; }  // consumed, when Complete
  const HeadRejection& rejection() const noexcept { return rejection_; }

 private:
  HeadOutcome parse_all(BytesView input, HeadStorage& storage);
  HeadOutcome parse_request_line(const char*& p, const char* end, char*& out);
  HeadOutcome parse_fields(const char*& p, const char* end, char*& out);
  HeadOutcome parse_field(const char*& p, const char* end, char*& out);
  HeadOutcome finish(char* block_end);
  HeadOutcome look_for_end(BytesView input);
  HeadOutcome reject(int status, std::string_view reason) noexcept;

  enum class FieldUse : std::uint8_t { Keep, Drop, Reject };
  FieldUse use_field(std::string_view name, char* value, std::size_t value_bytes);
  FieldUse use_host(char* value, std::size_t value_bytes);
  FieldUse use_upgrade(std::string_view value);
  FieldUse use_connection(std::string_view value);
  FieldUse refuse(int status, std::string_view reason) noexcept;
  void remove_nominated_fields();

  const HttpLimits& limits_;
  ParsedHead head_;
  HeadRejection rejection_;
  std::size_t head_bytes_ = 0;

  // What parse_all() gathers.
  std::size_t field_count_ = 0;
  char* block_ = nullptr;
  std::string_view absolute_authority_;
  bool has_host_ = false;
  bool has_transfer_encoding_ = false;
  bool says_close_ = false;
  bool says_keep_alive_ = false;
  bool says_upgrade_ = false;            // among the options of Connection
  std::uint8_t websocket_upgrades_ = 0;  // fields Upgrade: websocket
  std::array<std::string_view, 16> nominated_{};  // fields that Connection calls hop-by-hop
  std::size_t nominated_count_ = 0;

  // What look_for_end() remembers between calls.
  bool attempted_ = false;
  std::size_t scanned_ = 0;
  std::size_t line_start_ = 0;
  std::size_t first_line_end_ = 0;
};

}  // namespace insula::http
