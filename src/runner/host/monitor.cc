// SPDX-License-Identifier: Apache-2.0
//
// Host: the monitor, which enforces CPU and memory limits on code that is running right now.
//
// Stage one ends the isolate's JavaScript. Native code inside V8 may go on; stage two, a quarter of a second later, ends
// this process (threat-model.md sections 4 and 5).
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>

#include "src/runner/host/host.h"
#include "src/runner/isolate/end_process.h"

namespace insula::runner {
namespace {

constexpr milliseconds kTick{2};
constexpr unsigned kIdleTicks = 10;  // without any turn, before the monitor goes to sleep
constexpr std::uint64_t kNanosPerMilli = 1000000;
constexpr std::uint64_t kSetAsideNanos = 4 * kNanosPerMilli;
constexpr std::size_t kMemorySlackBytes = 64 * kMiB;

std::uint64_t cpu_nanos_of(clockid_t clock) {
  timespec now{};
  if (clock_gettime(clock, &now) != 0) return 0;
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

std::size_t resident_bytes(int statm) {
  char text[128] = {};
  if (statm < 0 || ::lseek(statm, 0, SEEK_SET) != 0 || ::read(statm, text, sizeof text - 1) <= 0) return 0;
  const char* second = std::strchr(text, ' ');
  return second == nullptr ? 0 : std::strtoull(second, nullptr, 10) * 4096;
}

}  // namespace

void Host::monitor_main() {
  Lock lock(mutex_);
  std::uint64_t seen = 0;
  unsigned idle = 0;
  for (;;) {
    const bool any_running = active_ > 0;
    bool any_aside = false;
    for (const auto& executor : executors_) any_aside = any_aside || executor->running;
    if (!any_running && !any_aside && activity_ == seen && ++idle > kIdleTicks) {
      monitor_sleeps_ = true;
      monitor_wait_.wait(lock, [&] { return activity_ != seen; });
      monitor_sleeps_ = false;
      idle = 0;
    }
    if (activity_ != seen) idle = 0;
    seen = activity_;
    monitor_wait_.wait_for(lock, kTick, [] { return false; });
    watch_executors(lock);
  }
}

void Host::watch_executors(Lock& lock) {
  std::vector<Executor*> running;
  for (const auto& executor : executors_) {
    if (executor->running) running.push_back(executor.get());
  }
  if (running.empty()) return;
  const std::size_t accounted = memory_bytes_;
  const std::uint64_t now = monotonic_nanos();
  bool promoted = false;
  std::size_t resident = 0;
  std::vector<bool> long_running(running.size(), false);
  lock.unlock();
  for (std::size_t index = 0; index < running.size(); ++index) {
    running[index]->slot.inspect([&](const ExecutorSlot::Running& run, clockid_t clock, Fault stopped) {
      if (now < run.wall_started + kTick.count() * static_cast<std::int64_t>(kNanosPerMilli)) return Fault::None;
      long_running[index] = now > run.wall_started + kSetAsideNanos;
      // The start is an estimate (slot.h), which may lie a little ahead.
      const std::uint64_t cpu = cpu_nanos_of(clock);
      const std::uint64_t used = cpu > run.cpu_started ? cpu - run.cpu_started : 0;
      const std::uint64_t grace = static_cast<std::uint64_t>(kKillAfterCpuLimit.count()) * kNanosPerMilli;
      if (used > run.cpu_left) {
        if (stopped == Fault::None) return Fault::CpuLimit;
        if (used > run.cpu_left + grace) {
          end_process(run.is_startup ? protocol::EndCause::StartupCpu : protocol::EndCause::CpuLimit, run.worker,
                      run.question);
        }
      } else if (stopped != Fault::None && now > run.wall_started + grace * 20) {
        // Told to stop for memory, and native code runs on.
        end_process(protocol::EndCause::MemoryLimit, run.worker, run.question);
      }
      // Memory that the heap limit does not see: Wasm, resizable buffers, strings outside the heap.
      if (resident == 0) resident = resident_bytes(statm_);
      // What others have loaded meanwhile is known, and not this event's doing.
      Executor& executor = *running[index];
      if (executor.watched != run.wall_started || resident < executor.memory_before) {
        executor.watched = run.wall_started;
        executor.memory_before = resident;
        executor.accounted_before = accounted;
      }
      const std::size_t others = accounted > executor.accounted_before ? accounted - executor.accounted_before : 0;
      const std::size_t grown = resident - executor.memory_before > others ? resident - executor.memory_before - others : 0;
      if (grown > 2 * run.memory_max + kMemorySlackBytes) {
        end_process(protocol::EndCause::MemoryLimit, run.worker, run.question);
      }
      if (grown > run.memory_max + kMemorySlackBytes && stopped == Fault::None) return Fault::MemoryLimit;
      return Fault::None;
    });
  }
  lock.lock();
  for (std::size_t index = 0; index < running.size(); ++index) {
    Executor& executor = *running[index];
    if (long_running[index] && executor.running && !executor.set_aside) {
      executor.set_aside = true;
      --active_;
      promoted = true;
    }
  }
  if (!promoted) return;
  if (blocked_in_poll_) {
    wake_poller();
  } else {
    executors_wait_.notify_one();
  }
}

}  // namespace insula::runner
