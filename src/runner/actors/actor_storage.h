// SPDX-License-Identifier: Apache-2.0
//
// ActorStorage: the storage of one actor (a Durable Object or a facet) on descriptors that the supervisor passed.
//
//   turn:   exec / put / ...  -> first use begins a transaction
//   end:    commit()          -> {sequence, ...}; the writes are atomic, and in the kernel's hands
//   gate:   what the actor says to the world waits until durable_sequence() >= sequence
//   pool:   sync()            -> makes everything committed before the call durable, on any thread
//   idle:   checkpoint() when checkpoint_due(), close() at the end; both block, so on a pool's thread
//
// Threads: all calls belong to whoever is inside the actor, one at a time, except sync(), durable_sequence(),
// committed_sequence() and is_poisoned(), which any thread may call at any time while the object exists.
//
// Failing
//   An error of exec, put, ... leaves the turn usable, unless SQLite had to roll back: is_critical(). Then commit() fails
//   with "Cannot commit transaction due to an earlier SQL critical error"; the actor is to be reset, and abandon() makes
//   the storage ready for its next instance.
//   An error of sync() or checkpoint() poisons: nobody knows what is on the disk, everything fails from then on, and the
//   files have to be opened anew.
//
// On disk: a SQLite database and its write-ahead log, which sqlite3 opens when Insula is stopped (X.sqlite, X.sqlite-wal),
// and beside them the history (X.history).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/fd.h"
#include "src/runner/actors/actor_files.h"
#include "src/runner/actors/connection.h"
#include "src/runner/actors/history.h"
#include "src/runner/actors/key_value.h"
#include "src/runner/actors/sql_session.h"
#include "src/runner/actors/storage_file.h"

namespace insula::runner::actors {

struct StorageOptions {
  std::uint64_t database_bytes_max = std::uint64_t{10} << 30;  // the quota; rounded down to pages
  std::size_t heap_bytes_max = std::size_t{32} << 20;          // what SQLite may hold for this actor
  std::size_t cache_bytes = std::size_t{1} << 20;              // of that, pages
  std::uint64_t checkpoint_bytes = std::uint64_t{1} << 20;     // a log of this size is worth a checkpoint
  std::uint64_t checkpoint_hard_bytes = std::uint64_t{16} << 20;  // commit() does it itself
  std::uint64_t history_bytes_max = std::uint64_t{64} << 20;   // older states go earlier than after 30 days
};

// What an actor may take up on the disk that may have `bytes` in its database; 0: as much as any. Its log and its history
// are bounded in proportion, so that a small quota is a small place.
StorageOptions options_for_quota(std::uint64_t bytes) noexcept;

struct Committed {
  std::uint64_t sequence = 0;  // wait for durable_sequence() to reach it; that of an earlier commit if nothing was written
  bool alarm_changed = false;  // since the last commit(), whatever else committed in between
  std::optional<std::int64_t> alarm_ms;  // if changed: the new one
};

class ActorStorage {
 public:
  // Blocks: reads the files, and after a crash moves the log into the database. Corrupt when the files are no database.
  // A restore that was asked for happens here. `history` may be no descriptor (null): no bookmarks then. now_ms: the time.
  static Result<std::unique_ptr<ActorStorage>> open(Fd database, Fd log, Fd history, std::int64_t now_ms,
                                                    const StorageOptions& options = {});
  static Result<std::unique_ptr<ActorStorage>> open(std::unique_ptr<StorageFile> database,
                                                    std::unique_ptr<StorageFile> log,
                                                    std::unique_ptr<StorageFile> history, std::int64_t now_ms,
                                                    const StorageOptions& options = {});

  // Without close(): what is not committed is lost, the rest stays in the log.
  ~ActorStorage();
  ActorStorage(const ActorStorage&) = delete;
  ActorStorage& operator=(const ActorStorage&) = delete;

  // The time that SQL sees until the next call; at the start of each turn.
  void set_now(std::int64_t unix_ms) noexcept { files_.now_ms = unix_ms; }
  // Asked every thousand operations of a statement; null: nobody. It must outlive its use.
  void set_monitor(SqlMonitor* monitor) noexcept { connection_.monitor = monitor; }

  // ---- SQL
  Result<std::unique_ptr<SqlCursor>> exec(std::string_view text, std::span<const SqlParameter> parameters = {});
  Result<std::uint64_t> database_bytes();
  std::uint64_t rows_read_total() const noexcept { return session_.rows_read_total(); }
  std::uint64_t rows_written_total() const noexcept { return session_.rows_written_total(); }
  std::size_t heap_bytes() const noexcept { return heap().bytes(); }

  // ---- Key-value (key_value.h has the rules)
  Result<std::optional<Bytes>> get(std::string_view key);
  Result<> put(std::string_view key, BytesView value);
  Result<bool> remove(std::string_view key);
  Result<> list(const ListOptions& options, const ListVisitor& visitor);

  // Everything: tables, keys, and the alarm unless it is kept. Commits what the turn has done before. Conflict inside a
  // transaction: "Cannot call deleteAll() within a transaction".
  Result<> delete_all(bool and_alarm);

  // ---- Alarm: milliseconds since 1970
  Result<std::optional<std::int64_t>> alarm();
  Result<> set_alarm(std::optional<std::int64_t> unix_ms);

  // ---- Transactions
  // transactionSync: savepoints, to be ended in reverse order within the turn. Nothing is committed by their end.
  Result<> begin_savepoint();
  Result<> release_savepoint();
  Result<> rollback_savepoint();
  int savepoints() const noexcept { return savepoints_; }

  // transaction(): what was done before is committed, and from now on commit() keeps everything open, over any number of
  // turns, until end_transaction(). Conflict when one is open.
  Result<> begin_transaction();
  Result<Committed> end_transaction();
  void rollback_transaction();
  bool in_explicit_transaction() const noexcept { return is_explicit_; }

  // The end of a turn. On an error nothing of the turn was kept.
  Result<Committed> commit();
  // Drops what is not committed, open cursors' rows included, and ends the critical state.
  void abandon();
  bool is_critical() const noexcept { return connection_.is_critical(); }

  // ---- Point in time (history.h). Unsupported without a history file. The first two commit the turn so far.
  Result<std::string> current_bookmark();
  Result<std::string> bookmark_for_time(std::int64_t unix_ms);
  // At the next open() the storage is what it was at `bookmark`: SQL, keys and alarm. Until then no checkpoint is made.
  // Returns the bookmark that undoes it. InvalidInput: never one of this object; NotFound: no longer kept.
  Result<std::string> restore_at_next_open(std::string_view bookmark);

  // ---- Durability
  std::uint64_t committed_sequence() const noexcept { return committed_.load(std::memory_order_acquire); }
  std::uint64_t durable_sequence() const noexcept { return durable_.load(std::memory_order_acquire); }
  bool needs_sync() const noexcept { return durable_sequence() < committed_sequence(); }
  // Blocks for as long as the disk needs, 0.2 ms to seconds. Returns the sequence that is durable now.
  Result<std::uint64_t> sync();
  bool is_poisoned() const noexcept { return poison_.load(std::memory_order_acquire) != 0; }

  bool checkpoint_due() const noexcept { return log_bytes() >= options_.checkpoint_bytes; }
  // Moves the log into the database file: three syncs. Between turns; Conflict inside a transaction.
  Result<> checkpoint();
  // checkpoint(), and an end. The object can only be destroyed afterwards.
  Result<> close();

 private:
  ActorStorage(std::unique_ptr<StorageFile> database, std::unique_ptr<StorageFile> log,
               std::unique_ptr<StorageFile> history, const StorageOptions& options);
  const sql::HeapBudget& heap() const noexcept { return const_cast<ActorFiles&>(files_).heap(); }
  std::uint64_t log_bytes() const noexcept { return std::uint64_t{connection_.log_frames} * (kPageBytes + 24); }
  Result<> start();
  Result<> make_empty_database();
  Result<> open_connection();
  Result<std::optional<Bookmark>> wanted_restore();
  Result<> restore(Bookmark bookmark);
  Result<> check_history();
  Result<> check_usable() const;
  Result<> begin();
  Result<Committed> commit_now();
  Result<> checkpoint_now();
  Error poison(int error, std::string_view what);

  const StorageOptions options_;
  ActorFiles files_;
  Connection connection_;
  SqlSession session_{connection_};
  KeyValueTable table_{connection_};
  const std::unique_ptr<History> history_;  // may be null

  bool is_explicit_ = false;
  bool is_closed_ = false;
  int savepoints_ = 0;
  bool alarm_touched_ = false;
  bool is_restore_due_ = false;  // at the next open
  bool is_restoring_ = false;    // in this one

  std::atomic<std::uint64_t> committed_{0};
  std::atomic<std::uint64_t> durable_{0};
  std::atomic<bool> database_needs_sync_{false};  // a new file, whose first page must be there before any log counts
  std::atomic<int> poison_{0};                    // an errno; 0: healthy
};

}  // namespace insula::runner::actors
