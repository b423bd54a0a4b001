// SPDX-License-Identifier: Apache-2.0
//
// Piece: the fuzzer's input as choices, numbers and texts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "src/base/bytes.h"

namespace insula {

class Piece {
 public:
  Piece(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool is_empty() const { return at_ >= size_; }
  std::uint8_t byte() { return is_empty() ? 0 : data_[at_++]; }
  // Small numbers mostly, so that they meet those of the tables.
  std::uint32_t number() {
    const std::uint8_t choice = byte();
    if (choice < 128) return choice & 7u;
    if (choice < 192) return (choice & 7u) | (std::uint32_t{byte()} & 3u) << 20;
    std::uint32_t wide = 0;
    for (int index = 0; index < 4; ++index) wide = wide << 8 | byte();
    return wide;
  }
  BytesView text() {
    const std::size_t wanted = byte();  // moves at_: not within the other argument's expression
    const std::size_t length = std::min(wanted, size_ - at_);
    const BytesView view(reinterpret_cast<const char*>(data_ + at_), length);
    at_ += length;
    return view;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

}  // namespace insula
