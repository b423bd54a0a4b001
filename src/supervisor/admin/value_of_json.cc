// SPDX-License-Identifier: Apache-2.0
//
// value_of_json: a tag, then lengths as varints, then contents.
#include "src/supervisor/admin/value_of_json.h"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace insula::admin {
namespace {

namespace json = boost::json;

void put_varint(Bytes& out, std::uint64_t number) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(number | 0x80));
  out.push_back(static_cast<char>(number));
}

void put_double(Bytes& out, double number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.push_back('N');
  out.append(bytes, sizeof bytes);
}

void put_unit(Bytes& out, std::uint32_t unit) {
  out.push_back(static_cast<char>(unit & 0xff));
  out.push_back(static_cast<char>(unit >> 8 & 0xff));
}

// The UTF-8 comes from a JSON parser, which has checked it.
Bytes utf16_of(std::string_view text) {
  Bytes units;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t point = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t more = 1; more < length; ++more) {
      point = point << 6 | (static_cast<unsigned char>(text[at + more]) & 0x3fU);
    }
    at += length;
    if (point < 0x10000) {
      put_unit(units, point);
    } else {
      put_unit(units, 0xd800 + ((point - 0x10000) >> 10));
      put_unit(units, 0xdc00 + ((point - 0x10000) & 0x3ff));
    }
  }
  return units;
}

void put_text(Bytes& out, std::string_view text) {
  const Bytes units = utf16_of(text);
  // The units must begin at an even place: a padding byte before the tag, if need be.
  Bytes length;
  put_varint(length, units.size());
  if ((out.size() + 1 + length.size()) % 2 != 0) out.push_back('\0');
  out.push_back('c');
  out += length;
  out += units;
}

void put(Bytes& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: out.push_back('0'); break;
    case json::kind::bool_: out.push_back(value.get_bool() ? 'T' : 'F'); break;
    case json::kind::int64: put_double(out, static_cast<double>(value.get_int64())); break;
    case json::kind::uint64: put_double(out, static_cast<double>(value.get_uint64())); break;
    case json::kind::double_: put_double(out, value.get_double()); break;
    case json::kind::string: put_text(out, value.get_string()); break;
    case json::kind::array:
      out.push_back('A');
      put_varint(out, value.get_array().size());
      for (const auto& item : value.get_array()) put(out, item);
      out.push_back('$');
      put_varint(out, 0);
      put_varint(out, value.get_array().size());
      break;
    case json::kind::object:
      out.push_back('o');
      for (const auto& field : value.get_object()) {
        put_text(out, field.key());
        put(out, field.value());
      }
      out.push_back('{');
      put_varint(out, value.get_object().size());
      break;
  }
}

}  // namespace

Bytes value_of_json(const json::value& value) {
  Bytes out("\xff\x0d", 2);
  put(out, value);
  return out;
}

}  // namespace insula::admin
