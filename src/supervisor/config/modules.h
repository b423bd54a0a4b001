// SPDX-License-Identifier: Apache-2.0
//
// Modules as files: which kind a file is, and the modules of a Worker that is not bundled.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/config/wrangler.h"

namespace insula::config {

// True when a path like "lib/a.txt" matches a glob: "*" and "?" within one segment, "**" over any number of segments.
bool matches_glob(std::string_view path, std::string_view glob);

// The kind that the first matching rule gives to a path relative to the base folder.
std::optional<ModuleKind> kind_of(std::string_view path, const std::vector<ModuleRule>& rules);

// The whole file. Errors: NotFound, Denied, LimitExceeded (larger than bytes_max), Internal.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max);

// Takes the files under the base folder as they are, the main module first, the others by name. What lies in
// node_modules, below a dot or under `excluded` is none of them.
// Errors: InvalidInput, NotFound, LimitExceeded (kModulesMax, kModuleNameBytesMax, kCodeBytesMax).
Result<std::vector<Module>> collect_modules(const BuildOptions& build,
                                            const std::vector<std::filesystem::path>& excluded);

// Refuses what no runner would load: too many modules, names too long, too much code.
Result<> check_modules(const std::vector<Module>& modules);

}  // namespace insula::config
