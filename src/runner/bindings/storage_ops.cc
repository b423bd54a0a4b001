// SPDX-License-Identifier: Apache-2.0
//
// ctx.storage but for SQL: keys and values, transactions, the alarm, points in time. The first argument is always the
// actor's number. Each call is done when it returns: what is asynchronous in the API is so in the built-ins only.
#include "src/runner/bindings/storage_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "src/runner/actors/actor_storage.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/isolate/serialize.h"

namespace insula::runner {

void append_text(v8::Isolate* isolate, v8::Local<v8::Value> value, std::string& out) {
  if (value.IsEmpty() || !value->IsString()) return;
  const auto text = value.As<v8::String>();
  const std::size_t before = out.size();
  const std::size_t bytes = text->Utf8LengthV2(isolate);
  out.resize(before + bytes);
  out.resize(before + text->WriteUtf8V2(isolate, out.data() + before, bytes));
}

std::string storage_text_at(const Info& info, int index) {
  std::string out;
  append_text(info.GetIsolate(), info[index], out);
  return out;
}

void throw_storage_error(v8::Isolate* isolate, const Error& error) {
  if (isolate->HasPendingException() || isolate->IsExecutionTerminating()) return;
  if (error.code() == ErrorCode::LimitExceeded && error.message().ends_with(actors::kFullText)) {
    return WorkerContext::of(isolate).throw_fault(Fault::DatabaseFull, error.message());
  }
  isolate->ThrowException(v8::Exception::Error(to_string(isolate, error.message())));
}

actors::SqlMonitor& sql_monitor() noexcept {
  struct Monitor final : actors::SqlMonitor {
    bool should_stop() noexcept override {
      v8::Isolate* const isolate = v8::Isolate::TryGetCurrent();
      return isolate != nullptr && WorkerContext::of(isolate).isolate().is_terminated();
    }
  };
  static Monitor monitor;
  return monitor;
}

std::uint32_t* counters_at(const Info& info, int index, std::size_t count) {
  if (!info[index]->IsUint32Array()) return nullptr;
  const auto array = info[index].As<v8::Uint32Array>();
  if (array->Length() < count) return nullptr;
  return reinterpret_cast<std::uint32_t*>(static_cast<char*>(array->Buffer()->Data()) + array->ByteOffset());
}

namespace {

using actors::ActorStorage;

ActorStorage* storage_at(const Info& info, StorageUse use) {
  return WorkerContext::of(info.GetIsolate()).use_storage(number_at(info, 0), use);
}

StorageUse write_at(const Info& info, int index) {
  return info[index]->IsTrue() ? StorageUse::UnconfirmedWrite : StorageUse::Write;
}

// The keys of a list of texts.
std::vector<std::string> keys_at(const Info& info, int index) {
  std::vector<std::string> keys;
  if (!info[index]->IsArray()) return keys;
  const auto list = info[index].As<v8::Array>();
  const auto context = info.GetIsolate()->GetCurrentContext();
  for (std::uint32_t at = 0; at < list->Length(); ++at) {
    v8::Local<v8::Value> key;
    if (!list->Get(context, at).ToLocal(&key)) return {};
    append_text(info.GetIsolate(), key, keys.emplace_back());
  }
  return keys;
}

// Fails with an exception pending.
bool too_large(v8::Isolate* isolate, std::size_t key_bytes, std::size_t value_bytes) {
  if (key_bytes + value_bytes <= actors::kKeyValueBytesMax) return false;
  throw_storage_error(isolate, Error(ErrorCode::LimitExceeded,
                                     "put(): key and value have " + std::to_string(key_bytes + value_bytes) +
                                         " bytes together; the limit is 2097152 (2 MiB)"));
  return true;
}

// kv_get(actor, key) -> value, or undefined
void kv_get(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Read);
  if (storage == nullptr) return;
  const auto found = storage->get(storage_text_at(info, 1));
  if (!found) return throw_storage_error(info.GetIsolate(), found.error());
  v8::Local<v8::Value> value;
  if (*found && deserialize_value(info.GetIsolate(), **found).ToLocal(&value)) info.GetReturnValue().Set(value);
}

// kv_get_many(actor, keys) -> [key, value, ...] of those that are there, each once, in the order of their bytes
void kv_get_many(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  ActorStorage* const storage = storage_at(info, StorageUse::Read);
  if (storage == nullptr) return;
  std::vector<std::string> keys = keys_at(info, 1);
  std::ranges::sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  v8::LocalVector<v8::Value> pairs(isolate);
  for (const std::string& key : keys) {
    const auto found = storage->get(key);
    if (!found) return throw_storage_error(isolate, found.error());
    if (!*found) continue;
    v8::Local<v8::Value> value;
    if (!deserialize_value(isolate, **found).ToLocal(&value)) return;
    pairs.push_back(to_string(isolate, key));
    pairs.push_back(value);
  }
  info.GetReturnValue().Set(v8::Array::New(isolate, pairs.data(), pairs.size()));
}

// kv_put(actor, key, value, unconfirmed)
void kv_put(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  Bytes bytes;
  // First of all: getters of the value may run, and use the storage themselves.
  if (!serialize_value(isolate, info[2], CloneMode::Stored, bytes)) return;
  const std::string key = storage_text_at(info, 1);
  if (too_large(isolate, key.size(), bytes.size())) return;
  ActorStorage* const storage = storage_at(info, write_at(info, 3));
  if (storage == nullptr) return;
  if (const auto done = storage->put(key, bytes); !done) throw_storage_error(isolate, done.error());
}

// kv_put_many(actor, [key, value, ...], unconfirmed): all are looked at before the first is written.
void kv_put_many(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  if (!info[1]->IsArray()) return;
  const auto list = info[1].As<v8::Array>();
  const auto context = isolate->GetCurrentContext();
  std::vector<std::pair<std::string, Bytes>> pairs;
  for (std::uint32_t at = 0; at + 1 < list->Length(); at += 2) {
    const v8::HandleScope scope(isolate);
    v8::Local<v8::Value> key;
    v8::Local<v8::Value> value;
    if (!list->Get(context, at).ToLocal(&key) || !list->Get(context, at + 1).ToLocal(&value)) return;
    auto& [name, bytes] = pairs.emplace_back();
    append_text(isolate, key, name);
    if (!serialize_value(isolate, value, CloneMode::Stored, bytes)) return;
    if (too_large(isolate, name.size(), bytes.size())) return;
  }
  ActorStorage* const storage = storage_at(info, write_at(info, 2));
  if (storage == nullptr) return;
  for (const auto& [name, bytes] : pairs) {
    if (const auto done = storage->put(name, bytes); !done) return throw_storage_error(isolate, done.error());
  }
}

// kv_delete(actor, key, unconfirmed) -> was it there?
void kv_delete(const Info& info) {
  ActorStorage* const storage = storage_at(info, write_at(info, 2));
  if (storage == nullptr) return;
  const auto removed = storage->remove(storage_text_at(info, 1));
  if (!removed) return throw_storage_error(info.GetIsolate(), removed.error());
  info.GetReturnValue().Set(*removed);
}

// kv_delete_many(actor, keys, unconfirmed) -> how many were there
void kv_delete_many(const Info& info) {
  ActorStorage* const storage = storage_at(info, write_at(info, 2));
  if (storage == nullptr) return;
  std::uint32_t count = 0;
  for (const std::string& key : keys_at(info, 1)) {
    const auto removed = storage->remove(key);
    if (!removed) return throw_storage_error(info.GetIsolate(), removed.error());
    if (*removed) ++count;
  }
  info.GetReturnValue().Set(count);
}

// kv_list(actor, start, startAfter, end, prefix, reverse, limit) -> [key, value, ...]; undefined, or 0 as limit: none
void kv_list(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  ActorStorage* const storage = storage_at(info, StorageUse::Read);
  if (storage == nullptr) return;
  actors::ListOptions options;
  if (info[1]->IsString()) options.start = storage_text_at(info, 1);
  if (info[2]->IsString()) options.start_after = storage_text_at(info, 2);
  if (info[3]->IsString()) options.end = storage_text_at(info, 3);
  options.prefix = storage_text_at(info, 4);
  options.reverse = info[5]->IsTrue();
  if (const std::uint32_t limit = number_at(info, 6); limit != 0) options.limit = limit;
  v8::LocalVector<v8::Value> pairs(isolate);
  bool is_whole = true;
  const auto listed = storage->list(options, [&](std::string_view key, BytesView bytes) {
    v8::Local<v8::Value> value;
    is_whole = deserialize_value(isolate, bytes).ToLocal(&value);
    if (!is_whole) return false;
    pairs.push_back(to_string(isolate, key));
    pairs.push_back(value);
    return true;
  });
  if (!listed) return throw_storage_error(isolate, listed.error());
  if (is_whole) info.GetReturnValue().Set(v8::Array::New(isolate, pairs.data(), pairs.size()));
}

// storage_delete_all(actor, andAlarm)
void storage_delete_all(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Write);
  if (storage == nullptr) return;
  if (const auto done = storage->delete_all(info[1]->IsTrue()); !done) {
    throw_storage_error(info.GetIsolate(), done.error());
  }
}

// storage_size(actor) -> bytes of the database
void storage_size(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Read);
  if (storage == nullptr) return;
  const auto bytes = storage->database_bytes();
  if (!bytes) return throw_storage_error(info.GetIsolate(), bytes.error());
  info.GetReturnValue().Set(static_cast<double>(*bytes));
}

// ---- Transactions

enum class Step : std::uint8_t { BeginNested, KeepNested, UndoNested, Begin, Keep, Undo };

Result<> take_step(ActorStorage& storage, Step step) {
  // The storage forgets its transactions when it is abandoned; whoever was in one must not end another's.
  const bool needs_nested = step == Step::KeepNested || step == Step::UndoNested;
  const bool needs_outer = step == Step::Keep || step == Step::Undo;
  if ((needs_nested && storage.savepoints() == 0) ||
      (needs_outer && (!storage.in_explicit_transaction() || storage.savepoints() != 0))) {
    return Error(ErrorCode::Conflict, "The transaction has ended already.");
  }
  switch (step) {
    case Step::BeginNested: return storage.begin_savepoint();
    case Step::KeepNested: return storage.release_savepoint();
    case Step::UndoNested: return storage.rollback_savepoint();
    case Step::Begin: return storage.begin_transaction();
    case Step::Keep: {
      auto kept = storage.end_transaction();
      if (!kept) return std::move(kept).error();
      return {};
    }
    case Step::Undo: storage.rollback_transaction(); return {};
  }
  return Error(ErrorCode::InvalidInput, "no such step of a transaction");
}

// transaction_step(actor, step): 0 begin, 1 keep, 2 undo a nested one, 3 begin, 4 keep, 5 undo the outermost
void transaction_step(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Write);
  if (storage == nullptr) return;
  if (const auto done = take_step(*storage, static_cast<Step>(number_at(info, 1))); !done) {
    throw_storage_error(info.GetIsolate(), done.error());
  }
}

// ---- The alarm

// alarm_get(actor) -> milliseconds, or null
void alarm_get(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Read);
  if (storage == nullptr) return;
  const auto alarm = storage->alarm();
  if (!alarm) return throw_storage_error(info.GetIsolate(), alarm.error());
  if (*alarm) {
    info.GetReturnValue().Set(static_cast<double>(**alarm));
  } else {
    info.GetReturnValue().SetNull();
  }
}

// alarm_set(actor, milliseconds or null, unconfirmed)
void alarm_set(const Info& info) {
  ActorStorage* const storage = storage_at(info, write_at(info, 2));
  if (storage == nullptr) return;
  std::optional<std::int64_t> alarm;
  if (info[1]->IsNumber()) alarm = static_cast<std::int64_t>(info[1].As<v8::Number>()->Value());
  if (const auto done = storage->set_alarm(alarm); !done) throw_storage_error(info.GetIsolate(), done.error());
}

// ---- Points in time

void return_text(const Info& info, const Result<std::string>& text) {
  if (!text) return throw_storage_error(info.GetIsolate(), text.error());
  info.GetReturnValue().Set(to_string(info.GetIsolate(), *text));
}

// bookmark_now(actor) -> bookmark
void bookmark_now(const Info& info) {
  if (ActorStorage* const storage = storage_at(info, StorageUse::Write)) return_text(info, storage->current_bookmark());
}

// bookmark_at(actor, milliseconds) -> bookmark
void bookmark_at(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Write);
  if (storage == nullptr) return;
  const double at = info[1]->IsNumber() ? info[1].As<v8::Number>()->Value() : 0;
  return_text(info, storage->bookmark_for_time(static_cast<std::int64_t>(at)));
}

// bookmark_restore(actor, bookmark) -> the bookmark that undoes it
void bookmark_restore(const Info& info) {
  ActorStorage* const storage = storage_at(info, StorageUse::Write);
  if (storage != nullptr) return_text(info, storage->restore_at_next_open(storage_text_at(info, 1)));
}

constexpr std::array kOps = std::to_array<Op>({
    {"kv_get", kv_get},
    {"kv_get_many", kv_get_many},
    {"kv_put", kv_put},
    {"kv_put_many", kv_put_many},
    {"kv_delete", kv_delete},
    {"kv_delete_many", kv_delete_many},
    {"kv_list", kv_list},
    {"storage_delete_all", storage_delete_all},
    {"storage_size", storage_size},
    {"transaction_step", transaction_step},
    {"alarm_get", alarm_get},
    {"alarm_set", alarm_set},
    {"bookmark_now", bookmark_now},
    {"bookmark_at", bookmark_at},
    {"bookmark_restore", bookmark_restore},
});

}  // namespace

std::span<const Op> storage_ops() { return kOps; }

}  // namespace insula::runner
