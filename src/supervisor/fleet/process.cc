// SPDX-License-Identifier: Apache-2.0
//
// ProcessStarter: the engine's executable with our library in front, one socket, one page of shared memory and the
// snapshot; nothing else.
#include "src/supervisor/fleet/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <new>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "src/base/crash_point.h"
#include "src/protocol/runner_options.h"
#include "src/sandbox/sandbox.h"

// Set by sanitizer builds, whose runtime must be loaded before our library.
#ifndef INSULA_SANITIZER_RUNTIME
#define INSULA_SANITIZER_RUNTIME ""
#endif

namespace insula::fleet {
namespace {

constexpr int kSocketBytes = 1 << 20;  // the kernel doubles it for its own bookkeeping

constexpr std::size_t kBoardBytes = 4096;

std::string text_of(int code) { return std::generic_category().message(code); }

// The supervisor's mapping of one board; the runner gets the descriptor.
class BoardPage {
 public:
  static Result<BoardPage> create() {
    Fd file(::memfd_create("insula-board", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file || ::ftruncate(file.get(), kBoardBytes) != 0) {
      return Error(ErrorCode::Unavailable, "runner: no memory for its board: " + text_of(errno));
    }
    void* const page = ::mmap(nullptr, kBoardBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (page == MAP_FAILED) return Error(ErrorCode::Unavailable, "runner: board cannot be mapped: " + text_of(errno));
    BoardPage board(std::move(file), page);
    // A runner that shrank the file would end us with SIGBUS.
    if (::fcntl(board.file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
      return Error(ErrorCode::Unavailable, "runner: board cannot be sealed: " + text_of(errno));
    }
    board.get().magic.store(protocol::kBoardMagic, std::memory_order_release);
    return board;
  }
  BoardPage(BoardPage&& other) noexcept
      : file_(std::move(other.file_)), page_(std::exchange(other.page_, nullptr)) {}
  BoardPage& operator=(BoardPage&&) = delete;
  ~BoardPage() {
    if (page_ != nullptr) ::munmap(page_, kBoardBytes);
  }

  protocol::Board& get() const { return *static_cast<protocol::Board*>(page_); }
  int fd() const { return file_.get(); }

 private:
  BoardPage(Fd file, void* page) : file_(std::move(file)), page_(page) { new (page_) protocol::Board(); }

  Fd file_;
  void* page_;
};

class SpawnedProcess final : public RunnerProcess {
 public:
  SpawnedProcess(sandbox::Child child, BoardPage board, std::shared_ptr<bool> has_crashed)
      : child_(std::move(child)), board_(std::move(board)), has_crashed_(std::move(has_crashed)) {
    const std::string path = fmt::format("/proc/{}/statm", child_.pid);
    statm_ = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~SpawnedProcess() override {
    if (exit_) return;
    kill();
    wait(0);
  }

  pid_t pid() const override { return child_.pid; }
  int pidfd() const override { return child_.pidfd.get(); }
  void kill() override {
    // glibc 2.36 declares the function without C linkage.
    if (!exit_) ::syscall(SYS_pidfd_send_signal, child_.pidfd.get(), SIGKILL, nullptr, 0);
  }
  std::optional<Exit> try_reap() override {
    if (!exit_) wait(WNOHANG);
    return exit_;
  }
  std::size_t resident_bytes() const override {
    // "size resident shared ..." in pages.
    std::array<char, 128> text{};
    const ssize_t got = ::pread(statm_.get(), text.data(), text.size(), 0);
    if (got <= 0) return 0;
    const std::string_view line(text.data(), static_cast<std::size_t>(got));
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return 0;
    std::size_t pages = 0;
    std::from_chars(line.data() + blank + 1, line.data() + line.size(), pages);
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  }
  const protocol::Board& board() const override { return board_.get(); }
  const std::vector<std::string>& layers() const override { return child_.layers; }

 private:
  void wait(int flags) {
    siginfo_t info{};
    int result = 0;
    do {
      result = ::waitid(P_PIDFD, static_cast<id_t>(child_.pidfd.get()), &info, WEXITED | flags);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
      exit_ = Exit{};  // not ours to wait for: there is nothing to learn
    } else if (info.si_pid != 0) {
      exit_ = info.si_code == CLD_EXITED ? Exit{info.si_status, 0} : Exit{-1, info.si_status};
      if (exit_->code == kExitCrashPoint) *has_crashed_ = true;
    }
  }

  sandbox::Child child_;
  BoardPage board_;
  const std::shared_ptr<bool> has_crashed_;
  Fd statm_;
  std::optional<Exit> exit_;
};

Result<> check_file(const std::filesystem::path& path, std::string_view what) {
  if (::access(path.c_str(), R_OK) == 0) return {};
  return Error(ErrorCode::NotFound, fmt::format("{} is missing: {}: {}; run `make build`, or name it on the command line",
                                                what, path.string(), text_of(errno)));
}

}  // namespace

Result<std::unique_ptr<ProcessStarter>> ProcessStarter::create(ProcessOptions options) {
  TRY_VOID(check_file(options.engine / "bin" / "node", "the engine"));
  TRY_VOID(check_file(options.library, "the runner's library"));
  TRY_VOID(check_file(options.snapshot, "the runner's start-up snapshot"));
  Fd snapshot(::open(options.snapshot.c_str(), O_RDONLY | O_CLOEXEC));
  if (!snapshot) {
    return Error(ErrorCode::NotFound, fmt::format("the runner's start-up snapshot cannot be opened: {}: {}",
                                                  options.snapshot.string(), text_of(errno)));
  }
  return std::unique_ptr<ProcessStarter>(new ProcessStarter(std::move(options), std::move(snapshot)));
}

Result<StartedRunner> ProcessStarter::start() {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return Error(ErrorCode::Unavailable, "runner: no socket pair: " + text_of(errno));
  }
  Fd ours(pair[0]);
  Fd theirs(pair[1]);
  // A message of a mebibyte goes over in one piece instead of five, each of which would wake the other side. The kernel
  // may give less, and charges only what lies in the socket.
  for (const Fd* end : {&ours, &theirs}) {
    ::setsockopt(end->get(), SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes);
  }
  TRY(auto board, BoardPage::create());

  sandbox::SpawnOptions spawn;
  spawn.program = (options_.engine / "bin" / "node").string();
  spawn.arguments = {
      "runner",
      protocol::kFlagIsolatesMax + std::to_string(options_.isolates_max),
      protocol::kFlagMemoryBytes + std::to_string(options_.memory_bytes),
      protocol::kFlagIdleMillis + std::to_string(options_.idle_millis),
      protocol::kFlagObjectIdleMillis + std::to_string(options_.object_idle_millis),
      protocol::kFlagParallel + std::to_string(options_.parallel),
      std::string(protocol::kFlagSandbox) + (options_.is_sandboxed ? "1" : "0"),
  };
  if (!options_.crash_at.empty() && !*has_crashed_) spawn.arguments.push_back(protocol::kFlagCrashAt + options_.crash_at);
  spawn.environment = {"LD_PRELOAD=" INSULA_SANITIZER_RUNTIME + options_.library.string(), "TZ=UTC"};
  spawn.fds = {{theirs.get(), protocol::kRunnerSocketFd},
               {board.fd(), protocol::kRunnerBoardFd},
               {snapshot_.get(), protocol::kRunnerSnapshotFd}};
  spawn.want_namespaces = options_.is_sandboxed;
  TRY(auto child, sandbox::spawn(spawn));
  return StartedRunner{std::make_unique<SpawnedProcess>(std::move(child), std::move(board), has_crashed_),
                       std::move(ours)};
}

}  // namespace insula::fleet
