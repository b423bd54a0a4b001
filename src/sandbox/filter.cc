// SPDX-License-Identifier: Apache-2.0
//
// Filter: the policy table. A call is on it because the engine or our loop makes it after lock-down; whatever can make
// a new object (descriptor, process, thread, mapping of a file, timer, socket) or name one by path or id is not.
//
// Forbidden calls return EPERM instead of killing, so that a library that merely asks (isatty, sysconf) goes on, and so
// that probe() can try them one after the other.
#include "src/sandbox/filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>

namespace insula::sandbox {
namespace {

// Calls younger than the headers we build with.
constexpr int kFutexWaitv = 449;

constexpr std::array kAlwaysAllowed{
    // bytes on descriptors that were given
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_recvmsg, SYS_recvfrom, SYS_sendmsg, SYS_sendto, SYS_close, SYS_fstat,
    SYS_lseek,
    // waiting
    SYS_poll, SYS_ppoll, SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_timerfd_settime,
    SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall, kFutexWaitv,
    // memory; execution of anonymous pages is what a just-in-time compiler is for
    SYS_munmap, SYS_mprotect, SYS_pkey_mprotect, SYS_pkey_alloc, SYS_pkey_free, SYS_madvise, SYS_mremap, SYS_brk,
    // clocks, randomness, and what a thread may know of itself
    SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_gettid, SYS_getcpu,
    SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_getrusage,
    SYS_membarrier, SYS_rseq, SYS_set_robust_list,
    // signals to itself
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_rt_sigpending, SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    // the end
    SYS_exit, SYS_exit_group};

// SQLite over passed descriptors (threat-model.md section 5, "SQL is confined").
constexpr std::array kDatabaseCalls{SYS_pread64, SYS_pwrite64, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate};
constexpr std::array kDatabaseFcntls{F_GETLK, F_SETLK, F_OFD_GETLK, F_OFD_SETLK};

// Waiting, waking and moving of waiters. Not the priority-inheriting operations: nobody here uses them, and most of the
// kernel's futex errors were theirs.
constexpr std::array kFutexOperations{FUTEX_WAIT,    FUTEX_WAKE,        FUTEX_REQUEUE,    FUTEX_CMP_REQUEUE,
                                      FUTEX_WAKE_OP, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET};
constexpr std::uint64_t kFutexOperationMask = 0x7f;  // without the private and clock flags

using Comparison = scmp_arg_cmp;

// A filter being written; remembers the first failure.
class Writer {
 public:
  Writer() : context_(::seccomp_init(SCMP_ACT_ERRNO(EPERM)), ::seccomp_release) {
    if (!context_) error_ = ENOMEM;
  }

  void allow(int number, std::span<const Comparison> comparisons = {}) {
    if (error_ != 0) return;
    error_ = -::seccomp_rule_add_array(context_.get(), SCMP_ACT_ALLOW, number,
                                       static_cast<unsigned>(comparisons.size()), comparisons.data());
  }

  void set(scmp_filter_attr attribute, std::uint32_t value) {
    if (error_ == 0) error_ = -::seccomp_attr_set(context_.get(), attribute, value);
  }

  void load() {
    if (error_ == 0) error_ = -::seccomp_load(context_.get());
  }

  int error() const noexcept { return error_; }

 private:
  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
  int error_ = 0;
};

// Argument `index`, under `mask`, equals `value`. Arguments of type int are compared in their 32 bits: the kernel ignores
// the rest.
Comparison masked(unsigned index, std::uint64_t mask, std::uint64_t value) {
  return Comparison{index, SCMP_CMP_MASKED_EQ, mask, value};
}
Comparison equals_int(unsigned index, std::int64_t value) {
  constexpr std::uint64_t kIntMask = 0xffffffff;
  return masked(index, kIntMask, static_cast<std::uint64_t>(value) & kIntMask);
}

void allow_checked_calls(Writer& filter) {
  // Memory of its own, never a file.
  const std::array anonymous{masked(3, MAP_ANONYMOUS, MAP_ANONYMOUS)};
  filter.allow(SYS_mmap, anonymous);
  // Signals to its own threads: abort, and whoever stops an executor.
  const std::array own_process{equals_int(0, ::getpid())};
  filter.allow(SYS_tgkill, own_process);
  // Names for memory, which V8's allocator likes to give.
  const std::array name_memory{equals_int(0, PR_SET_VMA), masked(1, ~std::uint64_t{0}, PR_SET_VMA_ANON_NAME)};
  filter.allow(SYS_prctl, name_memory);
  for (const int command : {F_GETFD, F_GETFL}) {
    const std::array look{equals_int(1, command)};
    filter.allow(SYS_fcntl, look);
  }
  for (const int operation : kFutexOperations) {
    const std::array one{masked(1, kFutexOperationMask, static_cast<std::uint64_t>(operation))};
    filter.allow(SYS_futex, one);
  }
}

void allow_databases(Writer& filter) {
  for (const int number : kDatabaseCalls) filter.allow(number);
  for (const int command : kDatabaseFcntls) {
    const std::array lock{equals_int(1, command)};
    filter.allow(SYS_fcntl, lock);
  }
}

}  // namespace

Result<> install_filter(const LockDownPolicy& policy) {
  Writer filter;
  filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
  filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree: the hot calls cost a few comparisons, not forty
  for (const int number : kAlwaysAllowed) filter.allow(number);
  allow_checked_calls(filter);
  if (policy.allow_database_files) allow_databases(filter);
  filter.load();
  if (filter.error() != 0) {
    return Error(ErrorCode::Unavailable,
                 fmt::format("sandbox: cannot install the system call filter: {}; runners need a kernel with seccomp",
                             std::strerror(filter.error())));
  }
  return {};
}

}  // namespace insula::sandbox
