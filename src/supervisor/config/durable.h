// SPDX-License-Identifier: Apache-2.0
//
// read_durable: the fields of wrangler's file about Durable Objects and Workflows: "durable_objects", "migrations",
// "workflows".
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/supervisor/config/config.h"
#include "src/supervisor/config/fields.h"

namespace insula::config {

// Claims the name of a binding for the Worker's env. Errors: InvalidInput (taken).
using ClaimName = std::function<Result<>(const Fields& fields, std::string_view field, const std::string& name)>;

// Errors: InvalidInput, Unsupported (classes that are not SQLite-backed). Unknown fields become warnings.
Result<> read_durable(Fields& root, Worker& worker, const ClaimName& claim, std::vector<std::string>& warnings);

// The classes that have storage after all migrations. Errors: InvalidInput when the history contradicts itself.
Result<std::vector<std::string>> classes_after(const std::vector<Migration>& migrations);

// What one file alone cannot know: every class and script that a binding names exists, names of workflows are unique.
Result<> check_durable(const std::vector<Worker>& workers);

}  // namespace insula::config
