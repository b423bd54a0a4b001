// SPDX-License-Identifier: Apache-2.0
//
// Empty root: see empty_root.h.
#include "src/sandbox/empty_root.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "src/sandbox/namespaces.h"

namespace insula::sandbox {
namespace {

bool has_own_mount_namespace() {
  const char* starter = std::getenv(kStarterMountNamespace.data());
  const std::string own = own_mount_namespace();
  return starter != nullptr && *starter != '\0' && !own.empty() && own != starter;
}

// Moves the process's root to the current directory and lets go of everything else. On a machine that runs from its
// initial RAM disk the root cannot be pivoted away; there, a chroot after a move does the same for a process that has
// no capabilities and no descriptors of directories afterwards.
bool move_root_here() noexcept {
  if (::syscall(SYS_pivot_root, ".", ".") == 0) return ::umount2(".", MNT_DETACH) == 0 && ::chdir("/") == 0;
  return ::mount(".", "/", nullptr, MS_MOVE, nullptr) == 0 && ::chroot(".") == 0 && ::chdir("/") == 0;
}

}  // namespace

bool empty_root() {
  if (!has_own_mount_namespace()) return false;
  // Nothing that is mounted from here on may travel back to the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  constexpr std::array<const char*, 4> kPlaces{"/tmp", "/var", "/proc", "/dev"};
  for (const char* place : kPlaces) {
    constexpr unsigned long kFlags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (::mount("empty", place, "tmpfs", kFlags, "size=4k,nr_inodes=2,mode=0555") != 0) continue;
    if (::chdir(place) == 0 && move_root_here()) return true;
  }
  return false;
}

}  // namespace insula::sandbox
