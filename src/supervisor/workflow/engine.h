// SPDX-License-Identifier: Apache-2.0
//
// Engine: performs what the durable machines decide. It journals first and acts then, lets instances run in turns, wakes
// those whose time has come, and keeps in memory only those that are at work.
//
//   binding, CLI --create, pause, ...--> [Engine] --start, answer, invoke--> Runs (isolates)
//   Runs --report(what a run says)-----> [Engine] --batches--> Store
//
// Invariants
//   1. Nobody is told of a record that is not durable: answers and acknowledgements wait for the store.
//   2. At most one write of an instance is under way; what comes meanwhile goes with the next. So a write that fails
//      leaves no gap: the instance is dropped from memory, its run with it, and read back from the store.
//   3. An instance in memory is at work (it has a run, or a write under way, or somebody waits for it). Others are a row.
//
// All calls and callbacks are on one thread, the one that the store posts to.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "src/base/clock.h"
#include "src/durable/machine.h"
#include "src/durable/timeline.h"
#include "src/storage/store.h"
#include "src/supervisor/workflow/admission.h"
#include "src/supervisor/workflow/clock_of_record.h"
#include "src/supervisor/workflow/runs.h"
#include "src/supervisor/workflow/scheduler.h"

namespace insula::workflow {

using durable::Failure;
using durable::Status;
using durable::TimeMs;
using storage::InstanceRow;

struct EngineOptions {
  durable::Settings settings;
  SlotLimits slots;
  TimeMs success_retention_ms = 7 * durable::kDayMs;
  TimeMs error_retention_ms = 7 * durable::kDayMs;
  TimeMs reload_after_ms = 1'000;        // after the store refused a write
  TimeMs lazy_write_ms = 5;             // how long a record that nobody waits for may stay in memory
  std::size_t resident_bytes_max = std::size_t{256} << 20;  // of instances in memory; beyond it nobody is let run
  std::uint64_t log_entries_max = 200'000;  // the oldest instance at work is moved out of the log beyond
};

struct NewInstance {
  std::string workflow;
  std::string id;
  Bytes params;
  std::string fairness_key;
  std::string metadata;
  std::optional<TimeMs> success_retention_ms;
  std::optional<TimeMs> error_retention_ms;
  bool is_scheduled = false;  // by a schedule: its id is not one that code may give
};

struct InstanceStatus {
  InstanceRef ref = 0;
  std::string workflow;
  std::string id;
  Status status = Status::Queued;
  TimeMs created_at = 0;
  TimeMs ended_at = 0;
  TimeMs due = 0;  // next wake-up of one that waits; 0: none
  std::string fairness_key;
  std::string metadata;
  std::optional<durable::Value> output;  // of a complete one; whole when asked for by status()
  std::optional<Failure> failure;
};

struct InstanceName {
  std::string workflow;
  std::string id;
};

template <class T = void>
using Done = std::function<void(Result<T>)>;
using Subscriber = std::function<void(const std::vector<durable::StreamEvent>&)>;

class Engine {
 public:
  Engine(storage::Store& store, Runs& runs, Wakeup& wakeup, const Clock& clock, EngineOptions options);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  // Reads what was at work when the last process ended. Before it is done nothing else may be called.
  void start(Done<> done);
  void set_slots(const std::string& workflow, SlotLimits limits) { scheduler_.set_limits(workflow, limits); }

  // Before the first instance of it is made or read.
  void set_steps_max(const std::string& workflow, std::uint32_t steps_max);

  void set_creation_limits(const std::string& workflow, CreationLimits limits) { admission_.set_limits(workflow, limits); }

  // Errors: InvalidInput ("Workflow instance has invalid id"), LimitExceeded (params, rate, queue), Conflict
  // ("instance.already_exists"), and the store's. Done when the instance is durable.
  void create(NewInstance instance, Done<InstanceRef> done);
  // One result for each, in their order.
  void create_batch(std::vector<NewInstance> instances, std::function<void(std::vector<Result<InstanceRef>>)> done);

  // NotFound, or nothing.
  void find_out(InstanceName name, Done<> done);

  // Errors of all below: NotFound ("instance.not_found"), Denied (not in this status; the contract's text), the store's.
  void status(InstanceName name, Done<InstanceStatus> done);
  void pause(InstanceName name, Done<> done) { operate(std::move(name), durable::PauseAsked{}, std::move(done)); }
  void resume(InstanceName name, Done<> done) { operate(std::move(name), durable::ResumeAsked{}, std::move(done)); }
  void terminate(InstanceName name, bool rollback, Done<> done) {
    operate(std::move(name), durable::TerminateAsked{rollback}, std::move(done));
  }
  void restart(InstanceName name, std::optional<durable::RestartFrom> from, Done<> done) {
    operate(std::move(name), durable::RestartAsked{std::move(from)}, std::move(done));
  }
  void send_event(InstanceName name, std::string type, Bytes payload, Done<> done) {
    operate(std::move(name), durable::EventSent{std::move(type), std::move(payload)}, std::move(done));
  }
  void remove(InstanceName name, Done<> done);

  // Newest first. Statuses are those of this moment.
  void list(storage::InstanceFilter filter, Done<std::vector<InstanceStatus>> done);
  // All events above the cursor, as recorded so far.
  void timeline(InstanceName name, std::uint64_t cursor, Done<std::vector<durable::StreamEvent>> done);
  // The same, and then each new event as it becomes durable, until unsubscribe(). The first call of `subscriber` comes
  // before `done`.
  void subscribe(InstanceName name, std::uint64_t cursor, Subscriber subscriber, Done<std::uint64_t> done);
  void unsubscribe(std::uint64_t subscription);

  // What a run says. What does not fit is ignored.
  void report(InstanceRef ref, durable::Happening what);

  // What is stored beside the records: the pieces of a stream, under numbers that were reserved for them, while the
  // instance has a run. Bytes that nobody's record names are dropped by who put them there.
  std::uint64_t room_of(InstanceRef ref);  // bytes that the instance may still store
  std::uint64_t reserve_values(InstanceRef ref, std::uint64_t count);
  void put_value(InstanceRef ref, std::uint64_t number, Bytes bytes, Done<> done);
  void drop_values(InstanceRef ref, std::uint64_t from, std::uint64_t to);
  void read_value(InstanceRef ref, std::uint64_t number, Done<Bytes> done);

  // Does what is due, and sets the next wake-up.
  void tick();

  struct Figures {
    std::uint64_t resident = 0;
    std::size_t resident_bytes = 0;
    std::uint64_t queued = 0;
    std::uint64_t running = 0;
  };
  Figures figures() const;
  TimeMs now_ms() { return clock_ ? clock_->now_ms() : 0; }

 private:
  struct Waiter {
    std::uint64_t needs = 0;
    Done<> done;
  };
  struct Subscription {
    std::uint64_t number = 0;
    Subscriber subscriber;
    std::uint64_t cursor = 0;
  };
  struct Resident {
    InstanceRow row;
    durable::Machine machine;
    Scheduler::Key* key = nullptr;
    bool has_slot = false;
    bool is_writing = false;
    bool is_fetching = false;        // a stored value for the first of `answers`
    bool is_lazy = false;            // has records that wait for company
    bool is_deleted = false;
    std::uint64_t durable = 0;       // records
    Bytes pending;                   // records not given to the store yet
    std::uint64_t pending_first = 0;
    std::vector<durable::StoredValue> pending_values;
    storage::Batch pending_before;   // what must precede them: wiping
    Bytes logged;                    // records in the log, or on their way, and not in the history
    std::uint64_t logged_first = 0;
    std::size_t logged_durable = 0;  // bytes of `logged` that are known to be in the log
    std::uint64_t log_floor = 0;     // sequence of the first of them; 0: none
    std::deque<durable::Action> answers;  // in order
    std::vector<Waiter> waiters;
    TimeMs timer = 0;                // in timers_
    std::size_t bytes = 0;           // in resident_bytes_
    std::unique_ptr<durable::Timeline> timeline;
    std::vector<Subscription> subscriptions;
    Bytes outcome;
    TimeMs ended_at = 0;

    Resident(InstanceRow of, const durable::Settings& settings) : row(std::move(of)), machine(settings) {}
  };
  using Found = std::function<void(Result<Resident*>)>;

  // engine.cc
  void handle(Resident& instance, durable::Happening what, Done<> done);
  void settle(Resident& instance);
  static void note_end(Resident& instance, const durable::Record& record);
  void take(Resident& instance, durable::Reaction& reaction);
  void perform(Resident& instance, durable::Action& action);
  RunStart run_start(const Resident& instance, const durable::StartRun& start) const;
  void forget_epoch(Resident& instance, std::uint64_t epoch);
  bool needs_write(const Resident& instance) const;
  void run_answers(Resident& instance);
  Resident* resident(InstanceRef ref);
  void update_timer(Resident& instance);
  void update_slot(Resident& instance);
  void grant();
  void arm();
  void wake_due();
  void expire();
  // residents.cc
  void find(InstanceName name, Found found);
  void load(InstanceRef ref, Found found);
  void loaded(InstanceRef ref, Result<storage::StoredInstance> stored);
  Result<std::unique_ptr<Resident>> revive(storage::StoredInstance stored);
  void write(Resident& instance);
  void written(InstanceRef ref, std::uint64_t records, Result<> result);
  void moved(InstanceRef ref, std::uint64_t records, std::size_t bytes, bool and_unload, Result<> result);
  bool move_to_history(Resident& instance, bool and_unload);  // true: it is out of memory already
  void tell_waiters(Resident& instance);
  void drop(Resident& instance, const Error& error);
  void erase(Resident& instance);
  void trim_log();
  bool may_unload(const Resident& instance) const;
  void publish(Resident& instance, BytesView records);
  void enqueue(InstanceRef ref, Scheduler::Key* key, bool is_waking);
  storage::UpdateInstance row_of(const Resident& instance) const;
  void read_history(InstanceRef ref, Done<std::vector<durable::Record>> done);
  static std::string key_of(const std::string& workflow, const std::string& id);
  // operations.cc
  void operate(InstanceName name, durable::Happening what, Done<> done);
  InstanceStatus status_of(const InstanceRow& row) const;
  const durable::Settings& settings_of(const std::string& workflow) const;

  storage::Store& store_;
  Runs& runs_;
  Wakeup& wakeup_;
  const Clock& wall_;
  const EngineOptions options_;
  std::optional<ClockOfRecord> clock_;
  Scheduler scheduler_;
  Admission admission_;
  std::unordered_map<std::string, std::uint64_t> making_;  // by workflow: instances on their way to the disk
  std::unordered_map<InstanceRef, std::unique_ptr<Resident>> residents_;
  std::unordered_map<std::string, InstanceRef> names_;  // of residents
  std::unordered_set<InstanceRef> queued_;  // in the scheduler's queues
  std::unordered_map<InstanceRef, std::vector<Found>> loading_;
  std::unordered_map<InstanceRef, std::vector<storage::LogEntry>> recovered_;  // not read back yet
  std::unordered_map<std::uint64_t, InstanceRef> subscriptions_;
  std::set<std::pair<TimeMs, InstanceRef>> timers_;        // of residents, and of rows due before the cursor
  std::set<std::pair<std::uint64_t, InstanceRef>> floors_;  // of the log
  std::vector<InstanceRef> lazy_;
  TimeMs lazy_at_ = 0;
  InstanceRef next_ref_ = 1;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t trimmed_ = 0;
  std::uint64_t next_subscription_ = 1;
  std::size_t resident_bytes_ = 0;
  // Rows in the store up to here have been woken.
  TimeMs cursor_due_ = 0;
  InstanceRef cursor_ref_ = 0;
  TimeMs next_row_due_ = 0;  // the earliest row beyond; at first: look now
  bool is_scanning_ = false;
  TimeMs next_expiry_ = 0;
  bool is_expiring_ = false;
  bool is_granting_ = false;
  TimeMs clock_noted_ = 0;
  TimeMs armed_ = 0;
  std::map<std::string, durable::Settings> settings_;  // of workflows with their own; machines hold references
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace insula::workflow
