// SPDX-License-Identifier: Apache-2.0
//
// Landlock: a ruleset that allows nothing. Private to the sandbox room.
#pragma once

#include "src/base/fd.h"

namespace insula::sandbox {

// A ruleset that handles every right this kernel knows and allows none. Empty when the kernel has no Landlock.
Fd make_deny_all_ruleset() noexcept;

}  // namespace insula::sandbox
