// SPDX-License-Identifier: Apache-2.0
//
// SqlRows: templates of rows, values of columns, open cursors.
#include "src/runner/bindings/sql_rows.h"

#include <algorithm>
#include <cstring>

#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

constexpr std::size_t kShapesMax = 256;
constexpr int kColumnsMax = 128;  // SQLite's limit for actors is 100
// So many cursors stay as they are: loops within loops. More of them are probably those of `exec(...).next()`, of which
// nobody wants more: they are read to their end, if that is near, and give their statements back.
constexpr std::size_t kUnsettledMax = 8;
constexpr std::size_t kSettledRowsMax = 64;
constexpr std::size_t kSettledBytesMax = 16 * 1024;
// What the collector is told that an open cursor takes outside the heap, so that it comes before there are too many.
constexpr std::int64_t kOpenBytes = 16 * 1024;

// Names that are elements of an object, or that an object has a meaning of its own for.
bool needs_care(std::string_view name) {
  if (name.empty() || name == "__proto__") return true;
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::shared_ptr<const SqlRows::Shape> SqlRows::shape_of(std::uint32_t actor, const actors::SqlCursor& cursor) {
  const std::uint64_t shape = cursor.shape();
  Remembered& recent = recent_[((shape >> 16) + shape + std::uint64_t{actor} * 7) % recent_.size()];
  if (recent.made != nullptr && recent.actor == actor && recent.shape == shape) return recent.made;

  std::vector<std::string> names;
  std::string key;
  for (int column = 0; column < cursor.column_count(); ++column) {
    names.emplace_back(cursor.column_name(column));
    key += std::to_string(names.back().size()) + ' ' + names.back();
  }
  std::shared_ptr<const Shape> made;
  if (const auto found = shapes_.find(key); found != shapes_.end()) {
    made = found->second;
  } else {
    made = make_shape(std::move(names));
    if (shapes_.size() >= kShapesMax) shapes_.clear();
    shapes_.emplace(std::move(key), made);
  }
  recent = {actor, shape, made};
  return made;
}

std::shared_ptr<const SqlRows::Shape> SqlRows::make_shape(std::vector<std::string> names) {
  const v8::HandleScope scope(isolate_);
  auto shape = std::make_shared<Shape>();
  v8::LocalVector<v8::Value> list(isolate_);
  for (const std::string& name : names) list.push_back(to_string(isolate_, name));
  shape->list.Reset(isolate_, v8::Array::New(isolate_, list.data(), list.size()));
  if (std::ranges::none_of(names, needs_care)) {
    std::vector<std::string_view> keys;
    for (int column = 0; column < static_cast<int>(names.size()); ++column) {
      const std::string& name = names[static_cast<std::size_t>(column)];
      const auto known = std::ranges::find(keys, name);
      if (known != keys.end()) {
        shape->columns[static_cast<std::size_t>(known - keys.begin())] = column;
      } else {
        keys.push_back(name);
        shape->columns.push_back(column);
      }
    }
    shape->object.Reset(isolate_, v8::DictionaryTemplate::New(isolate_, {keys.data(), keys.size()}));
  }
  shape->names = std::move(names);
  return shape;
}

std::uint32_t SqlRows::add(std::unique_ptr<actors::SqlCursor> cursor, std::shared_ptr<const Shape> shape) {
  if (free_.empty()) {
    open_.push_back(std::make_unique<Open>());
    open_.back()->rows = this;
    open_.back()->number = static_cast<std::uint32_t>(open_.size());
    free_.push_back(open_.back()->number);
  }
  Open& open = *open_[free_.back() - 1];
  free_.pop_back();
  open.cursor = std::move(cursor);
  open.shape = std::move(shape);
  return open.number;
}

SqlRows::Open* SqlRows::find(std::uint32_t number) noexcept {
  if (number == 0 || number > open_.size() || open_[number - 1]->cursor == nullptr) return nullptr;
  return open_[number - 1].get();
}

void SqlRows::drop(std::uint32_t number) {
  Open* const open = find(number);
  if (open == nullptr) return;
  open->cursor.reset();
  open->shape.reset();
  if (!open->owner.IsEmpty() || open->is_garbage) isolate_->AdjustAmountOfExternalAllocatedMemory(-kOpenBytes);
  open->owner.Reset();
  open->is_garbage = false;
  free_.push_back(number);
}

void SqlRows::tie(Open& open, v8::Local<v8::Object> owner) {
  if (!open.owner.IsEmpty()) return;
  if (open_.size() - free_.size() > kUnsettledMax) open.cursor->settle(kSettledRowsMax, kSettledBytesMax);
  isolate_->AdjustAmountOfExternalAllocatedMemory(kOpenBytes);
  open.owner.Reset(isolate_, owner);
  open.owner.SetWeak(
      &open,
      [](const v8::WeakCallbackInfo<Open>& info) {
        // In the middle of a collection: only a note, sweep() does the rest.
        Open& lost = *info.GetParameter();
        lost.owner.Reset();
        lost.is_garbage = true;
        lost.rows->has_garbage_ = true;
      },
      v8::WeakCallbackType::kParameter);
}

void SqlRows::sweep() {
  if (!has_garbage_) return;
  has_garbage_ = false;
  for (const auto& open : open_) {
    if (open->is_garbage) drop(open->number);
  }
}

v8::MaybeLocal<v8::Value> SqlRows::value(const actors::SqlCursor& cursor, int column) {
  switch (cursor.kind(column)) {
    case actors::SqlKind::Null: return v8::Null(isolate_).As<v8::Value>();
    case actors::SqlKind::Number: return v8::Number::New(isolate_, cursor.number(column)).As<v8::Value>();
    case actors::SqlKind::Text: return to_string(isolate_, cursor.text(column)).As<v8::Value>();
    case actors::SqlKind::Blob: break;
  }
  const BytesView bytes = cursor.blob(column);
  v8::Local<v8::ArrayBuffer> buffer;
  if (!v8::ArrayBuffer::MaybeNew(isolate_, bytes.size(), v8::BackingStoreInitializationMode::kUninitialized)
           .ToLocal(&buffer)) {
    isolate_->ThrowException(v8::Exception::RangeError(to_string(isolate_, "Array buffer allocation failed")));
    return {};
  }
  if (!bytes.empty()) std::memcpy(buffer->Data(), bytes.data(), bytes.size());
  return buffer.As<v8::Value>();
}

v8::MaybeLocal<v8::Value> SqlRows::row(v8::Local<v8::Context> context, const actors::SqlCursor& cursor,
                                       const Shape& shape, bool raw) {
  v8::EscapableHandleScope scope(isolate_);
  if (!raw && shape.object.IsEmpty()) {
    v8::Local<v8::Value> made;
    if (!careful_row(context, cursor, shape).ToLocal(&made)) return {};
    return scope.Escape(made);
  }
  if (raw) {
    const auto count = std::min(shape.names.size(), std::size_t{kColumnsMax});
    std::array<v8::Local<v8::Value>, kColumnsMax> values;
    for (std::size_t column = 0; column < count; ++column) {
      if (!value(cursor, static_cast<int>(column)).ToLocal(&values[column])) return {};
    }
    return scope.Escape(v8::Array::New(isolate_, values.data(), count).As<v8::Value>());
  }
  const auto count = std::min(shape.columns.size(), std::size_t{kColumnsMax});
  std::array<v8::MaybeLocal<v8::Value>, kColumnsMax> values;
  for (std::size_t index = 0; index < count; ++index) {
    values[index] = value(cursor, shape.columns[index]);
    if (values[index].IsEmpty()) return {};
  }
  return scope.Escape(shape.object.Get(isolate_)->NewInstance(context, {values.data(), count}).As<v8::Value>());
}

v8::MaybeLocal<v8::Value> SqlRows::careful_row(v8::Local<v8::Context> context, const actors::SqlCursor& cursor,
                                               const Shape& shape) {
  const auto object = v8::Object::New(isolate_);
  for (std::size_t column = 0; column < shape.names.size(); ++column) {
    const std::string& name = shape.names[column];
    v8::Local<v8::Value> cell;
    if (!value(cursor, static_cast<int>(column)).ToLocal(&cell)) return {};
    // An object's prototype is none of a query's business.
    if (name == "__proto__") continue;
    if (object->CreateDataProperty(context, to_string(isolate_, name), cell).IsNothing()) return {};
  }
  return object.As<v8::Value>();
}

}  // namespace insula::runner
