// SPDX-License-Identifier: Apache-2.0
//
// Crash points: which are armed, and the end.
#include "src/base/crash_point.h"

#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

namespace insula {
namespace {

// Written before is_armed is set, and read after it was seen; the process has one thread that arms, at its start.
constinit std::bitset<kCrashPoints.size()> armed_points;
constinit std::atomic<std::int64_t> left_until_action{0};
constinit bool is_hanging = false;

Error wrong(std::string_view text, std::string_view why) {
  return Error(ErrorCode::InvalidInput,
               fmt::format("INSULA_CRASH_AT: \"{}\": {}; expected NAME[:NTH[:exit|hang]], names by `insula crash-points`",
                           text, why));
}

}  // namespace

constinit std::atomic<bool> crash_point_details::is_armed{false};

void crash_point_details::reached(CrashPoint point) noexcept {
  const auto index = static_cast<std::size_t>(point);
  if (!armed_points.test(index)) return;
  if (left_until_action.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  // Which of several it was; one write, since a process that dies here writes nothing else.
  std::array<char, 80> line{};
  const int size = std::snprintf(line.data(), line.size(), "{\"event\":\"crash.reached\",\"point\":\"%s\"}\n",
                                 kCrashPoints[index].name.data());
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(size));
  if (!is_hanging) ::_exit(kExitCrashPoint);
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

Result<> arm_crash_points(std::string_view text, CrashPointInfo::Process process) {
  const std::string_view name = text.substr(0, text.find(':'));
  std::string_view rest = text.substr(std::min(text.size(), name.size() + 1));
  std::int64_t nth = 1;
  bool hangs = false;
  if (!rest.empty()) {
    const std::string_view digits = rest.substr(0, rest.find(':'));
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), nth);
    if (error != std::errc() || end != digits.data() + digits.size() || nth < 1) return wrong(text, "NTH is no number above 0");
    rest = rest.substr(std::min(rest.size(), digits.size() + 1));
    if (!rest.empty() && rest != "exit" && rest != "hang") return wrong(text, "no such action");
    hangs = rest == "hang";
  }
  std::bitset<kCrashPoints.size()> points;
  bool is_known = false;
  for (std::size_t index = 0; index < kCrashPoints.size(); ++index) {
    const CrashPointInfo& point = kCrashPoints[index];
    const bool is_meant = name.ends_with('*') ? point.name.starts_with(name.substr(0, name.size() - 1)) : point.name == name;
    is_known = is_known || is_meant;
    points.set(index, is_meant && point.process == process);
  }
  if (!is_known) return wrong(text, "no such point");
  if (points.none()) return {};
  armed_points = points;
  left_until_action.store(nth, std::memory_order_relaxed);
  is_hanging = hangs;
  crash_point_details::is_armed.store(true, std::memory_order_release);
  return {};
}

void disarm_crash_points() noexcept { crash_point_details::is_armed.store(false, std::memory_order_release); }

std::string list_of_crash_points() {
  std::string text;
  for (const CrashPointInfo& point : kCrashPoints) {
    text += fmt::format("{} {}\n", point.process == CrashPointInfo::Process::Runner ? "runner" : "supervisor", point.name);
  }
  return text;
}

}  // namespace insula
