// SPDX-License-Identifier: Apache-2.0
//
// load_config: from what the command line says to a checked Config with all modules in memory.
//
//   Options ──► insula.toml ──► wrangler files ──► bundle or collect ──► Config
//                    └── flags win over insula.toml, insula.toml over defaults
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/config/node_file.h"

namespace insula::config {

struct Options {
  std::vector<std::filesystem::path> paths;  // wrangler files, folders with one, or an insula.toml; none: "."
  std::filesystem::path esbuild;             // empty: find_esbuild()

  // Each flag that was given.
  std::optional<ListenAddress> listen;
  std::optional<std::filesystem::path> data_directory;
  std::optional<Isolation> isolation;
  std::optional<std::uint32_t> tenant_runners;
  std::optional<std::size_t> runner_memory_bytes;
  std::optional<bool> allow_private_addresses;
  std::optional<bool> frozen_clock;
  bool unsafe_no_sandbox = false;
};

// Reads files and runs the bundler; blocks. Errors: those of the readers, NotFound, InvalidInput, Unsupported.
Result<Config> load_config(const Options& options);

}  // namespace insula::config
