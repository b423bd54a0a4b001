// SPDX-License-Identifier: Apache-2.0
//
// HeldFrame: a copy of a frame as it arrived, for those who need it after the bytes it came in are reused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "src/base/bytes.h"
#include "src/protocol/frames.h"

namespace insula::fleet {

class HeldFrame {
 public:
  bool is_empty() const noexcept { return words_.empty(); }
  std::size_t size() const noexcept { return words_.size() * 8; }

  // raw: a whole frame that decode_frame() accepted.
  void keep(BytesView raw) {
    words_.resize((raw.size() + 7) / 8);
    std::memcpy(words_.data(), raw.data(), raw.size());
  }

  // The alternative of the frame that is a T; its views live as long as this object and the next decode() lets them.
  template <class T>
  T* decode() {
    if (words_.empty()) return nullptr;
    auto frame = protocol::decode_frame({reinterpret_cast<const char*>(words_.data()), size()});
    if (!frame) return nullptr;
    frame_ = *std::move(frame);
    return std::get_if<T>(&frame_);
  }

 private:
  std::vector<std::uint64_t> words_;  // keeps the frame aligned
  protocol::Frame frame_;
};

}  // namespace insula::fleet
