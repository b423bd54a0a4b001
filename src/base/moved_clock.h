// SPDX-License-Identifier: Apache-2.0
//
// MovedClock: another clock at a distance that can be changed, for tests that let a month pass within a second.
#pragma once

#include <chrono>

#include "src/base/clock.h"

namespace insula {

class MovedClock final : public Clock {
 public:
  explicit MovedClock(const Clock& clock) : clock_(clock) {}

  Monotonic now() const override { return clock_.now() + passed_; }
  WallTime wall_now() const override { return clock_.wall_now() + passed_ + set_; }

  // Time passes, for both clocks.
  void pass(std::chrono::milliseconds by) { passed_ += by; }
  // Somebody sets the machine's clock, forward or back; no time passes.
  void set_wall(std::chrono::milliseconds by) { set_ += by; }

 private:
  const Clock& clock_;
  std::chrono::milliseconds passed_{0};
  std::chrono::milliseconds set_{0};
};

}  // namespace insula
