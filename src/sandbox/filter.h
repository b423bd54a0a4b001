// SPDX-License-Identifier: Apache-2.0
//
// Filter: the system calls that are left to a runner, as a seccomp filter. Private to the sandbox room.
#pragma once

#include "src/base/error.h"
#include "src/sandbox/sandbox.h"

namespace insula::sandbox {

// Installs the allow-list for every thread of the process. Anything else is EPERM from then on; calls of another
// architecture (32-bit, x32) kill the process.
// Errors: Unavailable.
Result<> install_filter(const LockDownPolicy& policy);

}  // namespace insula::sandbox
