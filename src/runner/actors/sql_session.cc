// SPDX-License-Identifier: Apache-2.0
//
// SqlSession: compiling, keeping and starting statements.
#include "src/runner/actors/sql_session.h"

#include <algorithm>
#include <climits>
#include <utility>

#include <sqlite3.h>

#include "src/sql/result_code.h"

namespace insula::runner::actors {
namespace {

constexpr std::string_view kNoStatement = "SQL code did not contain a statement.";
constexpr std::string_view kWrongCount = "Wrong number of parameter bindings for SQL query.";
constexpr std::string_view kParametersBefore =
    "When executing multiple SQL statements in a single call, only the last statement can have parameters.";
constexpr std::string_view kNoTransactions =
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will "
    "automatically roll back on exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
    "write coalescing.";

constexpr std::string_view kTooMuchLeft =
    "SQL cursor was closed because it was still open at the end of the event with more than 16 MiB of rows, or much work, "
    "left; read the rows before the next await, or select fewer";

// In thousands of operations: some milliseconds.
constexpr int kDetachBudget = 200;

class StepBudget final : public SqlMonitor {
 public:
  explicit StepBudget(int questions) : left_(questions) {}
  bool should_stop() noexcept override { return --left_ < 0; }

 private:
  int left_;
};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_space); }

const char* address_of(std::string_view text) { return text.data() == nullptr ? "" : text.data(); }

// A bound value that stays in a kept statement costs its actor no more than this.
constexpr std::size_t kKeptValueBytesMax = 1024;

int bind(sqlite3_stmt* statement, int index, const SqlParameter& parameter, sqlite3_destructor_type owner) {
  if (const auto* number = std::get_if<double>(&parameter)) return sqlite3_bind_double(statement, index, *number);
  if (const auto* text = std::get_if<std::string_view>(&parameter)) {
    return sqlite3_bind_text64(statement, index, address_of(*text), text->size(), owner, SQLITE_UTF8);
  }
  if (const auto* blob = std::get_if<SqlBlob>(&parameter)) {
    return sqlite3_bind_blob64(statement, index, address_of(blob->bytes), blob->bytes.size(), owner);
  }
  return sqlite3_bind_null(statement, index);
}

}  // namespace

Error SqlSession::failure(int code) {
  if ((code & 0xff) == SQLITE_INTERRUPT) {
    return Error(ErrorCode::TimedOut, "SQL query was stopped because it used too much CPU time: SQLITE_INTERRUPT");
  }
  return sql::last_error(connection_.handle(), code);
}

Result<std::unique_ptr<SqlCursor>> SqlSession::exec(std::string_view text, std::span<const SqlParameter> parameters) {
  TRY_VOID(connection_.begin_if_needed());
  for (;;) {
    std::string_view rest;
    TRY(PreparedSql* const prepared, find_or_compile(text, rest));
    if (is_blank(rest)) return start(*prepared, parameters);
    if (prepared->parameters != 0) {
      release(*prepared);
      return Error(ErrorCode::InvalidInput, std::string(kParametersBefore));
    }
    TRY(auto cursor, start(*prepared, {}));
    while (cursor->has_row()) TRY_VOID(cursor->advance());
    // Errors count their offset from where the statement begins.
    const auto first = std::find_if_not(rest.begin(), rest.end(), is_space);
    text = rest.substr(static_cast<std::size_t>(first - rest.begin()));
  }
}

Result<PreparedSql*> SqlSession::find_or_compile(std::string_view text, std::string_view& rest) {
  const auto found = kept_.find(text);
  if (found == kept_.end() || found->second->is_in_use) return compile(text, rest);
  PreparedSql& prepared = *found->second;
  if (prepared.recency != recency_.begin()) recency_.splice(recency_.begin(), recency_, prepared.recency);
  prepared.is_in_use = true;
  return &prepared;
}

Result<PreparedSql*> SqlSession::compile(std::string_view text, std::string_view& rest) {
  SqlPolicy& policy = connection_.policy();
  policy.forget();
  sqlite3_stmt* handle = nullptr;
  const char* end = nullptr;
  const int code = sqlite3_prepare_v3(connection_.handle(), address_of(text), static_cast<int>(text.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, &end);
  if (code != SQLITE_OK) {
    if (policy.refused_transaction()) return Error(ErrorCode::InvalidInput, std::string(kNoTransactions));
    Error error = failure(code);
    connection_.note_failure();
    return error;
  }
  if (handle == nullptr) return Error(ErrorCode::InvalidInput, std::string(kNoStatement));
  auto prepared = std::make_unique<PreparedSql>();
  prepared->statement = sql::Statement(handle);
  // The new name of a table is not among what SQLite asks about.
  if (policy.altered_table() && mentions_reserved(text)) {
    return sql::error_of_result(SQLITE_AUTH, "not authorized");
  }
  rest = text.substr(static_cast<std::size_t>(end - address_of(text)));
  prepared->parameters = sqlite3_bind_parameter_count(handle);
  prepared->id = next_id_++;
  prepared->is_in_use = true;
  // Kept under its whole text, so only a text with one statement; and not next to one of the same text.
  if (is_blank(rest) && kept_.find(text) == kept_.end()) {
    prepared->text = text;
    prepared->is_kept = true;
    if (kept_.size() >= kPreparedMax) {
      for (auto oldest = recency_.rbegin(); oldest != recency_.rend(); ++oldest) {
        if ((*oldest)->is_in_use) continue;
        PreparedSql* const gone = *oldest;
        recency_.erase(std::next(oldest).base());
        kept_.erase(gone->text);
        break;
      }
    }
    recency_.push_front(prepared.get());
    prepared->recency = recency_.begin();
    PreparedSql* const kept = prepared.get();
    kept_.emplace(kept->text, std::move(prepared));
    return kept;
  }
  return prepared.release();  // given back to release(), which deletes what is not kept
}

void SqlSession::release(PreparedSql& prepared) noexcept {
  if (!prepared.is_kept) {
    const std::unique_ptr<PreparedSql> gone(&prepared);
    return;
  }
  sqlite3_reset(prepared.statement.handle());
  if (prepared.has_large_value) sqlite3_clear_bindings(prepared.statement.handle());
  prepared.has_large_value = false;
  prepared.is_in_use = false;
}

Result<std::unique_ptr<SqlCursor>> SqlSession::start(PreparedSql& prepared, std::span<const SqlParameter> parameters) {
  sqlite3_stmt* const statement = prepared.statement.handle();
  if (static_cast<std::size_t>(prepared.parameters) != parameters.size()) {
    release(prepared);
    return Error(ErrorCode::InvalidInput, std::string(kWrongCount));
  }
  // Without columns the statement is done when this returns, so values need not be copied.
  const auto owner = sqlite3_column_count(statement) == 0 ? SQLITE_STATIC : SQLITE_TRANSIENT;
  int index = 0;
  for (const SqlParameter& parameter : parameters) {
    if (const int code = bind(statement, ++index, parameter, owner); code != SQLITE_OK) {
      Error error = failure(code);
      release(prepared);
      return error;
    }
    const auto* const text = std::get_if<std::string_view>(&parameter);
    const auto* const blob = std::get_if<SqlBlob>(&parameter);
    const std::size_t bytes = text != nullptr ? text->size() : blob != nullptr ? blob->bytes.size() : 0;
    prepared.has_large_value = prepared.has_large_value || bytes > kKeptValueBytesMax;
  }
  sqlite3_stmt_status(statement, sql::kStatusRowsRead, 1);
  sqlite3_stmt_status(statement, sql::kStatusRowsWritten, 1);
  auto cursor = std::unique_ptr<SqlCursor>(new SqlCursor);
  cursor->session_ = this;
  cursor->prepared_ = &prepared;
  cursor->statement_ = statement;
  cursor->next_ = cursors_;
  if (cursors_ != nullptr) cursors_->previous_ = cursor.get();
  cursors_ = cursor.get();
  TRY_VOID(step(*cursor));
  return cursor;
}

Result<> SqlSession::step(SqlCursor& cursor) {
  const int code = sqlite3_step(cursor.statement_);
  cursor.has_row_ = code == SQLITE_ROW;
  if (code == SQLITE_ROW) {
    if (cursor.shape_ == 0) {
      cursor.column_count_ = static_cast<std::size_t>(sqlite3_column_count(cursor.statement_));
      const int changes = sqlite3_stmt_status(cursor.statement_, SQLITE_STMTSTATUS_REPREPARE, 0);
      cursor.shape_ = (cursor.prepared_->id << 16) | static_cast<std::uint16_t>(changes);
    }
    return {};
  }
  if (code == SQLITE_DONE) {
    cursor.finish();
    return {};
  }
  Error error = failure(code);
  cursor.finish();
  connection_.note_failure();
  return error;
}

void SqlSession::give_back(SqlCursor& cursor) noexcept {
  (cursor.previous_ != nullptr ? cursor.previous_->next_ : cursors_) = cursor.next_;
  if (cursor.next_ != nullptr) cursor.next_->previous_ = cursor.previous_;
  rows_read_total_ += cursor.rows_read_;
  rows_written_total_ += cursor.rows_written_;
  release(*cursor.prepared_);
}

void SqlSession::detach_cursors(Which which) {
  for (SqlCursor* cursor = cursors_; cursor != nullptr;) {
    SqlCursor* const next = cursor->next_;
    if (which == Which::All || sqlite3_stmt_readonly(cursor->statement_) == 0) detach(*cursor);
    cursor = next;
  }
}

void SqlSession::detach(SqlCursor& cursor) {
  // What a write returns was computed when it ran; interrupting it now would undo the transaction.
  StepBudget budget(sqlite3_stmt_readonly(cursor.statement_) == 0 ? INT_MAX : kDetachBudget);
  SqlMonitor* const monitor = std::exchange(connection_.monitor, &budget);
  if (!read_ahead(cursor, SIZE_MAX, kDetachedBytesMax)) {
    cursor.fail(Error(ErrorCode::LimitExceeded, std::string(kTooMuchLeft)));
    cursor.has_row_ = true;
  } else if (cursor.failure_ && cursor.failure_->code() == ErrorCode::TimedOut) {
    cursor.failure_ = Error(ErrorCode::LimitExceeded, std::string(kTooMuchLeft));
  }
  connection_.monitor = monitor;
}

bool SqlSession::read_ahead(SqlCursor& cursor, std::size_t rows_max, std::size_t bytes_max) {
  std::size_t bytes = 0;
  for (; cursor.session_ != nullptr; --rows_max) {
    if (rows_max == 0 || bytes > bytes_max) return false;
    cursor.detached_.push_back(cursor.copy_row());
    for (const auto& cell : cursor.detached_.back()) bytes += sizeof(cell) + cell.bytes.size();
    if (auto stepped = step(cursor); !stepped) cursor.failure_ = std::move(stepped).error();
  }
  cursor.has_row_ = !cursor.detached_.empty();
  return true;
}

void SqlSession::drop(SqlCursor& cursor, Error error) {
  if (cursor.has_row_) cursor.detached_.push_back(cursor.copy_row());
  cursor.fail(std::move(error));
  cursor.has_row_ = !cursor.detached_.empty();
}

void SqlSession::close() {
  while (cursors_ != nullptr) {
    drop(*cursors_, Error(ErrorCode::Cancelled, "SQL cursor was closed because its storage was reset or emptied"));
  }
  recency_.clear();
  kept_.clear();
}

}  // namespace insula::runner::actors
