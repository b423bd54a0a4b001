// SPDX-License-Identifier: Apache-2.0
//
// run_program: posix_spawn, one pipe, one deadline.
#include "src/supervisor/config/program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "src/base/fd.h"

namespace insula::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Reads until the program closes its end, which it does by ending. False when the deadline came first.
bool read_until_closed(int fd, steady_clock::time_point deadline, std::string& out) {
  std::array<char, 16 * 1024> chunk{};
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return false;
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<decltype(left)>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    const auto count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return true;
    out.append(chunk.data(), std::min(static_cast<std::size_t>(count), kComplaintsBytesMax - out.size()));
  }
}

}  // namespace

Result<ProgramOutcome> run_program(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                                   const std::filesystem::path& directory, milliseconds time_max) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return Error(ErrorCode::Unavailable, fmt::format("pipe: {}", std::strerror(errno)));
  }
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);

  FileActions actions;
  ::posix_spawn_file_actions_addopen(actions.get(), 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(actions.get(), 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), write_end.get(), 2);
  ::posix_spawn_file_actions_addchdir_np(actions.get(), directory.c_str());

  std::string name = program.string();
  std::vector<std::string> words = arguments;
  std::vector<char*> argv{name.data()};
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<char*, 1> environment{nullptr};

  pid_t pid = -1;
  const int failure = ::posix_spawn(&pid, program.c_str(), actions.get(), nullptr, argv.data(), environment.data());
  if (failure != 0) {
    return Error(ErrorCode::Unavailable, fmt::format("{} cannot be started: {}", name, std::strerror(failure)));
  }
  write_end.reset();

  ProgramOutcome outcome;
  const bool has_ended = read_until_closed(read_end.get(), steady_clock::now() + time_max, outcome.complaints);
  if (!has_ended) ::kill(pid, SIGKILL);
  outcome.exit_status = wait_for(pid);
  if (!has_ended) {
    return Error(ErrorCode::TimedOut, fmt::format("{} did not end within {} ms", name, time_max.count()));
  }
  return outcome;
}

}  // namespace insula::config
