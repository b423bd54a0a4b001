// SPDX-License-Identifier: Apache-2.0
//
// Utf8Check: ASCII by the word, the rest byte by byte.
#include "src/supervisor/websocket/utf8.h"

#include <cstring>

namespace insula::websocket {

bool Utf8Check::add(BytesView bytes) noexcept {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end) {
    if (missing_ == 0) {
      std::uint64_t word = 0;
      while (end - at >= 8 && (std::memcpy(&word, at, sizeof word), (word & 0x8080808080808080U) == 0)) at += 8;
      if (at == end) break;
      const auto byte = static_cast<unsigned char>(*at++);
      if (byte >= 0x80 && !start_character(byte)) return false;
      continue;
    }
    const auto byte = static_cast<unsigned char>(*at++);
    if (byte < lowest_ || byte > highest_) return false;
    lowest_ = 0x80;
    highest_ = 0xbf;
    --missing_;
  }
  return true;
}

bool Utf8Check::start_character(unsigned char byte) noexcept {
  if (byte < 0xc2 || byte > 0xf4) return false;
  missing_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
  lowest_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
  highest_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
  return true;
}

}  // namespace insula::websocket
