// SPDX-License-Identifier: Apache-2.0
//
// Fields: typed look-ups with messages that a person can act on.
#include "src/supervisor/config/fields.h"

#include <algorithm>

#include <fmt/format.h>

namespace insula::config {
namespace {

const Value* find(const Value::Object& object, std::string_view name) {
  for (const auto& [key, value] : object) {
    if (key == name) return value.as<Value::Null>() == nullptr ? &value : nullptr;
  }
  return nullptr;
}

// Insertions, deletions and replacements between two words (Levenshtein), enough for names of this length.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

Fields::Fields(const Value& value, std::string file, std::string path)
    : object_(value.as<Value::Object>()), line_(value.line), file_(std::move(file)), path_(std::move(path)) {}

Result<Fields> Fields::of(const Value& value, std::string file, std::string path) {
  Fields fields(value, std::move(file), std::move(path));
  if (fields.object_ == nullptr) return fields.problem("", fmt::format("expected a table, found {}", value.kind()));
  return fields;
}

const Value* Fields::take(std::string_view name) {
  asked_.emplace(name);
  return find(*object_, name);
}

Result<std::optional<std::string>> Fields::text(std::string_view name) {
  const Value* value = take(name);
  if (value == nullptr) return std::optional<std::string>();
  const auto* found = value->as<std::string>();
  if (found == nullptr) return mismatch(name, "a text", *value);
  if (found->find('\0') != std::string::npos) return problem(name, "a text must not contain NUL");
  return std::optional<std::string>(*found);
}

Result<std::string> Fields::required_text(std::string_view name, std::string_view example) {
  TRY(auto found, text(name));
  if (!found || found->empty()) {
    // A field with nearly this name is probably what was meant.
    std::vector<std::string_view> others;
    for (const auto& [key, value] : *object_) {
      if (!asked_.contains(key)) others.push_back(key);
    }
    const auto written = closest_name(name, others);
    return problem(name, fmt::format("expected a text, for example {}{}", example,
                                     written.empty() ? "" : fmt::format("; there is \"{}\"", written)));
  }
  return std::move(*found);
}

Result<std::optional<bool>> Fields::fact(std::string_view name) {
  const Value* value = take(name);
  if (value == nullptr) return std::optional<bool>();
  const auto* found = value->as<bool>();
  if (found == nullptr) return mismatch(name, "true or false", *value);
  return std::optional<bool>(*found);
}

Result<std::optional<std::int64_t>> Fields::integer(std::string_view name, std::int64_t least, std::int64_t most) {
  const Value* value = take(name);
  if (value == nullptr) return std::optional<std::int64_t>();
  const auto* found = value->as<std::int64_t>();
  if (found == nullptr) return mismatch(name, "a whole number", *value);
  if (*found < least || *found > most) {
    return problem(name, fmt::format("expected a whole number from {} to {}, found {}", least, most, *found));
  }
  return std::optional<std::int64_t>(*found);
}

Result<std::vector<std::string>> Fields::texts(std::string_view name) {
  std::vector<std::string> texts;
  const Value* value = take(name);
  if (value == nullptr) return texts;
  const auto* list = value->as<Value::Array>();
  if (list == nullptr) return mismatch(name, "a list of texts", *value);
  for (const auto& item : *list) {
    const auto* text = item.as<std::string>();
    if (text == nullptr) return mismatch(fmt::format("{}[{}]", name, texts.size()), "a text", item);
    texts.push_back(*text);
  }
  return texts;
}

Result<std::optional<Fields>> Fields::table(std::string_view name) {
  const Value* value = take(name);
  if (value == nullptr) return std::optional<Fields>();
  TRY(auto fields, of(*value, file_, path_of(name)));
  return std::optional<Fields>(std::move(fields));
}

Result<std::vector<Fields>> Fields::tables(std::string_view name) {
  std::vector<Fields> tables;
  const Value* value = take(name);
  if (value == nullptr) return tables;
  const auto* list = value->as<Value::Array>();
  if (list == nullptr) return mismatch(name, "a list of tables", *value);
  for (const auto& item : *list) {
    TRY(auto fields, of(item, file_, fmt::format("{}[{}]", path_of(name), tables.size())));
    tables.push_back(std::move(fields));
  }
  return tables;
}

Result<std::map<std::string, std::string>> Fields::text_table(std::string_view name) {
  std::map<std::string, std::string> texts;
  TRY(auto fields, table(name));
  if (!fields) return texts;
  for (const auto& [key, value] : fields->members()) {
    TRY(auto text, fields->text(key));
    texts[key] = text.value_or("");
  }
  return texts;
}

std::vector<Fields::Unknown> Fields::unknown() const {
  const std::vector<std::string_view> known(asked_.begin(), asked_.end());
  std::vector<Unknown> unknown;
  for (const auto& [name, value] : *object_) {
    if (asked_.contains(name)) continue;
    const auto meant = closest_name(name, known);
    unknown.push_back({name, fmt::format("{}: unknown field{}", place(name),
                                         meant.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", meant))});
  }
  return unknown;
}

Error Fields::problem(std::string_view name, std::string_view what) const {
  return Error(ErrorCode::InvalidInput, fmt::format("{}: {}", place(name), what));
}

Error Fields::mismatch(std::string_view name, std::string_view expected, const Value& found) const {
  return problem(name, fmt::format("expected {}, found {}", expected, found.kind()));
}

std::string Fields::path_of(std::string_view name) const {
  if (name.empty()) return path_;
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

// "file:line: path"; a field that is absent has the line of its table.
std::string Fields::place(std::string_view name) const {
  int line = line_;
  if (object_ != nullptr) {
    for (const auto& [key, value] : *object_) {
      if (key == name.substr(0, name.find('[')) && value.line != 0) line = value.line;
    }
  }
  const auto path = path_of(name);
  return fmt::format("{}{}{}{}", file_, line > 0 ? fmt::format(":{}", line) : "", path.empty() ? "" : ": ", path);
}

std::string closest_name(std::string_view word, const std::vector<std::string_view>& known) {
  constexpr std::size_t kWordBytesMax = 64;
  if (word.size() > kWordBytesMax) return "";
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto name : known) {
    const auto here = distance(word, name);
    if (here < best_distance) {
      best = name;
      best_distance = here;
    }
  }
  return std::string(best);
}

}  // namespace insula::config
