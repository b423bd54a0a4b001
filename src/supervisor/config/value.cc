// SPDX-License-Identifier: Apache-2.0
//
// Value: naming and writing.
#include "src/supervisor/config/value.h"

#include <array>
#include <charconv>
#include <cmath>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace insula::config {
namespace {

void append_quoted(std::string& out, const std::string& text) {
  out += boost::json::serialize(boost::json::value(boost::json::string_view(text.data(), text.size())));
}

// Recursion is bounded by kDepthMax, which both parsers keep.
Result<> append_json(std::string& out, const Value& value) {
  if (const auto* fact = value.as<bool>()) {
    out += *fact ? "true" : "false";
  } else if (const auto* integer = value.as<std::int64_t>()) {
    out += std::to_string(*integer);
  } else if (const auto* number = value.as<double>()) {
    if (!std::isfinite(*number)) {
      return Error(ErrorCode::InvalidInput, "nan and inf cannot be expressed in JSON");
    }
    std::array<char, 32> digits{};  // the shortest form that reads as the same number
    out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), *number).ptr);
  } else if (const auto* text = value.as<std::string>()) {
    append_quoted(out, *text);
  } else if (const auto* array = value.as<Value::Array>()) {
    out += '[';
    for (const auto& item : *array) {
      if (&item != array->data()) out += ',';
      TRY_VOID(append_json(out, item));
    }
    out += ']';
  } else if (const auto* object = value.as<Value::Object>()) {
    out += '{';
    for (const auto& member : *object) {
      if (&member != object->data()) out += ',';
      append_quoted(out, member.name);
      out += ':';
      TRY_VOID(append_json(out, member.value));
    }
    out += '}';
  } else {
    out += "null";
  }
  return {};
}

}  // namespace

std::string_view Value::kind() const {
  static constexpr std::string_view kKinds[] = {"null",   "true or false", "a whole number", "a number",
                                                "a text", "a list",        "a table"};
  return kKinds[data.index()];
}

bool Value::holds_something() const {
  if (as<Null>() != nullptr) return false;
  if (const auto* text = as<std::string>()) return !text->empty();
  if (const auto* array = as<Array>()) return !array->empty();
  if (const auto* object = as<Object>()) {
    for (const auto& member : *object) {
      if (member.value.holds_something()) return true;
    }
    return false;
  }
  return true;
}

Result<std::string> to_json(const Value& value) {
  std::string out;
  TRY_VOID(append_json(out, value));
  return out;
}

}  // namespace insula::config
