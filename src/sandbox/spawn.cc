// SPDX-License-Identifier: Apache-2.0
//
// Spawn: the parent's half of starting a process in namespaces of its own.
//
//   parent: clone ──► write uid and gid maps ──► "go" ──► read the channel: end of file = exec worked, else a failure
//   child:            death signal, wait for "go", descriptors, exec        (child.cc)
//
// A raw clone is used because glibc's fork takes no flags; the child therefore may not use glibc's state (child.h).
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "src/sandbox/child.h"
#include "src/sandbox/namespaces.h"
#include "src/sandbox/sandbox.h"

namespace insula::sandbox {
namespace {

// Runners are what the kernel should take first when memory is short: they are cheap to lose, the supervisor is not.
constexpr std::string_view kOomScore = "800";

Error system_error(std::string_view what, int number) {
  return Error(ErrorCode::Unavailable, fmt::format("sandbox: {}: {}", what, std::strerror(number)));
}

Result<> write_file(const std::string& path, std::string_view text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return system_error("cannot write " + path, errno);
  }
  return {};
}

// Our user becomes root of the new namespace, and nobody else exists in it. Root inside is needed until lock_down has
// emptied the root directory; it is worth nothing outside.
Result<> map_user(pid_t pid) {
  const std::string folder = fmt::format("/proc/{}/", pid);
  TRY_VOID(write_file(folder + "setgroups", "deny"));
  TRY_VOID(write_file(folder + "uid_map", fmt::format("0 {} 1", ::geteuid())));
  return write_file(folder + "gid_map", fmt::format("0 {} 1", ::getegid()));
}

// The kernel's answer to clone, with every signal blocked so that no handler of ours runs in the child.
pid_t clone_child(int flags, int& pidfd, const ChildPlan& plan) noexcept {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const long pid = ::syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr);
  if (pid == 0) run_child(plan);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return static_cast<pid_t>(pid);
}

void kill_and_reap(pid_t pid) noexcept {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::vector<char*> as_pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

Result<> check(const SpawnOptions& options) {
  if (::access(options.program.c_str(), F_OK) != 0) {
    return Error(ErrorCode::NotFound, fmt::format("sandbox: there is no program {}", options.program));
  }
  if (::access(options.program.c_str(), X_OK) != 0) {
    return Error(ErrorCode::Unavailable, fmt::format("sandbox: {} may not be executed", options.program));
  }
  for (std::size_t i = 0; i < options.fds.size(); ++i) {
    const int number = options.fds[i].number;
    const bool is_repeated = std::any_of(options.fds.begin(), options.fds.begin() + static_cast<std::ptrdiff_t>(i),
                                         [number](const KeptFd& other) { return other.number == number; });
    if (number < 3 || number > 99 || is_repeated) {
      return Error(ErrorCode::InvalidInput,
                   fmt::format("sandbox: descriptor number {} must be used once and be 3 to 99", number));
    }
  }
  return {};
}

// Waits for the channel's end, which exec brings, or for the child's report.
Result<> wait_for_exec(int channel, const SpawnOptions& options) {
  ChildFailure failure{};
  ssize_t got = 0;
  do {
    got = ::read(channel, &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return {};
  if (got < 0) return system_error("lost the new process", errno);
  switch (failure.stage) {
    case ChildStage::Privileges:
      return system_error("the new process could not set its limits", failure.error_number);
    case ChildStage::Descriptors:
      return system_error("the new process could not place its descriptors", failure.error_number);
    case ChildStage::Exec:
      return system_error("cannot execute " + options.program, failure.error_number);
  }
  return Error(ErrorCode::Internal, "sandbox: the new process reported an unknown failure");
}

}  // namespace

Result<Child> spawn(const SpawnOptions& options) {
  TRY_VOID(check(options));
  int channel[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0) {
    return system_error("cannot make a socket pair", errno);
  }
  Fd ours(channel[0]);
  Fd theirs(channel[1]);
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return system_error("cannot open /dev/null", errno);

  std::vector<std::string> arguments{options.program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  std::vector<std::string> environment = options.environment;
  environment.push_back(fmt::format("{}={}", kStarterMountNamespace, own_mount_namespace()));
  std::vector<char*> argument_pointers = as_pointers(arguments);
  std::vector<char*> environment_pointers = as_pointers(environment);
  std::vector<KeptFd> fds = options.fds;
  std::sort(fds.begin(), fds.end(), [](const KeptFd& a, const KeptFd& b) { return a.number < b.number; });
  std::vector<int> parked(fds.size(), -1);
  const ChildPlan plan{.program = options.program.c_str(),
                       .arguments = argument_pointers.data(),
                       .environment = environment_pointers.data(),
                       .fds = fds,
                       .parked = parked,
                       .null_fd = null.get(),
                       .channel_fd = theirs.get(),
                       .parent_channel_fd = ours.get()};

  int flags = options.want_namespaces ? all_namespaces() : 0;
  int pidfd = -1;
  pid_t pid = clone_child(flags, pidfd, plan);
  if (pid < 0 && flags != 0) {
    flags = granted_namespaces();
    pid = clone_child(flags, pidfd, plan);
  }
  if (pid < 0) return system_error("cannot make a process", errno);
  Child child{.pid = pid, .pidfd = Fd(pidfd), .layers = names_of_namespaces(flags)};
  theirs.reset();

  Result<> outcome{};
  if ((flags & CLONE_NEWUSER) != 0) outcome = map_user(pid);
  if (outcome) {
    (void)write_file(fmt::format("/proc/{}/oom_score_adj", pid), kOomScore);  // a wish, not a layer
    if (::send(ours.get(), "g", 1, MSG_NOSIGNAL) != 1) outcome = system_error("lost the new process", errno);
  }
  if (outcome) outcome = wait_for_exec(ours.get(), options);
  if (!outcome) {
    kill_and_reap(pid);
    return std::move(outcome).error();
  }
  return child;
}

}  // namespace insula::sandbox
