// SPDX-License-Identifier: Apache-2.0
//
// Worker: one Worker in one isolate: takes events from its mailbox, runs them within limits, and publishes what came
// of them through HostCalls.
//
//   host (mailbox) ──events──► [worker] ──► built-ins ──► the Worker's code
//
// Invariants
//   1. One thread at a time is inside; it may be another one each turn.
//   2. Every invocation is answered exactly once, whatever its code does.
//   3. After a termination nothing of this isolate runs any more: it is condemned, and the host buries it.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "src/runner/isolate/events.h"
#include "src/runner/isolate/slot.h"

namespace insula::engine {
class Engine;
class Snapshot;
}  // namespace insula::engine

namespace insula::runner {

class CodeCache;

// What all isolates of a runner share. No V8 type is named: the host includes this.
class IsolateFactory {
 public:
  IsolateFactory(engine::Engine& engine, const engine::Snapshot& snapshot, std::size_t heap_bytes_max);
  ~IsolateFactory();

  // A generic isolate, without a Worker's code: about a millisecond.
  std::unique_ptr<class Worker> make_blank(HostCalls& host, std::size_t heap_bytes_max);
  std::size_t heap_bytes_max() const noexcept { return heap_bytes_max_; }
  engine::Engine& engine() const noexcept { return engine_; }

 private:
  engine::Engine& engine_;
  const engine::Snapshot& snapshot_;
  const std::size_t heap_bytes_max_;
  std::unique_ptr<CodeCache> cache_;
};

class Worker {
 public:
  virtual ~Worker() = default;  // disposes of the isolate; no thread may be inside

  struct Turn {
    bool condemned = false;    // bury it: limits were exceeded
    bool load_failed = false;  // bury it: its code does not start
    bool busy = false;         // invocations are open
    Fault fault = Fault::None;
  };
  // Runs the events, in order. `slot` is the calling thread's.
  virtual Turn run(std::deque<Event>& events, ExecutorSlot& slot) = 0;

  // Heap and buffers as of the last turn, bytes.
  virtual std::size_t memory_bytes() const = 0;
  // Gives back what can be given back, now that it has nothing to do. Only between turns.
  virtual void shrink() = 0;
};

}  // namespace insula::runner
