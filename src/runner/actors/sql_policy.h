// SPDX-License-Identifier: Apache-2.0
//
// SqlPolicy: what the SQL of a tenant may do (spec/durable-objects.md section 5, threat-model.md section 7).
//
// SQLite asks while it compiles a statement; what is not on a list here is refused. Statements of our own (hidden tables,
// transactions) are compiled while `trusted` is set and may do anything.
#pragma once

#include <cstdint>
#include <string_view>

struct sqlite3;

namespace insula::runner::actors {

// Names beginning so, in any case, are ours.
inline constexpr std::string_view kReservedPrefix = "_cf_";

class SqlPolicy {
 public:
  // Puts limits, flags and the list on `database`; the policy must outlive it.
  void apply_to(sqlite3* database);

  bool trusted = false;

  // What the last compilation asked for, for better messages; cleared by forget().
  bool refused_transaction() const noexcept { return refused_transaction_; }
  bool altered_table() const noexcept { return altered_table_; }
  void forget() noexcept { refused_transaction_ = altered_table_ = false; }

 private:
  static int ask(void* policy, int action, const char* first, const char* second, const char* schema,
                 const char* inside) noexcept;
  bool allows(int action, std::string_view first, std::string_view second, bool has_second,
              std::string_view schema) noexcept;

  bool refused_transaction_ = false;
  bool altered_table_ = false;
};

// True when `text` contains the reserved prefix anywhere.
bool mentions_reserved(std::string_view text) noexcept;

}  // namespace insula::runner::actors
