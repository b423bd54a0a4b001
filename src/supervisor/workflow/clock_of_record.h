// SPDX-License-Identifier: Apache-2.0
//
// ClockOfRecord: the time of all durable deadlines. It never goes back, and it does not jump when the machine's clock is
// set: it advances with the monotonic clock and closes a distance to the wall clock by a tenth of the elapsed time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "src/base/clock.h"

namespace insula::workflow {

class ClockOfRecord {
 public:
  // floor_ms: no earlier than what was recorded before.
  ClockOfRecord(const Clock& clock, std::int64_t floor_ms)
      : clock_(clock), at_(clock.now()), ms_(std::max(floor_ms, wall_ms())) {}

  std::int64_t now_ms() {
    const auto at = clock_.now();
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(at - at_).count();
    if (elapsed <= 0) return ms_;
    at_ += std::chrono::milliseconds(elapsed);
    const auto target = ms_ + elapsed;
    const auto correction = std::clamp<std::int64_t>(wall_ms() - target, -elapsed / 10, elapsed / 10);
    ms_ = target + correction;
    return ms_;
  }

 private:
  std::int64_t wall_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock_.wall_now().time_since_epoch()).count();
  }

  const Clock& clock_;
  Monotonic at_;
  std::int64_t ms_;
};

}  // namespace insula::workflow
