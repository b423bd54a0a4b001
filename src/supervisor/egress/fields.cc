// SPDX-License-Identifier: Apache-2.0
//
// Fields: tokens, values and the fields of one hop.
#include "src/supervisor/egress/fields.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace insula::egress {
namespace {

// A token's byte in lower case; 0 for a byte that no token has.
constexpr std::array<char, 256> make_lower_table() {
  std::array<char, 256> table{};
  for (std::size_t i = 0; i < 26; ++i) {
    table['a' + i] = static_cast<char>('a' + i);
    table['A' + i] = static_cast<char>('a' + i);
  }
  for (std::size_t i = 0; i < 10; ++i) table['0' + i] = static_cast<char>('0' + i);
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = c;
  return table;
}

constexpr auto kLower = make_lower_table();

// TE and Trailer announce what only a hop can keep; HTTP2-Settings belongs to an Upgrade.
constexpr auto kHopByHop = std::to_array<std::string_view>({"connection", "http2-settings", "keep-alive",
                                                            "proxy-connection", "te", "trailer",
                                                            "transfer-encoding", "upgrade"});

}  // namespace

bool is_token(std::string_view text) noexcept {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return kLower[static_cast<unsigned char>(c)] != 0; });
}

bool lower_token(std::string_view token, std::string& out) {
  if (!is_token(token)) return false;
  for (const char c : token) out.push_back(kLower[static_cast<unsigned char>(c)]);
  return true;
}

bool is_field_text(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
  });
}

std::string_view trim(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) noexcept {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return kLower[static_cast<unsigned char>(a)] == b; });
}

bool is_hop_by_hop(std::string_view name) noexcept {
  return std::find(kHopByHop.begin(), kHopByHop.end(), name) != kHopByHop.end();
}

void FieldNames::add_list(std::string_view comma_separated) {
  while (!comma_separated.empty()) {
    const auto comma = std::min(comma_separated.find(','), comma_separated.size());
    std::string name;
    if (lower_token(trim(comma_separated.substr(0, comma)), name)) names_.push_back(std::move(name));
    comma_separated.remove_prefix(std::min(comma + 1, comma_separated.size()));
  }
}

bool FieldNames::contains(std::string_view lower_case) const noexcept {
  return std::find(names_.begin(), names_.end(), lower_case) != names_.end();
}

}  // namespace insula::egress
