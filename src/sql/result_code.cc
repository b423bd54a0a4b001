// SPDX-License-Identifier: Apache-2.0
//
// result_code: the names of SQLite's codes, and which of our codes each becomes.
#include "src/sql/result_code.h"

#include <sqlite3.h>

namespace insula::sql {
namespace {

#define INSULA_SQLITE_CODES(X) \
  X(OK) X(ERROR) X(INTERNAL) X(PERM) X(ABORT) X(BUSY) X(LOCKED) X(NOMEM) X(READONLY) X(INTERRUPT) X(IOERR) \
  X(CORRUPT) X(NOTFOUND) X(FULL) X(CANTOPEN) X(PROTOCOL) X(EMPTY) X(SCHEMA) X(TOOBIG) X(CONSTRAINT) X(MISMATCH) \
  X(MISUSE) X(NOLFS) X(AUTH) X(FORMAT) X(RANGE) X(NOTADB) X(NOTICE) X(WARNING) X(ROW) X(DONE) \
  X(ERROR_MISSING_COLLSEQ) X(ERROR_RETRY) X(ERROR_SNAPSHOT) X(ERROR_RESERVESIZE) X(ERROR_KEY) X(ERROR_UNABLE) \
  X(IOERR_READ) X(IOERR_SHORT_READ) X(IOERR_WRITE) X(IOERR_FSYNC) X(IOERR_DIR_FSYNC) X(IOERR_TRUNCATE) \
  X(IOERR_FSTAT) X(IOERR_UNLOCK) X(IOERR_RDLOCK) X(IOERR_DELETE) X(IOERR_BLOCKED) X(IOERR_NOMEM) X(IOERR_ACCESS) \
  X(IOERR_CHECKRESERVEDLOCK) X(IOERR_LOCK) X(IOERR_CLOSE) X(IOERR_DIR_CLOSE) X(IOERR_SHMOPEN) X(IOERR_SHMSIZE) \
  X(IOERR_SHMLOCK) X(IOERR_SHMMAP) X(IOERR_SEEK) X(IOERR_DELETE_NOENT) X(IOERR_MMAP) X(IOERR_GETTEMPPATH) \
  X(IOERR_CONVPATH) X(IOERR_VNODE) X(IOERR_AUTH) X(IOERR_BEGIN_ATOMIC) X(IOERR_COMMIT_ATOMIC) \
  X(IOERR_ROLLBACK_ATOMIC) X(IOERR_DATA) X(IOERR_CORRUPTFS) X(IOERR_IN_PAGE) X(IOERR_BADKEY) X(IOERR_CODEC) \
  X(LOCKED_SHAREDCACHE) X(LOCKED_VTAB) X(BUSY_RECOVERY) X(BUSY_SNAPSHOT) X(BUSY_TIMEOUT) X(CANTOPEN_NOTEMPDIR) \
  X(CANTOPEN_ISDIR) X(CANTOPEN_FULLPATH) X(CANTOPEN_CONVPATH) X(CANTOPEN_DIRTYWAL) X(CANTOPEN_SYMLINK) \
  X(CORRUPT_VTAB) X(CORRUPT_SEQUENCE) X(CORRUPT_INDEX) X(READONLY_RECOVERY) X(READONLY_CANTLOCK) \
  X(READONLY_ROLLBACK) X(READONLY_DBMOVED) X(READONLY_CANTINIT) X(READONLY_DIRECTORY) X(ABORT_ROLLBACK) \
  X(CONSTRAINT_CHECK) X(CONSTRAINT_COMMITHOOK) X(CONSTRAINT_FOREIGNKEY) X(CONSTRAINT_FUNCTION) \
  X(CONSTRAINT_NOTNULL) X(CONSTRAINT_PRIMARYKEY) X(CONSTRAINT_TRIGGER) X(CONSTRAINT_UNIQUE) X(CONSTRAINT_VTAB) \
  X(CONSTRAINT_ROWID) X(CONSTRAINT_PINNED) X(CONSTRAINT_DATATYPE) X(NOTICE_RECOVER_WAL) X(NOTICE_RECOVER_ROLLBACK) \
  X(NOTICE_RBU) X(WARNING_AUTOINDEX) X(AUTH_USER) X(OK_LOAD_PERMANENTLY) X(OK_SYMLINK)

constexpr int kPrimaryMask = 0xff;

}  // namespace

std::string_view name_of_result(int code) noexcept {
  switch (code) {
#define X(name) \
  case SQLITE_##name: return "SQLITE_" #name;
    INSULA_SQLITE_CODES(X)
#undef X
    default: return (code & ~kPrimaryMask) == 0 ? "SQLITE_ERROR" : name_of_result(code & kPrimaryMask);
  }
}

ErrorCode error_code_of_result(int code) noexcept {
  switch (code & kPrimaryMask) {
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
    case SQLITE_SCHEMA: return ErrorCode::InvalidInput;
    case SQLITE_CONSTRAINT: return ErrorCode::Conflict;
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: return ErrorCode::Denied;
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
    case SQLITE_FULL: return ErrorCode::LimitExceeded;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: return ErrorCode::Unavailable;
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT: return ErrorCode::Cancelled;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::Corrupt;
    case SQLITE_NOTFOUND: return ErrorCode::NotFound;
    default: return ErrorCode::Internal;
  }
}

Error error_of_result(int code, std::string_view text, Here here) {
  std::string message(text);
  message += ": ";
  message += name_of_result(code & kPrimaryMask);
  if ((code & ~kPrimaryMask) != 0) {
    message += " (extended: ";
    message += name_of_result(code);
    message += ')';
  }
  return Error(error_code_of_result(code), std::move(message), here);
}

Error last_error(sqlite3* database, int code, Here here) {
  // A code of the caller's own making has no text in the connection.
  if (database == nullptr || (sqlite3_extended_errcode(database) & kPrimaryMask) != (code & kPrimaryMask)) {
    return error_of_result(code, sqlite3_errstr(code), here);
  }
  std::string text = sqlite3_errmsg(database);
  if (const int offset = sqlite3_error_offset(database); offset >= 0) text += " at offset " + std::to_string(offset);
  return error_of_result(sqlite3_extended_errcode(database), text, here);
}

}  // namespace insula::sql
