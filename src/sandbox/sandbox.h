// SPDX-License-Identifier: Apache-2.0
//
// Sandbox: how a runner is started with nothing and gives up the rest. Mechanism only; the policy is one table.
//
//   supervisor: spawn()      new user, mount, net, pid, ipc, uts, cgroup namespaces (where the kernel allows), exec
//   runner:     lock_down()  after its libraries, snapshot and threads are in place, before any tenant byte
//
// Source: threat-model.md section 7, "no new authority from the kernel".
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/base/fd.h"

namespace insula::sandbox {

// One descriptor the child keeps, and the number it has there (3 and up). 0, 1, 2: /dev/null, /dev/null, stderr.
struct KeptFd {
  int source = -1;
  int number = -1;
};

struct SpawnOptions {
  std::string program;
  std::vector<std::string> arguments;    // without argv[0]
  std::vector<std::string> environment;  // "NAME=value"; nothing is inherited
  std::vector<KeptFd> fds;
  bool want_namespaces = true;
};

struct Child {
  pid_t pid = -1;
  Fd pidfd;                          // readable when the child has ended
  std::vector<std::string> layers;   // namespaces that were made: "user", "pid", "net", "mount", "ipc", "uts", "cgroup"
};

// Starts the program. The child dies with the calling *thread* (PR_SET_PDEATHSIG works by thread), so call this from one
// that lives as long as the process. It has no core files, no new privileges, and a session of its own. Falls back to
// fewer namespaces when the kernel refuses, and says in `layers` which there are.
// Errors: NotFound (no such program), Unavailable (fork or exec failed; the message says why).
Result<Child> spawn(const SpawnOptions& options);

struct LockDownPolicy {
  std::size_t address_space_bytes = 0;   // 0: no RLIMIT_AS
  std::size_t file_bytes_max = 0;        // RLIMIT_FSIZE; 0: no file but stderr can grow, and that by 64 MiB
  std::size_t descriptors_max = 64;      // RLIMIT_NOFILE
  std::vector<int> kept_fds;             // all others above 2 are closed
  bool allow_database_files = false;     // pread/pwrite/fsync/ftruncate on descriptors that are passed later
};

// Gives up everything else, for every thread of this process: empty root, no capabilities, no_new_privs, rlimits,
// Landlock where present, and a seccomp allow-list in which a forbidden call is EPERM (one of another architecture kills).
// Call it once, when all threads exist; no new process and no new thread can be made afterwards. The other threads are
// reached by the last real-time signal: none may block it, and what they wait in may end with EINTR.
// Returns the layers that are active, of: "empty-root", "no_new_privs", "landlock", "no-caps", "rlimits", "closed-fds",
// "not-dumpable", "seccomp".
// Errors: Unavailable when a layer that must always exist (seccomp, no_new_privs, closed-fds) could not be had.
Result<std::vector<std::string>> lock_down(const LockDownPolicy& policy);

// Runs in a locked-down process: tries forbidden acts and returns one line for each that was possible. Empty: tight.
std::vector<std::string> probe();

}  // namespace insula::sandbox
