// SPDX-License-Identifier: Apache-2.0
//
// Syntax: checks of tokens, lengths and authorities.
#include "src/supervisor/http/syntax.h"

#include <arpa/inet.h>

#include <cstring>

namespace insula::http {
namespace {

constexpr std::size_t kAuthorityBytesMax = 255;

bool is_port(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5) return false;
  unsigned value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= 65535;
}

bool is_name_char(char c) noexcept {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_';
}

bool is_ipv6_literal(std::string_view text) noexcept {
  char buffer[INET6_ADDRSTRLEN + 1];
  if (text.empty() || text.size() >= sizeof buffer) return false;
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  in6_addr address{};
  return ::inet_pton(AF_INET6, buffer, &address) == 1;
}

}  // namespace

bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_token_char(c)) return false;
  }
  return !text.empty();
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
  if (text.size() != lower_case.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

std::optional<std::uint64_t> parse_length(std::string_view text) noexcept {
  // 18 digits stay below 2^63, so no sum can overflow.
  if (text.empty() || text.size() > 18 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

bool normalize_authority(std::string_view text, char* out) noexcept {
  if (text.empty() || text.size() > kAuthorityBytesMax) return false;
  std::string_view host = text;
  std::string_view rest;
  if (text.front() == '[') {
    const auto bracket = text.find(']');
    if (bracket == std::string_view::npos || !is_ipv6_literal(text.substr(1, bracket - 1))) return false;
    rest = text.substr(bracket + 1);
  } else {
    host = text.substr(0, text.find(':'));
    rest = text.substr(host.size());
    if (host.empty() || host.front() == '.') return false;
    for (std::size_t i = 0; i < host.size(); ++i) {
      if (!is_name_char(host[i]) || (host[i] == '.' && i > 0 && host[i - 1] == '.')) return false;
    }
  }
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return false;
  for (std::size_t i = 0; i < text.size(); ++i) out[i] = lower(text[i]);
  return true;
}

}  // namespace insula::http
