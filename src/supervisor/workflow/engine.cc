// SPDX-License-Identifier: Apache-2.0
//
// Engine: an event goes into a machine, its records to the store, its actions out; deadlines and slots follow.
#include "src/supervisor/workflow/engine.h"

#include <algorithm>

#include "src/base/crash_point.h"

namespace insula::workflow {
namespace {

constexpr TimeMs kExpiryEveryMs = 60'000;
constexpr TimeMs kClockEveryMs = 30'000;
constexpr std::uint32_t kScanRows = 2'000;
constexpr std::uint32_t kExpiryRows = 500;

// The stored value that an action needs whole, if any.
durable::Value* value_of(durable::Action& action) {
  if (auto* answer = std::get_if<durable::AnswerStep>(&action.what)) return &answer->value;
  if (auto* rollback = std::get_if<durable::InvokeRollback>(&action.what)) return &rollback->output;
  return nullptr;
}

template <class What>
std::uint64_t epoch_of(const What& what) {
  if constexpr (requires { what.epoch; }) {
    return what.epoch;
  } else {
    return 0;
  }
}

}  // namespace

Engine::Engine(storage::Store& store, Runs& runs, Wakeup& wakeup, const Clock& clock, EngineOptions options)
    : store_(store), runs_(runs), wakeup_(wakeup), wall_(clock), options_(std::move(options)),
      scheduler_(options_.slots) {}

Engine::~Engine() { *alive_ = false; }

void Engine::start(Done<> done) {
  constexpr auto kAtWork = (1U << static_cast<unsigned>(Status::Queued)) |
                           (1U << static_cast<unsigned>(Status::Running)) |
                           (1U << static_cast<unsigned>(Status::WaitingForPause));
  store_.recover(kAtWork, [this, alive = alive_, done = std::move(done)](Result<storage::Recovery> recovery) {
    if (!*alive) return;
    if (!recovery) return done(recovery.error());
    clock_.emplace(wall_, recovery->clock_floor);
    next_ref_ = recovery->next_ref;
    next_sequence_ = recovery->next_sequence;
    trimmed_ = recovery->log.empty() ? next_sequence_ : recovery->log.front().sequence;
    for (auto& entry : recovery->log) {
      auto& entries = recovered_[entry.ref];
      if (entries.empty()) floors_.emplace(entry.sequence, entry.ref);
      entries.push_back(std::move(entry));
    }
    for (const auto& row : recovery->queued) {
      if (!recovered_.contains(row.ref)) {
        enqueue(row.ref, scheduler_.key(row.workflow, row.fairness_key), row.has_run);
      }
    }
    std::vector<InstanceRef> at_work;
    for (const auto& [ref, entries] : recovered_) at_work.push_back(ref);
    std::sort(at_work.begin(), at_work.end());
    for (const auto ref : at_work) {
      load(ref, [this, ref](Result<Resident*> found) {
        if (found || found.error().code() != ErrorCode::NotFound) return;
        // Deleted, and only the log remembers it.
        recovered_.erase(ref);
        std::erase_if(floors_, [ref](const auto& floor) { return floor.second == ref; });
      });
    }
    tick();
    done({});
  });
}

Engine::Resident* Engine::resident(InstanceRef ref) {
  const auto found = residents_.find(ref);
  return found == residents_.end() ? nullptr : found->second.get();
}

void Engine::report(InstanceRef ref, durable::Happening what) {
  if (auto* const instance = resident(ref)) handle(*instance, std::move(what), nullptr);
}

void Engine::handle(Resident& instance, durable::Happening what, Done<> done) {
  auto reaction = instance.machine.handle(durable::Event{now_ms(), std::move(what)});
  if (reaction.refusal) {
    if (done) done(Error(ErrorCode::Denied, reaction.refusal->message));
    return settle(instance);
  }
  take(instance, reaction);
  if (done) {
    if (instance.machine.records() <= instance.durable) {
      done({});
    } else {
      instance.waiters.push_back(Waiter{instance.machine.records(), std::move(done)});
    }
  }
  settle(instance);
}

void Engine::take(Resident& instance, durable::Reaction& reaction) {
  if (reaction.wipes_history) {
    instance.pending.clear();
    instance.pending_values.clear();
    instance.outcome.clear();
    instance.ended_at = 0;
  }
  const auto first = instance.machine.records() - reaction.records.size() + 1;
  if (instance.pending.empty()) instance.pending_first = first;
  for (auto& record : reaction.records) {
    note_end(instance, record);
    encode(record, instance.pending);
  }
  if (reaction.wipes_history) {
    instance.pending_before.clear();
    instance.pending_before.emplace_back(storage::WipeHistory{instance.row.ref});
    instance.pending_before.emplace_back(
        storage::DropValues{instance.row.ref, reaction.void_values_from, reaction.void_values_to});
    auto row = row_of(instance);
    row.records = first - 1;  // what the log holds of the time before is void
    instance.pending_before.emplace_back(std::move(row));
  }
  std::move(reaction.values.begin(), reaction.values.end(), std::back_inserter(instance.pending_values));
  for (auto& action : reaction.actions) {
    if (const auto* release = std::get_if<durable::ReleaseRun>(&action.what)) {
      forget_epoch(instance, release->epoch);
      perform(instance, action);
      continue;
    }
    const bool is_answer = std::holds_alternative<durable::AnswerStep>(action.what);
    const auto* const value = value_of(action);
    const bool waits = action.needs > instance.durable || (value != nullptr && value->is_stored()) ||
                       std::holds_alternative<durable::StartRun>(action.what) ||
                       (is_answer && !instance.answers.empty());
    if (waits) {
      instance.answers.push_back(std::move(action));
    } else {
      perform(instance, action);
    }
  }
}

// What the row says of an instance that has ended.
void Engine::note_end(Resident& instance, const durable::Record& record) {
  if (record.type == durable::RecordType::Completed || record.type == durable::RecordType::Finished) {
    encode(record, instance.outcome);
    instance.ended_at = record.at;
  } else if (record.type == durable::RecordType::RestartedFrom) {
    instance.outcome.clear();
    instance.ended_at = 0;
  }
}

// What waits to be told to a run that is no longer wanted.
void Engine::forget_epoch(Resident& instance, std::uint64_t epoch) {
  std::erase_if(instance.answers, [epoch](const durable::Action& action) {
    return std::visit([epoch](const auto& what) { return epoch_of(what) == epoch; }, action.what);
  });
}

bool Engine::needs_write(const Resident& instance) const {
  if (instance.pending.empty()) return false;
  if (!instance.waiters.empty() || !instance.pending_values.empty() || !instance.pending_before.empty()) return true;
  if (is_final(instance.machine.status())) return true;
  return !instance.answers.empty() && instance.answers.back().needs > instance.durable;
}

void Engine::settle(Resident& instance) {
  const auto ref = instance.row.ref;
  run_answers(instance);
  if (resident(ref) != &instance) return;  // what it told somebody made it go
  update_slot(instance);
  if (may_unload(instance)) {
    // With what is pending, which need not go through the log.
    if (move_to_history(instance, true)) return;
  } else if (!instance.is_writing && needs_write(instance)) {
    write(instance);
  } else if (!instance.pending.empty() && !instance.is_lazy && !instance.is_writing) {
    instance.is_lazy = true;
    lazy_.push_back(instance.row.ref);
    if (lazy_at_ == 0) lazy_at_ = now_ms() + options_.lazy_write_ms;
  }
  update_timer(instance);
  const auto bytes = sizeof(Resident) + instance.machine.memory_bytes() + instance.logged.size() +
                     instance.pending.size();
  resident_bytes_ += bytes - instance.bytes;
  instance.bytes = bytes;
  arm();
  if (!queued_.empty()) grant();
}

void Engine::run_answers(Resident& instance) {
  while (!instance.answers.empty() && !instance.is_fetching) {
    auto& next = instance.answers.front();
    if (next.needs > instance.durable) return;
    auto* value = value_of(next);
    const bool is_start = std::holds_alternative<durable::StartRun>(next.what);
    if (is_start && instance.machine.params().is_stored()) value = nullptr;
    const auto number = is_start ? instance.machine.params().number : value != nullptr ? value->number : 0;
    if (number != 0 && !(value != nullptr && value->is_stream)) {
      instance.is_fetching = true;
      const auto ref = instance.row.ref;
      store_.read_value(ref, number, [this, alive = alive_, ref, number](Result<Bytes> bytes) {
        if (!*alive) return;
        auto* const again = resident(ref);
        if (again == nullptr || !again->is_fetching) return;
        again->is_fetching = false;
        if (!bytes) return drop(*again, bytes.error());
        if (!again->answers.empty()) {
          auto& waiting = again->answers.front();
          if (auto* start = std::get_if<durable::StartRun>(&waiting.what)) {
            if (again->machine.params().number == number) {
              RunStart run = run_start(*again, *start);
              run.params = *std::move(bytes);
              again->answers.pop_front();
              runs_.start(std::move(run));
            }
          } else if (auto* wanted = value_of(waiting); wanted != nullptr && wanted->number == number) {
            *wanted = durable::Value::inline_of(*std::move(bytes));
          }
        }
        settle(*again);
      });
      return;
    }
    auto action = std::move(next);
    instance.answers.pop_front();
    perform(instance, action);
  }
}

RunStart Engine::run_start(const Resident& instance, const durable::StartRun& start) const {
  const auto& row = instance.row;
  return RunStart{row.ref,  row.workflow, row.id, start.epoch, start.only_rollback, {}, instance.machine.created_at(),
                  start.may_go_ahead, settings_of(row.workflow).defaults};
}

void Engine::perform(Resident& instance, durable::Action& action) {
  const auto ref = instance.row.ref;
  struct Visitor {
    Engine& engine;
    Resident& of;
    InstanceRef named;
    void operator()(durable::StartRun& start) const {
      crash_point(CrashPoint::WorkflowRunStarting);
      RunStart run = engine.run_start(of, start);
      run.params = of.machine.params().bytes;
      engine.runs_.start(std::move(run));
    }
    void operator()(durable::ReleaseRun& release) const { engine.runs_.release(named, release.epoch); }
    void operator()(durable::AnswerStep& answer) const {
      crash_point(CrashPoint::WorkflowStepAnswering);
      engine.runs_.answer(named, std::move(answer));
    }
    void operator()(durable::InvokeStep& invoke) const {
      crash_point(CrashPoint::WorkflowStepInvoking);
      engine.runs_.invoke(named, std::move(invoke));
    }
    void operator()(durable::ComputeDelay& compute) const { engine.runs_.compute_delay(named, std::move(compute)); }
    void operator()(durable::InvokeRollback& invoke) const { engine.runs_.invoke_rollback(named, std::move(invoke)); }
    void operator()(durable::Notice& notice) const { engine.runs_.notice(named, notice.text); }
  };
  std::visit(Visitor{*this, instance, ref}, action.what);
}

void Engine::update_timer(Resident& instance) {
  const auto due = instance.machine.next_due();
  const auto timer = due == durable::kNever ? 0 : due;
  if (timer == instance.timer) return;
  if (instance.timer != 0) timers_.erase({instance.timer, instance.row.ref});
  if (timer != 0) timers_.emplace(timer, instance.row.ref);
  instance.timer = timer;
}

void Engine::enqueue(InstanceRef ref, Scheduler::Key* key, bool is_waking) {
  if (queued_.insert(ref).second) scheduler_.enqueue(key, ref, is_waking);
}

void Engine::update_slot(Resident& instance) {
  if (instance.has_slot && !instance.machine.holds_slot()) {
    instance.has_slot = false;
    scheduler_.release(instance.key);
  }
  if (instance.machine.wants_slot() && !instance.has_slot) {
    enqueue(instance.row.ref, instance.key, instance.machine.has_run());
  }
}

// Lets instances run as long as there are slots and memory.
void Engine::grant() {
  if (is_granting_) return;
  is_granting_ = true;
  while (resident_bytes_ < options_.resident_bytes_max) {
    const auto granted = scheduler_.next();
    if (!granted) break;
    queued_.erase(granted->ref);
    load(granted->ref, [this, key = granted->key](Result<Resident*> found) {
      if (!found || (*found)->has_slot || !(*found)->machine.wants_slot()) {
        scheduler_.release(key);
        if (found) settle(**found);
        return;
      }
      auto& instance = **found;
      instance.has_slot = true;
      handle(instance, durable::SlotGranted{runs_.code_version(instance.row.workflow)}, nullptr);
    });
  }
  is_granting_ = false;
}

void Engine::tick() {
  if (!clock_) return;
  const auto now = now_ms();
  armed_ = 0;
  if (lazy_at_ != 0 && lazy_at_ <= now) {
    lazy_at_ = 0;
    for (const auto ref : std::exchange(lazy_, {})) {
      auto* const instance = resident(ref);
      if (instance == nullptr) continue;
      instance->is_lazy = false;
      if (!instance->pending.empty() && !instance->is_writing) write(*instance);
    }
  }
  while (!timers_.empty() && timers_.begin()->first <= now) {
    const auto ref = timers_.begin()->second;
    timers_.erase(timers_.begin());
    if (auto* const instance = resident(ref)) {
      instance->timer = 0;
      crash_point(CrashPoint::WorkflowTimerFired);
      handle(*instance, durable::TimerFired{}, nullptr);
    } else {
      load(ref, [](Result<Resident*>) {});
    }
  }
  if (next_row_due_ <= now) wake_due();
  if (next_expiry_ <= now) expire();
  if (clock_noted_ + kClockEveryMs <= now) {
    clock_noted_ = now;
    store_.write({storage::NoteClock{now}}, nullptr);
  }
  trim_log();
  grant();
  arm();
}

void Engine::arm() {
  auto next = std::min({next_row_due_, next_expiry_, clock_noted_ + kClockEveryMs});
  if (is_scanning_) next = std::min(next_expiry_, clock_noted_ + kClockEveryMs);
  if (lazy_at_ != 0) next = std::min(next, lazy_at_);
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  if (next == armed_) return;
  armed_ = next;
  wakeup_.wake_in(std::chrono::milliseconds(std::max<TimeMs>(0, next - now_ms())));
}

// Takes the rows whose time has come out of the store, in order, each once: the cursor never goes back, and a row that
// becomes due before it is kept in timers_.
void Engine::wake_due() {
  if (is_scanning_) return;
  is_scanning_ = true;
  store_.due_instances(cursor_due_, cursor_ref_, durable::kNever, kScanRows,
                       [this, alive = alive_](Result<std::vector<storage::DueInstance>> rows) {
                         if (!*alive) return;
                         is_scanning_ = false;
                         const auto now = now_ms();
                         if (!rows) {
                           next_row_due_ = now + 1'000;
                           return arm();
                         }
                         next_row_due_ = rows->size() < kScanRows ? durable::kNever : now;
                         for (const auto& row : *rows) {
                           if (row.due > now) {
                             next_row_due_ = row.due;
                             break;
                           }
                           cursor_due_ = row.due;
                           cursor_ref_ = row.ref;
                           if (!residents_.contains(row.ref)) {
                             crash_point(CrashPoint::WorkflowRowDue);
                             enqueue(row.ref, scheduler_.key(row.workflow, row.fairness_key), true);
                           }
                         }
                         grant();
                         if (next_row_due_ <= now) return wake_due();
                         arm();
                       });
}

void Engine::expire() {
  next_expiry_ = now_ms() + kExpiryEveryMs;
  if (is_expiring_) return;
  is_expiring_ = true;
  store_.expired_instances(now_ms(), kExpiryRows, [this, alive = alive_](Result<std::vector<InstanceRef>> refs) {
    if (!*alive) return;
    is_expiring_ = false;
    if (!refs) return;
    for (const auto ref : *refs) {
      crash_point(CrashPoint::WorkflowExpiring);
      if (!residents_.contains(ref) && !loading_.contains(ref)) store_.write({storage::DeleteInstance{ref}}, nullptr);
    }
    if (refs->size() == kExpiryRows) next_expiry_ = now_ms() + 1'000;
    arm();
  });
}

Engine::Figures Engine::figures() const {
  return Figures{residents_.size(), resident_bytes_, scheduler_.queued(), scheduler_.granted()};
}

}  // namespace insula::workflow
