// SPDX-License-Identifier: Apache-2.0
//
// Statement: one prepared SQL statement.
//
//   TRY(auto insert, database.prepare("INSERT INTO t VALUES (?, ?)"));
//   TRY_VOID(insert.run(42, "text"));
//   TRY(auto select, database.prepare("SELECT a FROM t WHERE b > ?"));
//   TRY_VOID(select.bind(7));
//   for (;;) {
//     TRY(const bool row, select.step());
//     if (!row) break;
//     use(select.column_text(0));
//   }
//
// Parameters and columns count from 0. Values of a row are valid until the next step(), reset() or bind(). A Statement
// must go before its Database. A database belongs to one thread at a time, its statements with it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "src/base/bytes.h"
#include "src/base/error.h"

struct sqlite3_stmt;

namespace insula::sql {

// A parameter that is octets and not text.
struct Blob {
  explicit Blob(BytesView octets) : bytes(octets) {}
  BytesView bytes;
};

enum class ColumnType : std::uint8_t { Integer, Real, Text, Blob, Null };

// For sqlite3_stmt_status(): the two counters that cmake/sqlite_counters.cmake adds to SQLite.
inline constexpr int kStatusRowsRead = 10;
inline constexpr int kStatusRowsWritten = 11;

class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* handle) noexcept : handle_(handle) {}
  Statement(Statement&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Statement& operator=(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  // Resets, binds all parameters in order, and leaves the statement before its first row. Text and blobs are borrowed:
  // they must live until the next bind() or reset(). InvalidInput when the number of values is not that of parameters.
  template <class... Values>
  Result<> bind(const Values&... values) {
    TRY_VOID(begin_binding(sizeof...(values)));
    [[maybe_unused]] int index = 0;
    int code = 0;
    ((code = code != 0 ? code : bind_one(++index, values)), ...);
    return code == 0 ? Result<>() : binding_failed(code);
  }

  // true: a row is there; false: done, and the statement is reset. An error resets too.
  Result<bool> step();

  // bind(), then all steps, for statements whose rows nobody reads.
  template <class... Values>
  Result<> run(const Values&... values) {
    TRY_VOID(bind(values...));
    for (;;) {
      TRY(const bool row, step());
      if (!row) return {};
    }
  }

  // Ends a reading half-way and forgets the bindings.
  void reset() noexcept;

  int column_count() const noexcept;
  std::string_view column_name(int column) const noexcept;
  ColumnType column_type(int column) const noexcept;
  bool column_is_null(int column) const noexcept { return column_type(column) == ColumnType::Null; }
  std::int64_t column_integer(int column) const noexcept;
  double column_real(int column) const noexcept;
  std::string_view column_text(int column) const noexcept;
  BytesView column_blob(int column) const noexcept;

  // Rows visited and rows written (index entries count) since the statement was made.
  std::uint32_t rows_read() const noexcept;
  std::uint32_t rows_written() const noexcept;

  sqlite3_stmt* handle() const noexcept { return handle_; }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  Result<> begin_binding(std::size_t count);
  Result<> binding_failed(int code);

  int bind_integer(int index, std::int64_t value) noexcept;
  int bind_one(int index, double value) noexcept;
  int bind_one(int index, std::string_view text) noexcept;
  int bind_one(int index, Blob blob) noexcept;
  int bind_one(int index, std::nullptr_t) noexcept;
  template <std::integral Integer>
  int bind_one(int index, Integer value) noexcept {
    return bind_integer(index, static_cast<std::int64_t>(value));
  }
  template <class Value>
  int bind_one(int index, const std::optional<Value>& value) noexcept {
    return value ? bind_one(index, *value) : bind_one(index, nullptr);
  }

  sqlite3_stmt* handle_ = nullptr;
};

}  // namespace insula::sql
