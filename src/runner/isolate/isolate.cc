// SPDX-License-Identifier: Apache-2.0
//
// Isolate: creation from the snapshot, heap limits, and the end of the process when V8 cannot go on.
#include "src/runner/isolate/isolate.h"

#include <unistd.h>

#include <cstdlib>

#include "src/base/limits.h"
#include "src/protocol/runner_options.h"

namespace insula::runner {
namespace {

protocol::Board* the_board = nullptr;

// Room for unwinding after the limit was reached (threat-model.md section 5).
constexpr std::size_t kUnwindBytes = 32 * kMiB;

void out_of_memory(const char*, const v8::OOMDetails&, void* data) {
  const auto* self = static_cast<Isolate*>(data);
  std::uint32_t worker = 0;
  std::uint32_t question = 0;
  if (self != nullptr && self->slot() != nullptr) {
    self->slot()->inspect([&](const ExecutorSlot::Running& running, clockid_t, Fault) {
      worker = running.worker;
      question = running.question;
      return Fault::None;
    });
  }
  end_process(protocol::EndCause::HeapLimit, worker, question);
}

}  // namespace

void set_board(protocol::Board* board) noexcept { the_board = board; }

void end_process(protocol::EndCause cause, std::uint32_t worker, std::uint32_t question) noexcept {
  if (the_board != nullptr) {
    the_board->worker.store(worker, std::memory_order_relaxed);
    the_board->question.store(question, std::memory_order_relaxed);
    the_board->cause.store(static_cast<std::uint32_t>(cause), std::memory_order_release);
  }
  _exit(protocol::kExitLimit);
}

bool MeteredAllocator::take(std::size_t length) noexcept {
  if (length > buffer_bytes_max_.load(std::memory_order_relaxed)) return false;
  const std::size_t before = bytes_.fetch_add(length, std::memory_order_relaxed);
  if (before + length > total_bytes_max_.load(std::memory_order_relaxed)) {
    bytes_.fetch_sub(length, std::memory_order_relaxed);
    return false;
  }
  return true;
}

void* MeteredAllocator::Allocate(std::size_t length) {
  if (!take(length)) return nullptr;
  void* data = std::calloc(length == 0 ? 1 : length, 1);
  if (data == nullptr) bytes_.fetch_sub(length, std::memory_order_relaxed);
  return data;
}

void* MeteredAllocator::AllocateUninitialized(std::size_t length) {
  if (!take(length)) return nullptr;
  void* data = std::malloc(length == 0 ? 1 : length);
  if (data == nullptr) bytes_.fetch_sub(length, std::memory_order_relaxed);
  return data;
}

void MeteredAllocator::Free(void* data, std::size_t length) {
  bytes_.fetch_sub(length, std::memory_order_relaxed);
  std::free(data);
}

void set_heap_limits(v8::ResourceConstraints& constraints, std::size_t heap_bytes_max) {
  constraints.ConfigureDefaultsFromHeapSize(0, heap_bytes_max);
  // A small nursery keeps a thousand mostly idle tenants small; it may grow under load.
  constraints.set_initial_young_generation_size_in_bytes(512 * kKiB);
  constraints.set_max_young_generation_size_in_bytes(8 * kMiB);
}

Isolate::Isolate(const Options& options) : options_(options), allocator_(std::make_shared<MeteredAllocator>()) {
  v8::Isolate::CreateParams params;
  params.snapshot_blob = &options_.snapshot->blob();
  params.external_references = options_.references;
  params.array_buffer_allocator_shared = allocator_;
  set_heap_limits(params.constraints, options_.heap_bytes_max);
  isolate_ = v8::Isolate::New(params);
  const v8::Locker locker(isolate_);
  const v8::Isolate::Scope isolate_scope(isolate_);
  const v8::HandleScope handles(isolate_);
  isolate_->SetMicrotasksPolicy(v8::MicrotasksPolicy::kExplicit);
  isolate_->SetOOMErrorHandler(out_of_memory, this);
  isolate_->AddNearHeapLimitCallback(near_heap_limit, this);
  isolate_->SetAllowAtomicsWait(false);
  const auto context = v8::Context::FromSnapshot(isolate_, 0).ToLocalChecked();
  context_.Reset(isolate_, context);
  runtime_.Reset(isolate_, context->GetDataFromSnapshotOnce<v8::Object>(0).ToLocalChecked());
}

Isolate::~Isolate() {
  {
    const v8::Locker locker(isolate_);
    const v8::Isolate::Scope isolate_scope(isolate_);
    runtime_.Reset();
    context_.Reset();
    options_.engine->forget(isolate_);
  }
  isolate_->Dispose();
}

std::size_t Isolate::near_heap_limit(void* data, std::size_t current, std::size_t) {
  auto* self = static_cast<Isolate*>(data);
  if (!self->heap_exhausted_) {
    self->heap_exhausted_ = true;
    if (self->slot_ != nullptr) {
      self->slot_->stop(Fault::MemoryLimit);
    } else {
      self->terminate();
    }
  }
  return current + kUnwindBytes;
}

std::size_t Isolate::heap_bytes() const {
  v8::HeapStatistics statistics;
  isolate_->GetHeapStatistics(&statistics);
  return statistics.total_physical_size() + statistics.malloced_memory();
}

}  // namespace insula::runner
