// SPDX-License-Identifier: Apache-2.0
//
// ActorStorage: opening, turns, syncs and checkpoints.
#include "src/runner/actors/actor_storage.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <sqlite3.h>

#include "src/sql/result_code.h"

namespace insula::runner::actors {
namespace {

constexpr const char* kBeginSavepoint = "SAVEPOINT s";
constexpr const char* kReleaseSavepoint = "RELEASE s";
constexpr const char* kRollbackSavepoint = "ROLLBACK TO s";

// The one page of an empty database in WAL mode. All but its first sector is zeros, so half of it cannot be written.
Result<std::string> empty_database() {
  TRY(sql::Database database, sql::Database::open(":memory:", {}));
  TRY_VOID(database.run("PRAGMA page_size = 4096; PRAGMA user_version = 1"));
  sqlite3_int64 size = 0;
  unsigned char* const image = sqlite3_serialize(database.handle(), "main", &size, 0);
  if (image == nullptr || size != kPageBytes) {
    sqlite3_free(image);
    return Error(ErrorCode::Internal, "storage: cannot make the image of an empty database");
  }
  std::string page(reinterpret_cast<const char*>(image), static_cast<std::size_t>(size));
  sqlite3_free(image);
  page[18] = page[19] = 2;  // read and write version: WAL
  return page;
}

const Result<std::string>& empty_page() {
  static const Result<std::string> page = empty_database();
  return page;
}

Error file_error(int error, std::string_view what) {
  return Error(error == ENOSPC || error == EDQUOT ? ErrorCode::LimitExceeded : ErrorCode::Unavailable,
               "storage: " + std::string(what) + ": " + std::strerror(error));
}

Bytes encode(std::int64_t number) {
  Bytes bytes(sizeof number, '\0');
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

}  // namespace

StorageOptions options_for_quota(std::uint64_t bytes) noexcept {
  StorageOptions options;
  if (bytes == 0) return options;
  options.database_bytes_max = std::min(options.database_bytes_max, bytes);
  options.checkpoint_hard_bytes = std::clamp(bytes, options.checkpoint_bytes, options.checkpoint_hard_bytes);
  options.history_bytes_max = std::clamp(4 * options.database_bytes_max, options.checkpoint_bytes, options.history_bytes_max);
  return options;
}

Result<std::unique_ptr<ActorStorage>> ActorStorage::open(Fd database, Fd log, Fd history, std::int64_t now_ms,
                                                         const StorageOptions& options) {
  const bool has_history = static_cast<bool>(history);
  return open(std::make_unique<DescriptorFile>(std::move(database)), std::make_unique<DescriptorFile>(std::move(log)),
              has_history ? std::make_unique<DescriptorFile>(std::move(history)) : nullptr, now_ms, options);
}

Result<std::unique_ptr<ActorStorage>> ActorStorage::open(std::unique_ptr<StorageFile> database,
                                                         std::unique_ptr<StorageFile> log,
                                                         std::unique_ptr<StorageFile> history, std::int64_t now_ms,
                                                         const StorageOptions& options) {
  auto storage = std::unique_ptr<ActorStorage>(
      new ActorStorage(std::move(database), std::move(log), std::move(history), options));
  storage->set_now(now_ms);
  TRY_VOID(storage->start());
  return storage;
}

ActorStorage::ActorStorage(std::unique_ptr<StorageFile> database, std::unique_ptr<StorageFile> log,
                           std::unique_ptr<StorageFile> history, const StorageOptions& options)
    : options_(options),
      // One transaction may fill the quota and be spilled page by page more than once.
      files_(std::move(database), std::move(log),
             options.checkpoint_hard_bytes + 2 * options.database_bytes_max, options.heap_bytes_max),
      connection_(files_),
      history_(history ? std::make_unique<History>(std::move(history), options.history_bytes_max) : nullptr) {}

ActorStorage::~ActorStorage() {
  const Entered entered(files_);
  session_.close();
  connection_.close();
}

Result<> ActorStorage::start() {
  std::uint64_t database_bytes = 0;
  std::uint64_t log_bytes = 0;
  if (const int error = files_.database().size(database_bytes)) return file_error(error, "cannot look at the database");
  if (const int error = files_.log().size(log_bytes)) return file_error(error, "cannot look at the log");

  // The first page is on the disk before anything is acknowledged. Where it is missing nothing ever was.
  bool is_new = database_bytes < kPageBytes;
  if (database_bytes == kPageBytes) {
    std::array<char, kPageBytes> page{};
    std::size_t got = 0;
    if (const int error = files_.database().read_at(page.data(), page.size(), 0, got)) {
      return file_error(error, "cannot read the database");
    }
    is_new = std::string_view(page.data(), got).find_first_not_of('\0') == std::string_view::npos;
  }
  register_actor_vfs();
  if (is_new) {
    TRY_VOID(make_empty_database());
    files_.log_was_empty = database_bytes == 0 && log_bytes == 0;
    log_bytes = 0;
  }
  database_needs_sync_ = true;
  if (log_bytes == 0 && !files_.log_was_empty) {
    // An earlier owner may have emptied it and died before that was on the disk.
    if (const int error = files_.log().sync()) return file_error(error, "cannot sync the log");
    files_.log_was_empty = true;
  }

  files_.log_end = log_bytes;
  const Entered entered(files_);
  if (history_) TRY_VOID(history_->open(files_.now_ms));
  TRY_VOID(open_connection());
  TRY(const std::optional<Bookmark> wanted, wanted_restore());
  is_restoring_ = wanted.has_value();
  // What a killed owner left in the log may not be on the disk yet, and must be before anybody is told of it.
  if (log_bytes > 0) TRY_VOID(checkpoint_now());
  if (wanted) TRY_VOID(restore(*wanted));
  is_restoring_ = false;
  return {};
}

Result<> ActorStorage::open_connection() {
  TRY_VOID(connection_.open({options_.database_bytes_max, options_.cache_bytes}));
  // Reads the schema and, after a crash, the log; a file that is no database is found out here.
  auto looked = connection_.run_own("SELECT count(*) FROM sqlite_schema");
  if (!looked) return std::move(looked).error().within("storage: cannot open the database");
  return {};
}

// A note is of the generation that it was made in, or of the one before if an earlier opening was interrupted after its
// checkpoint. An older one is in the database because a restore brought it back.
Result<std::optional<Bookmark>> ActorStorage::wanted_restore() {
  if (!history_) return std::nullopt;
  auto note = table_.metadata(KeyValueTable::Slot::Restore);
  if (!note) return std::move(note).error();
  Bookmark words[2];
  if (!*note || (*note)->size() != sizeof words) return std::nullopt;
  std::memcpy(words, (*note)->data(), sizeof words);
  const std::uint32_t generation = history_->current(0).generation;
  if (words[0].generation != generation && words[0].generation + 1 != generation) return std::nullopt;
  return words[1];
}

Result<> ActorStorage::restore(Bookmark bookmark) {
  auto possible = history_->check(bookmark, 0);
  if (!possible) return {};  // it has become too old meanwhile; what is there stays
  connection_.close();
  TRY(const std::uint32_t frames, history_->restore(bookmark, files_.log()));
  files_.log_was_empty = frames == 0;
  if (const int error = files_.log().size(files_.log_end)) return file_error(error, "cannot look at the log");
  connection_.note_undone();
  TRY_VOID(open_connection());
  connection_.log_frames = frames;
  if (frames > 0) history_->note_commit(frames, files_.now_ms);
  return {};
}

Result<> ActorStorage::make_empty_database() {
  const Result<std::string>& page = empty_page();
  if (!page) return Error(page.error());
  if (const int error = files_.log().truncate(0)) return file_error(error, "cannot empty the log");
  if (const int error = files_.database().write_at(page->data(), page->size(), 0)) {
    return file_error(error, "cannot write the database");
  }
  return {};
}

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

Error ActorStorage::poison(int error, std::string_view what) {
  int healthy = 0;
  poison_.compare_exchange_strong(healthy, error == 0 ? EIO : error, std::memory_order_acq_rel);
  return file_error(error == 0 ? EIO : error, what);
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
  auto emptied = connection_.run_own("VACUUM");
  sqlite3_db_config(handle, SQLITE_DBCONFIG_RESET_DATABASE, 0, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, attached_max);
  if (!emptied) return std::move(emptied).error();
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
  if (has_written) session_.detach_cursors(SqlSession::Which::Writing);
  TRY_VOID(connection_.commit());
  if (has_written) {
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

Result<std::uint64_t> ActorStorage::sync() {
  if (const int error = poison_.load(std::memory_order_acquire)) {
    return file_error(error, "an earlier write could not be made durable; the object must be reset");
  }
  const std::uint64_t target = committed_sequence();
  if (durable_sequence() >= target) return durable_sequence();
  if (database_needs_sync_.load(std::memory_order_acquire)) {
    if (const int error = files_.database().sync()) return poison(error, "cannot sync the database");
    database_needs_sync_.store(false, std::memory_order_release);
  }
  if (const int error = files_.log().sync()) return poison(error, "cannot sync the log");
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
  if (const int error = files_.log().sync()) return poison(error, "cannot sync the log");
  files_.log_was_empty = true;
  std::uint64_t before = durable_sequence();
  while (before < target && !durable_.compare_exchange_weak(before, target, std::memory_order_acq_rel)) {
  }
  return {};
}

Result<> ActorStorage::check_history() {
  TRY_VOID(check_usable());
  if (!history_) return Error(ErrorCode::Unsupported, "storage: this object has no history, so it has no bookmarks");
  return {};
}

Result<std::string> ActorStorage::current_bookmark() {
  const Entered entered(files_);
  TRY_VOID(check_history());
  TRY_VOID(commit());
  return history_->current(connection_.log_frames).text();
}

Result<std::string> ActorStorage::bookmark_for_time(std::int64_t unix_ms) {
  const Entered entered(files_);
  TRY_VOID(check_history());
  TRY_VOID(commit());
  TRY(const Bookmark bookmark, history_->at_time(unix_ms));
  return bookmark.text();
}

Result<std::string> ActorStorage::restore_at_next_open(std::string_view text) {
  const Entered entered(files_);
  TRY_VOID(check_history());
  if (is_explicit_ || savepoints_ > 0) {
    return Error(ErrorCode::Conflict, "Cannot call onNextSessionRestoreBookmark() within a transaction");
  }
  const std::optional<Bookmark> bookmark = Bookmark::parse(text);
  if (!bookmark) return Error(ErrorCode::InvalidInput, "storage: this is not a bookmark");
  TRY_VOID(commit_now());
  TRY_VOID(history_->check(*bookmark, connection_.log_frames));
  const Bookmark undo = history_->current(kFrameLast);
  TRY_VOID(begin());
  // To what will be there anyway: no restore.
  const bool is_no_restore = bookmark->generation == undo.generation && bookmark->frame == kFrameLast;
  const Bookmark words[2] = {undo, *bookmark};
  const BytesView note(reinterpret_cast<const char*>(words), sizeof words);
  TRY_VOID(table_.set_metadata(KeyValueTable::Slot::Restore,
                               is_no_restore ? std::nullopt : std::optional<BytesView>(note)));
  TRY_VOID(commit_now());
  is_restore_due_ = !is_no_restore;
  return undo.text();
}

Result<> ActorStorage::close() {
  TRY_VOID(checkpoint());
  is_closed_ = true;
  return {};
}

}  // namespace insula::runner::actors
