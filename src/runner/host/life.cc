// SPDX-License-Identifier: Apache-2.0
//
// Host: the life of Workers: blank isolates ahead of need, eviction, burial.
#include <malloc.h>

#include <algorithm>

#include "src/runner/host/host.h"

namespace insula::runner {
namespace {

constexpr milliseconds kSweepEvery{500};
constexpr milliseconds kSweepAgainAfter{25};  // when there was too much for one time
constexpr milliseconds kShrinkAfter{2000};
constexpr std::size_t kShrinksAtOnce = 8;
constexpr std::size_t kTrimAfterBytes = 16 * kMiB;
constexpr milliseconds kTrimAfterLoad{1000};

// Blank isolates: few while nothing is loaded (each is 1.25 MiB), twice as many whenever there were too few.
constexpr std::size_t kBlanksMin = 2;
constexpr milliseconds kBlanksKeptFor{10000};

}  // namespace

std::unique_ptr<Worker> Host::take_blank(std::size_t heap_bytes_max) {
  if (heap_bytes_max != factory_.heap_bytes_max()) return nullptr;
  std::unique_ptr<Worker> blank;
  if (!blanks_.empty()) {
    blank = std::move(blanks_.back());
    blanks_.pop_back();
  }
  blank_taken_ = Clock::now();
  if (blanks_.empty()) blanks_wanted_ = std::min<std::size_t>(2 * blanks_wanted_, options_.blank_isolates);
  maintainer_wait_.notify_one();
  return blank;
}

// The Worker is gone. Undelivered: it never saw the call, which may safely be sent again.
void Host::answer_lost(const ReplyTo& to, bool undelivered) {
  if (to.caller != 0) {
    take_return(to.call, error_of(Fault::IsolateLost));
    return;
  }
  const FaultInfo& lost = info_of(Fault::IsolateLost);
  protocol::ErrorInfo info;
  info.fault = lost.code;
  info.name = "Error";
  info.message = lost.message;
  info.undelivered = undelivered;
  protocol::Return result;
  result.question = to.question;
  result.outcome = info;
  send(result);
  end_question(to.question, undelivered);
}

// A call of this runner whose target was gone before it saw it. Its caller hears nothing of that, unless it is the second
// time.
void Host::find_another_way(InvokeEvent event) {
  const std::uint32_t id = event.reply_to.call;
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second.returned) return discard(event.call);
  if (event.way == nullptr || std::exchange(found->second.is_again, true)) {
    discard(event.call);
    return answer_lost(event.reply_to, true);
  }
  CallTarget target = std::move(*event.way);
  // Where it was to go took these along.
  if (target.kind == CallTarget::Kind::Self || target.kind == CallTarget::Kind::Dynamic) {
    target.entrypoint = std::move(event.entrypoint);
    target.props = std::move(event.props);
  }
  begin_again(id, {event.reply_to.caller, event.parent, event.depth - 1, {}}, std::move(target), std::move(event.call));
}

void Host::send_again(InvokeEvent event) {
  const Lock lock(mutex_);
  if (event.reply_to.caller != 0) return find_another_way(std::move(event));
  discard(event.call);
  answer_lost(event.reply_to, true);
}

void Host::bury(const CellPtr& cell, std::string_view reason) {
  cells_.erase(cell->id);
  by_use_.erase(cell->place);
  if (!cell->pinned) --dynamic_cells_;
  memory_bytes_ -= cell->memory_bytes;
  cell->memory_bytes = 0;
  std::erase_if(loader_owners_, [&](const auto& owner) { return owner.second == cell->id; });
  for (const auto& [loader, id] : cell->bound) {
    const auto ids = bound_.find(loader);
    if (ids == bound_.end()) continue;
    const auto found = ids->second.find(id);
    if (found == ids->second.end() || found->second.worker != cell->id) continue;
    found->second.worker = 0;
    if (found->second.long_ways == 0) ids->second.erase(found);
  }
  std::deque<Event> mailbox;
  mailbox.swap(cell->mailbox);
  cell->finishes.clear();
  std::vector<InvokeEvent> unseen = refuse_mail(mailbox);
  send(protocol::Evicted{cell->id, reason});
  // Behind that word, so that the supervisor does not send them here once more.
  for (InvokeEvent& event : unseen) find_another_way(std::move(event));
  if (cell->worker != nullptr) dead_.push_back(std::move(cell->worker));
  maintainer_wait_.notify_one();
}

// What came too late for an isolate that runs no more is answered here. Returns the calls of this runner that it never saw;
// an object is gone with its isolate, but what was called on a result can be sent again together with the call that
// returns it, if that one never arrived either.
std::vector<InvokeEvent> Host::refuse_mail(std::deque<Event>& mailbox) {
  std::vector<InvokeEvent> unseen;
  std::vector<ReplyTo> undelivered;
  std::vector<ReplyTo> cancelled;
  for (const Event& event : mailbox) {
    if (const auto* cancel = std::get_if<CancelEvent>(&event)) cancelled.push_back(cancel->reply_to);
  }
  const auto is_among = [](const std::vector<ReplyTo>& list, const ReplyTo& one) {
    return std::find(list.begin(), list.end(), one) != list.end();
  };
  for (Event& event : mailbox) {
    if (auto* invoke = std::get_if<InvokeEvent>(&event)) {
      const bool is_undelivered =
          !is_among(cancelled, invoke->reply_to) &&
          (invoke->on == InvokeEvent::On::Entrypoint || invoke->on == InvokeEvent::On::Actor ||
           (invoke->on == InvokeEvent::On::Promised && is_among(undelivered, invoke->promised)));
      if (is_undelivered) undelivered.push_back(invoke->reply_to);
      if (is_undelivered && invoke->reply_to.caller != 0) {
        unseen.push_back(std::move(*invoke));
      } else {
        discard(invoke->call);
        answer_lost(invoke->reply_to, is_undelivered);
      }
    } else if (auto* returned = std::get_if<ReturnEvent>(&event)) {
      discard(returned->outcome);
    } else if (const auto* need = std::get_if<NeedCodeEvent>(&event)) {
      refuse_code(need->request);
    }
  }
  return unseen;
}

void Host::adopt(const CellPtr& cell) {
  cell->used = Clock::now();
  cell->place = by_use_.insert(by_use_.end(), cell);
  cells_[cell->id] = cell;
}

void Host::touch(const CellPtr& cell) {
  cell->used = Clock::now();
  cell->shrunk = false;
  by_use_.splice(by_use_.end(), by_use_, cell->place);
}

// Evicts idle dynamic Workers, least recently used first, until count and memory are below their bounds.
void Host::make_room() {
  for (auto at = by_use_.begin(); at != by_use_.end();) {
    const bool is_full = memory_bytes_ > options_.memory_bytes;
    if (!is_full && dynamic_cells_ <= options_.isolates_max) return;
    const CellPtr cell = *at++;
    if (cell->pinned || cell->busy || cell->state != Cell::State::Idle) continue;
    bury(cell, is_full ? "memory" : "lru");
  }
}

// Evicts what nobody has used for long, and lets blank isolates go that nobody has asked for. True: call again soon.
bool Host::sweep(Lock& lock) {
  const auto now = Clock::now();
  const bool more_actors = close_idle_actors();
  bool evicted = false;
  for (auto at = by_use_.begin(); at != by_use_.end();) {
    const CellPtr cell = *at++;
    if (now - cell->used <= options_.idle_after) break;
    if (cell->pinned || cell->busy || cell->state != Cell::State::Idle) continue;
    bury(cell, "idle");
    evicted = true;
  }
  if (evicted) flush(lock);
  if (now - blank_taken_ > kBlanksKeptFor) blanks_wanted_ = std::min<std::size_t>(kBlanksMin, options_.blank_isolates);
  while (blanks_.size() > blanks_wanted_) {
    dead_.push_back(std::move(blanks_.back()));
    blanks_.pop_back();
  }
  const bool more_to_shrink = shrink_quiet(lock);
  return more_to_shrink || more_actors;
}

// Collects the garbage of Workers that have paused, once per pause and a few at a time: each takes about a millisecond. While
// loads arrive, one at a time.
// True: there are more.
bool Host::shrink_quiet(Lock& lock) {
  const auto now = Clock::now();
  const std::size_t at_once = now - blank_taken_ < kTrimAfterLoad ? 1 : kShrinksAtOnce;
  std::vector<CellPtr> quiet;
  for (const CellPtr& cell : by_use_) {
    if (now - cell->used <= kShrinkAfter || quiet.size() == at_once) break;
    if (cell->shrunk || cell->busy || cell->state != Cell::State::Idle || cell->worker == nullptr) continue;
    if (!cell->finishes.empty()) {
      // First it lets go of the results that it keeps for callers.
      wake(cell);
    } else {
      quiet.push_back(cell);
    }
  }
  for (const CellPtr& cell : quiet) {
    // A load that arrives meanwhile would find no blank isolate.
    if (blanks_.size() < blanks_wanted_ || !dead_.empty()) return true;
    // It may have been used or buried while the lock was open.
    if (cell->shrunk || cell->state != Cell::State::Idle || cell->worker == nullptr) continue;
    cell->state = Cell::State::Running;  // nobody else enters meanwhile
    lock.unlock();
    cell->worker->shrink();
    const std::size_t memory = cell->worker->memory_bytes();
    lock.lock();
    if (memory < cell->memory_bytes) freed_bytes_ += cell->memory_bytes - memory;
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
  return quiet.size() == at_once;
}

// The C library keeps what isolates have freed between the memory of others: a third of an isolate is its memory. Giving
// back takes up to 20 ms with its lock held, and loads would use the memory again: not while they arrive.
void Host::trim(Lock& lock) {
  if (freed_bytes_ < kTrimAfterBytes || Clock::now() - blank_taken_ < kTrimAfterLoad) return;
  freed_bytes_ = 0;
  lock.unlock();
  malloc_trim(0);
  lock.lock();
}

void Host::dispose_dead(Lock& lock) {
  while (!dead_.empty()) {
    std::vector<std::unique_ptr<Worker>> dead;
    dead.swap(dead_);
    for (const auto& worker : dead) freed_bytes_ += worker->memory_bytes();
    lock.unlock();
    dead.clear();
    lock.lock();
  }
}

void Host::refill(Lock& lock) {
  while (blanks_.size() < blanks_wanted_ && dead_.empty()) {
    lock.unlock();
    auto blank = factory_.make_blank(*this, factory_.heap_bytes_max());
    lock.lock();
    blanks_.push_back(std::move(blank));
  }
}

void Host::maintainer_main() {
  Lock lock(mutex_);
  while (!going_) maintainer_wait_.wait(lock);
  blanks_wanted_ = std::min<std::size_t>(kBlanksMin, options_.blank_isolates);
  auto next_sweep = Clock::now() + kSweepEvery;
  for (;;) {
    dispose_dead(lock);
    refill(lock);
    if (Clock::now() >= next_sweep) {
      const bool more = sweep(lock);
      next_sweep = Clock::now() + (more ? kSweepAgainAfter : kSweepEvery);
    }
    if (!dead_.empty() || blanks_.size() < blanks_wanted_) continue;
    trim(lock);
    // Sweeping is needed only while there is something that may grow idle.
    if (cells_.empty() && blanks_.size() <= kBlanksMin && freed_bytes_ < kTrimAfterBytes) {
      maintainer_wait_.wait(lock);
    } else {
      maintainer_wait_.wait_until(lock, next_sweep);
    }
  }
}

}  // namespace insula::runner
