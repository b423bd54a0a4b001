// SPDX-License-Identifier: Apache-2.0
//
// Exports: esbuild's metafile is {"outputs": {"main.js": {"entryPoint": "...", "exports": ["default", ...]}, ...}}.
#include "src/supervisor/config/exports.h"

#include <algorithm>

#include <fmt/format.h>

#include "src/supervisor/config/value.h"

namespace insula::config {
namespace {

const Value* member(const Value& table, std::string_view name) {
  const auto* const object = table.as<Value::Object>();
  if (object == nullptr) return nullptr;
  const auto found = std::find_if(object->begin(), object->end(), [&](const Member& one) { return one.name == name; });
  return found == object->end() ? nullptr : &found->value;
}

}  // namespace

std::optional<std::vector<std::string>> exports_of_metafile(std::string_view text) {
  const auto root = parse_jsonc(text, "metafile");
  const Value* const outputs = root ? member(*root, "outputs") : nullptr;
  const auto* const files = outputs == nullptr ? nullptr : outputs->as<Value::Object>();
  if (files == nullptr) return std::nullopt;
  for (const Member& file : *files) {
    const Value* const exports = member(file.value, "exports");
    const auto* const names = exports == nullptr ? nullptr : exports->as<Value::Array>();
    if (names == nullptr || member(file.value, "entryPoint") == nullptr) continue;
    std::vector<std::string> all;
    for (const Value& name : *names) {
      if (const auto* const word = name.as<std::string>()) all.push_back(*word);
    }
    return all;
  }
  return std::nullopt;
}

std::string complaint_about_export(const Worker& owner, std::string_view name) {
  if (!owner.exports || std::find(owner.exports->begin(), owner.exports->end(), name) != owner.exports->end()) return {};
  std::string names;
  for (const auto& one : *owner.exports) names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", one);
  return fmt::format("which the main module of \"{}\" does not export; it exports {}", owner.name,
                     names.empty() ? "nothing" : names);
}

}  // namespace insula::config
