// SPDX-License-Identifier: Apache-2.0
//
// Module names: how a specifier in one module names another of the same Worker.
#pragma once

#include <string>
#include <string_view>

namespace insula::runner {

// "./x.js" and "../x.js" resolve against the importer's name; everything else names a module as it stands.
// A "../" that would leave the root stays at the root.
std::string resolve_specifier(std::string_view specifier, std::string_view importer);

}  // namespace insula::runner
