// SPDX-License-Identifier: Apache-2.0
//
// Connection: opening with the settings of an actor, and the ends of transactions.
#include "src/runner/actors/connection.h"

#include <algorithm>

#include <sqlite3.h>

#include "src/sql/result_code.h"

namespace insula::runner::actors {
namespace {

constexpr int kOperationsPerQuestion = 1000;

// Small actors are many: a quarter of SQLite's usual 48 KiB per connection serves the statements that they run.
constexpr int kLookasideBytes = 512;
constexpr int kLookasideCount = 24;

int ask_monitor(void* connection) {
  SqlMonitor* const monitor = static_cast<Connection*>(connection)->monitor;
  return monitor != nullptr && monitor->should_stop() ? 1 : 0;
}

int note_log_frames(void* connection, sqlite3*, const char*, int frames) {
  static_cast<Connection*>(connection)->log_frames = static_cast<std::uint32_t>(frames);
  return SQLITE_OK;
}

}  // namespace

Result<> Connection::open(const Options& options) {
  register_actor_vfs();
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(kDatabaseName, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kVfsName);
  database_ = sql::Database(handle);
  if (code != SQLITE_OK) return sql::last_error(handle, code);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_LOOKASIDE, nullptr, kLookasideBytes, kLookasideCount);
  policy_.apply_to(handle);

  const Trusted trusted(*this);
  // Exclusive locking before the log is first looked at: no shared memory, the log's index is on the heap.
  TRY_VOID(database_.run("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = NORMAL"));
  TRY_VOID(database_.run("PRAGMA cache_size = -" + std::to_string(options.cache_bytes / 1024)));
  const std::uint64_t pages = std::clamp<std::uint64_t>(options.database_bytes_max / kPageBytes, 2, 0xfffffffe);
  TRY_VOID(database_.run("PRAGMA max_page_count = " + std::to_string(pages)));
  TRY(sql::Statement mode, database_.prepare("PRAGMA journal_mode"));
  TRY(const bool row, mode.step());
  if (!row || mode.column_text(0) != "wal") {
    return Error(ErrorCode::Corrupt, "storage: the database file is not in WAL mode; it was made by something else");
  }
  sqlite3_progress_handler(handle, kOperationsPerQuestion, ask_monitor, this);
  sqlite3_wal_hook(handle, note_log_frames, this);
  return {};
}

Result<> Connection::begin_if_needed() {
  note_failure();  // nobody may begin anew what SQLite has ended unseen
  TRY_VOID(check_usable());
  if (in_transaction()) return {};
  const Trusted trusted(*this);
  TRY(sql::Statement* const begin, own("BEGIN"));
  TRY_VOID(begin->step());
  is_begun_ = true;
  return {};
}

bool Connection::has_written() const noexcept {
  return in_transaction() && sqlite3_txn_state(handle(), "main") == SQLITE_TXN_WRITE;
}

Result<> Connection::commit() {
  note_failure();
  TRY_VOID(check_usable());
  if (!in_transaction()) return {};
  const Trusted trusted(*this);
  TRY(sql::Statement* const statement, own("COMMIT"));
  auto committed = statement->step();
  if (committed) {
    is_begun_ = false;
    return {};
  }
  rollback();
  is_critical_ = true;
  is_full_ = committed.error().code() == ErrorCode::LimitExceeded;
  return std::move(committed).error();
}

void Connection::rollback() {
  is_critical_ = false;
  is_begun_ = false;
  ++undone_;
  if (!in_transaction()) return;
  const Trusted trusted(*this);
  // A rollback cannot fail in a way that keeps anything: what is not committed in the log does not count.
  static_cast<void>(run_own("ROLLBACK"));
}

Result<> Connection::check_usable() const {
  if (!is_critical_) return {};
  if (!is_full_) return Error(ErrorCode::Conflict, std::string(kCriticalText));
  return Error(ErrorCode::LimitExceeded, std::string(kCriticalText) + ": " + std::string(kFullText));
}

void Connection::note_failure() noexcept {
  if (!is_begun_ || in_transaction()) return;
  is_begun_ = false;
  is_critical_ = true;
  is_full_ = sqlite3_errcode(handle()) == SQLITE_FULL;
  ++undone_;
}

Result<sql::Statement*> Connection::own(const char* text) {
  const auto found = own_.find(text);
  if (found != own_.end()) return &found->second;
  TRY(sql::Statement statement, database_.prepare(text));
  return &own_.emplace(text, std::move(statement)).first->second;
}

Result<> Connection::run_own(std::string_view text) {
  const Trusted trusted(*this);
  return database_.run(text);
}

}  // namespace insula::runner::actors
