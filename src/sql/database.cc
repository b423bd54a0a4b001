// SPDX-License-Identifier: Apache-2.0
//
// Database and Transaction: opening, preparing, ending.
#include "src/sql/database.h"

#include <cctype>

#include <sqlite3.h>

#include "src/sql/heap.h"
#include "src/sql/result_code.h"

namespace insula::sql {
namespace {

Result<> set_flag(sqlite3* handle, int flag, bool on) {
  const int code = sqlite3_db_config(handle, flag, on ? 1 : 0, nullptr);
  if (code != SQLITE_OK) return last_error(handle, code);
  return {};
}

Result<> configure(Database& database, const OpenOptions& options) {
  sqlite3* const handle = database.handle();
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, static_cast<int>(options.busy_wait.count()));
  TRY_VOID(set_flag(handle, SQLITE_DBCONFIG_DEFENSIVE, true));
  TRY_VOID(set_flag(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, false));
  TRY_VOID(set_flag(handle, SQLITE_DBCONFIG_ENABLE_FKEY, options.foreign_keys));
  if (options.exclusive) TRY_VOID(database.run("PRAGMA locking_mode = EXCLUSIVE"));
  if (options.journal == Journal::Wal) {
    TRY(Statement journal, database.prepare("PRAGMA journal_mode = WAL"));
    TRY(const bool row, journal.step());
    const std::string mode(row ? journal.column_text(0) : "");
    // A database in memory has no log.
    if (mode != "wal" && mode != "memory") {
      return Error(ErrorCode::Unavailable, "sql: the database stays in journal mode '" + mode +
                                               "'; is its folder writable, and no other program using it?");
    }
  }
  return database.run(options.durability == Durability::EachCommit ? "PRAGMA synchronous = FULL"
                                                                   : "PRAGMA synchronous = NORMAL");
}

}  // namespace

Database& Database::operator=(Database&& other) noexcept {
  if (this != &other) {
    sqlite3_close_v2(handle_);
    handle_ = std::exchange(other.handle_, nullptr);
  }
  return *this;
}

Database::~Database() { sqlite3_close_v2(handle_); }

Result<Database> Database::open(const std::string& path, const OpenOptions& options) {
  initialize();
  int flags = SQLITE_OPEN_READWRITE;
  if (options.read_only) flags = SQLITE_OPEN_READONLY;
  if (options.create && !options.read_only) flags |= SQLITE_OPEN_CREATE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, options.vfs);
  Database database(handle);
  if (code != SQLITE_OK) return last_error(handle, code);
  TRY_VOID(configure(database, options));
  return database;
}

Result<Statement> Database::prepare(std::string_view text) {
  sqlite3_stmt* handle = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v3(handle_, text.data(), static_cast<int>(text.size()), SQLITE_PREPARE_PERSISTENT,
                                      &handle, &rest);
  if (code != SQLITE_OK) return last_error(handle_, code);
  Statement statement(handle);
  if (!statement) return Error(ErrorCode::InvalidInput, "sql: there is no statement in '" + std::string(text) + "'");
  for (const char* at = rest; at != text.data() + text.size(); ++at) {
    if (std::isspace(static_cast<unsigned char>(*at)) == 0) {
      return Error(ErrorCode::InvalidInput, "sql: more than one statement in '" + std::string(text) + "'; use run()");
    }
  }
  return statement;
}

Result<> Database::run(std::string_view text) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    sqlite3_stmt* handle = nullptr;
    const int code = sqlite3_prepare_v3(handle_, at, static_cast<int>(end - at), 0, &handle, &at);
    if (code != SQLITE_OK) return last_error(handle_, code);
    if (handle == nullptr) continue;  // white space or a comment
    Statement statement(handle);
    for (bool row = true; row;) {
      TRY(row, statement.step());
    }
  }
  return {};
}

Result<std::int64_t> Database::integer(std::string_view text) {
  TRY(Statement statement, prepare(text));
  TRY(const bool row, statement.step());
  return row ? statement.column_integer(0) : 0;
}

std::int64_t Database::last_insert_rowid() const noexcept { return sqlite3_last_insert_rowid(handle_); }
std::int64_t Database::changes() const noexcept { return sqlite3_changes64(handle_); }
bool Database::in_transaction() const noexcept { return sqlite3_get_autocommit(handle_) == 0; }

Result<> Database::checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(handle_, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code != SQLITE_OK) return last_error(handle_, code);
  return {};
}

Result<Transaction> Transaction::begin(Database& database) {
  TRY_VOID(database.run("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  // After some errors SQLite has rolled back already.
  if (database_ != nullptr && database_->in_transaction()) static_cast<void>(database_->run("ROLLBACK"));
}

Result<> Transaction::commit() {
  Database& database = *std::exchange(database_, nullptr);
  auto committed = database.run("COMMIT");
  if (!committed && database.in_transaction()) static_cast<void>(database.run("ROLLBACK"));
  return committed;
}

}  // namespace insula::sql
