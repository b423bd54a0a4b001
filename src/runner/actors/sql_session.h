// SPDX-License-Identifier: Apache-2.0
//
// SqlSession: `sql.exec` of one actor: texts with one or more statements, parameters for the last, a cursor for its rows.
//
// Compiled statements are kept by their text. A text that is executed again while a cursor is open on it gets a statement
// of its own. Errors are those of the contract, word for word (spec/durable-objects.md section 5).
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/base/error.h"
#include "src/runner/actors/connection.h"
#include "src/runner/actors/sql_cursor.h"
#include "src/sql/statement.h"

namespace insula::runner::actors {

inline constexpr std::size_t kPreparedMax = 128;

struct PreparedSql {
  std::string text;
  sql::Statement statement;
  std::uint64_t id = 0;
  int parameters = 0;
  bool is_in_use = false;
  bool is_kept = false;
  bool has_large_value = false;
  // Of the shape that this statement has now; made when a cursor first gives it back.
  std::uint64_t names_shape = 0;
  std::shared_ptr<const std::vector<std::string>> names;
  std::list<PreparedSql*>::iterator recency;
};

class SqlSession {
 public:
  explicit SqlSession(Connection& connection) : connection_(connection) {}
  ~SqlSession() { close(); }
  SqlSession(const SqlSession&) = delete;
  SqlSession& operator=(const SqlSession&) = delete;

  Result<std::unique_ptr<SqlCursor>> exec(std::string_view text, std::span<const SqlParameter> parameters);

  // Takes statements away from open cursors, which keep their rows in memory. Which::Writing: only statements that
  // write, whose cursors would forbid a commit. Nobody's CPU time pays for this, so a cursor whose rows are many or take
  // long to find gets an error instead.
  enum class Which : std::uint8_t { All, Writing };
  void detach_cursors(Which which);

  // Ends all cursors with an error behind the row that they are on, and forgets all statements.
  void close();

  std::uint64_t rows_read_total() const noexcept { return rows_read_total_; }
  std::uint64_t rows_written_total() const noexcept { return rows_written_total_; }

 private:
  friend class SqlCursor;

  Result<PreparedSql*> find_or_compile(std::string_view text, std::string_view& rest);
  Result<PreparedSql*> compile(std::string_view text, std::string_view& rest);
  Result<std::unique_ptr<SqlCursor>> start(PreparedSql& prepared, std::span<const SqlParameter> parameters);
  Result<> step(SqlCursor& cursor);
  void give_back(SqlCursor& cursor) noexcept;
  void release(PreparedSql& prepared) noexcept;
  void detach(SqlCursor& cursor);
  // Copies rows from the statement's on. False when there is more than that.
  bool read_ahead(SqlCursor& cursor, std::size_t rows_max, std::size_t bytes_max);
  void drop(SqlCursor& cursor, Error error);
  Error failure(int code);

  Connection& connection_;
  std::unordered_map<std::string_view, std::unique_ptr<PreparedSql>> kept_;  // keys are views of PreparedSql::text
  std::list<PreparedSql*> recency_;                                          // most recent first
  SqlCursor* cursors_ = nullptr;
  std::uint64_t next_id_ = 1;
  std::uint64_t rows_read_total_ = 0;
  std::uint64_t rows_written_total_ = 0;
};

}  // namespace insula::runner::actors
