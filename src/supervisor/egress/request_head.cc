// SPDX-License-Identifier: Apache-2.0
//
// RequestHead: checks, drops what belongs to a hop, adds Host and the framing.
#include "src/supervisor/egress/request_head.h"

#include <algorithm>
#include <array>
#include <utility>

#include "src/base/header_block.h"
#include "src/base/limits.h"
#include "src/supervisor/egress/fields.h"

namespace insula::egress {
namespace {

constexpr std::size_t kMethodBytesMax = 64;

Error invalid(const char* what) { return Error(ErrorCode::InvalidInput, std::string("egress: ") + what); }

// Set by us or meaningless here: nobody waits for "100 Continue".
bool is_ours(std::string_view name) noexcept {
  return name == "host" || name == "content-length" || name == "expect" || is_hop_by_hop(name);
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool binds_to_connection(std::string_view authorization) noexcept {
  const auto scheme = authorization.substr(0, authorization.find(' '));
  return equals_ignoring_case(scheme, "ntlm") || equals_ignoring_case(scheme, "negotiate");
}

void choose_framing(const OutboundRequest& request, RequestHead& head) {
  if (request.is_upgrade) return;  // what follows is not HTTP any more
  if (request.source != nullptr) {
    head.framing = request.length ? BodyFraming::Length : BodyFraming::Chunked;
    head.length = request.length.value_or(0);
  } else if (request.has_body || is_one_of(request.method, {"POST", "PUT", "PATCH"})) {
    // Servers ask for a length with methods that define a body, even when there is none.
    head.framing = BodyFraming::Length;
    head.length = request.has_body ? request.body.size() : 0;
  }
}

}  // namespace

Result<RequestHead> write_request_head(const Url& url, const OutboundRequest& request) {
  if (!is_token(request.method) || request.method.size() > kMethodBytesMax) return invalid("the method is not a token");
  if (request.method == "CONNECT") return invalid("the method CONNECT is not allowed");
  if (!is_valid_header_block(request.headers)) return invalid("a header has a malformed name or value");

  FieldNames hop_by_hop;
  for_each_header(request.headers, [&](std::string_view name, std::string_view value) {
    if (name == "connection") hop_by_hop.add_list(value);
  });

  RequestHead head;
  head.is_head = request.method == "HEAD";
  head.is_idempotent = is_one_of(request.method, {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"});
  choose_framing(request, head);

  std::string& bytes = head.bytes;
  bytes.reserve(request.method.size() + url.target.size() + url.authority.size() + request.headers.size() * 2 + 96);
  bytes.append(request.method).append(" ").append(url.target).append(" HTTP/1.1\r\nhost: ").append(url.authority);
  bytes.append("\r\n");
  for_each_header(request.headers, [&](std::string_view name, std::string_view value) {
    if (is_ours(name) || hop_by_hop.contains(name)) return;
    if (name == "authorization" && binds_to_connection(value)) head.is_connection_bound = true;
    bytes.append(name).append(": ").append(value).append("\r\n");
  });
  if (request.is_upgrade) {
    bytes.append("connection: Upgrade\r\nupgrade: websocket\r\n");
    head.is_upgrade = head.is_connection_bound = true;
  } else if (head.framing == BodyFraming::Length) {
    bytes.append("content-length: ").append(std::to_string(head.length)).append("\r\n");
  } else if (head.framing == BodyFraming::Chunked) {
    bytes.append("transfer-encoding: chunked\r\n");
  }
  bytes.append("\r\n");
  if (bytes.size() > HttpLimits{}.header_bytes_max) return invalid("the headers are larger than 128 KiB");
  return head;
}

}  // namespace insula::egress
