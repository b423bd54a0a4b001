// SPDX-License-Identifier: Apache-2.0
//
// Child: see child.h. Order matters: the death signal first, so that no moment is left in which the child could outlive
// its parent; descriptors last, because the channel is needed until exec.
#include "src/sandbox/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>

namespace insula::sandbox {
namespace {

// Kept descriptors are first moved above this number, so that none is overwritten while the others are put in place.
constexpr int kParkingFd = 200;

[[noreturn]] void fail(int channel, ChildStage stage) noexcept {
  const ChildFailure failure{stage, errno};
  (void)!::write(channel, &failure, sizeof failure);
  ::_exit(127);
}

int close_range_of(unsigned first, unsigned last, unsigned flags) noexcept {
  if (first > last) return 0;
  if (::syscall(SYS_close_range, first, last, flags) == 0) return 0;
  if (errno != ENOSYS && errno != EINVAL) return errno;
  // Kernels before 5.11: one by one, up to the limit of this process.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno;
  for (unsigned fd = first; fd <= last && fd < limit.rlim_cur; ++fd) {
    if (flags == 0) {
      ::close(static_cast<int>(fd));
    } else {
      ::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC);
    }
  }
  return 0;
}

// A handler of the parent must not run here, and what it ignores must not be ignored by the program.
void reset_signals() noexcept {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void place_descriptors(const ChildPlan& plan, int channel) noexcept {
  for (std::size_t i = 0; i < plan.fds.size(); ++i) {
    plan.parked[i] = ::fcntl(plan.fds[i].source, F_DUPFD_CLOEXEC, kParkingFd);
    if (plan.parked[i] < 0) fail(channel, ChildStage::Descriptors);
  }
  // /dev/null may itself be 0 or 1 when the parent had those closed: dup3 refuses equal numbers, so park it as well.
  const int null_fd = ::fcntl(plan.null_fd, F_DUPFD_CLOEXEC, kParkingFd);
  if (null_fd < 0 || ::dup3(null_fd, STDIN_FILENO, 0) < 0 || ::dup3(null_fd, STDOUT_FILENO, 0) < 0) {
    fail(channel, ChildStage::Descriptors);
  }
  if (::fcntl(STDERR_FILENO, F_GETFD) < 0 && ::dup3(null_fd, STDERR_FILENO, 0) < 0) {
    fail(channel, ChildStage::Descriptors);
  }
  int next = STDERR_FILENO + 1;
  for (std::size_t i = 0; i < plan.fds.size(); ++i) {
    const int number = plan.fds[i].number;
    if (::dup3(plan.parked[i], number, 0) < 0) fail(channel, ChildStage::Descriptors);
    errno = close_range_of(static_cast<unsigned>(next), static_cast<unsigned>(number - 1), CLOSE_RANGE_CLOEXEC);
    if (errno != 0) fail(channel, ChildStage::Descriptors);
    next = number + 1;
  }
  errno = close_range_of(static_cast<unsigned>(next), UINT_MAX, CLOSE_RANGE_CLOEXEC);
  if (errno != 0) fail(channel, ChildStage::Descriptors);
}

}  // namespace

int close_all_but(std::span<const int> kept, unsigned flags) noexcept {
  int next = STDERR_FILENO + 1;
  for (const int number : kept) {
    if (number < next) continue;
    if (const int error = close_range_of(static_cast<unsigned>(next), static_cast<unsigned>(number - 1), flags)) {
      return error;
    }
    next = number + 1;
  }
  return close_range_of(static_cast<unsigned>(next), UINT_MAX, flags);
}

void run_child(const ChildPlan& plan) noexcept {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail(plan.channel_fd, ChildStage::Privileges);
  // A parent that died before the line above sends no signal, but then nobody holds the other end of the channel.
  ::close(plan.parent_channel_fd);
  const int channel = ::fcntl(plan.channel_fd, F_DUPFD_CLOEXEC, kParkingFd);
  if (channel < 0) fail(plan.channel_fd, ChildStage::Descriptors);
  char go = 0;
  ssize_t got = 0;
  do {
    got = ::read(channel, &go, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) ::_exit(127);

  reset_signals();
  ::setsid();  // a Ctrl-C in the supervisor's terminal is not for runners
  ::umask(077);
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::chdir("/") != 0) {
    fail(channel, ChildStage::Privileges);
  }
  place_descriptors(plan, channel);
  ::execve(plan.program, plan.arguments, plan.environment);
  fail(channel, ChildStage::Exec);
}

}  // namespace insula::sandbox
