// SPDX-License-Identifier: Apache-2.0
//
// Every thread: see every_thread.h. The same way in which glibc's setuid reaches all threads, for calls it knows nothing of.
#include "src/sandbox/every_thread.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace insula::sandbox {
namespace {

constexpr int kRoundsMax = 20;           // threads may be born while we count; they inherit, or are seen next round
constexpr int kAnswerSecondsMax = 2;

// What the signal handler needs: a handler has no arguments of its own, so these few must be static. Written before the
// signal is sent, read by the handlers, and there is one lock_down in the life of a process.
std::atomic<int> ruleset_fd{-1};
std::atomic<int> privileges_failed{0};
std::atomic<int> landlock_failed{0};
sem_t answers;

// Only system calls: runs in signal handlers.
void give_up_in_this_thread() noexcept {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) privileges_failed.fetch_add(1);
  if (const int ruleset = ruleset_fd.load(); ruleset >= 0) {
    constexpr long kLandlockRestrictSelf = 446;
    if (::syscall(kLandlockRestrictSelf, ruleset, 0) != 0) landlock_failed.fetch_add(1);
  }
  // Fails where we were never privileged; what counts is what the kernel says afterwards (holds_capabilities).
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> none{};
  ::syscall(SYS_capset, &header, none.data());
}

void on_signal(int) noexcept {
  const int error = errno;
  give_up_in_this_thread();
  ::sem_post(&answers);
  errno = error;
}

bool holds_capabilities(pid_t thread) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, thread};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return errno != ESRCH;
  return std::any_of(data.begin(), data.end(), [](const __user_cap_data_struct& word) {
    return (word.effective | word.permitted | word.inheritable) != 0;
  });
}

// /proc shows the thread ids of the namespace it was mounted in; tgkill wants those of ours, which are the last on the
// line "NSpid:". 0: the thread has ended.
pid_t own_id_of(const Fd& thread_list, const std::string& name) {
  const Fd file(::openat(thread_list.get(), (name + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer{};
  const ssize_t length = file ? ::read(file.get(), buffer.data(), buffer.size()) : -1;
  if (length <= 0) return 0;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(length));
  const auto start = text.find("\nNSpid:");
  if (start == std::string_view::npos) return 0;
  std::string_view line = text.substr(start + 1);
  line = line.substr(0, line.find('\n'));
  const std::string_view last = line.substr(line.find_last_of(" \t") + 1);
  pid_t id = 0;
  std::from_chars(last.data(), last.data() + last.size(), id);
  return id;
}

Result<std::set<pid_t>> list_threads(const Fd& thread_list) {
  const auto close_directory = [](DIR* directory) { ::closedir(directory); };
  const std::unique_ptr<DIR, decltype(close_directory)> directory(
      ::fdopendir(::openat(thread_list.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), close_directory);
  if (!directory) return Error(ErrorCode::Unavailable, "sandbox: cannot read the list of this process's threads");
  std::set<pid_t> ids;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name(&entry->d_name[0]);
    if (name.front() == '.') continue;
    if (const pid_t id = own_id_of(thread_list, name); id != 0) ids.insert(id);
  }
  return ids;
}

// Sends the signal to each new thread and waits for as many answers.
Result<> order(const std::set<pid_t>& threads) {
  int asked = 0;
  for (const pid_t thread : threads) {
    if (::syscall(SYS_tgkill, ::getpid(), thread, SIGRTMAX) == 0) ++asked;
  }
  timespec until{};
  ::clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += kAnswerSecondsMax;
  while (asked > 0) {
    if (::sem_timedwait(&answers, &until) == 0) {
      --asked;
    } else if (errno != EINTR) {
      return Error(ErrorCode::Unavailable,
                   fmt::format("sandbox: {} of this process's threads did not give up their privileges within {} s "
                               "(does one block signal {}?)",
                               asked, kAnswerSecondsMax, SIGRTMAX));
    }
  }
  return {};
}

Result<std::set<pid_t>> reach_all(const Fd& thread_list) {
  std::set<pid_t> reached{static_cast<pid_t>(::syscall(SYS_gettid))};
  for (int round = 0; round < kRoundsMax; ++round) {
    TRY(const std::set<pid_t> present, list_threads(thread_list));
    std::set<pid_t> fresh;
    std::set_difference(present.begin(), present.end(), reached.begin(), reached.end(),
                        std::inserter(fresh, fresh.end()));
    if (fresh.empty()) {
      give_up_in_this_thread();  // last: inside a Landlock domain the list could not be read
      return reached;
    }
    TRY_VOID(order(fresh));
    reached.insert(fresh.begin(), fresh.end());
  }
  return Error(ErrorCode::Unavailable, "sandbox: this process keeps starting threads while it locks itself down");
}

}  // namespace

Fd open_thread_list() { return Fd(::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }

Result<GivenUp> give_up_in_every_thread(const Fd& thread_list, int landlock_ruleset) {
  if (!thread_list) return Error(ErrorCode::Unavailable, "sandbox: cannot list this process's threads: no /proc");
  ruleset_fd = landlock_ruleset;
  ::sem_init(&answers, 0, 0);
  struct sigaction ours {};
  struct sigaction before {};
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  ::sigfillset(&ours.sa_mask);
  if (::sigaction(SIGRTMAX, &ours, &before) != 0) {
    return Error(ErrorCode::Unavailable, "sandbox: cannot handle the last real-time signal");
  }
  // On an error the handler stays: a late thread may still run it, and the caller is about to end the process.
  TRY(const std::set<pid_t> threads, reach_all(thread_list));
  ::sigaction(SIGRTMAX, &before, nullptr);
  if (privileges_failed != 0) return Error(ErrorCode::Unavailable, "sandbox: the kernel refused no_new_privs");
  return GivenUp{.landlock = landlock_ruleset >= 0 && landlock_failed == 0,
                 .capabilities = std::none_of(threads.begin(), threads.end(), holds_capabilities)};
}

}  // namespace insula::sandbox
