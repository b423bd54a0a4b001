// SPDX-License-Identifier: Apache-2.0
//
// HeaderBlock: look-up and validation of flat header fields.
#include "src/base/header_block.h"

#include <array>

namespace insula {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<std::size_t>(c)] = true;
  }
  return table;
}

constexpr auto kLowerToken = make_token_table();

bool is_lower_token(std::string_view name) noexcept {
  if (name.empty()) return false;
  for (const char c : name) {
    if (!kLowerToken[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool is_field_value(std::string_view value) noexcept {
  for (const char c : value) {
    const auto code = static_cast<unsigned char>(c);
    if ((code < 0x20 && c != '\t') || code == 0x7f) return false;
  }
  return true;
}

}  // namespace

std::string_view find_header(BytesView block, std::string_view name) noexcept {
  std::string_view found;
  bool done = false;
  for_each_header(block, [&](std::string_view key, std::string_view value) {
    if (done || key != name) return;
    found = value;
    done = true;
  });
  return found;
}

bool is_valid_header_block(BytesView block) noexcept {
  while (!block.empty()) {
    const auto name_end = block.find('\0');
    if (name_end == BytesView::npos) return false;
    const auto value_end = block.find('\0', name_end + 1);
    if (value_end == BytesView::npos) return false;
    if (!is_lower_token(block.substr(0, name_end))) return false;
    if (!is_field_value(block.substr(name_end + 1, value_end - name_end - 1))) return false;
    block.remove_prefix(value_end + 1);
  }
  return true;
}

}  // namespace insula
