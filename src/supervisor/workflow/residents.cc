// SPDX-License-Identifier: Apache-2.0
//
// Engine: how instances come into memory, are written, and leave it.
#include <algorithm>

#include "src/base/crash_point.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::workflow {
namespace {

constexpr std::uint64_t kTrimEvery = 4'096;

}  // namespace

std::string Engine::key_of(const std::string& workflow, const std::string& id) { return workflow + '\n' + id; }

void Engine::find(InstanceName name, Found found) {
  const auto known = names_.find(key_of(name.workflow, name.id));
  if (known != names_.end()) return load(known->second, std::move(found));
  store_.find_instance(name.workflow, name.id,
                       [this, alive = alive_, name, found = std::move(found)](Result<InstanceRow> row) {
                         if (!*alive) return;
                         if (row) return load(row->ref, found);
                         if (row.error().code() != ErrorCode::NotFound) return found(row.error());
                         found(Error(ErrorCode::NotFound, "instance.not_found"));
                       });
}

void Engine::load(InstanceRef ref, Found found) {
  if (auto* const instance = resident(ref)) return found(instance);
  auto& waiting = loading_[ref];
  waiting.push_back(std::move(found));
  if (waiting.size() > 1) return;
  store_.load_instance(ref, [this, alive = alive_, ref](Result<storage::StoredInstance> stored) {
    if (*alive) loaded(ref, std::move(stored));
  });
}

void Engine::loaded(InstanceRef ref, Result<storage::StoredInstance> stored) {
  auto waiting = std::move(loading_.extract(ref).mapped());
  const auto fail = [&](const Error& error) {
    for (auto& found : waiting) found(error);
  };
  if (!stored) {
    if (stored.error().code() == ErrorCode::NotFound) return fail(Error(ErrorCode::NotFound, "instance.not_found"));
    return fail(stored.error());
  }
  auto revived = revive(*std::move(stored));
  if (!revived) return fail(revived.error());
  auto& instance = **revived;
  names_.emplace(key_of(instance.row.workflow, instance.row.id), ref);
  residents_.emplace(ref, *std::move(revived));
  crash_point(CrashPoint::WorkflowLoaded);

  // Whatever ran in another life is over; whatever has become due is due.
  for (auto what : {durable::Happening(durable::Recovered{}), durable::Happening(durable::TimerFired{})}) {
    auto reaction = instance.machine.handle(durable::Event{now_ms(), std::move(what)});
    take(instance, reaction);
  }
  for (auto& found : waiting) {
    if (auto* const still = resident(ref)) found(still);
  }
  if (auto* const still = resident(ref)) settle(*still);
}

Result<std::unique_ptr<Engine::Resident>> Engine::revive(storage::StoredInstance stored) {
  auto instance = std::make_unique<Resident>(std::move(stored.row), settings_of(stored.row.workflow));
  auto& row = instance->row;
  const auto context = "workflow \"" + row.workflow + "\", instance \"" + row.id + "\"";
  instance->outcome = row.outcome;
  instance->ended_at = row.ended_at;
  const auto apply = [&](BytesView bytes, bool is_news) -> Result<> {
    while (!bytes.empty()) {
      auto record = durable::decode(bytes);
      if (!record) return record.error().within(context);
      if (auto applied = instance->machine.apply(*record); !applied) return applied.error().within(context);
      if (is_news) note_end(*instance, *record);
    }
    return {};
  };
  for (const auto& part : stored.history) TRY_VOID(apply(part, false));
  const auto logged = recovered_.find(row.ref);
  if (logged != recovered_.end()) {
    for (auto& entry : logged->second) {
      if (entry.first_record <= row.records) continue;  // it is in the history, or void
      TRY_VOID(apply(entry.bytes, true));  // the row does not know of it
      if (instance->logged.empty()) instance->logged_first = entry.first_record;
      instance->logged += entry.bytes;
    }
    instance->logged_durable = instance->logged.size();
    instance->log_floor = logged->second.front().sequence;  // it is in floors_ already
    recovered_.erase(logged);
  }
  if (const auto next = instance->machine.next_value(); next < row.next_value) {
    instance->machine.reserve_values(row.next_value - next);
  }
  instance->durable = instance->machine.records();
  instance->key = scheduler_.key(row.workflow, row.fairness_key);
  return instance;
}

void Engine::write(Resident& instance) {
  const auto ref = instance.row.ref;
  storage::Batch batch = std::exchange(instance.pending_before, {});
  if (!batch.empty()) {  // the history begins anew
    instance.logged.clear();
    instance.logged_durable = 0;
  }
  for (auto& value : std::exchange(instance.pending_values, {})) {
    batch.emplace_back(storage::PutValue{ref, value.number, std::move(value.bytes)});
  }
  if (instance.logged.empty()) instance.logged_first = instance.pending_first;
  instance.logged += instance.pending;
  if (instance.log_floor == 0) {
    instance.log_floor = next_sequence_;
    floors_.emplace(next_sequence_, ref);
  }
  batch.emplace_back(
      storage::AppendLog{next_sequence_++, ref, instance.pending_first, std::exchange(instance.pending, {})});
  instance.is_writing = true;
  const auto records = instance.machine.records();
  crash_point(CrashPoint::WorkflowJournalling);
  store_.write(std::move(batch), [this, alive = alive_, ref, records](Result<> result) {
    if (*alive) written(ref, records, std::move(result));
  });
}

void Engine::written(InstanceRef ref, std::uint64_t records, Result<> result) {
  auto* const instance = resident(ref);
  if (instance == nullptr || instance->is_deleted) return;
  instance->is_writing = false;
  if (!result) return drop(*instance, result.error());
  instance->durable = records;
  crash_point(CrashPoint::WorkflowJournalled);
  const auto before = std::exchange(instance->logged_durable, instance->logged.size());
  publish(*instance, BytesView(instance->logged).substr(before));
  tell_waiters(*instance);
  if (auto* const still = resident(ref)) settle(*still);
}

void Engine::tell_waiters(Resident& instance) {
  std::vector<Done<>> told;
  std::erase_if(instance.waiters, [&](Waiter& waiter) {
    if (waiter.needs > instance.durable) return false;
    told.push_back(std::move(waiter.done));
    return true;
  });
  for (auto& done : told) done({});
}

bool Engine::may_unload(const Resident& instance) const {
  return instance.machine.may_unload() && instance.pending_before.empty() && !instance.is_writing && !instance.is_fetching &&
         instance.answers.empty() && instance.waiters.empty() && instance.subscriptions.empty() &&
         !instance.is_deleted && !instance.has_slot;
}

storage::UpdateInstance Engine::row_of(const Resident& instance) const {
  storage::UpdateInstance row;
  const auto status = instance.machine.status();
  const auto due = instance.machine.next_due();
  row.ref = instance.row.ref;
  row.status = static_cast<std::uint8_t>(status);
  row.ended_at = instance.ended_at;
  row.due = due == durable::kNever ? 0 : due;
  if (is_final(status)) {
    row.outcome = instance.outcome;
    row.expires_at = instance.ended_at + (status == Status::Complete ? instance.row.success_retention_ms
                                                                     : instance.row.error_retention_ms);
  }
  row.records = instance.durable;
  row.next_value = instance.machine.next_value();
  return row;
}

bool Engine::move_to_history(Resident& instance, bool and_unload) {
  const auto ref = instance.row.ref;
  storage::Batch batch;
  for (auto& value : std::exchange(instance.pending_values, {})) {
    batch.emplace_back(storage::PutValue{ref, value.number, std::move(value.bytes)});
  }
  if (instance.logged.empty()) instance.logged_first = instance.pending_first;
  instance.logged += std::exchange(instance.pending, {});
  auto row = row_of(instance);
  const auto& old = instance.row;
  if (instance.logged.empty() && and_unload && row.status == old.status && row.due == old.due &&
      row.records == old.records) {
    erase(instance);  // it was only looked at
    return true;
  }
  row.records = instance.machine.records();
  const auto bytes = instance.logged.size();
  if (bytes > 0) batch.emplace_back(storage::AppendHistory{ref, instance.logged_first, instance.logged});
  const auto due = row.due;
  instance.row.status = row.status;
  instance.row.due = due;
  instance.row.records = row.records;
  instance.row.ended_at = row.ended_at;
  batch.emplace_back(std::move(row));
  instance.is_writing = true;
  crash_point(CrashPoint::WorkflowMoving);
  store_.write(std::move(batch), [this, alive = alive_, ref, records = instance.machine.records(), bytes,
                                  and_unload](Result<> result) {
    if (*alive) moved(ref, records, bytes, and_unload, std::move(result));
  });
  return false;
}

void Engine::moved(InstanceRef ref, std::uint64_t records, std::size_t bytes, bool and_unload, Result<> result) {
  auto* const instance = resident(ref);
  if (instance == nullptr || instance->is_deleted) return;
  instance->is_writing = false;
  if (!result) return drop(*instance, result.error());
  instance->durable = std::max(instance->durable, records);
  crash_point(CrashPoint::WorkflowMoved);
  publish(*instance, BytesView(instance->logged).substr(0, bytes).substr(instance->logged_durable));
  instance->logged.erase(0, bytes);
  instance->logged_durable = 0;
  instance->logged_first = records + 1;
  floors_.erase({instance->log_floor, ref});
  instance->log_floor = 0;
  if (!instance->waiters.empty()) {
    tell_waiters(*instance);
    if (resident(ref) != instance) return;
  }
  if (and_unload && instance->machine.records() == records && may_unload(*instance)) return erase(*instance);
  settle(*instance);
}

// Out of memory; the row is all that stays.
void Engine::erase(Resident& instance) {
  const auto ref = instance.row.ref;
  const auto due = instance.row.due;
  if (instance.timer != 0) timers_.erase({instance.timer, ref});
  if (instance.log_floor != 0) floors_.erase({instance.log_floor, ref});
  resident_bytes_ -= instance.bytes;
  names_.erase(key_of(instance.row.workflow, instance.row.id));
  const bool sleeps = instance.machine.status() == Status::Waiting;
  residents_.erase(ref);
  if (sleeps && due != 0) {
    if (due <= cursor_due_) {
      timers_.emplace(due, ref);
    } else {
      next_row_due_ = std::min(next_row_due_, due);
    }
  }
  grant();
  arm();
}

// The store did not take a write, or cannot give a value back: what is in memory is ahead of it and goes. The run with
// it; what is durable is read back after a while.
void Engine::drop(Resident& instance, const Error& error) {
  const auto ref = instance.row.ref;
  const auto waiters = std::move(instance.waiters);
  if (instance.machine.has_run_at_hand()) runs_.release(ref, instance.machine.epoch());
  if (instance.has_slot) scheduler_.release(instance.key);
  if (instance.log_floor != 0) {
    auto& entries = recovered_[ref];
    entries.push_back(storage::LogEntry{instance.log_floor, ref, instance.logged_first,
                                        instance.logged.substr(0, instance.logged_durable)});
    if (instance.logged_durable == 0) entries.back().first_record = 0;  // nothing of it counts
  }
  if (instance.timer != 0) timers_.erase({instance.timer, ref});
  resident_bytes_ -= instance.bytes;
  names_.erase(key_of(instance.row.workflow, instance.row.id));
  for (const auto& subscription : instance.subscriptions) subscriptions_.erase(subscription.number);
  residents_.erase(ref);
  timers_.emplace(now_ms() + options_.reload_after_ms, ref);
  for (const auto& waiter : waiters) waiter.done(error);
  grant();
  arm();
}

void Engine::trim_log() {
  const auto below = floors_.empty() ? next_sequence_ : floors_.begin()->first;
  if (below >= trimmed_ + kTrimEvery || (floors_.empty() && below > trimmed_)) {
    trimmed_ = below;
    crash_point(CrashPoint::WorkflowTrimming);
    store_.write({storage::TrimLog{below}}, nullptr);
  }
  if (floors_.empty() || next_sequence_ - floors_.begin()->first < options_.log_entries_max) return;
  auto* const oldest = resident(floors_.begin()->second);
  if (oldest != nullptr && !oldest->is_writing && oldest->logged_durable == oldest->logged.size() &&
      oldest->pending.empty()) {
    move_to_history(*oldest, false);
  }
}

void Engine::publish(Resident& instance, BytesView records) {
  if (instance.subscriptions.empty() || !instance.timeline) return;
  std::vector<durable::StreamEvent> events;
  while (!records.empty()) {
    const auto record = durable::decode(records);
    INSULA_CHECK(record.has_value());  // these bytes have not left memory
    auto more = instance.timeline->next(*record);
    std::move(more.begin(), more.end(), std::back_inserter(events));
  }
  if (events.empty()) return;
  const auto subscriptions = instance.subscriptions;
  for (const auto& subscription : subscriptions) {
    std::vector<durable::StreamEvent> above;
    std::copy_if(events.begin(), events.end(), std::back_inserter(above),
                 [&](const auto& event) { return event.id > subscription.cursor; });
    if (!above.empty()) subscription.subscriber(above);
  }
}

}  // namespace insula::workflow
