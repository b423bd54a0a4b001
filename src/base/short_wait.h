// SPDX-License-Identifier: Apache-2.0
//
// ShortWait: whether a thread that has nothing to do looks again for a moment before it sleeps.
//
// Waking a thread on a core that sleeps costs ten microseconds and an interrupt, several times what a small call does on its
// way. A thread that expects an answer within that time looks a few times more, and yields between looks to whoever has
// work. What is paid when the answer stays away is bounded: each wait that was not short makes the next ones sleep at
// once, twice as many each time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace insula {

class ShortWait {
 public:
  // Longer than a call to another process and back, shorter than what sleeping and waking costs a few times over.
  static constexpr std::chrono::microseconds kLongest{60};
  // With more than this under way some of it is ready nearly always, and looking again would only take a core from it.
  static constexpr std::size_t kFew = 4;

  // Asked before each wait. True: look again for kLongest, and then note() whether something came.
  bool is_worth_it() noexcept {
    if (sleeps_ == 0) return true;
    --sleeps_;
    return false;
  }
  void note(bool was_short) noexcept {
    misses_ = was_short ? 0 : std::min(misses_ + 1, kMissesMax);
    sleeps_ = was_short ? 0 : 1u << misses_;
  }

 private:
  static constexpr unsigned kMissesMax = 8;
  unsigned misses_ = 0;  // in a row
  unsigned sleeps_ = 0;  // waits that sleep at once
};

}  // namespace insula
