// SPDX-License-Identifier: Apache-2.0
//
// Syntax: the alphabets of HTTP/1.1 (RFC 9110 section 5.6, RFC 9112 section 3.2) as tables and small checks, shared by
// the parsers of heads and bodies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace insula::http {

namespace syntax_detail {

constexpr std::array<char, 256> make_lower_token_table() {
  std::array<char, 256> table{};
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = static_cast<char>(c - 'A' + 'a');
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<unsigned char>(c)] = c;
  }
  return table;
}

constexpr std::array<bool, 256> make_field_value_table() {
  std::array<bool, 256> table{};
  for (std::size_t code = 0x20; code < 256; ++code) table[code] = code != 0x7f;
  table[static_cast<unsigned char>('\t')] = true;
  return table;
}

}  // namespace syntax_detail

// For a token character its lower-case form, otherwise 0.
inline constexpr std::array<char, 256> kLowerToken = syntax_detail::make_lower_token_table();
// Bytes that may stand inside a field value: printable, space, tab and obs-text.
inline constexpr std::array<bool, 256> kFieldValue = syntax_detail::make_field_value_table();

constexpr char lower_token_char(char c) noexcept { return kLowerToken[static_cast<unsigned char>(c)]; }
constexpr bool is_token_char(char c) noexcept { return lower_token_char(c) != 0; }
constexpr bool is_field_value_char(char c) noexcept { return kFieldValue[static_cast<unsigned char>(c)]; }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }
constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_token(std::string_view text) noexcept;

// Compares without regard to case; `lower_case` must be lower case already.
bool equals_ignoring_case(std::string_view text, std::string_view lower_case) noexcept;

// Digits only, without a leading zero (other than "0" itself, since some recipients would read octal), below 2^63.
std::optional<std::uint64_t> parse_length(std::string_view text) noexcept;

// Checks "name", "name:port", "1.2.3.4:port" or "[v6]:port" and writes the lower-case form to `out`, which has room
// for text.size() bytes. False: the text is not an authority that we route by (user info, percent-encoding, empty
// host, empty or impossible port, more than 255 bytes).
bool normalize_authority(std::string_view text, char* out) noexcept;

// Calls visit(element) for each element of a comma-separated list, blanks trimmed, empty elements left out.
template <class Visit>
void for_each_list_element(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    std::string_view element = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    while (!element.empty() && is_blank(element.front())) element.remove_prefix(1);
    while (!element.empty() && is_blank(element.back())) element.remove_suffix(1);
    if (!element.empty()) visit(element);
  }
}

}  // namespace insula::http
