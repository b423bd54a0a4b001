// SPDX-License-Identifier: Apache-2.0
//
// read_wrangler: one wrangler file's values, checked, as a Worker whose modules are still to be built.
//
// Pure: no file is read. A field that Insula supports is checked, one that only concerns the hosted platform is
// accepted, one that would be missed at run time is an error that names it, and one never heard of is a warning.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/config/value.h"

namespace insula::config {

// Files that match one of `globs` (relative to the base folder) are modules of this kind.
struct ModuleRule {
  ModuleKind kind = ModuleKind::EsModule;
  std::vector<std::string> globs;
};

// How many rules every Worker has, after those of its configuration.
inline constexpr std::ptrdiff_t kBuiltInRules = 6;

struct BuildOptions {
  std::filesystem::path main;  // absolute when the configuration file's folder is
  bool bundle = true;
  bool find_additional_modules = false;
  std::filesystem::path base_directory;  // of additional modules
  std::vector<ModuleRule> rules;         // in order of precedence, the built-in ones last
  std::map<std::string, std::string> define;
  std::map<std::string, std::string> alias;
  std::string tsconfig;
  std::string jsx_factory;
  std::string jsx_fragment;
  bool minify = false;
  bool keep_names = true;
};

struct WorkerFile {
  Worker worker;  // without modules; main_module is set by the build
  BuildOptions build;
};

// file: the path for messages and for what is relative to it. Warnings are appended.
// Errors: InvalidInput, Unsupported.
Result<WorkerFile> read_wrangler(const Value& root, const std::filesystem::path& file,
                                 std::vector<std::string>& warnings);

}  // namespace insula::config
