// SPDX-License-Identifier: Apache-2.0
//
// The list of an actor's WebSockets: little-endian numbers.
#include "src/supervisor/actors/socket_list.h"

#include <bit>

namespace insula::actors {
namespace {

void append_number(Bytes& out, std::uint64_t value, int bytes) {
  for (int shift = 0; shift < 8 * bytes; shift += 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

}  // namespace

void append_u16(Bytes& out, std::size_t value) { append_number(out, value, 2); }
void append_u32(Bytes& out, std::size_t value) { append_number(out, value, 4); }
void append_f64(Bytes& out, double value) { append_number(out, std::bit_cast<std::uint64_t>(value), 8); }

Bytes encode_tags(const std::vector<std::string_view>& tags) {
  Bytes out;
  std::size_t bytes = 1;
  for (const auto tag : tags) bytes += 2 + tag.size();
  out.reserve(bytes);
  out.push_back(static_cast<char>(tags.size()));
  for (const auto tag : tags) {
    append_u16(out, tag.size());
    out.append(tag);
  }
  return out;
}

}  // namespace insula::actors
