// SPDX-License-Identifier: Apache-2.0
//
// ResponseHead on the wire: status line, checked fields, our own framing and Date.
#pragma once

#include <cstdint>
#include <ctime>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/clock.h"
#include "src/base/limits.h"
#include "src/supervisor/http/exchange.h"

namespace insula::http {

// The standard phrase: "Bad Request"; "Unknown" for a status that has none.
std::string_view reason_phrase(int status) noexcept;

// 204, 304 and every answer to HEAD have no body whatever the handler gave; 205 has an empty one.
bool allows_body(int status, bool is_head_request) noexcept;

struct Framing {
  enum class Kind : std::uint8_t {
    None,        // no body and nothing to say about its length
    AsDeclared,  // no body (HEAD); the handler's own Content-Length is repeated if it is a number
    Length,
    Chunked,
    UntilClose,  // HTTP/1.0 and unknown length
  };
  Kind kind = Kind::None;
  std::uint64_t length = 0;
  bool says_close = false;
  bool says_keep_alive = false;  // HTTP/1.0 asks for it
};

// The Date line, formatted once a second.
class DateLine {
 public:
  void refresh(WallTime now);
  std::string_view text() const noexcept { return std::string_view(text_, bytes_); }

 private:
  char text_[48] = {};
  std::size_t bytes_ = 0;
  std::time_t second_ = -1;
};

// Appends the whole head. False, with nothing appended: the handler's status or fields cannot be sent (status not
// in 200..599, a malformed name or value, more or longer fields than HttpLimits allows to a request).
bool append_response_head(Bytes& out, const ResponseHead& head, const Framing& framing, const DateLine& date,
                          const HttpLimits& limits);

// The same for the head of a 101 response that changes to `protocol`; false also for another status.
bool append_switching_head(Bytes& out, const ResponseHead& head, std::string_view protocol, const HttpLimits& limits);

}  // namespace insula::http
