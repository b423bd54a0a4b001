// SPDX-License-Identifier: Apache-2.0
//
// Utf8Check: whether bytes that come in pieces are well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates,
// nothing above U+10FFFF. The first byte that cannot be right is noticed at once, wherever the pieces are cut.
#pragma once

#include <cstdint>

#include "src/base/bytes.h"

namespace insula::websocket {

class Utf8Check {
 public:
  void reset() noexcept { missing_ = 0; }
  // False: the text is malformed; the check is then of no more use until reset().
  bool add(BytesView bytes) noexcept;
  // True between two characters.
  bool is_complete() const noexcept { return missing_ == 0; }

 private:
  bool start_character(unsigned char byte) noexcept;

  std::uint8_t missing_ = 0;  // bytes of the present character that are still to come
  // What the next of them may be: only the second byte of a character has a narrower range than 80 to BF.
  std::uint8_t lowest_ = 0x80;
  std::uint8_t highest_ = 0xbf;
};

}  // namespace insula::websocket
