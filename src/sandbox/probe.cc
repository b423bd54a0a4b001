// SPDX-License-Identifier: Apache-2.0
//
// Probe: tries what a runner must not be able to do, and reports what was not refused.
//
// A call counts as refused when it ends in EPERM or ENOSYS. Arguments are chosen so that a call which is let through
// fails for another reason, or does nothing: probing an open process changes nothing in it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <tuple>

#include "src/sandbox/sandbox.h"

namespace insula::sandbox {
namespace {

// Numbers that the headers of the build machine may lack.
constexpr long kMemfdSecret = 447;
constexpr long kProcessMrelease = 448;
constexpr long kFchmodat2 = 452;

using Arguments = std::array<long, 6>;

struct Act {
  std::string_view name;
  long number;
  Arguments arguments{};
};

// Sees to it that texts and pointers can stand in a table of numbers.
long at(const void* pointer) { return reinterpret_cast<long>(pointer); }

const char* const kRoot = "/";
const char* const kFile = "/etc/passwd";
const char* const kProc = "/proc/self/mem";
const char* const kAbsent = "/insula-probe-absent";
constexpr long kNoFd = -1;
constexpr long kNoProcess = 0x3fffffff;  // above the largest pid

std::vector<Act> file_acts() {
  return {
      {"open a file", SYS_open, {at(kFile), O_RDONLY}},
      {"openat the root", SYS_openat, {AT_FDCWD, at(kRoot), O_RDONLY}},
      {"openat /proc/self/mem", SYS_openat, {AT_FDCWD, at(kProc), O_RDONLY}},
      {"openat2", SYS_openat2, {AT_FDCWD, at(kFile), 0, 0}},
      {"creat", SYS_creat, {at(kAbsent), 0}},
      {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD, 0, 0}},
      {"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, at(kAbsent), 0, 0, 0}},
      {"stat", SYS_stat, {at(kFile), 0}},
      {"lstat", SYS_lstat, {at(kFile), 0}},
      {"newfstatat", SYS_newfstatat, {AT_FDCWD, at(kFile), 0, 0}},
      {"statx", SYS_statx, {AT_FDCWD, at(kFile), 0, 0, 0}},
      {"access", SYS_access, {at(kFile), R_OK}},
      {"faccessat2", SYS_faccessat2, {AT_FDCWD, at(kFile), R_OK, 0}},
      {"readlink", SYS_readlink, {at("/proc/self/exe"), 0, 0}},
      {"statfs", SYS_statfs, {at(kRoot), 0}},
      {"getdents64", SYS_getdents64, {kNoFd, 0, 0}},
      {"getcwd", SYS_getcwd, {0, 0}},
      {"chdir", SYS_chdir, {at(kAbsent)}},
      {"mkdir", SYS_mkdir, {at("/insula-probe-absent/x"), 0}},
      {"unlink", SYS_unlink, {at(kAbsent)}},
      {"rename", SYS_rename, {at(kAbsent), at(kAbsent)}},
      {"link", SYS_link, {at(kAbsent), at(kAbsent)}},
      {"symlink", SYS_symlink, {at(""), at(kAbsent)}},
      {"chmod", SYS_chmod, {at(kAbsent), 0}},
      {"fchmodat2", kFchmodat2, {AT_FDCWD, at(kAbsent), 0, 0}},
      {"chown", SYS_chown, {at(kAbsent), -1, -1}},
      {"truncate", SYS_truncate, {at(kAbsent), 0}},
      {"mknod", SYS_mknod, {at("/insula-probe-absent/x"), 0, 0}},
      {"getxattr", SYS_getxattr, {at(kAbsent), at("user.x"), 0, 0}},
      {"inotify_init1", SYS_inotify_init1, {-1}},
      {"fanotify_init", SYS_fanotify_init, {-1, -1}},
      {"memfd_create", SYS_memfd_create, {0, 0}},
      {"memfd_secret", kMemfdSecret, {-1}},
      {"mmap of a descriptor", SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0}},
      {"shared mmap of a descriptor", SYS_mmap, {0, 4096, PROT_READ, MAP_SHARED, STDERR_FILENO, 0}},
      {"ioctl TIOCSTI", SYS_ioctl, {STDERR_FILENO, TIOCSTI, 0}},
      {"ioctl FIONREAD", SYS_ioctl, {kNoFd, FIONREAD, 0}},
      {"fcntl F_SETOWN", SYS_fcntl, {kNoFd, F_SETOWN, 0}},
      {"fcntl F_DUPFD", SYS_fcntl, {kNoFd, F_DUPFD, 0}},
      {"dup", SYS_dup, {kNoFd}},
      {"dup3", SYS_dup3, {kNoFd, kNoFd, 0}},
      {"splice", SYS_splice, {kNoFd, 0, kNoFd, 0, 1, 0}},
      {"vmsplice", SYS_vmsplice, {kNoFd, 0, 0, 0}},
      {"sendfile", SYS_sendfile, {kNoFd, kNoFd, 0, 1}},
      {"copy_file_range", SYS_copy_file_range, {kNoFd, 0, kNoFd, 0, 1, 0}},
  };
}

std::vector<Act> network_acts() {
  return {
      {"socket of TCP", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
      {"socket of UDP over IPv6", SYS_socket, {AF_INET6, SOCK_DGRAM, 0}},
      {"socket of Unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
      {"socket of netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
      {"socket of packets", SYS_socket, {AF_PACKET, SOCK_RAW, 0}},
      {"socket of vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}},
      {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, 0}},
      {"connect", SYS_connect, {kNoFd, 0, 0}},
      {"bind", SYS_bind, {kNoFd, 0, 0}},
      {"listen", SYS_listen, {kNoFd, 1}},
      {"accept4", SYS_accept4, {kNoFd, 0, 0, 0}},
      {"setsockopt", SYS_setsockopt, {kNoFd, 0, 0, 0, 0}},
      {"getsockname", SYS_getsockname, {kNoFd, 0, 0}},
      {"sendmmsg", SYS_sendmmsg, {kNoFd, 0, 0, 0}},
  };
}

std::vector<Act> process_acts() {
  return {
      {"clone3", SYS_clone3, {0, 0}},
      {"execve", SYS_execve, {at(kAbsent), 0, 0}},
      {"execveat", SYS_execveat, {kNoFd, at(kAbsent), 0, 0, 0}},
      {"ptrace", SYS_ptrace, {PTRACE_ATTACH, kNoProcess, 0, 0}},
      {"process_vm_readv", SYS_process_vm_readv, {kNoProcess, 0, 0, 0, 0, 0}},
      {"process_vm_writev", SYS_process_vm_writev, {kNoProcess, 0, 0, 0, 0, 0}},
      {"process_madvise", SYS_process_madvise, {kNoFd, 0, 0, 0, 0}},
      {"process_mrelease", kProcessMrelease, {kNoFd, 0}},
      {"pidfd_open", SYS_pidfd_open, {kNoProcess, 0}},
      {"pidfd_getfd", SYS_pidfd_getfd, {kNoFd, 0, 0}},
      {"pidfd_send_signal", SYS_pidfd_send_signal, {kNoFd, 0, 0, 0}},
      {"kcmp", SYS_kcmp, {kNoProcess, kNoProcess, 0, 0, 0}},
      {"kill another process", SYS_kill, {kNoProcess, 0}},
      {"kill every process", SYS_kill, {-1, 0}},
      {"kill the parent's group", SYS_kill, {0, 0}},
      {"tgkill into another process", SYS_tgkill, {kNoProcess, kNoProcess, 0}},
      {"tkill", SYS_tkill, {kNoProcess, 0}},
      {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {kNoProcess, 0, 0}},
      {"wait4", SYS_wait4, {kNoProcess, 0, WNOHANG, 0}},
      {"setpgid", SYS_setpgid, {kNoProcess, 0}},
      {"prctl PR_SET_DUMPABLE", SYS_prctl, {PR_SET_DUMPABLE, -1, 0, 0, 0}},
      {"prctl PR_SET_PDEATHSIG", SYS_prctl, {PR_SET_PDEATHSIG, -1, 0, 0, 0}},
      {"prctl PR_SET_SECCOMP", SYS_prctl, {PR_SET_SECCOMP, -1, 0, 0, 0}},
      {"prctl PR_SET_MM", SYS_prctl, {PR_SET_MM, -1, 0, 0, 0}},
      {"prctl PR_SET_PTRACER", SYS_prctl, {PR_SET_PTRACER, kNoProcess, 0, 0, 0}},
      {"arch_prctl", SYS_arch_prctl, {-1, 0}},
      {"personality", SYS_personality, {0xffffffff}},
      {"prlimit64", SYS_prlimit64, {0, -1, 0, 0}},
      {"setrlimit", SYS_setrlimit, {-1, 0}},
      {"setpriority", SYS_setpriority, {-1, 0, 0}},
      {"sched_setaffinity", SYS_sched_setaffinity, {kNoProcess, 0, 0}},
      {"sched_setscheduler", SYS_sched_setscheduler, {kNoProcess, 0, 0}},
      {"futex with priority inheritance", SYS_futex, {0, 6 /* FUTEX_LOCK_PI */, 0, 0, 0, 0}},
      {"userfaultfd", SYS_userfaultfd, {-1}},
      {"mlock", SYS_mlock, {0, 0}},
      {"remap_file_pages", SYS_remap_file_pages, {0, 0, 1, 0, 0}},
      {"shmget", SYS_shmget, {0, 0, -1}},
      {"msgget", SYS_msgget, {kNoProcess, 0}},
      {"semget", SYS_semget, {kNoProcess, 1, 0}},
      {"mq_open", SYS_mq_open, {at("x"), 0, 0, 0}},
      {"pipe2", SYS_pipe2, {0, -1}},
      {"eventfd2", SYS_eventfd2, {0, -1}},
      {"epoll_create1", SYS_epoll_create1, {-1}},
      {"timerfd_create", SYS_timerfd_create, {-1, 0}},
      {"timer_create", SYS_timer_create, {-1, 0, 0}},
      {"signalfd4", SYS_signalfd4, {kNoFd, 0, 0, -1}},
      {"setitimer", SYS_setitimer, {-1, 0, 0}},
  };
}

std::vector<Act> kernel_acts() {
  return {
      {"mount", SYS_mount, {0, at(kAbsent), 0, 0, 0}},
      {"umount2", SYS_umount2, {at(kAbsent), 0}},
      {"pivot_root", SYS_pivot_root, {at(kAbsent), at(kAbsent)}},
      {"chroot", SYS_chroot, {at(kAbsent)}},
      {"open_tree", SYS_open_tree, {kNoFd, at(kAbsent), 0}},
      {"move_mount", SYS_move_mount, {kNoFd, at(kAbsent), kNoFd, at(kAbsent), 0}},
      {"fsopen", SYS_fsopen, {at("tmpfs"), -1}},
      {"fsmount", SYS_fsmount, {kNoFd, -1, 0}},
      {"unshare", SYS_unshare, {0}},
      {"setns", SYS_setns, {kNoFd, 0}},
      {"io_uring_setup", SYS_io_uring_setup, {0, 0}},
      {"io_uring_enter", SYS_io_uring_enter, {kNoFd, 0, 0, 0, 0, 0}},
      {"io_uring_register", SYS_io_uring_register, {kNoFd, 0, 0, 0}},
      {"io_setup", SYS_io_setup, {0, 0}},
      {"bpf", SYS_bpf, {-1, 0, 0}},
      {"perf_event_open", SYS_perf_event_open, {0, 0, kNoFd, kNoFd, 0}},
      {"keyctl", SYS_keyctl, {-1, 0, 0, 0, 0}},
      {"add_key", SYS_add_key, {0, 0, 0, 0, 0}},
      {"request_key", SYS_request_key, {0, 0, 0, 0}},
      {"seccomp", SYS_seccomp, {-1, 0, 0}},
      {"landlock_create_ruleset", SYS_landlock_create_ruleset, {0, 0, 0}},
      {"setuid", SYS_setresuid, {-1, -1, -1}},
      {"setgid", SYS_setresgid, {-1, -1, -1}},
      {"setgroups", SYS_setgroups, {-1, 0}},
      {"capset", SYS_capset, {0, 0}},
      {"capget", SYS_capget, {0, 0}},
      {"kexec_load", SYS_kexec_load, {0, 0, 0, 0}},
      {"init_module", SYS_init_module, {0, 0, 0}},
      {"finit_module", SYS_finit_module, {kNoFd, 0, 0}},
      {"delete_module", SYS_delete_module, {0, 0}},
      {"reboot", SYS_reboot, {0, 0, 0, 0}},
      {"swapon", SYS_swapon, {at(kAbsent), 0}},
      {"acct", SYS_acct, {at(kAbsent)}},
      {"quotactl", SYS_quotactl, {-1, 0, 0, 0}},
      {"syslog", SYS_syslog, {-1, 0, 0}},
      {"sethostname", SYS_sethostname, {0, -1}},
      {"uname", SYS_uname, {0}},
      {"sysinfo", SYS_sysinfo, {0}},
      {"clock_settime", SYS_clock_settime, {-1, 0}},
      {"clock_adjtime", SYS_clock_adjtime, {-1, 0}},
      {"iopl", SYS_iopl, {4}},
      {"ioperm", SYS_ioperm, {-1, 1, 1}},
      {"modify_ldt", SYS_modify_ldt, {-1, 0, 0}},
  };
}

bool is_refusal(int error) { return error == EPERM || error == ENOSYS; }

// Undoes what a call that was let through has made.
void undo(const Act& act, long made) {
  if (act.number == SYS_mmap) {
    ::munmap(reinterpret_cast<void*>(made), 4096);
  } else if (act.number == SYS_open || act.number == SYS_openat || act.number == SYS_socket) {
    ::close(static_cast<int>(made));
  }
}

void try_acts(const std::vector<Act>& acts, std::vector<std::string>& possible) {
  for (const Act& act : acts) {
    const Arguments& a = act.arguments;
    const long answer = ::syscall(act.number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (answer >= 0) {
      undo(act, answer);
      possible.push_back(fmt::format("{}: succeeded", act.name));
    } else if (!is_refusal(errno)) {
      possible.push_back(fmt::format("{}: reached the kernel ({})", act.name, std::strerror(errno)));
    }
  }
}

// Calls that return twice have to be looked at from both sides.
void try_forks(std::vector<std::string>& possible) {
  for (const auto& [name, number, flags] :
       {std::tuple("fork", SYS_fork, 0), std::tuple("clone of a process", SYS_clone, SIGCHLD)}) {
    const long pid = ::syscall(number, flags, 0, 0, 0, 0);
    if (pid == 0) ::_exit(0);
    if (pid > 0) {
      ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
      possible.push_back(fmt::format("{}: succeeded", name));
    } else if (!is_refusal(errno)) {
      possible.push_back(fmt::format("{}: reached the kernel ({})", name, std::strerror(errno)));
    }
  }
  // A thread that shares everything but has no stack: the kernel's checks refuse CLONE_THREAD without CLONE_SIGHAND.
  constexpr long kCloneThreadAlone = 0x00010000;
  if (::syscall(SYS_clone, kCloneThreadAlone, 0, 0, 0, 0) >= 0 || !is_refusal(errno)) {
    possible.emplace_back("clone of a thread: reached the kernel");
  }
}

}  // namespace

std::vector<std::string> probe() {
  std::vector<std::string> possible;
  try_acts(file_acts(), possible);
  try_acts(network_acts(), possible);
  try_acts(process_acts(), possible);
  try_acts(kernel_acts(), possible);
  try_forks(possible);
  return possible;
}

}  // namespace insula::sandbox
