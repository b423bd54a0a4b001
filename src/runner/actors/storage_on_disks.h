// SPDX-License-Identifier: Apache-2.0
//
// StorageOnDisks: for tests, an ActorStorage on two simulated disks, and short ways to use it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "src/runner/actors/actor_storage.h"
#include "src/runner/actors/simulated_file.h"

namespace insula::runner::actors {

struct StorageOnDisks {
  std::shared_ptr<SimulatedDisk> database = std::make_shared<SimulatedDisk>();
  std::shared_ptr<SimulatedDisk> log = std::make_shared<SimulatedDisk>();
  std::shared_ptr<SimulatedDisk> history;  // null: none
  std::int64_t now_ms = 1'000'000;
  std::shared_ptr<FaultPlan> plan = std::make_shared<FaultPlan>();
  StorageOptions options;
  std::unique_ptr<ActorStorage> storage;

  std::string open() {
    storage.reset();
    auto opened = ActorStorage::open(std::make_unique<SimulatedFile>(database, plan),
                                     std::make_unique<SimulatedFile>(log, plan),
                                     history ? std::make_unique<SimulatedFile>(history, plan) : nullptr, now_ms, options);
    if (!opened) return opened.error().message();
    storage = *std::move(opened);
    return "";
  }

  // All rows as "a|b;c|d", or the error's text.
  std::string run(std::string_view text, std::vector<SqlParameter> parameters = {}) const {
    auto cursor = storage->exec(text, parameters);
    if (!cursor) return cursor.error().message();
    return rest_of(**cursor);
  }
  static std::string row_of(const SqlCursor& cursor) {
    std::string out;
    for (int column = 0; column < cursor.column_count(); ++column) {
      if (column > 0) out += '|';
      switch (cursor.kind(column)) {
        case SqlKind::Null: out += "null"; break;
        case SqlKind::Number: {
          std::string digits = std::to_string(cursor.number(column));
          digits.erase(digits.find_last_not_of('0') + 1);
          if (digits.back() == '.') digits.pop_back();
          out += digits;
          break;
        }
        case SqlKind::Text: out += cursor.text(column); break;
        case SqlKind::Blob: out += "blob:" + std::string(cursor.blob(column)); break;
      }
    }
    return out;
  }
  static std::string rest_of(SqlCursor& cursor) {
    std::string out;
    while (cursor.has_row()) {
      if (!out.empty()) out += ';';
      out += row_of(cursor);
      if (auto advanced = cursor.advance(); !advanced) return out + "!" + advanced.error().message();
    }
    return out;
  }
  std::string commit() const {
    auto committed = storage->commit();
    return committed ? "" : committed.error().message();
  }
  std::string list(const ListOptions& list_options) const {
    std::string out;
    const auto listed = storage->list(list_options, [&](std::string_view key, BytesView value) {
      out += std::string(key) + "=" + std::string(value) + " ";
      return true;
    });
    return listed ? out : listed.error().message();
  }
  std::string get(std::string_view key) const {
    auto value = storage->get(key);
    if (!value) return value.error().message();
    return *value ? **value : "(none)";
  }
};

}  // namespace insula::runner::actors
