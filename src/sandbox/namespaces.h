// SPDX-License-Identifier: Apache-2.0
//
// Namespaces: which ones this kernel lets us make, and their names. Private to the sandbox room.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace insula::sandbox {

// The environment variable in which spawn() tells its child the mount namespace it was started *from*. lock_down()
// empties the root only when its own differs: mounting over the directories of the host would be a disaster.
inline constexpr std::string_view kStarterMountNamespace = "INSULA_STARTER_MOUNT_NAMESPACE";

// The CLONE_NEW... flags of every namespace we want.
int all_namespaces() noexcept;

// The largest set that the kernel grants, found by trying one more at a time on children that end at once.
int granted_namespaces();

// "user", "pid", ... of the flags.
std::vector<std::string> names_of_namespaces(int flags);

// Identity of this process's mount namespace, such as "mnt:[4026531841]"; empty when /proc is not there.
std::string own_mount_namespace();

}  // namespace insula::sandbox
