// SPDX-License-Identifier: Apache-2.0
//
// Helper: see helper_test.h.
#include "src/sandbox/helper_test.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace insula::sandbox::test {
namespace {

constexpr int kLinesFd = 3;
constexpr int kThreads = 4;

void say(std::string_view name, std::string_view value) {
  const std::string line = fmt::format("{}={}\n", name, value);
  if (::write(kLinesFd, line.data(), line.size()) < 0) ::_exit(3);
}

void report_itself() {
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) say("fd", std::to_string(fd));
  }
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  say("core", std::to_string(core.rlim_max));
  say("no_new_privs", std::to_string(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
  say("pid", std::to_string(::getpid()));
  say("session", ::getsid(0) == ::getpid() ? "own" : "shared");
  say("uid", std::to_string(::getuid()));
  struct sigaction action {};
  ::sigaction(SIGPIPE, nullptr, &action);
  say("sigpipe", action.sa_handler == SIG_DFL ? "default" : "changed");
  for (char** variable = environ; *variable != nullptr; ++variable) {
    say("variable", std::string_view(*variable).substr(0, std::string_view(*variable).find('=')));
  }
}

// What a just-in-time compiler needs: pages that become executable, and code in them that runs.
bool can_run_made_code() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  constexpr unsigned char kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};  // mov eax, 42; ret
  std::memcpy(page, kReturn42, sizeof kReturn42);
  if (::mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0) return false;
  int (*function)() = nullptr;
  std::memcpy(&function, &page, sizeof function);
  return function() == 42;
}

// Threads that exist before lock-down and act after it, as executors do.
class Crew {
 public:
  Crew() {
    for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
    while (ready_ < kThreads) std::this_thread::yield();
  }
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      is_locked_down_ = true;
    }
    turned_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void work() {
    ++ready_;
    std::unique_lock lock(mutex_);
    turned_.wait(lock, [this] { return is_locked_down_; });
    say("thread-runs-code", can_run_made_code() ? "yes" : "no");
    for (const std::string& line : probe()) say("thread-possible", line);
  }

  std::mutex mutex_;
  std::condition_variable turned_;
  bool is_locked_down_ = false;
  std::atomic<int> ready_{0};
  std::vector<std::thread> threads_;
};

LockDownPolicy policy() { return LockDownPolicy{.kept_fds = {kLinesFd}}; }

bool lock_and_report() {
  const auto layers = lock_down(policy());
  if (!layers) {
    say("error", layers.error().message());
    return false;
  }
  for (const std::string& layer : *layers) say("layer", layer);
  return true;
}

void lock_down_with_threads() {
  Crew crew;
  const Fd extra(::open("/dev/null", O_RDONLY));
  if (!lock_and_report()) return;
  say("extra-fd", ::fcntl(extra.get(), F_GETFD) < 0 && errno == EBADF ? "closed" : "open");
  say("runs-code", can_run_made_code() ? "yes" : "no");
  say("malloc", std::vector<char>(64 << 20, 'x').back() == 'x' ? "yes" : "no");
  sched_param priority{};
  int kind = 0;  // the engine's mutexes ask for both when they are contended
  say("priority", ::pthread_getschedparam(::pthread_self(), &kind, &priority) == 0 ? "told" : "refused");
  for (const std::string& line : probe()) say("possible", line);
  // The C library's own way to a thread ends in an error, not in a thread.
  pthread_t thread{};
  const auto idle = [](void* argument) { return argument; };
  say("new-thread", ::pthread_create(&thread, nullptr, idle, nullptr) != 0 ? "refused" : "made");
  crew.finish();
  say("done", "yes");
}

void abort_after_lock_down() {
  if (lock_and_report()) std::abort();
}

// A call through the 32-bit gate, whose numbers mean other things.
void call_as_32_bit() {
  if (!lock_and_report()) return;
  long answer = 20;  // getpid there
  asm volatile("int $0x80" : "+a"(answer) : : "memory", "r8", "r9", "r10", "r11");
  say("answer", std::to_string(answer));
}

void refuse_when_a_thread_blocks_signals() {
  std::atomic<bool> is_ready{false};
  std::thread deaf([&is_ready] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    is_ready = true;
    for (;;) ::pause();
  });
  while (!is_ready) std::this_thread::yield();
  lock_and_report();
  ::_exit(0);
}

void write_at_offsets() {
  if (!lock_and_report()) return;
  say("fork", ::syscall(SYS_fork) < 0 && errno == EPERM ? "refused" : "possible");
  const long answer = ::syscall(SYS_pwrite64, kLinesFd, "x", 1, 0);
  say("pwrite", answer < 0 && errno == EPERM ? "refused" : "possible");
}

void allow_databases() {
  LockDownPolicy open = policy();
  open.allow_database_files = true;
  open.file_bytes_max = 8192;
  open.kept_fds.push_back(4);
  if (const auto layers = lock_down(open); !layers) say("error", layers.error().message());
  say("pwrite-within", ::pwrite(4, "x", 1, 8191) == 1 ? "yes" : "no");
  say("pwrite-past", ::pwrite(4, "x", 1, 8192) < 0 && errno == EFBIG ? "refused" : "possible");
  say("fsync", ::fsync(4) == 0 ? "yes" : "no");
}

void spawn_a_hanging_one_and_hang() {
  const Fd lines(::fcntl(kLinesFd, F_DUPFD_CLOEXEC, 10));
  const auto child = spawn(helper_options("hang", lines));
  say("grandchild", child ? "started" : child.error().message());
  ::close(kLinesFd);
  for (;;) ::pause();
}

void run(std::string_view mode) {
  if (mode == "report") return report_itself();
  if (mode == "hang") {
    say("hanging", "yes");
    for (;;) ::pause();
  }
  if (mode == "lock-down") return lock_down_with_threads();
  if (mode == "abort") return abort_after_lock_down();
  if (mode == "32-bit") return call_as_32_bit();
  if (mode == "deaf-thread") return refuse_when_a_thread_blocks_signals();
  if (mode == "limits") return write_at_offsets();
  if (mode == "databases") return allow_databases();
  if (mode == "parent") return spawn_a_hanging_one_and_hang();
  say("error", "no such mode");
}

// Runs before main, so that GoogleTest's main need not know of helpers.
__attribute__((constructor)) void become_helper(int argc, char** argv) {
  constexpr std::string_view kFlag = "--helper=";
  if (argc != 2 || std::string_view(argv[1]).substr(0, kFlag.size()) != kFlag) return;
  run(std::string_view(argv[1]).substr(kFlag.size()));
  ::_exit(0);
}

}  // namespace

SpawnOptions helper_options(const std::string& mode, const Fd& lines) {
  std::string self(4096, '\0');
  self.resize(static_cast<std::size_t>(::readlink("/proc/self/exe", self.data(), self.size())));
  return SpawnOptions{.program = self, .arguments = {"--helper=" + mode}, .environment = {"GIVEN=1"},
                      .fds = {{.source = lines.get(), .number = kLinesFd}}};
}

Started start_helper(const std::string& mode, bool want_namespaces) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  Started started{.child = {}, .lines = Fd(ends[0])};
  const Fd writing(ends[1]);
  SpawnOptions options = helper_options(mode, writing);
  options.want_namespaces = want_namespaces;
  auto child = spawn(options);
  EXPECT_TRUE(child) << child.error().message();
  if (child) started.child = *std::move(child);
  return started;
}

std::multimap<std::string, std::string> read_lines(const Started& started) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(started.lines.get(), buffer, sizeof buffer);
    if (got <= 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  std::multimap<std::string, std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const auto end = std::min(text.find('\n', start), text.size());
    const std::string line = text.substr(start, end - start);
    const auto equals = line.find('=');
    lines.emplace(line.substr(0, equals), equals == std::string::npos ? "" : line.substr(equals + 1));
    start = end + 1;
  }
  return lines;
}

std::vector<std::string> values_of(const std::multimap<std::string, std::string>& lines, const std::string& name) {
  std::vector<std::string> values;
  const auto [first, last] = lines.equal_range(name);
  for (auto line = first; line != last; ++line) values.push_back(line->second);
  return values;
}

int reap(const Child& child) {
  int status = 0;
  while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace insula::sandbox::test
