// SPDX-License-Identifier: Apache-2.0
//
// DataLock: one server at a time on a data directory.
#pragma once

#include <filesystem>

#include "src/base/error.h"
#include "src/base/fd.h"

namespace insula::supervisor {

// Makes the directory when it is missing (for its owner only) and holds it until the descriptor is closed.
// Errors: Conflict (another server has it), Denied (it cannot be made or written).
Result<Fd> lock_data(const std::filesystem::path& directory);

}  // namespace insula::supervisor
