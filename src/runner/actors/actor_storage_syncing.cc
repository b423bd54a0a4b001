// SPDX-License-Identifier: Apache-2.0
//
// ActorStorage: how writes become durable, and how the log moves into the database.
#include <cerrno>

#include <sqlite3.h>

#include "src/base/crash_point.h"
#include "src/runner/actors/actor_storage.h"
#include "src/sql/result_code.h"

namespace insula::runner::actors {

Error ActorStorage::poison(int error, std::string_view what) {
  int healthy = 0;
  poison_.compare_exchange_strong(healthy, error == 0 ? EIO : error, std::memory_order_acq_rel);
  return file_error(error == 0 ? EIO : error, what);
}

Result<std::uint64_t> ActorStorage::sync() {
  if (const int error = poison_.load(std::memory_order_acquire)) {
    return file_error(error, "an earlier write could not be made durable; the object must be reset");
  }
  const std::uint64_t target = committed_sequence();
  if (durable_sequence() >= target) return durable_sequence();
  crash_point(CrashPoint::ActorSyncing);
  if (database_needs_sync_.load(std::memory_order_acquire)) {
    if (const int error = files_.database().sync()) return poison(error, "cannot sync the database");
    database_needs_sync_.store(false, std::memory_order_release);
  }
  if (const int error = files_.log().sync()) return poison(error, "cannot sync the log");
  crash_point(CrashPoint::ActorSynced);
  std::uint64_t before = durable_sequence();
  while (before < target && !durable_.compare_exchange_weak(before, target, std::memory_order_acq_rel)) {
  }
  return durable_sequence();
}

Result<> ActorStorage::checkpoint() {
  const Entered entered(files_);
  TRY_VOID(check_usable());
  // Nothing but reads is open: that is no reason to refuse.
  if (!is_explicit_ && savepoints_ == 0 && !connection_.has_written()) TRY_VOID(connection_.commit());
  if (connection_.in_transaction()) return Error(ErrorCode::Conflict, "storage: a transaction is open");
  return checkpoint_now();
}

Result<> ActorStorage::checkpoint_now() {
  if (is_restore_due_) return {};  // "just before the restore" has to stay a place in this generation
  session_.detach_cursors(SqlSession::Which::All);
  if (database_needs_sync_.load(std::memory_order_acquire)) {
    if (const int error = files_.database().sync()) return poison(error, "cannot sync the database");
    database_needs_sync_.store(false, std::memory_order_release);
  }
  const std::uint64_t target = committed_sequence();
  crash_point(CrashPoint::ActorCheckpointing);
  if (history_) {
    auto archived = history_->archive(files_.database(), files_.log(), files_.now_ms);
    // Without this generation the older ones are of no use; without a word about that they would be wrong.
    // Only a restore that waits for it is worth failing for.
    if (!archived && !is_restoring_) archived = history_->give_up(files_.now_ms);
    if (!archived) {
      poison(EIO, "history");
      return std::move(archived).error();
    }
  }
  files_.in_checkpoint = true;
  files_.first_errno = 0;
  const int code = sqlite3_wal_checkpoint_v2(connection_.handle(), "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  files_.in_checkpoint = false;
  if (code != SQLITE_OK) {
    poison(files_.first_errno, "checkpoint");
    return sql::last_error(connection_.handle(), code).within("storage: cannot move the log into the database");
  }
  connection_.log_frames = 0;
  crash_point(CrashPoint::ActorLogEmptied);
  if (const int error = files_.log().sync()) return poison(error, "cannot sync the log");
  crash_point(CrashPoint::ActorCheckpointed);
  files_.log_was_empty = true;
  std::uint64_t before = durable_sequence();
  while (before < target && !durable_.compare_exchange_weak(before, target, std::memory_order_acq_rel)) {
  }
  return {};
}

Result<> ActorStorage::close() {
  crash_point(CrashPoint::ActorClosing);
  TRY_VOID(checkpoint());
  is_closed_ = true;
  return {};
}

}  // namespace insula::runner::actors
