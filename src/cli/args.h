// SPDX-License-Identifier: Apache-2.0
//
// Arguments: the command line of `insula`, parsed and checked; nothing is read or started here.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "src/base/error.h"
#include "src/base/log.h"
#include "src/cli/workflows.h"
#include "src/supervisor/config/load.h"

namespace insula::cli {

// Exit statuses of the program, after the convention of shells.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

inline constexpr const char* kVersion = "0.1.0";

enum class Command : std::uint8_t { Serve, Check, Workflows, WorkflowsHelp, CrashPoints, Help, Version };

struct Arguments {
  Command command = Command::Help;
  config::Options options;              // what load_config() needs
  std::optional<LogFormat> log_format;  // absent: human in a terminal, JSON otherwise
  LogLevel log_level = LogLevel::Info;
  bool has_test_clock = false;          // the time of workflows may be moved
  WorkflowsCommand workflows;           // what to ask a running server
  std::optional<std::filesystem::path> engine;  // the unpacked engine package; absent: the built-in place
};

// arguments: argv without the program's name.
// Errors: InvalidInput, a text for standard error; the program then ends with kExitUsage.
Result<Arguments> parse_arguments(std::span<const char* const> arguments);

std::string help_text();
std::string version_text();

}  // namespace insula::cli
