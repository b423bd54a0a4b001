// SPDX-License-Identifier: Apache-2.0
//
// Url: the one reading of a fetch URL at the way out.
//
// What arrives was normalised by the URL class in the isolate, or was written by a runner under attack. So nothing is
// normalised here: a host is a DNS name in ASCII or an IP address in its plain form, and whatever another reader might
// take for something else (decimal, octal or hexadecimal IPv4, user info, full-width digits, a trailing dot) is an
// error. The path and query are passed on byte for byte after a check; RFC 3986 is too narrow for them, because
// browsers' URLs carry bytes such as "[" and "|" in queries.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/address.hpp>

#include "src/base/error.h"

namespace insula::egress {

struct Url {
  bool is_secure = false;
  std::string host;  // lower case, without brackets
  std::optional<boost::asio::ip::address> address;  // when the host is a literal
  std::uint16_t port = 0;
  std::string authority;  // for the Host field; the scheme's own port is left out
  std::string target;     // path and query, starting with "/"; the fragment is dropped
};

// Errors  Denied (scheme other than http and https), InvalidInput (everything else).
Result<Url> parse_url(std::string_view text);

// True for "localhost" and names below it, which RFC 6761 reserves for loopback whatever a resolver says.
bool is_localhost_name(std::string_view host) noexcept;

}  // namespace insula::egress
