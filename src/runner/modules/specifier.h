// SPDX-License-Identifier: Apache-2.0
//
// Module names: how a specifier in one module names another of the same Worker.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace insula::runner {

// True for names that the runtime itself answers to, such as "cloudflare:workers" and "node:buffer": they are taken as
// they stand, and no module of a Worker can be reached by them.
bool is_runtime_name(std::string_view specifier);

// The name that a specifier means in a module called `importer`. Everything is relative to the importer's folder, with
// or without "./" in front, as the contract has it ("b.js" in "src/main.js" is "src/b.js"); "/x.js" starts at the root
// of the Worker's modules. Empty parts and "." are skipped.
//
// Returns nothing when "../" leads out of the root.
std::optional<std::string> resolve_specifier(std::string_view specifier, std::string_view importer);

// The form in which a module's own name is looked up: "./a//b.js" is "a/b.js".
std::string canonical_name(std::string_view name);

}  // namespace insula::runner
