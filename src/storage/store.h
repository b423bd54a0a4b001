// SPDX-License-Identifier: Apache-2.0
//
// Store: where the supervisor keeps what must survive it: workflow instances and their histories, alarms of actors, the
// directory of durable objects.
//
// Writes are batches. A batch is atomic and small; batches become durable in the order of write(), many of them with
// one sync. Reads see every batch whose callback has been called. The same interface is meant for databases elsewhere,
// so nothing here is more than a short transaction on a few rows, and a store is owned by one process at a time: opening
// takes the next epoch, and a batch of an older epoch is refused (Conflict).
//
//   caller --write(batch, done)--> [store: batch ... batch, one sync] --done(Result<>)--> caller's thread
//
// Errors of done: Conflict (a condition of the batch does not hold; nothing of it was written), LimitExceeded (the disk
// is full), Unavailable (an I/O error; after a failed sync every later write too, until the process starts anew),
// Corrupt. Whatever the error, nothing of the batch is there, and nothing that was acknowledged is lost.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/error.h"

namespace insula::storage {

using TimeMs = std::int64_t;
using InstanceRef = std::uint64_t;  // names an instance for good; grows in the order of creation

// A workflow instance while it is not in memory. What the numbers of `status` mean is the workflow engine's business.
struct InstanceRow {
  InstanceRef ref = 0;
  std::string workflow;
  std::string id;
  std::uint8_t status = 0;
  TimeMs created_at = 0;
  TimeMs ended_at = 0;    // 0: it has not
  TimeMs due = 0;         // when it wants to wake; 0: never
  TimeMs expires_at = 0;  // when the row goes; 0: never
  std::string fairness_key;
  std::string metadata;   // of the caller, for filters
  TimeMs success_retention_ms = 0;
  TimeMs error_retention_ms = 0;
  Bytes outcome;          // the last record of a finished instance
  Bytes head;             // the first records of the history
  std::uint64_t records = 0;  // how many records are in the history; the log may hold later ones
  std::uint64_t next_value = 1;
};

// --- writes -----------------------------------------------------------------------------------------------------

// The first write of its batch. Conflict: the workflow has an instance of that id.
struct InsertInstance {
  InstanceRow row;
};
struct UpdateInstance {
  InstanceRef ref = 0;
  std::uint8_t status = 0;
  TimeMs ended_at = 0;
  TimeMs due = 0;
  TimeMs expires_at = 0;
  Bytes outcome;
  std::uint64_t records = 0;
  std::uint64_t next_value = 1;
};
// The row, its history and its values. What the log still holds of it is ignored from now on.
struct DeleteInstance {
  InstanceRef ref = 0;
};
// Records of an instance at work, in the order of their sequence numbers, which the caller counts.
struct AppendLog {
  std::uint64_t sequence = 0;
  InstanceRef ref = 0;
  std::uint64_t first_record = 0;
  Bytes bytes;
};
// The latest time seen: the clock of record starts from it.
struct NoteClock {
  TimeMs at = 0;
};
struct TrimLog {
  std::uint64_t below = 0;
};
// Records moved out of the log, for the row's `records` to cover.
struct AppendHistory {
  InstanceRef ref = 0;
  std::uint64_t first_record = 0;
  Bytes bytes;
};
struct WipeHistory {
  InstanceRef ref = 0;
};
struct PutValue {
  InstanceRef ref = 0;
  std::uint64_t number = 0;
  Bytes bytes;
};
struct DropValues {
  InstanceRef ref = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;  // not this one
};

struct Alarm {
  std::string object;  // which actor, in the caller's words
  TimeMs due = 0;
  std::uint32_t attempt = 0;
};
struct SetAlarm {
  Alarm alarm;
};
struct ClearAlarm {
  std::string object;
};

struct ObjectRow {
  std::string space;  // the namespace
  std::string id;
  std::string name;
  TimeMs created_at = 0;
};
// Keeps the older row if there is one.
struct PutObject {
  ObjectRow row;
};
struct DeleteObject {
  std::string space;
  std::string id;
};

// Small things that belong together: the facets of an object, the classes of a Worker, files to be removed.
struct Entry {
  std::string space;
  std::string key;
  std::string value;
};
struct PutEntry {
  Entry entry;
};
struct DeleteEntry {
  std::string space;
  std::string key;
};
// All that the store knows of the objects of a namespace: alarms of "NAMESPACE/...", entries of spaces
// "facets/NAMESPACE/...", and its objects.
struct DropNamespace {
  std::string space;
};

using Write = std::variant<InsertInstance, UpdateInstance, DeleteInstance, AppendLog, TrimLog, AppendHistory, WipeHistory,
                           PutValue, DropValues, NoteClock, SetAlarm, ClearAlarm, PutObject, DeleteObject, PutEntry,
                           DeleteEntry, DropNamespace>;
using Batch = std::vector<Write>;
using WriteDone = std::function<void(Result<>)>;

// --- reads ------------------------------------------------------------------------------------------------------

struct StoredInstance {
  InstanceRow row;
  std::vector<Bytes> history;  // in order, head first
};
struct DueInstance {
  InstanceRef ref = 0;
  TimeMs due = 0;
  std::string workflow;
  std::string fairness_key;
  bool has_run = true;
};
struct LogEntry {
  std::uint64_t sequence = 0;
  InstanceRef ref = 0;
  std::uint64_t first_record = 0;
  Bytes bytes;
};
// What a starting process must know. Instances in the log were at work; `queued` have a status of the mask (bit n: n).
struct Recovery {
  InstanceRef next_ref = 1;
  std::uint64_t next_sequence = 1;
  TimeMs clock_floor = 0;  // no time before this has been seen
  std::vector<LogEntry> log;
  std::vector<DueInstance> queued;
};
struct InstanceFilter {
  std::string workflow;               // empty: all
  std::optional<std::uint32_t> status_mask;  // bit n: status n
  std::optional<std::string> metadata;
  std::optional<std::string> fairness_key;
  TimeMs created_from = 0;
  TimeMs created_before = 0;          // 0: no bound
  InstanceRef before = 0;             // page: refs below; 0: from the newest
  std::uint32_t limit = 100;
};

template <class T>
using ReadDone = std::function<void(Result<T>)>;

class Store {
 public:
  virtual ~Store() = default;

  virtual void write(Batch batch, WriteDone done) = 0;

  virtual void recover(std::uint32_t status_mask, ReadDone<Recovery> done) = 0;
  virtual void find_instance(std::string workflow, std::string id, ReadDone<InstanceRow> done) = 0;  // NotFound
  virtual void load_instance(InstanceRef ref, ReadDone<StoredInstance> done) = 0;                    // NotFound
  virtual void read_value(InstanceRef ref, std::uint64_t number, ReadDone<Bytes> done) = 0;  // NotFound, Corrupt
  virtual void list_instances(InstanceFilter filter, ReadDone<std::vector<InstanceRow>> done) = 0;  // newest first
  // Due in [from, until), or at `from` with a ref above `after`: earliest first.
  virtual void due_instances(TimeMs from, InstanceRef after, TimeMs until, std::uint32_t limit,
                             ReadDone<std::vector<DueInstance>> done) = 0;
  virtual void expired_instances(TimeMs until, std::uint32_t limit, ReadDone<std::vector<InstanceRef>> done) = 0;
  virtual void due_alarms(TimeMs until, std::uint32_t limit, ReadDone<std::vector<Alarm>> done) = 0;
  virtual void find_alarm(std::string object, ReadDone<std::optional<Alarm>> done) = 0;
  virtual void find_object(std::string space, std::string id, ReadDone<std::optional<ObjectRow>> done) = 0;
  virtual void list_objects(std::string space, std::string after_id, std::uint32_t limit,
                            ReadDone<std::vector<ObjectRow>> done) = 0;
  // By key, in the order of its bytes.
  virtual void list_entries(std::string space, ReadDone<std::vector<Entry>> done) = 0;
};

}  // namespace insula::storage
