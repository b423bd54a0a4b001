// SPDX-License-Identifier: Apache-2.0
//
// result_code: SQLite's result codes as our errors.
//
// The text is that of the contract (spec/durable-objects.md section 5 with corrections.md):
//   "UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"
//   "near \"selec\": syntax error at offset 0: SQLITE_ERROR"
#pragma once

#include <string>
#include <string_view>

#include "src/base/error.h"

struct sqlite3;

namespace insula::sql {

// "SQLITE_CONSTRAINT_UNIQUE" for an extended code, "SQLITE_CONSTRAINT" for a primary one; "SQLITE_ERROR" if unknown.
std::string_view name_of_result(int code) noexcept;

// What the caller can do about it.
ErrorCode error_code_of_result(int code) noexcept;

// `text` and the names of the code, as above.
Error error_of_result(int code, std::string_view text, Here here = Here::current());

// The error that the last call on `database` returned as `code`, with SQLite's own text and offset.
Error last_error(sqlite3* database, int code, Here here = Here::current());

}  // namespace insula::sql
