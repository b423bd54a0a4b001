// SPDX-License-Identifier: Apache-2.0
//
// SqlCursor: reading rows, from the statement or from memory.
#include "src/runner/actors/sql_cursor.h"

#include <utility>

#include <sqlite3.h>

#include "src/runner/actors/sql_session.h"

namespace insula::runner::actors {

SqlCursor::~SqlCursor() {
  if (session_ == nullptr) return;
  const Entered entered(session_->connection_.files());
  finish();
}

Result<> SqlCursor::advance() {
  if (!detached_.empty()) {
    detached_.pop_front();
    if (!detached_.empty() || session_ != nullptr) return {};  // the statement is on its row
    has_row_ = false;
  } else if (session_ != nullptr) {
    const Entered entered(session_->connection_.files());
    return session_->step(*this);
  }
  if (!has_row_ && failure_) return *std::exchange(failure_, std::nullopt);
  return {};
}

void SqlCursor::settle(std::size_t rows_max, std::size_t bytes_max) {
  if (session_ == nullptr || !detached_.empty()) return;
  const Entered entered(session_->connection_.files());
  session_->read_ahead(*this, rows_max, bytes_max);
}

void SqlCursor::finish() noexcept {
  if (session_ == nullptr) return;
  rows_read_ = static_cast<std::uint32_t>(sqlite3_stmt_status(statement_, sql::kStatusRowsRead, 0));
  rows_written_ = static_cast<std::uint32_t>(sqlite3_stmt_status(statement_, sql::kStatusRowsWritten, 0));
  const int columns = sqlite3_column_count(statement_);
  if (shape_ == 0) {
    column_count_ = static_cast<std::size_t>(columns);
    const int changes = sqlite3_stmt_status(statement_, SQLITE_STMTSTATUS_REPREPARE, 0);
    shape_ = (prepared_->id << 16) | static_cast<std::uint16_t>(changes);
  }
  if (columns > 0) {
    if (prepared_->names_shape != shape_ || !prepared_->names) {
      auto names = std::make_shared<std::vector<std::string>>();
      for (int column = 0; column < columns; ++column) {
        const char* const name = sqlite3_column_name(statement_, column);
        names->emplace_back(name == nullptr ? "" : name);
      }
      prepared_->names = std::move(names);
      prepared_->names_shape = shape_;
    }
    names_ = prepared_->names;
  }
  has_row_ = false;
  session_->give_back(*this);
  session_ = nullptr;
  prepared_ = nullptr;
  statement_ = nullptr;
}

void SqlCursor::fail(Error error) noexcept {
  finish();
  failure_ = std::move(error);
}

std::string_view SqlCursor::column_name(int column) const {
  if (names_) return (*names_)[static_cast<std::size_t>(column)];
  if (statement_ == nullptr) return {};
  const char* const name = sqlite3_column_name(statement_, column);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

namespace {

SqlKind kind_of(sqlite3_stmt* statement, int column) noexcept {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT: return SqlKind::Number;
    case SQLITE_TEXT: return SqlKind::Text;
    case SQLITE_BLOB: return SqlKind::Blob;
    default: return SqlKind::Null;
  }
}

std::string_view text_of(sqlite3_stmt* statement, int column) noexcept {
  const auto* const text = sqlite3_column_text(statement, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

BytesView blob_of(sqlite3_stmt* statement, int column) noexcept {
  const void* const bytes = sqlite3_column_blob(statement, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

}  // namespace

SqlKind SqlCursor::kind(int column) const noexcept {
  if (!detached_.empty()) return detached_.front()[static_cast<std::size_t>(column)].kind;
  return kind_of(statement_, column);
}

double SqlCursor::number(int column) const noexcept {
  if (!detached_.empty()) return detached_.front()[static_cast<std::size_t>(column)].number;
  return sqlite3_column_double(statement_, column);
}

std::string_view SqlCursor::text(int column) const noexcept {
  if (!detached_.empty()) return detached_.front()[static_cast<std::size_t>(column)].bytes;
  return text_of(statement_, column);
}

BytesView SqlCursor::blob(int column) const noexcept {
  if (!detached_.empty()) return detached_.front()[static_cast<std::size_t>(column)].bytes;
  return blob_of(statement_, column);
}

std::uint64_t SqlCursor::rows_read() const noexcept {
  if (statement_ == nullptr) return rows_read_;
  return static_cast<std::uint32_t>(sqlite3_stmt_status(statement_, sql::kStatusRowsRead, 0));
}

std::uint64_t SqlCursor::rows_written() const noexcept {
  if (statement_ == nullptr) return rows_written_;
  return static_cast<std::uint32_t>(sqlite3_stmt_status(statement_, sql::kStatusRowsWritten, 0));
}

SqlCursor::Row SqlCursor::copy_row() const {
  Row row;
  row.reserve(column_count_);
  for (int column = 0; column < static_cast<int>(column_count_); ++column) {
    Cell cell{kind_of(statement_, column), 0, {}};
    if (cell.kind == SqlKind::Number) cell.number = sqlite3_column_double(statement_, column);
    if (cell.kind == SqlKind::Text) cell.bytes = text_of(statement_, column);
    if (cell.kind == SqlKind::Blob) cell.bytes = blob_of(statement_, column);
    row.push_back(std::move(cell));
  }
  return row;
}

}  // namespace insula::runner::actors
