// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage.sql: running a query and reading its rows.
//
// `counts` is a Uint32Array of the built-ins: after each call on a cursor, [0] its number (0: it has no more rows, and
// the number may be another's from now on), [1] rows read and [2] rows written by it so far.
#include <array>
#include <vector>

#include "src/runner/actors/actor_storage.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/bindings/sql_rows.h"
#include "src/runner/bindings/storage_ops.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

using actors::SqlBlob;
using actors::SqlCursor;
using actors::SqlParameter;

constexpr int kFirstParameter = 3;
constexpr std::size_t kKeptTextBytes = 64 * 1024;

SqlRows& rows_of(WorkerContext& context) {
  if (context.sql_rows == nullptr) context.sql_rows = std::make_shared<SqlRows>(context.v8());
  return *context.sql_rows;
}

void tell(std::uint32_t* counts, const SqlCursor& cursor, std::uint32_t number) {
  counts[0] = number;
  counts[1] = static_cast<std::uint32_t>(cursor.rows_read());
  counts[2] = static_cast<std::uint32_t>(cursor.rows_written());
}

// The parameters of one call. Texts lie in one buffer, which the thread keeps; nothing here calls JavaScript.
class Parameters {
 public:
  explicit Parameters(const Info& info) {
    v8::Isolate* isolate = info.GetIsolate();
    text_.clear();
    list_.clear();
    ends_.clear();
    append_text(isolate, info[2], text_);
    query_bytes_ = text_.size();
    for (int index = kFirstParameter; index < info.Length(); ++index) {
      const auto value = info[index];
      if (value->IsString()) {
        append_text(isolate, value, text_);
        ends_.push_back(text_.size());
        list_.emplace_back(std::string_view());  // see below
      } else if (value->IsNumber()) {
        list_.emplace_back(value.As<v8::Number>()->Value());
      } else if (value->IsArrayBuffer() || value->IsArrayBufferView()) {
        list_.emplace_back(SqlBlob{view_of(value)});
      } else {
        list_.emplace_back(std::monostate{});
      }
    }
    // Now the buffer does not move any more.
    std::size_t start = query_bytes_;
    auto end = ends_.begin();
    for (SqlParameter& parameter : list_) {
      if (auto* const text = std::get_if<std::string_view>(&parameter)) {
        *text = std::string_view(text_).substr(start, *end - start);
        start = *end++;
      }
    }
  }
  ~Parameters() {
    if (text_.capacity() > kKeptTextBytes) std::string().swap(text_);
  }
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  std::string_view query() const { return std::string_view(text_).substr(0, query_bytes_); }
  std::span<const SqlParameter> list() const { return list_; }

 private:
  static thread_local std::string text_;
  static thread_local std::vector<SqlParameter> list_;
  static thread_local std::vector<std::size_t> ends_;  // of the texts, in text_
  std::size_t query_bytes_ = 0;
};

thread_local std::string Parameters::text_;
thread_local std::vector<SqlParameter> Parameters::list_;
thread_local std::vector<std::size_t> Parameters::ends_;

// sql_exec(counts, actor, query, ...parameters) -> the list of column names, which must not be changed; undefined: none
void sql_exec(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  auto& context = WorkerContext::of(isolate);
  std::uint32_t* const counts = counters_at(info, 0, 3);
  const std::uint32_t actor = number_at(info, 1);
  actors::ActorStorage* const storage = context.use_storage(actor, StorageUse::Write);
  if (storage == nullptr || counts == nullptr) return;
  SqlRows& rows = rows_of(context);
  rows.sweep();
  const Parameters parameters(info);
  auto made = storage->exec(parameters.query(), parameters.list());
  if (!made) return throw_storage_error(isolate, made.error());
  std::unique_ptr<SqlCursor> cursor = *std::move(made);
  tell(counts, *cursor, 0);
  if (cursor->column_count() == 0) return;
  auto shape = rows.shape_of(actor, *cursor);
  info.GetReturnValue().Set(shape->list.Get(isolate));
  if (cursor->has_row()) counts[0] = rows.add(std::move(cursor), std::move(shape));
}

// sql_next(counts, cursor, raw) -> the next row, or undefined
void sql_next(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  SqlRows& rows = rows_of(WorkerContext::of(isolate));
  std::uint32_t* const counts = counters_at(info, 0, 3);
  const std::uint32_t number = number_at(info, 1);
  SqlRows::Open* const open = rows.find(number);
  if (open == nullptr || counts == nullptr) return;
  v8::Local<v8::Value> row;
  if (!rows.row(isolate->GetCurrentContext(), *open->cursor, *open->shape, info[2]->IsTrue()).ToLocal(&row)) return;
  const auto advanced = open->cursor->advance();
  const bool has_more = advanced && open->cursor->has_row();
  tell(counts, *open->cursor, has_more ? number : 0);
  if (!has_more) rows.drop(number);
  if (!advanced) return throw_storage_error(isolate, advanced.error());
  info.GetReturnValue().Set(row);
}

// sql_rest(counts, cursor, raw) -> all rows that are left
void sql_rest(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  const auto v8_context = isolate->GetCurrentContext();
  SqlRows& rows = rows_of(WorkerContext::of(isolate));
  std::uint32_t* const counts = counters_at(info, 0, 3);
  const std::uint32_t number = number_at(info, 1);
  SqlRows::Open* const open = rows.find(number);
  if (open == nullptr || counts == nullptr) return;
  const bool raw = info[2]->IsTrue();
  v8::LocalVector<v8::Value> all(isolate);
  while (open->cursor->has_row()) {
    v8::Local<v8::Value> row;
    if (isolate->IsExecutionTerminating() || !rows.row(v8_context, *open->cursor, *open->shape, raw).ToLocal(&row)) {
      rows.drop(number);
      counts[0] = 0;
      return;
    }
    all.push_back(row);
    if (const auto advanced = open->cursor->advance(); !advanced) {
      tell(counts, *open->cursor, 0);
      rows.drop(number);
      return throw_storage_error(isolate, advanced.error());
    }
  }
  tell(counts, *open->cursor, 0);
  rows.drop(number);
  info.GetReturnValue().Set(v8::Array::New(isolate, all.data(), all.size()));
}

// sql_tie(cursor, owner): the cursor is dropped when the owner is collected.
void sql_tie(const Info& info) {
  SqlRows& rows = rows_of(WorkerContext::of(info.GetIsolate()));
  SqlRows::Open* const open = rows.find(number_at(info, 0));
  if (open != nullptr && info[1]->IsObject()) rows.tie(*open, info[1].As<v8::Object>());
}

// sql_drop(cursor)
void sql_drop(const Info& info) { rows_of(WorkerContext::of(info.GetIsolate())).drop(number_at(info, 0)); }

constexpr std::array kOps = std::to_array<Op>({
    {"sql_exec", sql_exec},
    {"sql_next", sql_next},
    {"sql_rest", sql_rest},
    {"sql_tie", sql_tie},
    {"sql_drop", sql_drop},
});

}  // namespace

std::span<const Op> sql_ops() { return kOps; }

}  // namespace insula::runner
