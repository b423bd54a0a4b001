// SPDX-License-Identifier: Apache-2.0
//
// to_structured_clone: tags and variable-length numbers; what JSON can say and nothing more.
//
//   0xff 15   header and version         '"' n bytes   text of one byte a unit
//   '0' 'T' 'F'  null, true, false       'c' n bytes   text in UTF-16, beginning at an even place
//   'I' n     small whole number         'A' n … '$' 0 n   list
//   'N' 8     double                     'o' key value … '{' n   object
#include "src/supervisor/config/structured_clone.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace insula::config {
namespace {

constexpr unsigned char kVersion = 15;
// What the engine takes for an index and not for a name.
constexpr std::uint32_t kIndexMax = 1u << 30;

void write_varint(Bytes& out, std::uint64_t number) {
  while (number >= 0x80) {
    out += static_cast<char>(number | 0x80);
    number >>= 7;
  }
  out += static_cast<char>(number);
}

void write_double(Bytes& out, double number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out += 'N';
  out.append(bytes, sizeof bytes);
}

void write_number(Bytes& out, std::int64_t number) {
  if (number < std::numeric_limits<std::int32_t>::min() || number > std::numeric_limits<std::int32_t>::max()) {
    return write_double(out, static_cast<double>(number));
  }
  out += 'I';
  // Zigzag: the sign in the lowest bit.
  const auto narrow = static_cast<std::int32_t>(number);
  write_varint(out, (static_cast<std::uint32_t>(narrow) << 1) ^ static_cast<std::uint32_t>(narrow >> 31));
}

void write_unit(Bytes& out, std::uint32_t unit) {
  out += static_cast<char>(unit & 0xff);
  out += static_cast<char>(unit >> 8);
}

// The text of a configuration file is valid UTF-8: its parsers have checked it.
Bytes utf16_of(std::string_view text) {
  Bytes units;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (std::size_t rest = 1; rest < length && at + rest < text.size(); ++rest) {
      code = code << 6 | (static_cast<unsigned char>(text[at + rest]) & 0x3fu);
    }
    at += length;
    if (code < 0x10000) {
      write_unit(units, code);
    } else {
      write_unit(units, 0xd800 + ((code - 0x10000) >> 10));
      write_unit(units, 0xdc00 + ((code - 0x10000) & 0x3ff));
    }
  }
  return units;
}

void write_text(Bytes& out, std::string_view text) {
  const bool is_ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
  if (is_ascii) {
    out += '"';
    write_varint(out, text.size());
    out += text;
    return;
  }
  const Bytes units = utf16_of(text);
  Bytes length;
  write_varint(length, units.size());
  if ((out.size() + 1 + length.size()) % 2 != 0) out += '\0';
  out += 'c';
  out += length;
  out += units;
}

std::optional<std::uint32_t> index_of(std::string_view name) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index >= kIndexMax) return std::nullopt;
  if (name.size() > 1 && name.front() == '0') return std::nullopt;
  return index;
}

void write(Bytes& out, const Value& value) {
  if (const auto* const flag = value.as<bool>()) {
    out += *flag ? 'T' : 'F';
  } else if (const auto* const whole = value.as<std::int64_t>()) {
    write_number(out, *whole);
  } else if (const auto* const number = value.as<double>()) {
    write_double(out, *number);
  } else if (const auto* const text = value.as<std::string>()) {
    write_text(out, *text);
  } else if (const auto* const array = value.as<Value::Array>()) {
    out += 'A';
    write_varint(out, array->size());
    for (const Value& item : *array) write(out, item);
    out += '$';
    write_varint(out, 0);
    write_varint(out, array->size());
  } else if (const auto* const object = value.as<Value::Object>()) {
    out += 'o';
    for (const Member& member : *object) {
      if (const auto index = index_of(member.name)) {
        write_number(out, *index);
      } else {
        write_text(out, member.name);
      }
      write(out, member.value);
    }
    out += '{';
    write_varint(out, object->size());
  } else {
    out += '0';
  }
}

}  // namespace

Bytes to_structured_clone(const Value& value) {
  Bytes out;
  out += '\xff';
  out += static_cast<char>(kVersion);
  write(out, value);
  return out;
}

}  // namespace insula::config
