// SPDX-License-Identifier: Apache-2.0
//
// Duration: reading of numbers with units.
#include "src/durable/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace insula::durable {
namespace {

constexpr double kMsMax = 9'007'199'254'740'992.0;  // 2^53: what a JavaScript number holds exactly

constexpr std::array<std::pair<std::string_view, double>, 7> kUnits{{
    {"second", 1e3},
    {"minute", 60e3},
    {"hour", 3'600e3},
    {"day", 86'400e3},
    {"week", 604'800e3},
    {"month", 2'592'000e3},
    {"year", 31'536'000e3},
}};

Error bad(std::string_view text) {
  return Error(ErrorCode::InvalidInput, "\"" + std::string(text.substr(0, 64)) +
                                            "\" is not a duration; write milliseconds or text such as \"5 minutes\"");
}

}  // namespace

Result<Duration> duration_of(double ms) {
  if (!std::isfinite(ms) || ms < 0 || ms > kMsMax) {
    return Error(ErrorCode::InvalidInput, "a duration must be a finite, non-negative number of milliseconds");
  }
  return Duration{static_cast<std::int64_t>(ms), {}};
}

Result<Duration> parse_duration(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return bad(text);
  double amount = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, amount, std::chars_format::fixed);
  if (problem != std::errc()) return bad(text);
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  if (unit.ends_with('s')) unit.remove_suffix(1);
  for (const auto& [name, ms] : kUnits) {
    if (unit != name) continue;
    TRY(auto duration, duration_of(amount * ms));
    duration.text = text;
    return duration;
  }
  return bad(text);
}

}  // namespace insula::durable
