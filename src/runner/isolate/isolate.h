// SPDX-License-Identifier: Apache-2.0
//
// Isolate: one V8 heap with its context from the snapshot, its memory limits and the memory it holds outside the heap.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <v8.h>

#include "src/base/bytes.h"
#include "src/engine/engine.h"
#include "src/runner/isolate/end_process.h"
#include "src/runner/isolate/slot.h"

namespace insula::runner {

// Hands out the memory of ArrayBuffers and counts it. Resizable buffers and Wasm memory do not come from here; the
// monitor watches the process for those.
class MeteredAllocator final : public v8::ArrayBuffer::Allocator {
 public:
  void* Allocate(std::size_t length) override;
  void* AllocateUninitialized(std::size_t length) override;
  void Free(void* data, std::size_t length) override;

  void set_limits(std::size_t total_bytes_max, std::size_t buffer_bytes_max) noexcept {
    total_bytes_max_.store(total_bytes_max, std::memory_order_relaxed);
    buffer_bytes_max_.store(buffer_bytes_max, std::memory_order_relaxed);
  }
  std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  bool take(std::size_t length) noexcept;

  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::size_t> total_bytes_max_{~std::size_t{0}};
  std::atomic<std::size_t> buffer_bytes_max_{~std::size_t{0}};
};

// As every isolate of a runner has them.
void set_heap_limits(v8::ResourceConstraints& constraints, std::size_t heap_bytes_max);

class Isolate final : public Terminable {
 public:
  struct Options {
    engine::Engine* engine = nullptr;
    const engine::Snapshot* snapshot = nullptr;
    const intptr_t* references = nullptr;
    std::size_t heap_bytes_max = 0;
  };

  // Makes an isolate and its context: about a millisecond, on any thread.
  explicit Isolate(const Options& options);
  // Disposes of it; no thread may be inside.
  ~Isolate() override;
  Isolate(const Isolate&) = delete;
  Isolate& operator=(const Isolate&) = delete;

  v8::Isolate* v8() const noexcept { return isolate_; }
  v8::Local<v8::Context> context() const { return context_.Get(isolate_); }
  // The object that boot.ts made: what native code calls.
  v8::Local<v8::Object> runtime() const { return runtime_.Get(isolate_); }
  MeteredAllocator& allocator() noexcept { return *allocator_; }
  engine::Engine& engine() const noexcept { return *options_.engine; }
  std::size_t heap_bytes_max() const noexcept { return options_.heap_bytes_max; }

  void terminate() noexcept override {
    is_terminated_.store(true, std::memory_order_relaxed);
    isolate_->TerminateExecution();
  }
  // For native code that takes long: V8 stops only JavaScript.
  bool is_terminated() const noexcept { return is_terminated_.load(std::memory_order_relaxed); }

  // The slot of the thread that runs the isolate now; null outside a turn. Used by the out-of-memory callbacks.
  void set_slot(ExecutorSlot* slot) noexcept { slot_ = slot; }
  ExecutorSlot* slot() const noexcept { return slot_; }

  // True once the heap came near its limit: the isolate must not run again.
  bool heap_exhausted() const noexcept { return heap_exhausted_; }

  std::size_t heap_bytes() const;

 private:
  static std::size_t near_heap_limit(void* data, std::size_t current, std::size_t initial);

  const Options options_;
  std::shared_ptr<MeteredAllocator> allocator_;
  v8::Isolate* isolate_ = nullptr;
  v8::Global<v8::Context> context_;
  v8::Global<v8::Object> runtime_;
  ExecutorSlot* slot_ = nullptr;
  bool heap_exhausted_ = false;
  std::atomic<bool> is_terminated_{false};
};

}  // namespace insula::runner
