// SPDX-License-Identifier: Apache-2.0
//
// Namespaces: see namespaces.h.
#include "src/sandbox/namespaces.h"

#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace insula::sandbox {
namespace {

struct Kind {
  int flag;
  const char* name;
};

// The user namespace comes first: with it an ordinary user may make the others.
constexpr std::array<Kind, 7> kKinds{{{CLONE_NEWUSER, "user"},
                                      {CLONE_NEWPID, "pid"},
                                      {CLONE_NEWNET, "net"},
                                      {CLONE_NEWNS, "mount"},
                                      {CLONE_NEWIPC, "ipc"},
                                      {CLONE_NEWUTS, "uts"},
                                      {CLONE_NEWCGROUP, "cgroup"}}};

bool is_granted(int flags) noexcept {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) ::_exit(0);
  if (pid < 0) return false;
  while (::waitpid(static_cast<pid_t>(pid), nullptr, 0) < 0 && errno == EINTR) {
  }
  return true;
}

}  // namespace

int all_namespaces() noexcept {
  int flags = 0;
  for (const Kind& kind : kKinds) flags |= kind.flag;
  return flags;
}

int granted_namespaces() {
  int flags = 0;
  for (const Kind& kind : kKinds) {
    if (is_granted(flags | kind.flag)) flags |= kind.flag;
  }
  return flags;
}

std::vector<std::string> names_of_namespaces(int flags) {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if ((flags & kind.flag) != 0) names.emplace_back(kind.name);
  }
  return names;
}

std::string own_mount_namespace() {
  std::array<char, 64> name{};
  const ssize_t length = ::readlink("/proc/self/ns/mnt", name.data(), name.size());
  return length > 0 ? std::string(name.data(), static_cast<std::size_t>(length)) : std::string();
}

}  // namespace insula::sandbox
