// SPDX-License-Identifier: Apache-2.0
//
// ExecutorSlot: what one executor thread is running now, for the monitor that enforces CPU limits.
//
// The executor opens the slot for each event and closes it after; the monitor looks at it every few milliseconds from
// its own thread. The mutex makes "stop this event" exact: an event that has ended cannot be stopped any more.
#pragma once

#include <pthread.h>

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
    last_cpu_ = thread_cpu_nanos();
  }

  // CPU used since the last close() counts to the event that opens now: the few hundred nanoseconds between two
  // events are cheaper to charge than to measure. resume() is called after the thread has slept or done other work.
  void resume() noexcept { last_cpu_ = thread_cpu_nanos(); }

  // The two clocks are filled in here.
  void open(Running running) {
    const std::lock_guard lock(mutex_);
    running_ = running;
    running_.cpu_started = last_cpu_;
    running_.wall_started = monotonic_nanos();
    stopped_by_ = Fault::None;
    board_->question.store(running.question, std::memory_order_relaxed);
    board_->started_nanos.store(running_.wall_started, std::memory_order_relaxed);
    board_->cpu_left_millis.store(static_cast<std::uint32_t>(running.cpu_left / 1000000), std::memory_order_relaxed);
    board_->worker.store(running.worker, std::memory_order_release);
  }

  struct Closed {
    std::uint64_t cpu_nanos = 0;
    Fault stopped_by = Fault::None;
  };
  Closed close() {
    const std::uint64_t now = thread_cpu_nanos();
    const std::lock_guard lock(mutex_);
    Closed closed{now - running_.cpu_started, stopped_by_};
    last_cpu_ = now;
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
  void stop_locked(Fault fault) {
    if (running_.target == nullptr) return;
    if (stopped_by_ == Fault::None) stopped_by_ = fault;
    running_.target->terminate();
  }

  std::mutex mutex_;  // guards running_ and stopped_by_
  Running running_;
  Fault stopped_by_ = Fault::None;
  std::uint64_t last_cpu_ = 0;
  clockid_t clock_{};
  protocol::BoardSlot* board_ = nullptr;
};

}  // namespace insula::runner
