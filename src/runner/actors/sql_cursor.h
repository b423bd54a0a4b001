// SPDX-License-Identifier: Apache-2.0
//
// SqlCursor: the rows of one executed statement, stepped one by one as they are read.
//
//   TRY(auto cursor, storage.exec("SELECT a, b FROM t WHERE a > ?", {SqlParameter(3.0)}));
//   for (; cursor->has_row();) {
//     use(cursor->number(0), cursor->text(1));
//     TRY_VOID(cursor->advance());
//   }
//
// The statement has run when the cursor exists: a write has happened, of a read the first row is there. Views of a row
// hold until advance(). A cursor may outlive the turn, and the storage: it is detached then, with the rest of its rows
// in memory, or with an error when those are too many.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/error.h"

struct sqlite3_stmt;

namespace insula::runner::actors {

struct SqlBlob {
  BytesView bytes;
};
// Borrowed until exec() returns. JavaScript has one kind of number; true and false are texts by then.
using SqlParameter = std::variant<std::monostate, double, std::string_view, SqlBlob>;

enum class SqlKind : std::uint8_t { Null, Number, Text, Blob };

// Rows that a detached cursor keeps in memory at most; with more, the next advance() is an error.
inline constexpr std::size_t kDetachedBytesMax = 16 * 1024 * 1024;

class SqlSession;
struct PreparedSql;

class SqlCursor {
 public:
  ~SqlCursor();
  SqlCursor(const SqlCursor&) = delete;
  SqlCursor& operator=(const SqlCursor&) = delete;

  bool has_row() const noexcept { return has_row_; }
  // To the next row, if there is one.
  Result<> advance();

  // Reads the rest into memory and so gives the statement back, if that is done within these limits; else what has been
  // read is kept for advance(), and the statement too. For a cursor that perhaps nobody reads any further.
  void settle(std::size_t rows_max, std::size_t bytes_max);

  int column_count() const noexcept { return static_cast<int>(names_ ? names_->size() : column_count_); }
  std::string_view column_name(int column) const;
  // Equal for two cursors whose column names are equal: what was made of the names may be kept under it.
  std::uint64_t shape() const noexcept { return shape_; }

  // Of the row that is there.
  SqlKind kind(int column) const noexcept;
  double number(int column) const noexcept;  // an integer beyond 2^53 is rounded
  std::string_view text(int column) const noexcept;
  BytesView blob(int column) const noexcept;

  std::uint64_t rows_read() const noexcept;
  std::uint64_t rows_written() const noexcept;

 private:
  friend class SqlSession;
  struct Cell {
    SqlKind kind;
    double number;
    std::string bytes;
  };
  using Row = std::vector<Cell>;

  SqlCursor() = default;
  Row copy_row() const;               // the statement's
  void finish() noexcept;             // gives the statement back
  void fail(Error error) noexcept;    // finish(), and the error is the next advance()'s

  SqlSession* session_ = nullptr;     // null once the statement is given back
  PreparedSql* prepared_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  std::size_t column_count_ = 0;
  std::uint64_t shape_ = 0;
  bool has_row_ = false;
  std::uint32_t rows_read_ = 0;       // of a statement given back
  std::uint32_t rows_written_ = 0;
  std::optional<Error> failure_;
  // Names outlive the statement only if somebody may ask for them: filled on finish() when there are columns.
  std::shared_ptr<const std::vector<std::string>> names_;
  std::deque<Row> detached_;          // rows to come, before the statement's; the first is the one that is there
  SqlCursor* previous_ = nullptr;     // the session's list of cursors with a statement
  SqlCursor* next_ = nullptr;
};

}  // namespace insula::runner::actors
