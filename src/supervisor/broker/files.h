// SPDX-License-Identifier: Apache-2.0
//
// Files: a folder of static files as something with fetch(), for a Worker's assets binding.
#pragma once

#include <filesystem>
#include <memory>

#include "src/base/error.h"
#include "src/supervisor/fleet/calls.h"

namespace insula::broker {

// Errors: NotFound, Denied, InvalidInput (no folder).
Result<std::shared_ptr<fleet::Capability>> open_files(const std::filesystem::path& directory);

}  // namespace insula::broker
