// SPDX-License-Identifier: Apache-2.0
//
// SqlRows: the cursors that a Worker has open, and rows of them as JavaScript values.
//
// An object of a row is made from a template that is kept for its column names, so that all rows of a statement share
// one hidden class, and so do the statements of many actors with the same columns.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <v8.h>

#include "src/runner/actors/sql_cursor.h"

namespace insula::runner {

class SqlRows {
 public:
  explicit SqlRows(v8::Isolate* isolate) : isolate_(isolate) {}
  SqlRows(const SqlRows&) = delete;
  SqlRows& operator=(const SqlRows&) = delete;

  // What is known of a list of column names.
  struct Shape {
    std::vector<std::string> names;
    v8::Global<v8::Array> list;                   // of the names; for the built-ins only
    v8::Global<v8::DictionaryTemplate> object;    // empty when a name needs care
    std::vector<int> columns;                     // the column of each property of `object`: of equal names the last
  };

  struct Open {
    std::unique_ptr<actors::SqlCursor> cursor;
    std::shared_ptr<const Shape> shape;
    v8::Global<v8::Object> owner;  // weak: when it goes, so may the cursor
    SqlRows* rows = nullptr;
    std::uint32_t number = 0;
    bool is_garbage = false;
  };

  // Null with an exception pending when the memory limit refuses it.
  std::shared_ptr<const Shape> shape_of(std::uint32_t actor, const actors::SqlCursor& cursor);

  std::uint32_t add(std::unique_ptr<actors::SqlCursor> cursor, std::shared_ptr<const Shape> shape);
  Open* find(std::uint32_t number) noexcept;
  void drop(std::uint32_t number);
  // The cursor goes when nobody can reach `owner` any more. With many of them open it is settled, too.
  void tie(Open& open, v8::Local<v8::Object> owner);
  // Drops the cursors whose owners are gone.
  void sweep();

  // The row that is there. Empty with an exception pending when the memory limit refuses it.
  v8::MaybeLocal<v8::Value> row(v8::Local<v8::Context> context, const actors::SqlCursor& cursor, const Shape& shape,
                                bool raw);

 private:
  std::shared_ptr<const Shape> make_shape(std::vector<std::string> names);
  v8::MaybeLocal<v8::Value> value(const actors::SqlCursor& cursor, int column);
  v8::MaybeLocal<v8::Value> careful_row(v8::Local<v8::Context> context, const actors::SqlCursor& cursor,
                                        const Shape& shape);

  struct Remembered {
    std::uint32_t actor = 0;
    std::uint64_t shape = 0;
    std::shared_ptr<const Shape> made;
  };

  v8::Isolate* const isolate_;
  std::vector<std::unique_ptr<Open>> open_;  // by number - 1
  std::vector<std::uint32_t> free_;
  bool has_garbage_ = false;
  std::array<Remembered, 64> recent_;        // by a hash of actor and statement
  std::unordered_map<std::string, std::shared_ptr<const Shape>> shapes_;  // by the names
};

}  // namespace insula::runner
