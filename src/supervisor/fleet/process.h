// SPDX-License-Identifier: Apache-2.0
//
// RunnerProcess, RunnerStarter: a runner as an operating-system process, behind an interface so that tests can put a
// scripted peer in its place.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/base/fd.h"
#include "src/protocol/board.h"

namespace insula::fleet {

// How a process ended.
struct Exit {
  int code = -1;    // -1: by a signal
  int signal = 0;
};

class RunnerProcess {
 public:
  virtual ~RunnerProcess() = default;  // kills it if it still runs
  virtual pid_t pid() const = 0;
  virtual int pidfd() const = 0;  // readable when it has ended; -1: it ends with its socket
  virtual void kill() = 0;
  virtual std::optional<Exit> try_reap() = 0;  // nothing while it still runs
  virtual std::size_t resident_bytes() const = 0;
  virtual const protocol::Board& board() const = 0;
  virtual const std::vector<std::string>& layers() const = 0;  // of the sandbox, made at the start
};

struct StartedRunner {
  std::unique_ptr<RunnerProcess> process;
  Fd socket;
};

class RunnerStarter {
 public:
  virtual ~RunnerStarter() = default;
  virtual Result<StartedRunner> start() = 0;
};

struct ProcessOptions {
  std::filesystem::path engine;    // directory of the engine package
  std::filesystem::path library;   // libinsula_runner.so
  std::filesystem::path snapshot;  // the start-up snapshot
  std::uint32_t isolates_max = 2000;
  std::size_t memory_bytes = 0;    // budget of all isolates of one runner
  std::uint64_t idle_millis = 60000;
  std::uint64_t object_idle_millis = 10000;
  unsigned parallel = 1;  // isolates of one runner that may run at the same time
  bool is_sandboxed = true;
  std::string crash_at;  // for tests: base/crash_point.h
};

class ProcessStarter final : public RunnerStarter {
 public:
  // Errors: NotFound when a part is missing (the message says which, and how to get it).
  static Result<std::unique_ptr<ProcessStarter>> create(ProcessOptions options);
  Result<StartedRunner> start() override;

 private:
  ProcessStarter(ProcessOptions options, Fd snapshot) : options_(std::move(options)), snapshot_(std::move(snapshot)) {}

  const ProcessOptions options_;
  const Fd snapshot_;
  const std::shared_ptr<bool> has_crashed_ = std::make_shared<bool>(false);  // a runner, at a crash point
};

}  // namespace insula::fleet
