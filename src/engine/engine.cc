// SPDX-License-Identifier: Apache-2.0
//
// Engine: flags, platform and start of V8.
#include "src/engine/engine.h"

#include <sys/random.h>

#include <cmath>
#include <chrono>
#include <ctime>

#include <libplatform/libplatform.h>
#include <v8-initialization.h>
#include <v8-platform.h>

namespace insula::engine {
namespace {

thread_local const ClockOverride* thread_clock = nullptr;

// Everything is the default platform's, except the time: a tenant's clock moves only at I/O.
class Platform final : public v8::Platform {
 public:
  explicit Platform(v8::Platform& inner) : inner_(inner) {}

  v8::PageAllocator* GetPageAllocator() override { return inner_.GetPageAllocator(); }
  v8::ThreadIsolatedAllocator* GetThreadIsolatedAllocator() override {
    return inner_.GetThreadIsolatedAllocator();
  }
  void OnCriticalMemoryPressure() override { inner_.OnCriticalMemoryPressure(); }
  int NumberOfWorkerThreads() override { return inner_.NumberOfWorkerThreads(); }
  std::shared_ptr<v8::TaskRunner> GetForegroundTaskRunner(v8::Isolate* isolate,
                                                          v8::TaskPriority priority) override {
    return inner_.GetForegroundTaskRunner(isolate, priority);
  }
  double MonotonicallyIncreasingTime() override { return inner_.MonotonicallyIncreasingTime(); }
  double CurrentClockTimeMillis() override {
    return thread_clock != nullptr ? thread_clock->wall_millis : std::floor(real_wall_millis());
  }
  v8::TracingController* GetTracingController() override { return inner_.GetTracingController(); }

 protected:
  std::unique_ptr<v8::JobHandle> CreateJobImpl(v8::TaskPriority priority, std::unique_ptr<v8::JobTask> task,
                                               const v8::SourceLocation& location) override {
    return inner_.CreateJob(priority, std::move(task), location);
  }
  void PostTaskOnWorkerThreadImpl(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                                  const v8::SourceLocation& location) override {
    inner_.PostTaskOnWorkerThread(priority, std::move(task), location);
  }
  void PostDelayedTaskOnWorkerThreadImpl(v8::TaskPriority priority, std::unique_ptr<v8::Task> task,
                                         double delay_in_seconds, const v8::SourceLocation& location) override {
    inner_.PostDelayedTaskOnWorkerThread(priority, std::move(task), delay_in_seconds, location);
  }

 private:
  v8::Platform& inner_;
};

bool fill_with_entropy(unsigned char* buffer, std::size_t size) {
  return ::getrandom(buffer, size, 0) == static_cast<ssize_t>(size);
}

constexpr const char* kFlags[] = {
    // We check the snapshot once when it is mapped; V8 would do it for every isolate.
    "--no-verify-snapshot-checksum",
    "--js-source-phase-imports",
    // WebAssembly.compile() works on the thread that calls it, where its time is the Worker's.
    "--no-wasm-async-compilation",
    // Else the pages of a dead isolate wait in a pool for a task of another isolate, which may never run again: 0.5 MiB
    // of each evicted tenant would stay.
    "--no-memory-pool-share-memory-on-teardown",
    // Code is compiled on the thread that runs it, and its time is the Worker's. What a background thread has compiled V8
    // installs by an interrupt of the isolate, and v8::Locker clears those of an isolate that nobody holds: of 1,043
    // functions of 21 isolates 362 were installed, the others stayed interpreted (docs/decisions/0023).
    "--no-concurrent-recompilation",
    "--no-concurrent-sparkplug",
    // There is one background thread. V8 would keep 16 KiB in each isolate for seven more.
    "--concurrent-marking-max-worker-num=1",
};

}  // namespace

void set_thread_clock(const ClockOverride* clock) noexcept { thread_clock = clock; }

double real_wall_millis() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double real_monotonic_millis() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Engine::Engine(const Options& options) {
  for (const char* flag : kFlags) v8::V8::SetFlagsFromString(flag);
  if (options.changes_flags) v8::V8::SetFlagsFromString("--no-freeze-flags-after-init");
  // V8 would read /dev/urandom for every isolate, and without it take the time: a runner cannot open files.
  v8::V8::SetEntropySource(fill_with_entropy);
  if (options.wasm_memory_bytes_max != 0) {
    constexpr std::size_t kWasmPageBytes = 65536;
    const auto pages = options.wasm_memory_bytes_max / kWasmPageBytes;
    v8::V8::SetFlagsFromString(("--wasm-max-mem-pages=" + std::to_string(pages)).c_str());
  }
  default_ = v8::platform::NewDefaultPlatform(options.background_threads);
  platform_ = std::make_unique<Platform>(*default_);
  v8::V8::InitializePlatform(platform_.get());
  v8::V8::Initialize();
}

Engine::~Engine() = default;  // the process ends without V8::Dispose: threads may still be inside

void Engine::set_flag(const char* flag) { v8::V8::SetFlagsFromString(flag); }

std::string Engine::version() { return v8::V8::GetVersion(); }

void Engine::run_foreground_tasks(v8::Isolate* isolate) {
  while (v8::platform::PumpMessageLoop(default_.get(), isolate)) {
  }
}

void Engine::forget(v8::Isolate* isolate) { v8::platform::NotifyIsolateShutdown(default_.get(), isolate); }

}  // namespace insula::engine
