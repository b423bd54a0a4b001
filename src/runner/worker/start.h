// SPDX-License-Identifier: Apache-2.0
//
// Start of the engine for a runner, and of the build for a snapshot. No V8 type is named.
#pragma once

#include <memory>
#include <string>

#include "src/base/error.h"
#include "src/runner/worker/worker.h"

namespace insula::runner {

// Starts V8 and maps the snapshot; the factory owns both from then on. Call before any other thread exists.
// Errors: Corrupt (damaged or foreign snapshot), with what to do.
Result<std::unique_ptr<IsolateFactory>> start_engine(int snapshot_fd, std::size_t heap_bytes_max);

// Runs the built-ins once and writes the snapshot file.
// Errors: InvalidInput (the built-ins throw), Unavailable (the file cannot be written).
Result<void> make_snapshot(const std::string& path);

std::string engine_version();

}  // namespace insula::runner
