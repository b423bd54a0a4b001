// SPDX-License-Identifier: Apache-2.0
//
// StoreWriter: the SQL of every write, and what a failure means.
#include <memory>
#include <optional>
#include <utility>

#include "src/base/checksum.h"
#include "src/base/crash_point.h"
#include "src/storage/schema.h"
#include "src/storage/writer.h"

namespace insula::storage {
namespace {

std::optional<TimeMs> or_null(TimeMs time) { return time != 0 ? std::optional(time) : std::nullopt; }

}  // namespace

Result<std::unique_ptr<StoreWriter>> StoreWriter::open(const std::string& path) {
  std::unique_ptr<StoreWriter> writer(new StoreWriter);
  sql::OpenOptions options;
  options.journal = sql::Journal::Wal;
  options.durability = sql::Durability::EachCommit;
  options.busy_wait = std::chrono::milliseconds(5'000);  // a reader that reads the schema while the file is made
  TRY(writer->database_, sql::Database::open(path, options));
  auto& database = writer->database_;
  TRY_VOID(migrate(database));
  // A longer log makes fewer checkpoints, each of which syncs twice and copies pages; 32 MiB keeps the file small.
  TRY_VOID(database.run("PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -32768; "
                        "PRAGMA journal_size_limit = 67108864"));
  TRY_VOID(database.run("UPDATE meta SET value = value + 1 WHERE key = 'epoch'"));
  TRY(const auto epoch, database.integer("SELECT value FROM meta WHERE key = 'epoch'"));
  writer->epoch_ = static_cast<std::uint64_t>(epoch);
  crash_point(CrashPoint::StoreOpened);
  TRY_VOID(writer->prepare());
  return writer;
}

Result<> StoreWriter::prepare() {
  const std::pair<sql::Statement*, const char*> statements[] = {
      {&read_epoch_, "SELECT value FROM meta WHERE key = 'epoch'"},
      {&insert_instance_,
       "INSERT OR IGNORE INTO instances (ref, workflow, id, status, created_at, ended_at, due, expires_at, fairness_key,"
       " metadata, success_retention_ms, error_retention_ms, records, next_value, head, outcome)"
       " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
      {&update_instance_,
       "UPDATE instances SET status = ?, ended_at = ?, due = ?, expires_at = ?, outcome = ?, records = ?, next_value = ?"
       " WHERE ref = ?"},
      {&delete_instance_, "DELETE FROM instances WHERE ref = ?"},
      {&delete_history_, "DELETE FROM history WHERE ref = ?"},
      {&delete_blobs_, "DELETE FROM blobs WHERE ref = ?"},
      {&append_log_, "INSERT INTO log (sequence, ref, first_record, bytes) VALUES (?,?,?,?)"},
      {&trim_log_, "DELETE FROM log WHERE sequence < ?"},
      {&append_history_, "INSERT OR REPLACE INTO history (ref, first_record, bytes) VALUES (?,?,?)"},
      {&wipe_head_, "UPDATE instances SET head = x'' WHERE ref = ?"},
      {&put_value_, "INSERT OR REPLACE INTO blobs (ref, number, checksum, bytes) VALUES (?,?,?,?)"},
      {&drop_values_, "DELETE FROM blobs WHERE ref = ? AND number >= ? AND number < ?"},
      {&note_clock_, "UPDATE meta SET value = max(value, ?) WHERE key = 'clock'"},
      {&set_alarm_, "INSERT OR REPLACE INTO alarms (object, due, attempt) VALUES (?,?,?)"},
      {&clear_alarm_, "DELETE FROM alarms WHERE object = ?"},
      {&put_object_, "INSERT OR IGNORE INTO objects (space, id, name, created_at) VALUES (?,?,?,?)"},
      {&delete_object_, "DELETE FROM objects WHERE space = ? AND id = ?"},
      {&put_entry_, "INSERT OR REPLACE INTO entries (space, key, value) VALUES (?,?,?)"},
      {&delete_entry_, "DELETE FROM entries WHERE space = ? AND key = ?"},
      {&drop_alarms_, "DELETE FROM alarms WHERE object > ? AND object < ?"},
      {&drop_entries_, "DELETE FROM entries WHERE space > ? AND space < ?"},
      {&drop_objects_, "DELETE FROM objects WHERE space = ?"},
  };
  for (const auto& entry : statements) {
    TRY(*entry.first, database_.prepare(entry.second));
  }
  return {};
}

std::vector<Result<>> StoreWriter::write(const std::vector<const Batch*>& batches) {
  std::vector<Result<>> results(batches.size());
  auto together = write_together(batches, 0, batches.size(), results);
  if (together) return results;
  if (batches.size() > 1 && !is_poisoned_) {
    // One of them may be to blame (a value too large, a damaged page): each gets its own transaction and its own answer.
    for (std::size_t i = 0; i < batches.size(); ++i) {
      if (auto alone = write_together(batches, i, i + 1, results); !alone) results[i] = alone.error();
    }
    return results;
  }
  for (auto& result : results) result = together.error();
  return results;
}

Result<> StoreWriter::check_epoch() {
  TRY_VOID(read_epoch_.bind());
  TRY(const bool row, read_epoch_.step());
  const auto current = row ? static_cast<std::uint64_t>(read_epoch_.column_integer(0)) : 0;
  read_epoch_.reset();
  if (current == epoch_) return {};
  is_poisoned_ = true;
  return Error(ErrorCode::Conflict, "store: another process has taken over (epoch " + std::to_string(current) +
                                        ", this one has " + std::to_string(epoch_) + ")");
}

Result<> StoreWriter::write_together(const std::vector<const Batch*>& batches, std::size_t from, std::size_t to,
                                     std::vector<Result<>>& results) {
  if (is_poisoned_) {
    return Error(ErrorCode::Unavailable, "store: an earlier write failed in a way that leaves the disk unknown; "
                                         "check the disk and start insula anew");
  }
  TRY(auto transaction, sql::Transaction::begin(database_));
  TRY_VOID(check_epoch());
  for (std::size_t i = from; i < to; ++i) {
    results[i] = write_batch(*batches[i]);
    if (!results[i] && results[i].error().code() != ErrorCode::Conflict) return results[i].error().within("store");
  }
  crash_point(CrashPoint::StoreWritten);
  auto committed = transaction.commit();
  if (committed) {
    crash_point(CrashPoint::StoreCommitted);
    return {};
  }
  // A full disk is found before the log is synced and the transaction is rolled back. Anything else may be the sync.
  if (committed.error().code() != ErrorCode::LimitExceeded) is_poisoned_ = true;
  return committed.error().within("store");
}

Result<> StoreWriter::write_batch(const Batch& batch) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto& write = batch[i];
    // A condition that fails leaves nothing to undo only if it comes first.
    INSULA_CHECK(i == 0 || !std::holds_alternative<InsertInstance>(write));
    TRY_VOID(std::visit([this](const auto& what) { return apply(what); }, write));
  }
  return {};
}

Result<> StoreWriter::apply(const InsertInstance& insert) {
  const auto& row = insert.row;
  TRY_VOID(insert_instance_.run(row.ref, row.workflow, row.id, row.status, row.created_at, row.ended_at,
                                or_null(row.due), or_null(row.expires_at), row.fairness_key, row.metadata,
                                row.success_retention_ms, row.error_retention_ms, row.records, row.next_value,
                                sql::Blob(row.head), sql::Blob(row.outcome)));
  if (database_.changes() != 0) return {};
  return Error(ErrorCode::Conflict, "store: workflow \"" + row.workflow + "\" has an instance \"" + row.id + "\"");
}

Result<> StoreWriter::apply(const UpdateInstance& update) {
  return update_instance_.run(update.status, update.ended_at, or_null(update.due), or_null(update.expires_at),
                              sql::Blob(update.outcome), update.records, update.next_value, update.ref);
}

Result<> StoreWriter::apply(const DeleteInstance& gone) {
  TRY_VOID(delete_instance_.run(gone.ref));
  TRY_VOID(delete_history_.run(gone.ref));
  return delete_blobs_.run(gone.ref);
}

Result<> StoreWriter::apply(const AppendLog& append) {
  return append_log_.run(append.sequence, append.ref, append.first_record, sql::Blob(append.bytes));
}

Result<> StoreWriter::apply(const TrimLog& trim) { return trim_log_.run(trim.below); }

Result<> StoreWriter::apply(const AppendHistory& append) {
  return append_history_.run(append.ref, append.first_record, sql::Blob(append.bytes));
}

Result<> StoreWriter::apply(const WipeHistory& wipe) {
  TRY_VOID(wipe_head_.run(wipe.ref));
  return delete_history_.run(wipe.ref);
}

Result<> StoreWriter::apply(const PutValue& put) {
  return put_value_.run(put.ref, put.number, crc32c(put.bytes), sql::Blob(put.bytes));
}

Result<> StoreWriter::apply(const DropValues& drop) { return drop_values_.run(drop.ref, drop.from, drop.to); }

Result<> StoreWriter::apply(const NoteClock& note) { return note_clock_.run(note.at); }

Result<> StoreWriter::apply(const SetAlarm& set) {
  return set_alarm_.run(set.alarm.object, set.alarm.due, set.alarm.attempt);
}

Result<> StoreWriter::apply(const ClearAlarm& clear) { return clear_alarm_.run(clear.object); }

Result<> StoreWriter::apply(const PutObject& put) {
  return put_object_.run(put.row.space, put.row.id, put.row.name, put.row.created_at);
}

Result<> StoreWriter::apply(const DeleteObject& gone) { return delete_object_.run(gone.space, gone.id); }

Result<> StoreWriter::apply(const PutEntry& put) {
  return put_entry_.run(put.entry.space, put.entry.key, put.entry.value);
}

Result<> StoreWriter::apply(const DeleteEntry& gone) { return delete_entry_.run(gone.space, gone.key); }

Result<> StoreWriter::apply(const DropNamespace& gone) {
  // '0' is the character after '/': the range holds what begins with "NAMESPACE/".
  TRY_VOID(drop_alarms_.run(gone.space + "/", gone.space + "0"));
  TRY_VOID(drop_entries_.run("facets/" + gone.space + "/", "facets/" + gone.space + "0"));
  return drop_objects_.run(gone.space);
}

}  // namespace insula::storage
