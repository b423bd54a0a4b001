// SPDX-License-Identifier: Apache-2.0
//
// KeyValueTable: statements on the hidden tables.
#include "src/runner/actors/key_value.h"

#include "src/sql/statement.h"

namespace insula::runner::actors {
namespace {

template <class Enum>
constexpr unsigned index_of(Enum value) {
  return static_cast<unsigned>(value);
}

constexpr const char* kExists = "SELECT 1 FROM sqlite_schema WHERE name = ?";
constexpr std::string_view kNames[] = {"_cf_KV", "_cf_METADATA"};
constexpr std::string_view kSchemas[] = {
    "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
    "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)",
};

// By [has an end][start is exclusive][reverse]; a range without a start begins at the empty key.
constexpr const char* kLists[2][2][2] = {
    {{"SELECT key, value FROM _cf_KV WHERE key >= ? ORDER BY key",
      "SELECT key, value FROM _cf_KV WHERE key >= ? ORDER BY key DESC"},
     {"SELECT key, value FROM _cf_KV WHERE key > ? ORDER BY key",
      "SELECT key, value FROM _cf_KV WHERE key > ? ORDER BY key DESC"}},
    {{"SELECT key, value FROM _cf_KV WHERE key >= ? AND key < ? ORDER BY key",
      "SELECT key, value FROM _cf_KV WHERE key >= ? AND key < ? ORDER BY key DESC"},
     {"SELECT key, value FROM _cf_KV WHERE key > ? AND key < ? ORDER BY key",
      "SELECT key, value FROM _cf_KV WHERE key > ? AND key < ? ORDER BY key DESC"}},
};

// The first text after all that begin with `prefix`; nothing when there is none. Bytes, not characters.
std::optional<std::string> after_prefix(std::string prefix) {
  while (!prefix.empty()) {
    const auto last = static_cast<unsigned char>(prefix.back());
    if (last != 0xff) {
      prefix.back() = static_cast<char>(last + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return std::nullopt;
}

// Resets a statement that was left half-way.
class Reading {
 public:
  explicit Reading(sql::Statement& statement) : statement_(statement) {}
  ~Reading() { statement_.reset(); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  sql::Statement& statement_;
};

}  // namespace

Error KeyValueTable::noted(Error error) {
  connection_.note_failure();
  return error;
}

Result<bool> KeyValueTable::exists(Table table) {
  if (undone_seen_ != connection_.undone()) {
    exists_[0] = exists_[1] = false;
    undone_seen_ = connection_.undone();
  }
  bool& is_there = exists_[index_of(table)];
  if (is_there) return true;
  TRY(sql::Statement* const statement, connection_.own(kExists));
  const Reading reading(*statement);
  TRY_VOID(statement->bind(kNames[index_of(table)]));
  TRY(is_there, statement->step());
  return is_there;
}

Result<> KeyValueTable::create(Table table) {
  TRY(const bool is_there, exists(table));
  if (is_there) return {};
  if (auto made = connection_.run_own(kSchemas[index_of(table)]); !made) return noted(std::move(made).error());
  exists_[index_of(table)] = true;
  return {};
}

Result<std::optional<Bytes>> KeyValueTable::get(std::string_view key) {
  const Connection::Trusted trusted(connection_);
  TRY(const bool is_there, exists(Table::KeyValue));
  if (!is_there) return std::nullopt;
  TRY(sql::Statement* const statement, connection_.own("SELECT value FROM _cf_KV WHERE key = ?"));
  const Reading reading(*statement);
  TRY_VOID(statement->bind(key));
  TRY(const bool row, statement->step());
  if (!row) return std::nullopt;
  return Bytes(statement->column_blob(0));
}

Result<> KeyValueTable::put(std::string_view key, BytesView value) {
  if (key.size() + value.size() > kKeyValueBytesMax) {
    return Error(ErrorCode::LimitExceeded, "put(): key and value have " + std::to_string(key.size() + value.size()) +
                                               " bytes together; the limit is 2097152 (2 MiB)");
  }
  const Connection::Trusted trusted(connection_);
  TRY_VOID(create(Table::KeyValue));
  TRY(sql::Statement* const statement,
      connection_.own("INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"));
  const Reading reading(*statement);
  if (auto done = statement->run(key, sql::Blob(value)); !done) return noted(std::move(done).error());
  return {};
}

Result<bool> KeyValueTable::remove(std::string_view key) {
  const Connection::Trusted trusted(connection_);
  TRY(const bool is_there, exists(Table::KeyValue));
  if (!is_there) return false;
  TRY(sql::Statement* const statement, connection_.own("DELETE FROM _cf_KV WHERE key = ? RETURNING 1"));
  const Reading reading(*statement);
  TRY_VOID(statement->bind(key));
  auto removed = statement->step();
  if (!removed) return noted(std::move(removed).error());
  return *removed;
}

Result<> KeyValueTable::list(const ListOptions& options, const ListVisitor& visitor) {
  const Connection::Trusted trusted(connection_);
  TRY(const bool is_there, exists(Table::KeyValue));
  if (!is_there) return {};

  // The range of the prefix and the range that was asked for: the later start, the earlier end.
  bool exclusive = options.start_after.has_value();
  std::string start = exclusive ? *options.start_after : options.start.value_or("");
  if (options.prefix > start) {
    start = options.prefix;
    exclusive = false;
  }
  std::optional<std::string> end = after_prefix(options.prefix);
  if (options.end && (!end || *options.end < *end)) end = options.end;

  TRY(sql::Statement* const statement, connection_.own(kLists[end ? 1 : 0][exclusive ? 1 : 0][options.reverse ? 1 : 0]));
  const Reading reading(*statement);
  if (end) {
    TRY_VOID(statement->bind(std::string_view(start), std::string_view(*end)));
  } else {
    TRY_VOID(statement->bind(std::string_view(start)));
  }
  for (std::uint64_t left = options.limit.value_or(UINT64_MAX); left > 0; --left) {
    TRY(const bool row, statement->step());
    if (!row || !visitor(statement->column_text(0), statement->column_blob(1))) break;
  }
  return {};
}

Result<std::optional<Bytes>> KeyValueTable::metadata(Slot slot) {
  const Connection::Trusted trusted(connection_);
  TRY(const bool is_there, exists(Table::Metadata));
  if (!is_there) return std::nullopt;
  TRY(sql::Statement* const statement, connection_.own("SELECT value FROM _cf_METADATA WHERE key = ?"));
  const Reading reading(*statement);
  TRY_VOID(statement->bind(index_of(slot)));
  TRY(const bool row, statement->step());
  if (!row) return std::nullopt;
  return Bytes(statement->column_blob(0));
}

Result<> KeyValueTable::set_metadata(Slot slot, std::optional<BytesView> value) {
  const Connection::Trusted trusted(connection_);
  if (!value) {
    TRY(const bool is_there, exists(Table::Metadata));
    if (!is_there) return {};
    TRY(sql::Statement* const statement, connection_.own("DELETE FROM _cf_METADATA WHERE key = ?"));
    if (auto done = statement->run(index_of(slot)); !done) return noted(std::move(done).error());
    return {};
  }
  TRY_VOID(create(Table::Metadata));
  TRY(sql::Statement* const statement, connection_.own("INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)"));
  const Reading reading(*statement);
  if (auto done = statement->run(index_of(slot), sql::Blob(*value)); !done) return noted(std::move(done).error());
  return {};
}

}  // namespace insula::runner::actors
