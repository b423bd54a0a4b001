// SPDX-License-Identifier: Apache-2.0
//
// ActorStorage: opening, what a crash left behind, and the way back to a bookmark, which is taken while opening.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <sqlite3.h>

#include "src/base/crash_point.h"
#include "src/runner/actors/actor_storage.h"

namespace insula::runner::actors {
namespace {

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
  crash_point(CrashPoint::ActorRestoring);
  TRY(const std::uint32_t frames, history_->restore(bookmark, files_.log()));
  crash_point(CrashPoint::ActorRestored);
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
  crash_point(CrashPoint::ActorDatabaseMade);
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
  crash_point(CrashPoint::ActorRestoreNoted);
  is_restore_due_ = !is_no_restore;
  return undo.text();
}

}  // namespace insula::runner::actors
