// SPDX-License-Identifier: Apache-2.0
//
// ActorFiles: SQLite's file layer over two StorageFiles.
#include "src/runner/actors/actor_files.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>

#include <sqlite3.h>

#include "src/base/crash_point.h"
#include "src/base/error.h"

namespace insula::runner::actors {
namespace {

constinit thread_local ActorFiles* current_files = nullptr;

// Julian day 0 to 1970, in milliseconds.
constexpr std::int64_t kJulianEpochMs = 210866760000000;

struct OpenFile {
  sqlite3_file base;  // must be first: SQLite sees only this
  ActorFiles* files;
  bool is_log;
};

OpenFile& self(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }
StorageFile& storage(OpenFile& file) { return file.is_log ? file.files->log() : file.files->database(); }

int failed(OpenFile& file, int error, int code) {
  if (file.files->first_errno == 0) file.files->first_errno = error;
  return error == ENOSPC || error == EDQUOT || error == EFBIG ? SQLITE_FULL : code;
}

int file_close(sqlite3_file*) { return SQLITE_OK; }

int file_read(sqlite3_file* base, void* into, int size, sqlite3_int64 offset) {
  OpenFile& file = self(base);
  std::size_t got = 0;
  const auto wanted = static_cast<std::size_t>(size);
  if (const int error = storage(file).read_at(static_cast<char*>(into), wanted, static_cast<std::uint64_t>(offset), got)) {
    return failed(file, error, SQLITE_IOERR_READ);
  }
  if (got == wanted) return SQLITE_OK;
  std::memset(static_cast<char*>(into) + got, 0, wanted - got);
  return SQLITE_IOERR_SHORT_READ;
}

int file_write(sqlite3_file* base, const void* from, int size, sqlite3_int64 offset) {
  OpenFile& file = self(base);
  const auto at = static_cast<std::uint64_t>(offset);
  const auto bytes = static_cast<std::size_t>(size);
  if (file.is_log) {
    if (at + bytes > file.files->log_bytes_max()) return SQLITE_FULL;
    auto& frame = file.files->frame;
    constexpr std::size_t kHeaderBytes = ActorFiles::kFrameHeaderBytes;
    if (bytes == kHeaderBytes && at >= file.files->log_end) {
      frame.offset = at;
      frame.has_header = true;
      std::memcpy(frame.bytes.data(), from, kHeaderBytes);
      return SQLITE_OK;
    }
    if (frame.has_header && bytes == kPageBytes && at == frame.offset + kHeaderBytes) {
      frame.has_header = false;
      std::memcpy(frame.bytes.data() + kHeaderBytes, from, kPageBytes);
      if (const int error = file.files->log().write_at(frame.bytes.data(), frame.bytes.size(), frame.offset)) {
        return failed(file, error, SQLITE_IOERR_WRITE);
      }
      file.files->log_end = std::max(file.files->log_end, at + bytes);
      crash_point(CrashPoint::ActorLogWritten);
      return SQLITE_OK;
    }
  }
  if (const int error = storage(file).write_at(static_cast<const char*>(from), bytes, at)) {
    return failed(file, error, SQLITE_IOERR_WRITE);
  }
  if (file.is_log) file.files->log_end = std::max(file.files->log_end, at + bytes);
  if (!file.is_log) crash_point(CrashPoint::ActorPageMoved);
  return SQLITE_OK;
}

int file_truncate(sqlite3_file* base, sqlite3_int64 size) {
  OpenFile& file = self(base);
  if (const int error = storage(file).truncate(static_cast<std::uint64_t>(size))) {
    return failed(file, error, SQLITE_IOERR_TRUNCATE);
  }
  if (file.is_log) file.files->log_end = static_cast<std::uint64_t>(size);
  return SQLITE_OK;
}

int file_sync(sqlite3_file* base, int) {
  OpenFile& file = self(base);
  if (file.is_log && !file.files->in_checkpoint && file.files->log_was_empty) return SQLITE_OK;
  if (const int error = storage(file).sync()) return failed(file, error, SQLITE_IOERR_FSYNC);
  return SQLITE_OK;
}

int file_size(sqlite3_file* base, sqlite3_int64* size) {
  OpenFile& file = self(base);
  std::uint64_t bytes = 0;
  if (const int error = storage(file).size(bytes)) return failed(file, error, SQLITE_IOERR_FSTAT);
  *size = static_cast<sqlite3_int64>(bytes);
  return SQLITE_OK;
}

// One connection has the files, and the supervisor gives them to one actor at a time.
int file_lock(sqlite3_file*, int) { return SQLITE_OK; }
int file_check_reserved_lock(sqlite3_file*, int* held) {
  *held = 0;
  return SQLITE_OK;
}
int file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int file_sector_size(sqlite3_file*) { return static_cast<int>(kPageBytes); }
int file_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

// Version 1 has no shared memory: the index of the log stays on the heap, as locking_mode=EXCLUSIVE allows.
constexpr sqlite3_io_methods kMethods{
    1,         file_close, file_read,   file_write, file_truncate,            file_sync,    file_size,
    file_lock, file_lock,  file_check_reserved_lock, file_control, file_sector_size, file_characteristics,
    nullptr,   nullptr,    nullptr,     nullptr,    nullptr,                  nullptr};

bool is_log_name(const char* name) { return std::string_view(name) == kLogName; }

int vfs_open(sqlite3_vfs*, const char* name, sqlite3_file* base, int flags, int* out_flags) {
  base->pMethods = nullptr;
  if (current_files == nullptr || name == nullptr) return SQLITE_CANTOPEN;
  const bool is_log = is_log_name(name);
  if (!is_log && std::string_view(name) != kDatabaseName) return SQLITE_CANTOPEN;
  OpenFile& file = self(base);
  file.files = current_files;
  file.is_log = is_log;
  file.base.pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

// SQLite removes the log of a database that it has emptied into the file: the name is the supervisor's, so it is emptied.
int vfs_delete(sqlite3_vfs*, const char* name, int) {
  if (current_files == nullptr || !is_log_name(name)) return SQLITE_IOERR_DELETE_NOENT;
  if (current_files->log().truncate(0) != 0) return SQLITE_IOERR_DELETE;
  current_files->log_end = 0;
  return SQLITE_OK;
}

int vfs_access(sqlite3_vfs*, const char* name, int, int* is_there) {
  *is_there = 0;
  if (current_files == nullptr) return SQLITE_OK;
  if (is_log_name(name)) {
    std::uint64_t bytes = 0;
    if (current_files->log().size(bytes) != 0) return SQLITE_IOERR_ACCESS;
    *is_there = bytes > 0 ? 1 : 0;
  } else {
    *is_there = std::string_view(name) == kDatabaseName ? 1 : 0;
  }
  return SQLITE_OK;
}

int vfs_full_pathname(sqlite3_vfs*, const char* name, int size, char* into) {
  const std::string_view text(name);
  if (text.size() + 1 > static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(into, name, text.size() + 1);
  return SQLITE_OK;
}

int vfs_randomness(sqlite3_vfs*, int size, char* into) {
  const ssize_t got = ::getrandom(into, static_cast<std::size_t>(size), 0);
  return got < 0 ? 0 : static_cast<int>(got);
}

int vfs_sleep(sqlite3_vfs*, int) { return 0; }

int vfs_now_ms(sqlite3_vfs*, sqlite3_int64* julian_ms) {
  *julian_ms = (current_files == nullptr ? 0 : current_files->now_ms) + kJulianEpochMs;
  return SQLITE_OK;
}

int vfs_now(sqlite3_vfs* vfs, double* julian_days) {
  sqlite3_int64 julian_ms = 0;
  vfs_now_ms(vfs, &julian_ms);
  *julian_days = static_cast<double>(julian_ms) / 86400000.0;
  return SQLITE_OK;
}

int vfs_last_error(sqlite3_vfs*, int, char*) { return current_files == nullptr ? 0 : current_files->first_errno; }

}  // namespace

ActorFiles::ActorFiles(std::unique_ptr<StorageFile> database, std::unique_ptr<StorageFile> log,
                       std::uint64_t log_bytes_max, std::size_t heap_bytes_max)
    : database_(std::move(database)), log_(std::move(log)), log_bytes_max_(log_bytes_max), heap_(heap_bytes_max) {}

Entered::Entered(ActorFiles& files) noexcept : before_(current_files), heap_(files.heap()) { current_files = &files; }
Entered::~Entered() { current_files = before_; }

void register_actor_vfs() {
  static std::once_flag once;
  std::call_once(once, [] {
    sql::initialize();
    static sqlite3_vfs vfs{};
    vfs.iVersion = 2;
    vfs.szOsFile = sizeof(OpenFile);
    vfs.mxPathname = 32;
    vfs.zName = kVfsName;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    vfs.xAccess = vfs_access;
    vfs.xFullPathname = vfs_full_pathname;
    vfs.xRandomness = vfs_randomness;
    vfs.xSleep = vfs_sleep;
    vfs.xCurrentTime = vfs_now;
    vfs.xGetLastError = vfs_last_error;
    vfs.xCurrentTimeInt64 = vfs_now_ms;
    INSULA_CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
  });
}

}  // namespace insula::runner::actors
