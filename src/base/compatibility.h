// SPDX-License-Identifier: Apache-2.0
//
// Compatibility: which dates and flags a Worker may ask for, and which flags result from them.
//
// Both processes use this file: the supervisor for configured Workers, the runner for WorkerCode. The messages are part
// of the contract (spec/loader.md section 7).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"

namespace insula {

// The newest date that a Worker may ask for.
inline constexpr std::string_view kNewestCompatibilityDate = "2026-11-24";

// Checks a date ("2026-11-17") and flags, in this order: form of the date, newest date, then each flag.
//
// allow_experimental  whether experimental flags may be named.
// Errors              InvalidInput, with the text that a tenant sees.
Result<> check_compatibility(std::string_view date, std::span<const std::string> flags, bool allow_experimental);

struct CompatibilitySetting {
  std::string_view flag;
  bool is_enabled = false;
};

// Every known flag with its state at this (checked) date and with these (checked) flags, in the table's order.
std::vector<CompatibilitySetting> compatibility_settings(std::string_view date, std::span<const std::string> flags);

// One flag of compatibility_settings(); false for a name that is not a flag.
bool is_compatibility_enabled(std::string_view flag, std::string_view date, std::span<const std::string> flags);

}  // namespace insula
