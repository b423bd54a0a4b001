// SPDX-License-Identifier: Apache-2.0
//
// Schema of store.sqlite: one step per version; a file of an older version is brought up to date when it is opened.
//
// PRAGMA user_version is the version of the file. A file from the future is refused, and left alone.
#pragma once

#include "src/sql/database.h"

namespace insula::storage {

inline constexpr int kSchemaVersion = 2;

// Errors: Unsupported (made by a newer version), and those of SQLite.
Result<> migrate(sql::Database& database);

}  // namespace insula::storage
