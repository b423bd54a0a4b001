// SPDX-License-Identifier: Apache-2.0
//
// Url: scheme, host, port and target, each checked before the next is looked at.
#include "src/supervisor/egress/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "src/base/limits.h"

namespace insula::egress {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t kNameBytesMax = 253;  // RFC 1035
constexpr std::size_t kLabelBytesMax = 63;
constexpr std::size_t kUrlBytesMax = HttpLimits{}.target_bytes_max;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), to_lower);
  return result;
}

Error invalid(const char* what) { return Error(ErrorCode::InvalidInput, std::string("egress: ") + what); }

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t most) noexcept {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return value <= most ? std::optional(value) : std::nullopt;
}

// Four decimal octets without leading zeros, or nothing: inet_aton's other spellings do not exist here.
std::optional<ip::address> parse_ipv4(std::string_view host) noexcept {
  std::uint32_t address = 0;
  for (int octet = 0; octet < 4; ++octet) {
    const auto dot = host.find('.');
    if ((dot == std::string_view::npos) != (octet == 3)) return std::nullopt;
    const auto value = parse_number(host.substr(0, dot), 255);
    if (!value) return std::nullopt;
    address = (address << 8) | *value;
    if (octet < 3) host.remove_prefix(dot + 1);
  }
  return ip::address(ip::address_v4(address));
}

std::optional<ip::address> parse_ipv6(const std::string& host) noexcept {
  ip::address_v6::bytes_type bytes{};
  // inet_pton, since it knows no zones ("%eth0") and has one reading for every text.
  if (::inet_pton(AF_INET6, host.c_str(), bytes.data()) != 1) return std::nullopt;
  return ip::address(ip::address_v6(bytes));
}

bool is_label(std::string_view label) noexcept {
  if (label.empty() || label.size() > kLabelBytesMax || label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '_'; });
}

// A last label like these makes other readers take the host for an IPv4 address ("127.1", "0x7f.1", "1.2.3.0x").
bool reads_as_number(std::string_view label) noexcept {
  if (label.starts_with("0x")) {
    return std::all_of(label.begin() + 2, label.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
  }
  return std::all_of(label.begin(), label.end(), is_digit);
}

bool is_dns_name(std::string_view host) noexcept {
  if (host.size() > kNameBytesMax) return false;
  for (;;) {
    const auto dot = host.find('.');
    const auto label = host.substr(0, dot);
    if (!is_label(label)) return false;
    if (dot == std::string_view::npos) return !reads_as_number(label);
    host.remove_prefix(dot + 1);
  }
}

Result<> parse_host(std::string_view text, Url& url) {
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return invalid("an IPv6 address in a URL must end with \"]\"");
    url.host = lower(text.substr(1, text.size() - 2));
    if (url.host.find('\0') == std::string::npos) url.address = parse_ipv6(url.host);
    if (!url.address) return invalid("the IPv6 address in the URL is not valid");
    return {};
  }
  url.host = lower(text);
  url.address = parse_ipv4(url.host);
  if (!url.address && !is_dns_name(url.host)) {
    return invalid("the URL's host is neither a DNS name nor an IP address in its plain form");
  }
  return {};
}

Result<> parse_authority(std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos) return invalid("a URL with user name or password is not allowed");
  const auto bracket = authority.rfind(']');
  const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  TRY_VOID(parse_host(authority.substr(0, colon), url));
  const std::uint16_t own_port = url.is_secure ? 443 : 80;
  url.port = own_port;
  if (colon != std::string_view::npos) {
    const auto port = parse_number(authority.substr(colon + 1), 65535);
    if (!port || *port == 0) return invalid("the URL's port is not a number from 1 to 65535");
    url.port = static_cast<std::uint16_t>(*port);
  }
  url.authority = url.address && url.address->is_v6() ? "[" + url.host + "]" : url.host;
  if (url.port != own_port) url.authority += ":" + std::to_string(url.port);
  return {};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kUrlBytesMax) return invalid("the URL is longer than 16 KiB");
  const auto scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return invalid("the URL is not absolute");
  Url url;
  const std::string scheme = lower(text.substr(0, scheme_end));
  if (scheme != "http" && scheme != "https") {
    return Error(ErrorCode::Denied, "egress: only http and https URLs can be fetched");
  }
  url.is_secure = scheme == "https";
  text.remove_prefix(scheme_end + 3);

  const auto authority_end = std::min(text.find_first_of("/?#"), text.size());
  TRY_VOID(parse_authority(text.substr(0, authority_end), url));
  text.remove_prefix(authority_end);

  text = text.substr(0, text.find('#'));
  const bool is_clean = std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!is_clean) return invalid("the URL's path or query holds a byte that must be percent-encoded");
  url.target = text.starts_with('/') ? std::string(text) : "/" + std::string(text);
  return url;
}

bool is_localhost_name(std::string_view host) noexcept {
  return host == "localhost" || host.ends_with(".localhost");
}

}  // namespace insula::egress
