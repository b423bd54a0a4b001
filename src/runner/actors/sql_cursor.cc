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
  if (session_ != nullptr) {
    const Entered entered(session_->connection_.files());
    return session_->step(*this);
  }
  if (!detached_.empty()) detached_.pop_front();
  has_row_ = !detached_.empty();
  if (!has_row_ && failure_) return *std::exchange(failure_, std::nullopt);
  return {};
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

SqlKind SqlCursor::kind(int column) const noexcept {
  if (statement_ == nullptr) return detached_.front()[static_cast<std::size_t>(column)].kind;
  switch (sqlite3_column_type(statement_, column)) {
    case SQLITE_INTEGER:
    case SQLITE_FLOAT: return SqlKind::Number;
    case SQLITE_TEXT: return SqlKind::Text;
    case SQLITE_BLOB: return SqlKind::Blob;
    default: return SqlKind::Null;
  }
}

double SqlCursor::number(int column) const noexcept {
  if (statement_ == nullptr) return detached_.front()[static_cast<std::size_t>(column)].number;
  return sqlite3_column_double(statement_, column);
}

std::string_view SqlCursor::text(int column) const noexcept {
  if (statement_ == nullptr) return detached_.front()[static_cast<std::size_t>(column)].bytes;
  const auto* const text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

BytesView SqlCursor::blob(int column) const noexcept {
  if (statement_ == nullptr) return detached_.front()[static_cast<std::size_t>(column)].bytes;
  const void* const bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
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
    Cell cell{kind(column), 0, {}};
    if (cell.kind == SqlKind::Number) cell.number = number(column);
    if (cell.kind == SqlKind::Text) cell.bytes = text(column);
    if (cell.kind == SqlKind::Blob) cell.bytes = blob(column);
    row.push_back(std::move(cell));
  }
  return row;
}

}  // namespace insula::runner::actors
