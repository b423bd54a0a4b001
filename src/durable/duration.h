// SPDX-License-Identifier: Apache-2.0
//
// Duration: a length of time as a workflow's author wrote it, in milliseconds or as text such as "5 minutes".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/error.h"

namespace insula::durable {

inline constexpr std::int64_t kDayMs = 86'400'000;
inline constexpr std::int64_t kSleepMsMax = 365 * kDayMs;

struct Duration {
  std::int64_t ms = 0;
  std::string text;  // as written; empty when a number was written

  bool operator==(const Duration&) const = default;
};

// "5 minutes", "1 hour", "1.5 days": a number, an optional space and a unit (second, minute, hour, day, week, month of
// 30 days, year of 365 days), plural or not.
// Errors: InvalidInput.
Result<Duration> parse_duration(std::string_view text);

// A number of milliseconds. Errors: InvalidInput (negative, not finite, beyond 2^53).
Result<Duration> duration_of(double ms);

}  // namespace insula::durable
