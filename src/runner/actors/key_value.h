// SPDX-License-Identifier: Apache-2.0
//
// KeyValueTable: the key-value half of an actor's storage, and what else it keeps beside the tenant's tables.
//
//   _cf_KV        (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID     keys compare by their UTF-8 bytes
//   _cf_METADATA  (key INTEGER PRIMARY KEY, value BLOB)                1: the alarm's time, 2: a restore that is due
//
// Both are made when first written to, so an actor that uses only SQL has none. Values are opaque bytes. Every call is
// inside Entered and, for writes, inside the transaction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/runner/actors/connection.h"

namespace insula::runner::actors {

inline constexpr std::size_t kKeyValueBytesMax = 2 * 1024 * 1024;  // key and value together

struct ListOptions {
  std::optional<std::string> start{};        // inclusive
  std::optional<std::string> start_after{};  // exclusive; not together with start
  std::optional<std::string> end{};          // exclusive
  std::string prefix{};
  bool reverse = false;                      // from the end to the start of the same range
  std::optional<std::uint64_t> limit{};
};

// false: enough. The views hold for the call.
using ListVisitor = std::function<bool(std::string_view key, BytesView value)>;

class KeyValueTable {
 public:
  explicit KeyValueTable(Connection& connection) : connection_(connection) {}

  Result<std::optional<Bytes>> get(std::string_view key);
  // LimitExceeded when key and value are more than kKeyValueBytesMax.
  Result<> put(std::string_view key, BytesView value);
  Result<bool> remove(std::string_view key);  // was it there?
  // The table must not be changed by the visitor.
  Result<> list(const ListOptions& options, const ListVisitor& visitor);

  enum class Slot : std::uint8_t { Alarm = 1, Restore = 2 };
  Result<std::optional<Bytes>> metadata(Slot slot);
  Result<> set_metadata(Slot slot, std::optional<BytesView> value);

 private:
  enum class Table : std::uint8_t { KeyValue, Metadata };
  Result<bool> exists(Table table);
  Result<> create(Table table);
  Error noted(Error error);

  Connection& connection_;
  bool exists_[2] = {false, false};
  std::uint64_t undone_seen_ = 0;
};

}  // namespace insula::runner::actors
