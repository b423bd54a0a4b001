// SPDX-License-Identifier: Apache-2.0
//
// Fields: reads one table of a configuration file field by field, and remembers which names it was asked for.
//
// Every error names file, line, path of the field and what was expected: "wrangler.jsonc:7: services[0].service:
// expected a text, found a number". What nobody asked for is unknown(): a typo, or a field that Insula has never heard
// of.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/value.h"

namespace insula::config {

class Fields {
 public:
  // Borrows `value`, which must outlive it. Errors: InvalidInput when it is no table.
  static Result<Fields> of(const Value& value, std::string file, std::string path = "");

  // Each reader gives nothing when the field is absent or null, and InvalidInput when it has another type.
  Result<std::optional<std::string>> text(std::string_view name);
  Result<std::optional<bool>> fact(std::string_view name);
  Result<std::optional<std::int64_t>> integer(std::string_view name, std::int64_t least, std::int64_t most);
  Result<std::vector<std::string>> texts(std::string_view name);
  Result<std::optional<Fields>> table(std::string_view name);
  Result<std::vector<Fields>> tables(std::string_view name);  // a list of tables
  Result<std::map<std::string, std::string>> text_table(std::string_view name);
  // The same for a text that must be there and not be empty.
  Result<std::string> required_text(std::string_view name, std::string_view example);

  // The value itself, or null; the name counts as known from now on.
  const Value* take(std::string_view name);
  const Value::Object& members() const { return *object_; }

  struct Unknown {
    std::string name;
    std::string notice;  // "wrangler.jsonc:3: nmae: unknown field (did you mean \"name\"?)"
  };
  std::vector<Unknown> unknown() const;

  // An InvalidInput about one field of this table ("" : the table itself).
  Error problem(std::string_view name, std::string_view what) const;
  std::string path_of(std::string_view name) const;

 private:
  Fields(const Value& value, std::string file, std::string path);
  Error mismatch(std::string_view name, std::string_view expected, const Value& found) const;
  std::string place(std::string_view name) const;

  const Value::Object* object_;
  int line_;
  std::string file_;
  std::string path_;
  std::set<std::string, std::less<>> asked_;
};

// The name in `known` that `word` probably stands for, or "" when none is close.
std::string closest_name(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace insula::config
