// SPDX-License-Identifier: Apache-2.0
//
// Compatibility: checks dates and flags against the table, and works out what follows from them.
#include "src/base/compatibility.h"

#include <algorithm>
#include <cstddef>

#include "src/base/compatibility_table.h"

namespace insula {
namespace {

constexpr std::string_view kNodejsCompat = "nodejs_compat";

// "YYYY-MM-DD" with a month and a day that exist in some month. As on the platform, 2026-02-30 is accepted.
bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto number = [&](std::size_t from, std::size_t count) {
    int value = 0;
    for (const char digit : text.substr(from, count)) {
      if (digit < '0' || digit > '9') return -1;
      value = value * 10 + (digit - '0');
    }
    return value;
  };
  const int year = number(0, 4);
  const int month = number(5, 2);
  const int day = number(8, 2);
  return year >= 2000 && year < 3000 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

const CompatibilityFlag* find_flag(std::string_view name) {
  for (const auto& flag : kCompatibilityFlags) {
    if (flag.name == name || (!flag.opt_out.empty() && flag.opt_out == name)) return &flag;
  }
  return nullptr;
}

bool has(std::span<const std::string> flags, std::string_view name) {
  return !name.empty() && std::find(flags.begin(), flags.end(), name) != flags.end();
}

// Dates of one form compare as texts.
bool is_enabled(const CompatibilityFlag& flag, std::string_view date, std::span<const std::string> flags) {
  if (has(flags, flag.name)) return true;
  if (has(flags, flag.opt_out)) return false;
  if (!flag.default_from.empty() && date >= flag.default_from) return true;
  return !flag.with_nodejs_from.empty() && date >= flag.with_nodejs_from && has(flags, kNodejsCompat);
}

Error refuse(std::string message) {
  return Error(ErrorCode::InvalidInput, std::move(message));
}

}  // namespace

Result<> check_compatibility(std::string_view date, std::span<const std::string> flags, bool allow_experimental) {
  const std::string day(date);
  if (!is_date(date)) return refuse("Invalid compatibility date: " + day);
  if (date > kNewestCompatibilityDate) {
    return refuse("This Worker requires compatibility date \"" + day +
                  "\", but the newest date supported by this server binary is \"" +
                  std::string(kNewestCompatibilityDate) + "\".");
  }
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const auto& name = flags[i];
    const auto* flag = find_flag(name);
    if (flag == nullptr) return refuse("No such compatibility flag: " + name);
    if (has(flags.first(i), name)) return refuse("Compatibility flag specified multiple times: " + name);
    if (has(flags, flag->name) && has(flags, flag->opt_out)) {
      return refuse("Compatibility flags are mutually contradictory: " + std::string(flag->name) + " vs " +
                    std::string(flag->opt_out));
    }
    if (flag->is_experimental && name == flag->name && !allow_experimental) {
      return refuse("The compatibility flag " + name +
                    " is experimental and may change or go away; it needs 'allowExperimental: true'.");
    }
  }
  return {};
}

std::vector<CompatibilitySetting> compatibility_settings(std::string_view date, std::span<const std::string> flags) {
  std::vector<CompatibilitySetting> settings;
  settings.reserve(std::size(kCompatibilityFlags));
  for (const auto& flag : kCompatibilityFlags) settings.push_back({flag.name, is_enabled(flag, date, flags)});
  return settings;
}

bool is_compatibility_enabled(std::string_view flag, std::string_view date, std::span<const std::string> flags) {
  const auto* known = find_flag(flag);
  return known != nullptr && known->name == flag && is_enabled(*known, date, flags);
}

}  // namespace insula
