// SPDX-License-Identifier: Apache-2.0
//
// StoreReader: the SQL of every read.
#include "src/storage/reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "src/base/checksum.h"

namespace insula::storage {
namespace {

constexpr std::string_view kColumns =
    "ref, workflow, id, status, created_at, ended_at, due, expires_at, fairness_key, metadata, success_retention_ms, "
    "error_retention_ms, records, next_value, head, outcome";

std::uint64_t unsigned_of(const sql::Statement& statement, int column) {
  return static_cast<std::uint64_t>(statement.column_integer(column));
}

InstanceRow row_of(const sql::Statement& from) {
  InstanceRow row;
  row.ref = unsigned_of(from, 0);
  row.workflow = from.column_text(1);
  row.id = from.column_text(2);
  row.status = static_cast<std::uint8_t>(from.column_integer(3));
  row.created_at = from.column_integer(4);
  row.ended_at = from.column_integer(5);
  row.due = from.column_integer(6);
  row.expires_at = from.column_integer(7);
  row.fairness_key = from.column_text(8);
  row.metadata = from.column_text(9);
  row.success_retention_ms = from.column_integer(10);
  row.error_retention_ms = from.column_integer(11);
  row.records = unsigned_of(from, 12);
  row.next_value = unsigned_of(from, 13);
  row.head = from.column_blob(14);
  row.outcome = from.column_blob(15);
  return row;
}

ObjectRow object_of(const sql::Statement& from) {
  return ObjectRow{std::string(from.column_text(0)), std::string(from.column_text(1)),
                   std::string(from.column_text(2)), from.column_integer(3)};
}

Alarm alarm_of(const sql::Statement& from) {
  return Alarm{std::string(from.column_text(0)), from.column_integer(1),
               static_cast<std::uint32_t>(from.column_integer(2))};
}

// Calls `take` for each row.
template <class Take>
Result<> each_row(sql::Statement& statement, Take take) {
  for (;;) {
    TRY(const bool row, statement.step());
    if (!row) return {};
    take(statement);
  }
}

}  // namespace

Result<std::unique_ptr<StoreReader>> StoreReader::open(const std::string& path) {
  std::unique_ptr<StoreReader> reader(new StoreReader);
  sql::OpenOptions options;
  options.create = false;
  options.read_only = true;
  options.busy_wait = std::chrono::milliseconds(5'000);
  TRY(reader->database_, sql::Database::open(path, options));
  auto& database = reader->database_;
  TRY_VOID(database.run("PRAGMA cache_size = -16384"));
  const auto columns = std::string(kColumns);
  TRY(reader->find_, database.prepare("SELECT " + columns + " FROM instances WHERE workflow = ? AND id = ?"));
  TRY(reader->load_, database.prepare("SELECT " + columns + " FROM instances WHERE ref = ?"));
  TRY(reader->history_, database.prepare("SELECT bytes FROM history WHERE ref = ? ORDER BY first_record"));
  TRY(reader->value_, database.prepare("SELECT checksum, bytes FROM blobs WHERE ref = ? AND number = ?"));
  TRY(reader->due_, database.prepare("SELECT ref, due, workflow, fairness_key FROM instances WHERE due >= ?1 AND "
                                     "due < ?2 AND (due > ?1 OR ref > ?3) ORDER BY due, ref LIMIT ?4"));
  TRY(reader->expired_, database.prepare("SELECT ref FROM instances WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"));
  TRY(reader->alarms_,
      database.prepare("SELECT object, due, attempt FROM alarms WHERE due <= ? ORDER BY due, object LIMIT ?"));
  TRY(reader->alarm_, database.prepare("SELECT object, due, attempt FROM alarms WHERE object = ?"));
  TRY(reader->object_, database.prepare("SELECT space, id, name, created_at FROM objects WHERE space = ? AND id = ?"));
  TRY(reader->entries_, database.prepare("SELECT key, value FROM entries WHERE space = ? ORDER BY key"));
  TRY(reader->objects_, database.prepare("SELECT space, id, name, created_at FROM objects WHERE space = ? AND id > ? "
                                         "ORDER BY id LIMIT ?"));
  return reader;
}

Result<Recovery> StoreReader::recover(std::uint32_t status_mask) {
  Recovery recovery;
  TRY(auto log, database_.prepare("SELECT sequence, ref, first_record, bytes FROM log ORDER BY sequence"));
  TRY_VOID(log.bind());
  TRY_VOID(each_row(log, [&](const sql::Statement& row) {
    recovery.log.push_back(
        LogEntry{unsigned_of(row, 0), unsigned_of(row, 1), unsigned_of(row, 2), Bytes(row.column_blob(3))});
  }));
  TRY(auto queued,
      database_.prepare("SELECT ref, workflow, fairness_key, records > 1 FROM instances WHERE ((1 << status) & ?) != 0 ORDER BY ref"));
  TRY_VOID(queued.bind(status_mask));
  TRY_VOID(each_row(queued, [&](const sql::Statement& row) {
    recovery.queued.push_back(DueInstance{unsigned_of(row, 0), 0, std::string(row.column_text(1)),
                                          std::string(row.column_text(2)), row.column_integer(3) != 0});
  }));
  TRY(const auto clock, database_.integer("SELECT value FROM meta WHERE key = 'clock'"));
  recovery.clock_floor = clock;
  TRY(const auto ref_max, database_.integer("SELECT max(ref) FROM instances"));
  recovery.next_ref = static_cast<InstanceRef>(ref_max) + 1;
  for (const auto& entry : recovery.log) {
    // A deleted instance may live on in the log: its name must not be given again.
    recovery.next_ref = std::max(recovery.next_ref, entry.ref + 1);
    recovery.next_sequence = std::max(recovery.next_sequence, entry.sequence + 1);
  }
  return recovery;
}

Result<InstanceRow> StoreReader::find_instance(const std::string& workflow, const std::string& id) {
  TRY_VOID(find_.bind(workflow, id));
  TRY(const bool found, find_.step());
  if (!found) return Error(ErrorCode::NotFound, "store: no such instance");
  auto row = row_of(find_);
  find_.reset();
  return row;
}

Result<StoredInstance> StoreReader::load_instance(InstanceRef ref) {
  // One snapshot: between two statements the writer could move records from one place to the other.
  TRY_VOID(database_.run("BEGIN"));
  auto loaded = [&]() -> Result<StoredInstance> {
    StoredInstance stored;
    TRY_VOID(load_.bind(ref));
    TRY(const bool found, load_.step());
    if (!found) return Error(ErrorCode::NotFound, "store: no such instance");
    stored.row = row_of(load_);
    load_.reset();
    if (!stored.row.head.empty()) stored.history.push_back(stored.row.head);
    TRY_VOID(history_.bind(ref));
    TRY_VOID(each_row(history_, [&](const sql::Statement& row) { stored.history.emplace_back(row.column_blob(0)); }));
    return stored;
  }();
  TRY_VOID(database_.run("COMMIT"));
  return loaded;
}

Result<Bytes> StoreReader::read_value(InstanceRef ref, std::uint64_t number) {
  TRY_VOID(value_.bind(ref, number));
  TRY(const bool found, value_.step());
  if (!found) return Error(ErrorCode::NotFound, "store: no such value");
  const auto checksum = static_cast<std::uint32_t>(value_.column_integer(0));
  Bytes bytes(value_.column_blob(1));
  value_.reset();
  if (checksum != crc32c(bytes)) return Error(ErrorCode::Corrupt, "store: a stored value is damaged");
  return bytes;
}

Result<std::vector<InstanceRow>> StoreReader::list_instances(const InstanceFilter& filter) {
  std::string text = "SELECT " + std::string(kColumns) + " FROM instances WHERE ref < ?1";
  // Unused parameters still have their place, so that one bind() serves all shapes.
  text += filter.workflow.empty() ? " AND ?2 IS NOT NULL" : " AND workflow = ?2";
  text += filter.status_mask ? " AND ((1 << status) & ?3) != 0" : " AND ?3 IS NOT NULL";
  text += filter.metadata ? " AND metadata = ?4" : " AND ?4 IS NULL";
  text += filter.fairness_key ? " AND fairness_key = ?5" : " AND ?5 IS NULL";
  text += " AND created_at >= ?6 AND created_at < ?7 ORDER BY ref DESC LIMIT ?8";
  TRY(auto select, database_.prepare(text));
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  const auto before = filter.before != 0 ? static_cast<std::int64_t>(filter.before) : kMax;
  TRY_VOID(select.bind(before, filter.workflow, filter.status_mask.value_or(0), filter.metadata, filter.fairness_key,
                       filter.created_from, filter.created_before != 0 ? filter.created_before : kMax, filter.limit));
  std::vector<InstanceRow> rows;
  TRY_VOID(each_row(select, [&](const sql::Statement& row) { rows.push_back(row_of(row)); }));
  return rows;
}

Result<std::vector<DueInstance>> StoreReader::due_instances(TimeMs from, InstanceRef after, TimeMs until,
                                                            std::uint32_t limit) {
  std::vector<DueInstance> rows;
  TRY_VOID(due_.bind(from, until, after, limit));
  TRY_VOID(each_row(due_, [&](const sql::Statement& row) {
    rows.push_back(DueInstance{unsigned_of(row, 0), row.column_integer(1), std::string(row.column_text(2)),
                               std::string(row.column_text(3)), true});
  }));
  return rows;
}

Result<std::vector<InstanceRef>> StoreReader::expired_instances(TimeMs until, std::uint32_t limit) {
  std::vector<InstanceRef> refs;
  TRY_VOID(expired_.bind(until, limit));
  TRY_VOID(each_row(expired_, [&](const sql::Statement& row) { refs.push_back(unsigned_of(row, 0)); }));
  return refs;
}

Result<std::vector<Alarm>> StoreReader::due_alarms(TimeMs until, std::uint32_t limit) {
  std::vector<Alarm> alarms;
  TRY_VOID(alarms_.bind(until, limit));
  TRY_VOID(each_row(alarms_, [&](const sql::Statement& row) { alarms.push_back(alarm_of(row)); }));
  return alarms;
}

Result<std::optional<Alarm>> StoreReader::find_alarm(const std::string& object) {
  std::optional<Alarm> alarm;
  TRY_VOID(alarm_.bind(object));
  TRY_VOID(each_row(alarm_, [&](const sql::Statement& row) { alarm = alarm_of(row); }));
  return alarm;
}

Result<std::optional<ObjectRow>> StoreReader::find_object(const std::string& space, const std::string& id) {
  std::optional<ObjectRow> found;
  TRY_VOID(object_.bind(space, id));
  TRY_VOID(each_row(object_, [&](const sql::Statement& row) { found = object_of(row); }));
  return found;
}

Result<std::vector<ObjectRow>> StoreReader::list_objects(const std::string& space, const std::string& after_id,
                                                         std::uint32_t limit) {
  std::vector<ObjectRow> rows;
  TRY_VOID(objects_.bind(space, after_id, limit));
  TRY_VOID(each_row(objects_, [&](const sql::Statement& row) { rows.push_back(object_of(row)); }));
  return rows;
}

Result<std::vector<Entry>> StoreReader::list_entries(const std::string& space) {
  std::vector<Entry> rows;
  TRY_VOID(entries_.bind(space));
  TRY_VOID(each_row(entries_, [&](const sql::Statement& row) {
    rows.push_back({space, std::string(row.column_text(0)), std::string(row.column_text(1))});
  }));
  return rows;
}

}  // namespace insula::storage
