// SPDX-License-Identifier: Apache-2.0
//
// parse_toml: toml++'s tree, turned into Values.
#include "src/supervisor/config/value.h"

#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace insula::config {
namespace {

Result<Value> convert(const toml::node& node, std::size_t depth);

Result<Value::Data> convert_data(const toml::node& node, std::size_t depth) {
  if (depth > kDepthMax) {
    return Error(ErrorCode::InvalidInput, fmt::format("lists and tables nest deeper than {} levels", kDepthMax));
  }
  if (const auto* table = node.as_table()) {
    Value::Object object;
    for (const auto& [key, member] : *table) {
      TRY(auto value, convert(member, depth + 1));
      object.push_back({std::string(key.str()), std::move(value)});
    }
    return Value::Data(std::move(object));
  }
  if (const auto* list = node.as_array()) {
    Value::Array array;
    for (const auto& item : *list) {
      TRY(auto value, convert(item, depth + 1));
      array.push_back(std::move(value));
    }
    return Value::Data(std::move(array));
  }
  if (const auto* text = node.as_string()) return Value::Data(text->get());
  if (const auto* integer = node.as_integer()) return Value::Data(integer->get());
  if (const auto* number = node.as_floating_point()) return Value::Data(number->get());
  if (const auto* fact = node.as_boolean()) return Value::Data(fact->get());
  // Dates and times: `compatibility_date = 2026-11-17` without quotes is a common slip, and means the same.
  std::ostringstream text;
  if (const auto* date = node.as_date()) text << date->get();
  if (const auto* time = node.as_time()) text << time->get();
  if (const auto* moment = node.as_date_time()) text << moment->get();
  return Value::Data(text.str());
}

Result<Value> convert(const toml::node& node, std::size_t depth) {
  TRY(auto data, convert_data(node, depth));
  return Value{std::move(data), static_cast<int>(node.source().begin.line)};
}

}  // namespace

Result<Value> parse_toml(std::string_view text, std::string_view file) {
  try {
    const toml::table table = toml::parse(text, file);
    auto value = convert(table, 0);
    if (!value) return value.error().within(file);
    return value;
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return Error(ErrorCode::InvalidInput, fmt::format("{}:{}:{}: {}", file, at.line, at.column, error.description()));
  }
}

}  // namespace insula::config
