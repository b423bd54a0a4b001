// SPDX-License-Identifier: Apache-2.0
//
// run_program: starts one trusted helper program (the bundler), waits for its end and keeps what it complained.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "src/base/error.h"

namespace insula::config {

struct ProgramOutcome {
  int exit_status = 0;     // 128 + signal when a signal ended it
  std::string complaints;  // its standard error, at most kComplaintsBytesMax
};

inline constexpr std::size_t kComplaintsBytesMax = 256 * 1024;

// Standard input and output are /dev/null, the environment is empty. Blocks; for the start of a node only.
// Errors: Unavailable (cannot be started), TimedOut (it was killed).
Result<ProgramOutcome> run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                                   const std::filesystem::path& directory, std::chrono::milliseconds time_max);

}  // namespace insula::config
