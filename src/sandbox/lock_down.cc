// SPDX-License-Identifier: Apache-2.0
//
// Lock-down: the order in which a process gives up its power.
//
// Each step needs what a later one takes away: the thread list needs /proc, the empty root needs capabilities, dropping
// those needs signals and capset, and the filter, last, forbids all of these calls.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "src/base/limits.h"
#include "src/sandbox/child.h"
#include "src/sandbox/empty_root.h"
#include "src/sandbox/every_thread.h"
#include "src/sandbox/filter.h"
#include "src/sandbox/landlock.h"
#include "src/sandbox/namespaces.h"
#include "src/sandbox/sandbox.h"

namespace insula::sandbox {
namespace {

// When stderr is a file and no other is ever written, a runner may add this much to it: its last words must be possible,
// filling the disk not.
constexpr std::size_t kStderrBytesMax = 64 * kMiB;

rlim_t file_bytes_max(const LockDownPolicy& policy) {
  struct stat status {};
  if (policy.file_bytes_max != 0 || ::fstat(STDERR_FILENO, &status) != 0 || !S_ISREG(status.st_mode)) {
    return policy.file_bytes_max;
  }
  return static_cast<rlim_t>(status.st_size) + kStderrBytesMax;
}

// Lowers a limit for good; a hard limit that is lower already stays.
bool lower(__rlimit_resource resource, rlim_t value) noexcept {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return false;
  limit.rlim_max = std::min(limit.rlim_max, value);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(resource, &limit) == 0;
}

bool set_limits(const LockDownPolicy& policy) {
  // Writing past RLIMIT_FSIZE is an error to handle, not a way to die.
  std::signal(SIGXFSZ, SIG_IGN);
  bool is_set = lower(RLIMIT_CORE, 0) && lower(RLIMIT_NPROC, 0) && lower(RLIMIT_MEMLOCK, 0) &&
                lower(RLIMIT_MSGQUEUE, 0) && lower(RLIMIT_FSIZE, file_bytes_max(policy)) &&
                lower(RLIMIT_NOFILE, policy.descriptors_max);
  if (policy.address_space_bytes != 0) is_set = lower(RLIMIT_AS, policy.address_space_bytes) && is_set;
  return is_set;
}

}  // namespace

Result<std::vector<std::string>> lock_down(const LockDownPolicy& policy) {
  std::vector<std::string> layers;
  {
    const Fd threads = open_thread_list();
    if (empty_root()) layers.emplace_back("empty-root");
    const Fd ruleset = make_deny_all_ruleset();
    TRY(const GivenUp given_up, give_up_in_every_thread(threads, ruleset.get()));
    layers.emplace_back("no_new_privs");
    if (given_up.landlock) layers.emplace_back("landlock");
    if (given_up.capabilities) layers.emplace_back("no-caps");
  }
  ::unsetenv(kStarterMountNamespace.data());

  if (set_limits(policy)) layers.emplace_back("rlimits");
  std::vector<int> kept = policy.kept_fds;
  std::sort(kept.begin(), kept.end());
  if (const int error = close_all_but(kept, 0)) {
    return Error(ErrorCode::Unavailable, fmt::format("sandbox: cannot close descriptors: {}", std::strerror(error)));
  }
  layers.emplace_back("closed-fds");
  // Also makes /proc/<pid> of this process root's, so that no other runner could look into it.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) layers.emplace_back("not-dumpable");
  TRY_VOID(install_filter(policy));
  layers.emplace_back("seccomp");
  return layers;
}

}  // namespace insula::sandbox
