// SPDX-License-Identifier: Apache-2.0
//
// HeaderBlock: HTTP fields as one flat string, "name\0value\0name\0value\0", in order of arrival.
//
// Names are lower-case tokens, values have no CR, LF or NUL and no white space around them. This is the form in which
// fields cross every boundary (client, supervisor, runner, JavaScript), so that nobody builds a map that nobody reads.
#pragma once

#include <string>
#include <string_view>

#include "src/base/bytes.h"

namespace insula {

// Calls visit(name, value) for each field; stops quietly at a malformed tail (see is_valid_header_block).
template <class Visit>
void for_each_header(BytesView block, Visit&& visit) {
  while (!block.empty()) {
    const auto name_end = block.find('\0');
    if (name_end == BytesView::npos) return;
    const auto value_end = block.find('\0', name_end + 1);
    if (value_end == BytesView::npos) return;
    visit(block.substr(0, name_end), block.substr(name_end + 1, value_end - name_end - 1));
    block.remove_prefix(value_end + 1);
  }
}

inline void append_header(Bytes& block, std::string_view name, std::string_view value) {
  block.append(name);
  block.push_back('\0');
  block.append(value);
  block.push_back('\0');
}

// The first value of `name` (lower case), or an empty view with a null data pointer when absent.
std::string_view find_header(BytesView block, std::string_view name) noexcept;

// True when every name is a lower-case token and every value is free of control characters other than tab.
bool is_valid_header_block(BytesView block) noexcept;

}  // namespace insula
