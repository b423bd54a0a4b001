// SPDX-License-Identifier: Apache-2.0
//
// Fields: the grammar of HTTP fields that requests and responses share (RFC 9110 sections 5 and 7.6.1).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace insula::egress {

bool is_token(std::string_view text) noexcept;
// Appends `token` in lower case; false when it is no token.
bool lower_token(std::string_view token, std::string& out);
// No control character but tab; bytes above 0x7f pass, as servers use them.
bool is_field_text(std::string_view text) noexcept;
// Without spaces and tabs around.
std::string_view trim(std::string_view text) noexcept;
bool equals_ignoring_case(std::string_view text, std::string_view lower_case) noexcept;

// Fields that belong to one connection and are never passed on. `name` is lower case.
bool is_hop_by_hop(std::string_view name) noexcept;

// The names that a Connection field lists, which belong to the connection too.
class FieldNames {
 public:
  void add_list(std::string_view comma_separated);
  bool contains(std::string_view lower_case) const noexcept;

 private:
  std::vector<std::string> names_;
};

}  // namespace insula::egress
