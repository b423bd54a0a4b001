// SPDX-License-Identifier: Apache-2.0
//
// The runner's main: V8 first, then threads, then nothing left to give up, then hello.
//
//   runner --isolates-max=...     started by the supervisor with the descriptors of protocol/runner_options.h
//   snapshot FILE                 started by the build: makes the start-up snapshot
//   probe SNAPSHOT                locks itself down like a runner and tries forbidden acts; prints those that succeed
//   weigh SNAPSHOT COUNT          prints what an isolate costs on this machine, by stages of its life
//   version                       prints the engine's version
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "src/base/crash_point.h"
#include "src/base/fd.h"
#include "src/protocol/runner_options.h"
#include "src/runner/host/host.h"
#include "src/runner/isolate/end_process.h"
#include "src/runner/worker/start.h"
#include "src/runner/worker/weigh.h"
#include "src/sandbox/sandbox.h"

namespace insula {
namespace {

// What the databases of actors need, whose descriptors come over the socket: the log may outgrow the database for a
// while.
void allow_actors(sandbox::LockDownPolicy& policy) {
  policy.allow_database_files = true;
  policy.file_bytes_max = kActorBytesMax + 1 * kGiB;
  policy.descriptors_max = 64 + 3 * kActorsPerRunnerMax;
}

using runner::HostOptions;

// Parses "--name=number" into `value`. False when the argument has another name.
bool take_flag(std::string_view argument, std::string_view name, std::uint64_t& value, bool& malformed) {
  if (!argument.starts_with(name)) return false;
  const std::string_view text = argument.substr(name.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  malformed = error != std::errc() || end != text.data() + text.size();
  return true;
}

struct RunnerFlags {
  HostOptions host;
  std::uint64_t heap_bytes = kTenantLimits.memory_bytes;
  bool sandbox = true;
};

bool parse(int argc, char** argv, RunnerFlags& flags) {
  for (int index = 2; index < argc; ++index) {
    const std::string_view argument = argv[index];
    std::uint64_t value = 0;
    bool malformed = false;
    if (take_flag(argument, protocol::kFlagIsolatesMax, value, malformed)) {
      flags.host.isolates_max = value;
    } else if (take_flag(argument, protocol::kFlagMemoryBytes, value, malformed)) {
      flags.host.memory_bytes = value;
    } else if (take_flag(argument, protocol::kFlagIdleMillis, value, malformed)) {
      flags.host.idle_after = milliseconds(value);
    } else if (take_flag(argument, protocol::kFlagObjectIdleMillis, value, malformed)) {
      flags.host.actor_idle_after = milliseconds(value);
    } else if (take_flag(argument, protocol::kFlagExecutors, value, malformed)) {
      flags.host.executors = static_cast<unsigned>(value);
      malformed = malformed || value < 2 || value > protocol::kBoardSlots;
    } else if (take_flag(argument, protocol::kFlagParallel, value, malformed)) {
      flags.host.parallel = static_cast<unsigned>(value);
      malformed = malformed || value < 1;
    } else if (take_flag(argument, protocol::kFlagBlankIsolates, value, malformed)) {
      flags.host.blank_isolates = static_cast<unsigned>(value);
    } else if (take_flag(argument, protocol::kFlagSandbox, value, malformed)) {
      flags.sandbox = value != 0;
    } else if (argument.starts_with(protocol::kFlagCrashAt)) {
      malformed = !arm_crash_points(argument.substr(std::strlen(protocol::kFlagCrashAt)), CrashPointInfo::Process::Runner);
    } else {
      malformed = true;
    }
    if (malformed) {
      std::fprintf(stderr, "insula runner: bad argument %s\n", argv[index]);
      return false;
    }
  }
  return true;
}

int run(int argc, char** argv) {
  const auto started = std::chrono::steady_clock::now();
  RunnerFlags flags;
  if (!parse(argc, argv, flags)) return protocol::kExitUsage;
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, protocol::kRunnerBoardFd, 0);
  struct stat info {};
  if (page == MAP_FAILED || fstat(protocol::kRunnerSocketFd, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    std::fprintf(stderr, "insula runner: started without its descriptors; start `insula serve` instead\n");
    return protocol::kExitUsage;
  }
  // In lists of processes it would be "node" otherwise, and whoever cleans up those would end tenants.
  prctl(PR_SET_NAME, "insula-runner");
  auto& board = *static_cast<protocol::Board*>(page);
  runner::set_board(&board);
  // V8 before any other thread.
  auto engine = runner::start_engine(protocol::kRunnerSnapshotFd, flags.heap_bytes);
  if (!engine) {
    std::fprintf(stderr, "insula runner: %s\n", engine.error().message().c_str());
    return protocol::kExitSnapshot;
  }
  const int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  auto* host = new runner::Host(protocol::kRunnerSocketFd, statm, board, **engine, flags.host);  // lives for ever
  host->start_threads();
  std::vector<std::string> layers;
  if (flags.sandbox) {
    sandbox::LockDownPolicy policy;
    policy.kept_fds = {protocol::kRunnerSocketFd, host->wake_descriptor()};
    allow_actors(policy);
    if (statm >= 0) policy.kept_fds.push_back(statm);
    auto locked = sandbox::lock_down(policy);
    if (!locked) {
      std::fprintf(stderr, "insula runner: %s\n", locked.error().message().c_str());
      return protocol::kExitSandbox;
    }
    layers = std::move(*locked);
  }
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started).count();
  host->go(layers, static_cast<std::uint32_t>(micros));
}

// The real runner, with its engine and all its threads, after lock-down: what can it still do?
int probe(const char* snapshot_path) {
  const Fd snapshot(open(snapshot_path, O_RDONLY | O_CLOEXEC));
  int ends[2] = {-1, -1};
  if (!snapshot || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    std::fprintf(stderr, "insula runner: cannot open %s\n", snapshot_path);
    return protocol::kExitUsage;
  }
  auto engine = runner::start_engine(snapshot.get(), kTenantLimits.memory_bytes);
  if (!engine) {
    std::fprintf(stderr, "insula runner: %s\n", engine.error().message().c_str());
    return protocol::kExitSnapshot;
  }
  auto* board = new protocol::Board();
  auto* host = new runner::Host(ends[0], -1, *board, **engine, HostOptions{});  // lives for ever
  host->start_threads();
  sandbox::LockDownPolicy policy;
  policy.kept_fds = {ends[0], host->wake_descriptor()};
  allow_actors(policy);
  const auto layers = sandbox::lock_down(policy);
  if (!layers) {
    std::fprintf(stderr, "insula runner: %s\n", layers.error().message().c_str());
    return protocol::kExitSandbox;
  }
  std::string text;
  for (const std::string& layer : *layers) text += "layer " + layer + "\n";
  const auto possible = sandbox::probe();
  for (const std::string& act : possible) text += "possible " + act + "\n";
  text += possible.empty() ? "tight\n" : "leaky\n";
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
  return possible.empty() ? 0 : 1;
}

// Memory and time of `count` isolates at each stage of their lives (docs/decisions/0015-memory-of-a-tenant.md).
int weigh(const char* snapshot_path, const char* count_text) {
  const std::size_t count = std::strtoul(count_text, nullptr, 10);
  const Fd snapshot(open(snapshot_path, O_RDONLY | O_CLOEXEC));
  if (!snapshot || count == 0) {
    std::fprintf(stderr, "insula runner: weigh wants a snapshot file and a number of isolates\n");
    return protocol::kExitUsage;
  }
  auto engine = runner::start_engine(snapshot.get(), kTenantLimits.memory_bytes);
  if (!engine) {
    std::fprintf(stderr, "insula runner: %s\n", engine.error().message().c_str());
    return protocol::kExitSnapshot;
  }
  auto* board = new protocol::Board();
  auto* host = new runner::Host(-1, -1, *board, **engine, HostOptions{});  // lives for ever
  auto* slot = new runner::ExecutorSlot;
  slot->adopt(&board->slots[0]);
  std::fputs(runner::weigh(**engine, *host, *slot, count).c_str(), stdout);
  std::fflush(stdout);
  return 0;
}

}  // namespace

int runner_main(int argc, char** argv) noexcept {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "runner") return run(argc, argv);
  if (command == "probe" && argc == 3) return probe(argv[2]);
  if (command == "snapshot" && argc == 3) {
    const auto made = runner::make_snapshot(argv[2]);
    if (made) return 0;
    std::fprintf(stderr, "insula runner: %s\n", made.error().message().c_str());
    return 1;
  }
  if (command == "weigh" && argc == 4) return weigh(argv[2], argv[3]);
  if (command == "version") {
    std::printf("%s\n", runner::engine_version().c_str());
    std::fflush(stdout);
    return 0;
  }
  std::fprintf(stderr, "insula runner: this program is started by `insula serve`\n");
  return protocol::kExitUsage;
}

}  // namespace insula
