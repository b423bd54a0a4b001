// SPDX-License-Identifier: Apache-2.0
//
// ExecutorSlot: what one executor thread is running now, for the monitor that enforces CPU limits.
//
// The executor opens the slot for each event and closes it after; the monitor looks at it every few milliseconds from
// its own thread. The mutex makes "stop this event" exact: an event that has ended cannot be stopped any more.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <mutex>

#include "src/base/fault.h"
#include "src/protocol/board.h"

namespace insula::runner {

// Stops an isolate from another thread.
class Terminable {
 public:
  virtual ~Terminable() = default;
  virtual void terminate() noexcept = 0;
};

inline std::uint64_t thread_cpu_nanos() noexcept {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::uint64_t monotonic_nanos() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

class ExecutorSlot {
 public:
  struct Running {
    Terminable* target = nullptr;
    std::uint32_t worker = 0;
    std::uint32_t question = 0;
    std::uint64_t cpu_started = 0;   // thread clock
    std::uint64_t cpu_left = 0;      // nanoseconds this event may still use
    std::uint64_t wall_started = 0;  // monotonic
    std::size_t memory_max = 0;      // bytes, of the Worker
    bool is_startup = false;
  };

  // The thread that will use the slot.
  void adopt(protocol::BoardSlot* board) {
    pthread_getcpuclockid(pthread_self(), &clock_);
    board_ = board;
    read_cpu(monotonic_nanos());
  }

  // Opens the slot for one event; the two clocks are filled in here.
  void open(Running running) {
    const std::uint64_t now = monotonic_nanos();
    if (now - exact_wall_ > kExactEveryNanos) read_cpu(now);
    const std::lock_guard lock(mutex_);
    running_ = running;
    running_.cpu_started = exact_cpu_ + (now - exact_wall_);
    running_.wall_started = now;
    stopped_by_ = Fault::None;
    board_->question.store(running.question, std::memory_order_relaxed);
    board_->started_nanos.store(now, std::memory_order_relaxed);
    board_->cpu_left_millis.store(static_cast<std::uint32_t>(running.cpu_left / 1000000), std::memory_order_relaxed);
    board_->worker.store(running.worker, std::memory_order_release);
  }

  struct Closed {
    std::uint64_t cpu_nanos = 0;
    Fault stopped_by = Fault::None;
  };
  Closed close() {
    const std::uint64_t now = monotonic_nanos();
    std::uint64_t used = now - running_.wall_started;
    if (used > kExactAboveNanos) {
      const std::uint64_t before = exact_cpu_;
      read_cpu(now);
      used = std::min(used, exact_cpu_ - before);
    }
    const std::lock_guard lock(mutex_);
    const Closed closed{used, stopped_by_};
    running_.target = nullptr;
    board_->worker.store(0, std::memory_order_release);
    return closed;
  }

  // Stops what runs, if it is still what the caller saw. Any thread, also from inside V8's callbacks.
  void stop(Fault fault) {
    const std::lock_guard lock(mutex_);
    stop_locked(fault);
  }

  // For the monitor: looks at what runs under the lock. visit(running, cpu clock, already stopped) -> Fault to stop
  // it with, or None.
  template <class Visit>
  void inspect(Visit&& visit) {
    const std::lock_guard lock(mutex_);
    if (running_.target == nullptr) return;
    const Fault fault = visit(running_, clock_, stopped_by_);
    if (fault != Fault::None) stop_locked(fault);
  }

 private:
  // Reading the thread's clock is a system call, the monotonic clock is not. So an event below a millisecond is charged
  // its wall time, which is no less than its CPU time, and the thread's clock is read for longer ones and every ten
  // milliseconds; a limit is enforced that exactly.
  static constexpr std::uint64_t kExactAboveNanos = 1000000;
  static constexpr std::uint64_t kExactEveryNanos = 10000000;
  void read_cpu(std::uint64_t now) noexcept {
    exact_cpu_ = thread_cpu_nanos();
    exact_wall_ = now;
  }

  void stop_locked(Fault fault) {
    if (running_.target == nullptr) return;
    if (stopped_by_ == Fault::None) stopped_by_ = fault;
    running_.target->terminate();
  }

  std::mutex mutex_;  // guards running_ and stopped_by_
  Running running_;
  Fault stopped_by_ = Fault::None;
  std::uint64_t exact_cpu_ = 0;   // thread clock as last read,
  std::uint64_t exact_wall_ = 0;  // and when
  clockid_t clock_{};
  protocol::BoardSlot* board_ = nullptr;
};

}  // namespace insula::runner
