// SPDX-License-Identifier: Apache-2.0
//
// RequestHead: the request line and fields as they go over the wire.
//
// A Worker's fields are checked again here, whatever the isolate has checked: the runner is not believed. Framing is
// ours alone, so that the body on the wire is the body that was given (threat-model.md section 5, "the wire is the
// supervisor's").
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/base/error.h"
#include "src/supervisor/egress/egress.h"
#include "src/supervisor/egress/url.h"

namespace insula::egress {

enum class BodyFraming : std::uint8_t { None, Length, Chunked };

struct RequestHead {
  std::string bytes;  // ends with the empty line
  BodyFraming framing = BodyFraming::None;
  std::uint64_t length = 0;   // with BodyFraming::Length
  bool is_head = false;       // the answer has no body
  bool is_idempotent = false; // may be sent again when nobody knows whether it arrived (RFC 9110 section 9.2.2)
  bool is_upgrade = false;
  // The connection serves nobody else: an upgrade, or authentication that the server may tie to it (NTLM, Negotiate).
  bool is_connection_bound = false;
};

// Errors  InvalidInput: method, field or size.
Result<RequestHead> write_request_head(const Url& url, const OutboundRequest& request);

}  // namespace insula::egress
