// SPDX-License-Identifier: Apache-2.0
//
// Host: the life of Workers: blank isolates ahead of need, eviction, burial.
#include "src/runner/host/host.h"

namespace insula::runner {
namespace {

constexpr milliseconds kSweepEvery{500};
constexpr milliseconds kShrinkAfter{2000};

}  // namespace

std::unique_ptr<Worker> Host::take_blank(std::size_t heap_bytes_max) {
  if (blanks_.empty() || heap_bytes_max != factory_.heap_bytes_max()) return nullptr;
  auto blank = std::move(blanks_.back());
  blanks_.pop_back();
  maintainer_wait_.notify_one();
  return blank;
}

void Host::bury(const CellPtr& cell, std::string_view reason) {
  cells_.erase(cell->id);
  if (!cell->pinned) --dynamic_cells_;
  memory_bytes_ -= cell->memory_bytes;
  cell->memory_bytes = 0;
  std::erase_if(loader_owners_, [&](const auto& owner) { return owner.second == cell->id; });
  for (const auto& [loader, id] : cell->bound) {
    const auto ids = bound_.find(loader);
    if (ids != bound_.end()) ids->second.erase(id);
  }
  // What came too late is answered here: the isolate runs no more.
  for (Event& event : cell->mailbox) {
    if (auto* invoke = std::get_if<InvokeEvent>(&event)) {
      CallError lost = error_of(Fault::IsolateLost);
      lost.undelivered = true;
      protocol::Return result;
      if (invoke->reply_to.caller != 0) {
        post(invoke->reply_to.caller, ReturnEvent{invoke->reply_to.call, std::move(lost)});
        continue;
      }
      questions_.erase(invoke->reply_to.question);
      result.question = invoke->reply_to.question;
      protocol::ErrorInfo info;
      info.fault = lost.fault;
      info.name = lost.name;
      info.message = lost.message;
      info.undelivered = true;
      result.outcome = info;
      send(result);
    }
  }
  cell->mailbox.clear();
  send(protocol::Evicted{cell->id, reason});
  if (cell->worker != nullptr) dead_.push_back(std::move(cell->worker));
  maintainer_wait_.notify_one();
}

// Evicts idle dynamic Workers, least recently used first, until count and memory are below their bounds.
void Host::make_room() {
  const auto crowded = [this] {
    return dynamic_cells_ > options_.isolates_max || memory_bytes_ > options_.memory_bytes;
  };
  while (crowded()) {
    CellPtr oldest;
    for (const auto& [id, cell] : cells_) {
      if (cell->pinned || cell->busy || cell->state != Cell::State::Idle || !cell->mailbox.empty()) continue;
      if (oldest == nullptr || cell->used < oldest->used) oldest = cell;
    }
    if (oldest == nullptr) return;
    bury(oldest, memory_bytes_ > options_.memory_bytes ? "memory" : "lru");
  }
}

void Host::evict_idle(Lock& lock) {
  const auto now = Clock::now();
  std::vector<CellPtr> quiet;
  std::vector<CellPtr> old;
  for (const auto& [id, cell] : cells_) {
    if (cell->busy || cell->state != Cell::State::Idle || cell->worker == nullptr) continue;
    const auto idle = now - cell->used;
    if (!cell->pinned && idle > options_.idle_after) {
      old.push_back(cell);
    } else if (!cell->shrunk && idle > kShrinkAfter) {
      quiet.push_back(cell);
    }
  }
  for (const CellPtr& cell : old) bury(cell, "idle");
  if (!old.empty()) flush(lock);
  for (const CellPtr& cell : quiet) {
    if (cell->state != Cell::State::Idle || cell->worker == nullptr) continue;
    cell->state = Cell::State::Running;  // nobody else enters meanwhile
    lock.unlock();
    cell->worker->shrink();
    const std::size_t memory = cell->worker->memory_bytes();
    lock.lock();
    memory_bytes_ += memory - cell->memory_bytes;
    cell->memory_bytes = memory;
    cell->shrunk = true;
    cell->state = Cell::State::Idle;
    if (!cell->mailbox.empty()) {
      cell->state = Cell::State::Ready;
      ready_.push_back(cell);
      if (blocked_in_poll_) wake_poller();
    }
  }
}

void Host::refill(Lock& lock) {
  while (blanks_.size() < options_.blank_isolates) {
    lock.unlock();
    auto blank = factory_.make_blank(*this, factory_.heap_bytes_max());
    lock.lock();
    blanks_.push_back(std::move(blank));
    if (!dead_.empty()) return;
  }
}

void Host::maintainer_main() {
  Lock lock(mutex_);
  auto next_sweep = Clock::now() + kSweepEvery;
  for (;;) {
    if (going_) {
      while (!dead_.empty()) {
        std::vector<std::unique_ptr<Worker>> dead;
        dead.swap(dead_);
        lock.unlock();
        dead.clear();
        lock.lock();
      }
      refill(lock);
      if (Clock::now() >= next_sweep) {
        evict_idle(lock);
        next_sweep = Clock::now() + kSweepEvery;
      }
    }
    if (dead_.empty() && (!going_ || blanks_.size() >= options_.blank_isolates)) {
      // Sweeping is needed only while there is something that may grow idle.
      if (cells_.empty()) {
        maintainer_wait_.wait(lock);
      } else {
        maintainer_wait_.wait_for(lock, kSweepEvery);
      }
    }
  }
}

}  // namespace insula::runner
