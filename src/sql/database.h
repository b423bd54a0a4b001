// SPDX-License-Identifier: Apache-2.0
//
// Database: one connection to one SQLite file, closed when it goes. Used by one thread at a time.
//
//   TRY(auto database, sql::Database::open(path, {.journal = sql::Journal::Wal}));
//   TRY_VOID(database.run("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY) STRICT"));
//   TRY(auto transaction, sql::Transaction::begin(database));
//   TRY_VOID(insert.run(1));
//   TRY_VOID(transaction.commit());
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/error.h"
#include "src/sql/statement.h"

struct sqlite3;

namespace insula::sql {

enum class Journal : std::uint8_t {
  AsItIs,  // whatever the file says
  Wal,     // write-ahead log; readers and one writer side by side
};

enum class Durability : std::uint8_t {
  EachCommit,      // a commit returns when it is on the disk
  EachCheckpoint,  // a commit may be lost with the machine, never half of it; the caller syncs the log
};

struct OpenOptions {
  bool create = true;
  bool read_only = false;
  bool exclusive = false;      // one connection of one process: no shared memory beside the log
  bool foreign_keys = true;
  Journal journal = Journal::AsItIs;
  Durability durability = Durability::EachCommit;
  std::chrono::milliseconds busy_wait{0};  // how long to wait for another connection's lock
  const char* vfs = nullptr;               // the name of a registered file layer; null: the system's
};

class Database {
 public:
  Database() = default;
  explicit Database(sqlite3* handle) noexcept : handle_(handle) {}  // takes it over
  Database(Database&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Database& operator=(Database&& other) noexcept;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // ":memory:" is a database in memory. Extended codes are on, the connection is in defensive mode.
  static Result<Database> open(const std::string& path, const OpenOptions& options);

  // InvalidInput when `text` holds no statement or more than one. Keep what is used again: preparing costs far more
  // than running.
  Result<Statement> prepare(std::string_view text);

  // All statements in `text`; rows are dropped. For schema and pragmas.
  Result<> run(std::string_view text);

  // The first column of the first row, 0 if there is none: PRAGMA user_version, SELECT count(*).
  Result<std::int64_t> integer(std::string_view text);

  std::int64_t last_insert_rowid() const noexcept;
  std::int64_t changes() const noexcept;  // rows that the last finished INSERT, UPDATE or DELETE changed
  bool in_transaction() const noexcept;

  // Moves the log into the database file and empties it, when nobody reads.
  Result<> checkpoint();

  sqlite3* handle() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  sqlite3* handle_ = nullptr;
};

// A write transaction, rolled back when it goes without commit().
class Transaction {
 public:
  // Takes the write lock at once, so that it cannot fail half-way for another writer.
  static Result<Transaction> begin(Database& database);

  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  // On an error nothing was kept, and the transaction has ended.
  Result<> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}

  Database* database_;
};

}  // namespace insula::sql
