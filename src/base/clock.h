// SPDX-License-Identifier: Apache-2.0
//
// Clock: the only way our code reads time, so that a test can hold and move it.
#pragma once

#include <chrono>

namespace insula {

using Monotonic = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Monotonic now() const = 0;      // never goes back
  virtual WallTime wall_now() const = 0;  // may jump
};

class SystemClock final : public Clock {
 public:
  Monotonic now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall_now() const override { return std::chrono::system_clock::now(); }
};

// A clock that moves only when told to.
class ManualClock final : public Clock {
 public:
  Monotonic now() const override { return monotonic_; }
  WallTime wall_now() const override { return wall_; }
  void advance(std::chrono::nanoseconds by) {
    monotonic_ += std::chrono::duration_cast<Monotonic::duration>(by);
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  Monotonic monotonic_{};
  WallTime wall_{};
};

}  // namespace insula
