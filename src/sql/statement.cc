// SPDX-License-Identifier: Apache-2.0
//
// Statement: binding, stepping and reading.
#include "src/sql/statement.h"

#include <string>

#include <sqlite3.h>

#include "src/sql/result_code.h"

namespace insula::sql {
namespace {

// An empty view may have no address, which SQLite would take for NULL.
const char* address_of(std::string_view text) { return text.data() == nullptr ? "" : text.data(); }

}  // namespace

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(handle_);
    handle_ = std::exchange(other.handle_, nullptr);
  }
  return *this;
}

Statement::~Statement() { sqlite3_finalize(handle_); }

Result<> Statement::begin_binding(std::size_t count) {
  INSULA_CHECK(handle_ != nullptr);
  sqlite3_reset(handle_);
  const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(handle_));
  if (wanted != count) {
    return Error(ErrorCode::InvalidInput, "sql: the statement has " + std::to_string(wanted) + " parameters, " +
                                              std::to_string(count) + " values were given: " + sqlite3_sql(handle_));
  }
  return {};
}

Result<> Statement::binding_failed(int code) { return last_error(sqlite3_db_handle(handle_), code); }

int Statement::bind_integer(int index, std::int64_t value) noexcept { return sqlite3_bind_int64(handle_, index, value); }

int Statement::bind_one(int index, double value) noexcept { return sqlite3_bind_double(handle_, index, value); }

int Statement::bind_one(int index, std::string_view text) noexcept {
  return sqlite3_bind_text64(handle_, index, address_of(text), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

int Statement::bind_one(int index, Blob blob) noexcept {
  return sqlite3_bind_blob64(handle_, index, address_of(blob.bytes), blob.bytes.size(), SQLITE_STATIC);
}

int Statement::bind_one(int index, std::nullptr_t) noexcept { return sqlite3_bind_null(handle_, index); }

Result<bool> Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(handle_);
    return false;
  }
  Error error = last_error(sqlite3_db_handle(handle_), code);
  sqlite3_reset(handle_);
  return error;
}

void Statement::reset() noexcept {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

int Statement::column_count() const noexcept { return sqlite3_column_count(handle_); }

std::string_view Statement::column_name(int column) const noexcept {
  const char* const name = sqlite3_column_name(handle_, column);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

ColumnType Statement::column_type(int column) const noexcept {
  switch (sqlite3_column_type(handle_, column)) {
    case SQLITE_INTEGER: return ColumnType::Integer;
    case SQLITE_FLOAT: return ColumnType::Real;
    case SQLITE_TEXT: return ColumnType::Text;
    case SQLITE_BLOB: return ColumnType::Blob;
    default: return ColumnType::Null;
  }
}

std::int64_t Statement::column_integer(int column) const noexcept { return sqlite3_column_int64(handle_, column); }

double Statement::column_real(int column) const noexcept { return sqlite3_column_double(handle_, column); }

std::string_view Statement::column_text(int column) const noexcept {
  const auto* const text = sqlite3_column_text(handle_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

BytesView Statement::column_blob(int column) const noexcept {
  const void* const bytes = sqlite3_column_blob(handle_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

std::uint32_t Statement::rows_read() const noexcept {
  return static_cast<std::uint32_t>(sqlite3_stmt_status(handle_, kStatusRowsRead, 0));
}

std::uint32_t Statement::rows_written() const noexcept {
  return static_cast<std::uint32_t>(sqlite3_stmt_status(handle_, kStatusRowsWritten, 0));
}

}  // namespace insula::sql
