// SPDX-License-Identifier: Apache-2.0
//
// Exports: what a Worker's main module exports, as far as that is known before it runs, and whether what bindings name is
// among it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/supervisor/config/config.h"

namespace insula::config {

// From esbuild's metafile. Nothing when it has not the form that is expected: then nobody knows.
std::optional<std::vector<std::string>> exports_of_metafile(std::string_view text);

// What a message says behind the name of an entrypoint or class that `owner` does not export: "which the main module of
// "a" does not export; it exports "default", "Room"". Empty when it does, or when nobody knows.
std::string complaint_about_export(const Worker& owner, std::string_view name);

}  // namespace insula::config
