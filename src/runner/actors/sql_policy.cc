// SPDX-License-Identifier: Apache-2.0
//
// SqlPolicy: the lists.
#include "src/runner/actors/sql_policy.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include <sqlite3.h>

namespace insula::runner::actors {
namespace {

// Sorted. Left out on purpose: what tells of the build (sqlite_version, sqlite_source_id, sqlite_compileoption_*,
// fts5_source_id), what writes to a log (sqlite_log), and what takes pointers or is FTS5's own (fts5, fts5_locale).
constexpr std::string_view kFunctions[] = {
    "->", "->>", "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "avg", "bm25", "ceil", "ceiling",
    "changes", "char", "coalesce", "concat", "concat_ws", "cos", "cosh", "count", "cume_dist", "current_date",
    "current_time", "current_timestamp", "date", "datetime", "degrees", "dense_rank", "exp", "first_value", "floor",
    "format", "fts5_get_locale", "fts5_insttoken", "glob", "group_concat", "hex", "highlight", "if", "ifnull", "iif",
    "instr", "json", "json_array", "json_array_insert", "json_array_length", "json_error_position", "json_extract",
    "json_group_array", "json_group_object", "json_insert", "json_object", "json_patch", "json_pretty", "json_quote",
    "json_remove", "json_replace", "json_set", "json_type", "json_valid", "jsonb", "jsonb_array", "jsonb_array_insert",
    "jsonb_extract", "jsonb_group_array", "jsonb_group_object", "jsonb_insert", "jsonb_object", "jsonb_patch",
    "jsonb_remove", "jsonb_replace", "jsonb_set", "julianday", "lag", "last_insert_rowid", "last_value", "lead",
    "length", "like", "likelihood", "likely", "ln", "log", "log10", "log2", "lower", "ltrim", "match", "max", "min",
    "mod", "nth_value", "ntile", "nullif", "octet_length", "percent_rank", "pi", "pow", "power", "printf", "quote",
    "radians", "random", "randomblob", "rank", "replace", "round", "row_number", "rtreecheck", "rtreedepth",
    "rtreenode", "rtrim", "sign", "sin", "sinh", "snippet", "sqlite_drop_column", "sqlite_rename_column",
    "sqlite_rename_quotefix", "sqlite_rename_table", "sqlite_rename_test", "sqrt", "strftime", "string_agg", "substr",
    "substring", "subtype", "sum", "tan", "tanh", "time", "timediff", "total", "total_changes", "trim", "trunc",
    "typeof", "unhex", "unicode", "unistr", "unistr_quote", "unixepoch", "unlikely", "upper", "zeroblob"};

// Pragmas that take any argument, or none.
constexpr std::string_view kPragmas[] = {
    "case_sensitive_like", "defer_foreign_keys", "foreign_key_check", "foreign_key_list", "foreign_keys",
    "ignore_check_constraints", "index_info", "index_list", "index_xinfo", "legacy_alter_table", "optimize",
    "quick_check", "recursive_triggers", "reverse_unordered_selects", "table_info", "table_list", "table_xinfo"};

// Pragmas that may only be read.
constexpr std::string_view kReadPragmas[] = {"data_version", "page_size"};

constexpr std::string_view kModules[] = {"fts5", "fts5vocab", "rtree", "rtree_i32"};

std::string lower(std::string_view text) {
  std::string small(text);
  for (char& letter : small) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return small;
}

bool contains(const auto& list, std::string_view name) {
  return std::binary_search(std::begin(list), std::end(list), std::string_view(lower(name)));
}

bool is_reserved(std::string_view name) {
  return name.size() >= kReservedPrefix.size() && lower(name.substr(0, kReservedPrefix.size())) == kReservedPrefix;
}

static_assert(std::ranges::is_sorted(kFunctions));
static_assert(std::ranges::is_sorted(kPragmas));

struct Limit {
  int which;
  int value;
};
constexpr Limit kLimits[] = {
    {SQLITE_LIMIT_LENGTH, 4 * 1024 * 1024},  {SQLITE_LIMIT_SQL_LENGTH, 100000},
    {SQLITE_LIMIT_COLUMN, 100},              {SQLITE_LIMIT_EXPR_DEPTH, 100},
    {SQLITE_LIMIT_COMPOUND_SELECT, 5},       {SQLITE_LIMIT_VDBE_OP, 25000},
    {SQLITE_LIMIT_FUNCTION_ARG, 127},        {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},  {SQLITE_LIMIT_VARIABLE_NUMBER, 100},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 10},        {SQLITE_LIMIT_WORKER_THREADS, 0},
};

}  // namespace

void SqlPolicy::apply_to(sqlite3* database) {
  for (const Limit& limit : kLimits) sqlite3_limit(database, limit.which, limit.value);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_ENABLE_FKEY, 1, nullptr);
  // "x" is a text where no column has that name, as where these Workers come from.
  sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DML, 1, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DDL, 1, nullptr);
  // The owner decides when the log goes into the file.
  sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_wal_autocheckpoint(database, 0);
  sqlite3_set_authorizer(database, &SqlPolicy::ask, this);
}

int SqlPolicy::ask(void* policy, int action, const char* first, const char* second, const char* schema,
                   const char*) noexcept {
  auto& self = *static_cast<SqlPolicy*>(policy);
  if (self.trusted) return SQLITE_OK;
  const auto view = [](const char* text) { return text == nullptr ? std::string_view() : std::string_view(text); };
  return self.allows(action, view(first), view(second), second != nullptr, view(schema)) ? SQLITE_OK : SQLITE_DENY;
}

bool SqlPolicy::allows(int action, std::string_view first, std::string_view second, bool has_second,
                       std::string_view schema) noexcept {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: return true;

    case SQLITE_READ:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_ANALYZE:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_VIEW:
    case SQLITE_DROP_TABLE:
    case SQLITE_DROP_VIEW:
    case SQLITE_DROP_VTABLE:
    case SQLITE_REINDEX: return !is_reserved(first);

    // The object and the table that it is on.
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TRIGGER: return !is_reserved(first) && !is_reserved(second);

    case SQLITE_ALTER_TABLE:
      altered_table_ = true;
      return !is_reserved(second) && schema != "temp";

    case SQLITE_CREATE_VTABLE: return !is_reserved(first) && contains(kModules, second);
    case SQLITE_FUNCTION: return contains(kFunctions, second);
    case SQLITE_PRAGMA:
      if (is_reserved(second)) return false;
      return contains(kPragmas, first) || (!has_second && contains(kReadPragmas, first));

    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT: refused_transaction_ = true; return false;

    default: return false;  // ATTACH, DETACH, everything temporary, and what a later SQLite may ask
  }
}

bool mentions_reserved(std::string_view text) noexcept {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return std::search(text.begin(), text.end(), kReservedPrefix.begin(), kReservedPrefix.end(), same) != text.end();
}

}  // namespace insula::runner::actors
