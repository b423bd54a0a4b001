// SPDX-License-Identifier: Apache-2.0
//
// Value: what a configuration file holds, whether it was JSON or TOML, with the line of each value.
//
//   wrangler.jsonc ──parse_jsonc──┐
//   wrangler.toml  ──parse_toml───┴──► Value ──► read_wrangler, read_node_file
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/error.h"

namespace insula::config {

struct Member;

struct Value {
  struct Null {};
  using Array = std::vector<Value>;
  using Object = std::vector<Member>;  // in the order of the file, keys unique
  using Data = std::variant<Null, bool, std::int64_t, double, std::string, Array, Object>;

  Data data;
  int line = 0;  // 1 and up; 0: unknown

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  // "a text", "a list", ... for messages.
  std::string_view kind() const;
  // False for null, "", [] and {}.
  bool holds_something() const;
};

struct Member {
  std::string name;
  Value value;
};

// How deep lists and tables may nest.
inline constexpr std::size_t kDepthMax = 64;

// Reads one file's text. `file` is only for messages, which have the form "file:line:column: what".
// Errors: InvalidInput (syntax, the same key twice, too deep).
Result<Value> parse_jsonc(std::string_view text, std::string_view file);  // comments and trailing commas allowed
Result<Value> parse_toml(std::string_view text, std::string_view file);   // dates become text

// The value as JSON text. Errors: InvalidInput (nan and inf, which TOML has and JSON has not).
Result<std::string> to_json(const Value& value);

}  // namespace insula::config
