// SPDX-License-Identifier: Apache-2.0
//
// bundle: TypeScript and npm imports become one ES module, by esbuild.
//
// Imports of .wasm and .bin files stay imports: the files become modules of their own, named after their content, so
// that they arrive as WebAssembly.Module and ArrayBuffer. Text becomes a string in the bundle.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/config/wrangler.h"

namespace insula::config {

// Where esbuild is: below $INSULA_HOME, else in the nearest node_modules from the running program's folder upwards.
// Errors: NotFound, with what to do.
Result<std::filesystem::path> find_esbuild();

struct Bundle {
  std::vector<Module> modules;  // the main module first
  std::optional<std::vector<std::string>> exports;  // of the main module; nothing: not known
  std::string warnings;         // the bundler's own words, often empty
};

// Errors: InvalidInput (the bundler's messages as they are, with file:line), Unavailable, TimedOut, LimitExceeded.
Result<Bundle> bundle(const WorkerFile& file, const std::filesystem::path& esbuild);

}  // namespace insula::config
