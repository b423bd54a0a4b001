// SPDX-License-Identifier: Apache-2.0
//
// Connection: SQLite on the files of one actor, the transaction that it is in, and our own statements.
//
// Everything that runs is inside a transaction: begin_if_needed() before, and its owner commits when the turn ends.
// SQLite ends a transaction by itself after some errors (disk full, I/O, out of memory, INSERT OR ROLLBACK): what came
// before in the turn is gone then, and so may nothing of the turn be kept. That is the critical state.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "src/base/error.h"
#include "src/runner/actors/actor_files.h"
#include "src/runner/actors/sql_policy.h"
#include "src/sql/database.h"

struct sqlite3;

namespace insula::runner::actors {

inline constexpr std::string_view kCriticalText = "Cannot commit transaction due to an earlier SQL critical error";
inline constexpr std::string_view kFullText = "database or disk is full: SQLITE_FULL";

// Asked every thousand operations of SQLite while a statement runs.
class SqlMonitor {
 public:
  virtual ~SqlMonitor() = default;
  // true: end the statement with SQLITE_INTERRUPT, because the invocation has used up its CPU time.
  virtual bool should_stop() noexcept = 0;
};

class Connection {
 public:
  struct Options {
    std::uint64_t database_bytes_max;
    std::size_t cache_bytes;
  };

  explicit Connection(ActorFiles& files) : files_(files) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Closes the database; what is not committed is lost. Statements of others must be gone.
  void close() {
    own_.clear();
    database_ = sql::Database();
  }

  // The files must hold a database in WAL mode (actor_storage.cc sees to that). Inside Entered, as all of the below.
  Result<> open(const Options& options);

  sqlite3* handle() const noexcept { return database_.handle(); }
  ActorFiles& files() noexcept { return files_; }
  SqlPolicy& policy() noexcept { return policy_; }

  // ---- Transactions
  Result<> begin_if_needed();
  bool in_transaction() const noexcept { return database_.in_transaction(); }
  bool has_written() const noexcept;  // in the transaction that is open
  Result<> commit();                  // on an error nothing was kept, and the state is critical
  void rollback();                    // of everything that is not committed; ends the critical state
  // The critical state as an error: Conflict, or LimitExceeded when it came because the database is full.
  Result<> check_usable() const;
  bool is_critical() const noexcept { return is_critical_; }

  // To be called after every failed statement of any kind: notices that SQLite has rolled back.
  void note_failure() noexcept;

  // How often anything was undone: what is remembered about the content of tables is worthless after a change.
  std::uint64_t undone() const noexcept { return undone_; }
  void note_undone() noexcept { ++undone_; }

  // ---- Our own statements; `text` must be a literal, its address is the key.
  class Trusted {
   public:
    explicit Trusted(Connection& connection) : policy_(connection.policy_), before_(policy_.trusted) {
      policy_.trusted = true;
    }
    ~Trusted() { policy_.trusted = before_; }
    Trusted(const Trusted&) = delete;
    Trusted& operator=(const Trusted&) = delete;

   private:
    SqlPolicy& policy_;
    const bool before_;
  };
  Result<sql::Statement*> own(const char* text);
  Result<> run_own(std::string_view text);  // not kept; for what is rare
  void drop_own_statements() { own_.clear(); }

  // Pages in the log after the last commit.
  std::uint32_t log_frames = 0;
  SqlMonitor* monitor = nullptr;

 private:
  ActorFiles& files_;
  SqlPolicy policy_;  // before the database, which asks it until it closes
  sql::Database database_;
  std::unordered_map<const char*, sql::Statement> own_;
  bool is_begun_ = false;  // by us; SQLite may have ended it since
  bool is_critical_ = false;
  bool is_full_ = false;  // that is why
  std::uint64_t undone_ = 0;
};

}  // namespace insula::runner::actors
