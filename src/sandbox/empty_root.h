// SPDX-License-Identifier: Apache-2.0
//
// Empty root: a process whose file system has one directory with nothing in it. Private to the sandbox room.
#pragma once

namespace insula::sandbox {

// Replaces this process's root by an empty read-only one, for all its threads. True when it was done. Does nothing
// unless spawn() gave this process a mount namespace of its own, and needs CAP_SYS_ADMIN in it.
bool empty_root();

}  // namespace insula::sandbox
