// SPDX-License-Identifier: Apache-2.0
//
// ActorStorage: what turns do. Opening and point in time are in actor_storage_opening.cc, syncs and checkpoints in
// actor_storage_syncing.cc.
#include "src/runner/actors/actor_storage.h"

#include <cstring>

#include <sqlite3.h>

#include "src/base/crash_point.h"

namespace insula::runner::actors {
namespace {

constexpr const char* kBeginSavepoint = "SAVEPOINT s";
constexpr const char* kReleaseSavepoint = "RELEASE s";
constexpr const char* kRollbackSavepoint = "ROLLBACK TO s";

Bytes encode(std::int64_t number) {
  Bytes bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

}  // namespace

Result<> ActorStorage::check_usable() const {
  if (is_closed_) return Error(ErrorCode::Unavailable, "storage: it is closed");
  if (const int error = poison_.load(std::memory_order_acquire)) {
    return file_error(error, "an earlier write could not be made durable; the object must be reset");
  }
  return connection_.check_usable();
}

Result<> ActorStorage::begin() {
  TRY_VOID(check_usable());
  return connection_.begin_if_needed();
}

Result<std::unique_ptr<SqlCursor>> ActorStorage::exec(std::string_view text,
                                                      std::span<const SqlParameter> parameters) {
  const Entered entered(files_);
  TRY_VOID(check_usable());
  return session_.exec(text, parameters);
}

Result<std::uint64_t> ActorStorage::database_bytes() {
  const Entered entered(files_);
  TRY_VOID(begin());
  const Connection::Trusted trusted(connection_);
  TRY(sql::Statement* const statement, connection_.own("PRAGMA page_count"));
  TRY_VOID(statement->step());
  const std::uint64_t bytes = static_cast<std::uint64_t>(statement->column_integer(0)) * kPageBytes;
  statement->reset();
  return bytes;
}

Result<std::optional<Bytes>> ActorStorage::get(std::string_view key) {
  const Entered entered(files_);
  TRY_VOID(begin());
  return table_.get(key);
}

Result<> ActorStorage::put(std::string_view key, BytesView value) {
  const Entered entered(files_);
  TRY_VOID(begin());
  return table_.put(key, value);
}

Result<bool> ActorStorage::remove(std::string_view key) {
  const Entered entered(files_);
  TRY_VOID(begin());
  return table_.remove(key);
}

Result<> ActorStorage::list(const ListOptions& options, const ListVisitor& visitor) {
  const Entered entered(files_);
  TRY_VOID(begin());
  return table_.list(options, visitor);
}

Result<> ActorStorage::delete_all(bool and_alarm) {
  const Entered entered(files_);
  TRY_VOID(check_usable());
  if (is_explicit_ || savepoints_ > 0) {
    return Error(ErrorCode::Conflict, "Cannot call deleteAll() within a transaction");
  }
  std::optional<std::int64_t> kept;
  if (!and_alarm) {
    TRY(kept, alarm());
  }
  TRY_VOID(commit_now());
  session_.close();
  connection_.drop_own_statements();
  connection_.note_undone();
  // A vacuum that copies nothing: one transaction that leaves an empty database, whatever the old one was like.
  sqlite3* const handle = connection_.handle();
  const int attached_max = sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 1);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_RESET_DATABASE, 1, nullptr);
  crash_point(CrashPoint::ActorDeletingAll);
  auto emptied = connection_.run_own("VACUUM");
  sqlite3_db_config(handle, SQLITE_DBCONFIG_RESET_DATABASE, 0, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, attached_max);
  if (!emptied) return std::move(emptied).error();
  crash_point(CrashPoint::ActorDeletedAll);
  committed_.fetch_add(1, std::memory_order_acq_rel);
  if (history_) history_->note_commit(connection_.log_frames, files_.now_ms);
  alarm_touched_ = true;
  is_restore_due_ = false;
  if (kept) {
    TRY_VOID(set_alarm(kept));
    auto committed = connection_.commit();
    if (!committed) return std::move(committed).error();
  }
  return {};
}

Result<std::optional<std::int64_t>> ActorStorage::alarm() {
  const Entered entered(files_);
  TRY_VOID(begin());
  TRY(const std::optional<Bytes> bytes, table_.metadata(KeyValueTable::Slot::Alarm));
  if (!bytes || bytes->size() != sizeof(std::int64_t)) return std::nullopt;
  std::int64_t unix_ms = 0;
  std::memcpy(&unix_ms, bytes->data(), sizeof unix_ms);
  return unix_ms;
}

Result<> ActorStorage::set_alarm(std::optional<std::int64_t> unix_ms) {
  const Entered entered(files_);
  TRY_VOID(begin());
  alarm_touched_ = true;
  if (!unix_ms) return table_.set_metadata(KeyValueTable::Slot::Alarm, std::nullopt);
  const Bytes bytes = encode(*unix_ms);
  return table_.set_metadata(KeyValueTable::Slot::Alarm, BytesView(bytes));
}

Result<> ActorStorage::begin_savepoint() {
  const Entered entered(files_);
  TRY_VOID(begin());
  const Connection::Trusted trusted(connection_);
  TRY(sql::Statement* const statement, connection_.own(kBeginSavepoint));
  TRY_VOID(statement->step());
  ++savepoints_;
  return {};
}

Result<> ActorStorage::release_savepoint() {
  const Entered entered(files_);
  if (savepoints_ == 0) return Error(ErrorCode::Conflict, "storage: no savepoint is open; the storage was reset");
  --savepoints_;
  TRY_VOID(check_usable());
  session_.detach_cursors(SqlSession::Which::Writing);
  const Connection::Trusted trusted(connection_);
  TRY(sql::Statement* const statement, connection_.own(kReleaseSavepoint));
  TRY_VOID(statement->step());
  return {};
}

Result<> ActorStorage::rollback_savepoint() {
  const Entered entered(files_);
  if (savepoints_ == 0) return Error(ErrorCode::Conflict, "storage: no savepoint is open; the storage was reset");
  --savepoints_;
  TRY_VOID(check_usable());
  session_.detach_cursors(SqlSession::Which::Writing);
  connection_.note_undone();
  const Connection::Trusted trusted(connection_);
  for (const char* const text : {kRollbackSavepoint, kReleaseSavepoint}) {
    TRY(sql::Statement* const statement, connection_.own(text));
    TRY_VOID(statement->step());
  }
  return {};
}

Result<> ActorStorage::begin_transaction() {
  const Entered entered(files_);
  if (is_explicit_ || savepoints_ > 0) return Error(ErrorCode::Conflict, "storage: a transaction is open already");
  TRY_VOID(commit_now());
  TRY_VOID(begin());
  is_explicit_ = true;
  return {};
}

Result<Committed> ActorStorage::end_transaction() {
  const Entered entered(files_);
  if (!is_explicit_) return Error(ErrorCode::Conflict, "storage: no transaction is open; the storage was reset");
  if (savepoints_ > 0) return Error(ErrorCode::Conflict, "storage: a savepoint is open");
  is_explicit_ = false;
  return commit_now();
}

void ActorStorage::rollback_transaction() {
  const Entered entered(files_);
  if (!is_explicit_) return;
  is_explicit_ = false;
  if (is_critical()) return;  // it is rolled back, and abandon() ends that state
  session_.detach_cursors(SqlSession::Which::Writing);
  savepoints_ = 0;
  connection_.rollback();
}

Result<Committed> ActorStorage::commit() {
  const Entered entered(files_);
  if (is_explicit_) {
    TRY_VOID(check_usable());
    return Committed{committed_sequence(), false, std::nullopt};
  }
  auto committed = commit_now();
  if (committed) alarm_touched_ = false;  // now somebody has been told
  return committed;
}

Result<Committed> ActorStorage::commit_now() {
  TRY_VOID(check_usable());
  // A tenant can ask for a bookmark inside transactionSync().
  if (savepoints_ > 0) return Error(ErrorCode::Conflict, "storage: cannot commit while a savepoint is open");
  Committed committed;
  if (alarm_touched_) {
    committed.alarm_changed = true;
    TRY(committed.alarm_ms, alarm());
  }
  const bool has_written = connection_.has_written();
  if (has_written) {
    session_.detach_cursors(SqlSession::Which::Writing);
    crash_point(CrashPoint::ActorCommitting);
  }
  TRY_VOID(connection_.commit());
  if (has_written) {
    crash_point(CrashPoint::ActorCommitted);
    committed_.fetch_add(1, std::memory_order_acq_rel);
    if (history_) history_->note_commit(connection_.log_frames, files_.now_ms);
    if (log_bytes() >= options_.checkpoint_hard_bytes) TRY_VOID(checkpoint_now());
  }
  committed.sequence = committed_sequence();
  return committed;
}

void ActorStorage::abandon() {
  const Entered entered(files_);
  if (is_closed_) return;
  session_.close();
  connection_.rollback();
  is_explicit_ = false;
  savepoints_ = 0;
  alarm_touched_ = false;
}

}  // namespace insula::runner::actors
