// SPDX-License-Identifier: Apache-2.0
//
// Serialisation. Data that is kept is plain: objects of the runtime (stubs, streams, requests) are refused with the
// contract's text. In RPC, env and props the built-ins say what becomes of them. Instances of the Worker's own classes are
// refused wherever a value leaves the isolate, because they would arrive without their class; structuredClone() makes
// them plain, as the standard wants.
#include "src/runner/isolate/serialize.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "src/base/limits.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/isolate/isolate.h"

namespace insula::runner {
namespace {

// What one value may become before it is refused without a look at the rest: a string that an array names a thousand
// times is written a thousand times.
constexpr std::size_t kWrittenBytesMax = 4 * kRpcBytesMax;
// Most values are small: their bytes are written to a buffer that the thread keeps.
constexpr std::size_t kThreadBufferBytes = 4 * kKiB;

// What becomes of instances of classes and of errors.
enum class Classes : std::uint8_t { Refuse, MakePlain, Reduce };

// A function of the built-ins. Isolate data slot 1 leads to them (see worker.cc).
v8::MaybeLocal<v8::Value> ask_runtime(v8::Isolate* isolate, const char* function, int count,
                                      v8::Local<v8::Value>* arguments) {
  const auto context = isolate->GetCurrentContext();
  auto* owner = static_cast<Isolate*>(isolate->GetData(1));
  v8::Local<v8::Value> found;
  if (owner == nullptr || !owner->runtime()->Get(context, to_name(isolate, function)).ToLocal(&found) ||
      !found->IsFunction()) {
    return {};
  }
  return found.As<v8::Function>()->Call(context, v8::Undefined(isolate), count, arguments);
}

v8::MaybeLocal<v8::Value> ask_runtime(v8::Isolate* isolate, const char* function, v8::Local<v8::Value> argument) {
  v8::Local<v8::Value> arguments[1] = {argument};
  return ask_runtime(isolate, function, 1, arguments);
}

}  // namespace

void throw_data_clone_error(v8::Isolate* isolate, v8::Local<v8::String> message) {
  v8::Local<v8::Value> error;
  if (ask_runtime(isolate, "newDataCloneError", message).ToLocal(&error)) {
    isolate->ThrowException(error);
  } else if (!isolate->HasPendingException()) {
    isolate->ThrowException(v8::Exception::Error(message));
  }
}

namespace {

class WriteDelegate final : public v8::ValueSerializer::Delegate {
 public:
  WriteDelegate(v8::Isolate* isolate, Classes classes, CloneMode mode)
      : isolate_(isolate), classes_(classes), mode_(mode), plain_(v8::Object::New(isolate)->GetPrototypeV2()) {}
  ~WriteDelegate() override {
    if (uses_thread_buffer_) thread_buffer_is_used = false;
  }
  void set_serializer(v8::ValueSerializer* serializer) noexcept { serializer_ = serializer; }

  void ThrowDataCloneError(v8::Local<v8::String> message) override { throw_data_clone_error(isolate_, message); }

  bool HasCustomHostObject(v8::Isolate*) override { return true; }
  // Asked of what V8 knows no format of its own for, and of errors.
  v8::Maybe<bool> IsHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    if (object->IsNativeError()) return v8::Just(classes_ == Classes::Reduce || mode_ == CloneMode::Stored);
    if (object->IsArray() || object->IsFunction() || object->IsProxy()) return v8::Just(false);
    if (object->GetPrototypeV2() == plain_) return v8::Just(false);
    if (classes_ == Classes::Reduce) return v8::Just(true);
    if (classes_ == Classes::Refuse) return v8::Just(true);
    v8::Local<v8::Value> name;
    if (!ask_runtime(isolate, "platformClassOf", object).ToLocal(&name)) return v8::Nothing<bool>();
    return v8::Just(name->IsString());
  }
  v8::Maybe<bool> WriteHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    if (classes_ == Classes::Reduce || mode_ == CloneMode::Stored) return reduce(isolate, object);
    v8::Local<v8::Value> class_name;
    if (!ask_runtime(isolate, "platformClassOf", object).ToLocal(&class_name)) return v8::Nothing<bool>();
    const std::string name =
        to_utf8(isolate, class_name->IsString() ? class_name : object->GetConstructorName().As<v8::Value>());
    throw_data_clone_error(
        isolate, to_string(isolate, "Could not serialize object of type \"" + name +
                                        "\". This type does not support serialization."));
    return v8::Nothing<bool>();
  }
  v8::Maybe<std::uint32_t> GetSharedArrayBufferId(v8::Isolate* isolate,
                                                  v8::Local<v8::SharedArrayBuffer>) override {
    throw_data_clone_error(isolate, to_string(isolate, "#<SharedArrayBuffer> could not be cloned."));
    return v8::Nothing<std::uint32_t>();
  }

  void* ReallocateBufferMemory(void* old_buffer, std::size_t size, std::size_t* actual_size) override {
    if (size > kWrittenBytesMax) {
      refused_bytes_ = size;
      return nullptr;
    }
    if (old_buffer == nullptr && size <= kThreadBufferBytes && !thread_buffer_is_used) {
      thread_buffer_is_used = uses_thread_buffer_ = true;
      *actual_size = kThreadBufferBytes;
      return thread_buffer.data();
    }
    const bool leaves_thread_buffer = old_buffer == thread_buffer.data();
    void* grown = leaves_thread_buffer ? std::malloc(size) : std::realloc(old_buffer, size);
    if (grown == nullptr) return nullptr;
    if (leaves_thread_buffer) std::memcpy(grown, old_buffer, std::min(size, kThreadBufferBytes));
    *actual_size = size;
    return grown;
  }
  void FreeBufferMemory(void* buffer) override {
    if (buffer != thread_buffer.data()) std::free(buffer);
  }
  // Not 0: the value was larger than anything that could be sent; it would have taken so many bytes at least.
  std::size_t refused_bytes() const noexcept { return refused_bytes_; }

 private:
  v8::Maybe<bool> reduce(v8::Isolate* isolate, v8::Local<v8::Object> object) {
    const auto context = isolate->GetCurrentContext();
    v8::Local<v8::Value> arguments[2] = {object, v8::Integer::New(isolate, static_cast<int>(mode_))};
    v8::Local<v8::Value> reduced;
    v8::Local<v8::Value> tag;
    v8::Local<v8::Value> data;
    if (!ask_runtime(isolate, "reduce", 2, arguments).ToLocal(&reduced)) return v8::Nothing<bool>();
    if (!reduced->IsArray() || !reduced.As<v8::Array>()->Get(context, 0).ToLocal(&tag) || !tag->IsUint32() ||
        !reduced.As<v8::Array>()->Get(context, 1).ToLocal(&data)) {
      throw_data_clone_error(isolate, to_string(isolate, "This object could not be cloned."));
      return v8::Nothing<bool>();
    }
    serializer_->WriteUint32(tag.As<v8::Uint32>()->Value());
    return serializer_->WriteValue(context, data);
  }

  static thread_local std::array<char, kThreadBufferBytes> thread_buffer;
  static thread_local bool thread_buffer_is_used;

  v8::Isolate* isolate_;
  const Classes classes_;
  const CloneMode mode_;
  const v8::Local<v8::Value> plain_;  // Object.prototype
  v8::ValueSerializer* serializer_ = nullptr;
  bool uses_thread_buffer_ = false;
  std::size_t refused_bytes_ = 0;
};

thread_local std::array<char, kThreadBufferBytes> WriteDelegate::thread_buffer;
thread_local bool WriteDelegate::thread_buffer_is_used = false;

class ReadDelegate final : public v8::ValueDeserializer::Delegate {
 public:
  void set_reader(v8::ValueDeserializer* reader) noexcept { reader_ = reader; }

  v8::MaybeLocal<v8::Object> ReadHostObject(v8::Isolate* isolate) override {
    std::uint32_t tag = 0;
    v8::Local<v8::Value> data;
    if (!reader_->ReadUint32(&tag) || !reader_->ReadValue(isolate->GetCurrentContext()).ToLocal(&data)) return {};
    v8::Local<v8::Value> arguments[2] = {v8::Integer::NewFromUnsigned(isolate, tag), data};
    v8::Local<v8::Value> object;
    // V8 forbids it while it reads, because nothing but a delegate could bring in code.
    const v8::Isolate::AllowJavascriptExecutionScope allow(isolate);
    if (!ask_runtime(isolate, "revive", 2, arguments).ToLocal(&object) || !object->IsObject()) return {};
    return object.As<v8::Object>();
  }

 private:
  v8::ValueDeserializer* reader_ = nullptr;
};

void throw_too_large(v8::Isolate* isolate, std::size_t bytes) {
  isolate->ThrowException(v8::Exception::Error(to_string(
      isolate, "Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: " +
                   std::to_string(bytes) + " bytes.")));
}

bool write(v8::Isolate* isolate, v8::Local<v8::Value> value, Classes classes, CloneMode mode,
           const std::vector<v8::Local<v8::ArrayBuffer>>& moved, Bytes& out) {
  WriteDelegate delegate(isolate, classes, mode);
  v8::ValueSerializer serializer(isolate, &delegate);
  delegate.set_serializer(&serializer);
  serializer.WriteHeader();
  for (std::uint32_t index = 0; index < moved.size(); ++index) {
    serializer.TransferArrayBuffer(index, moved[index]);
  }
  const bool ok = serializer.WriteValue(isolate->GetCurrentContext(), value).FromMaybe(false);
  const auto [data, size] = serializer.Release();
  const bool fits = mode != CloneMode::Rpc || size <= kRpcBytesMax;
  if (ok && fits) out.assign(reinterpret_cast<const char*>(data), size);
  delegate.FreeBufferMemory(data);
  // V8 has already thrown when the buffer was refused: this says more.
  if (delegate.refused_bytes() != 0 && mode == CloneMode::Rpc && !isolate->IsExecutionTerminating()) {
    throw_too_large(isolate, delegate.refused_bytes());
  } else if (ok && !fits) {
    throw_too_large(isolate, size);
  }
  return ok && fits;
}

}  // namespace

bool serialize_value(v8::Isolate* isolate, v8::Local<v8::Value> value, CloneMode mode, Bytes& out) {
  const Classes classes = mode == CloneMode::Kept     ? Classes::Refuse
                          : mode == CloneMode::Stored ? Classes::MakePlain
                                                      : Classes::Reduce;
  return write(isolate, value, classes, mode, {}, out);
}

v8::MaybeLocal<v8::Value> deserialize_value(v8::Isolate* isolate, BytesView bytes) {
  ReadDelegate delegate;
  v8::ValueDeserializer reader(isolate, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                               &delegate);
  delegate.set_reader(&reader);
  const auto context = isolate->GetCurrentContext();
  v8::Local<v8::Value> value;
  if (reader.ReadHeader(context).FromMaybe(false) && reader.ReadValue(context).ToLocal(&value)) return value;
  if (!isolate->HasPendingException() && !isolate->IsExecutionTerminating()) {
    throw_data_clone_error(isolate, to_string(isolate, "Unable to deserialize cloned data."));
  }
  return {};
}

v8::MaybeLocal<v8::Value> clone_value(v8::Isolate* isolate, v8::Local<v8::Value> value,
                                      v8::Local<v8::Value> transfer) {
  const auto context = isolate->GetCurrentContext();
  std::vector<v8::Local<v8::ArrayBuffer>> moved;
  if (transfer->IsArray()) {
    const auto list = transfer.As<v8::Array>();
    for (std::uint32_t index = 0; index < list->Length(); ++index) {
      v8::Local<v8::Value> item;
      if (!list->Get(context, index).ToLocal(&item)) return {};
      if (!item->IsArrayBuffer()) {
        throw_data_clone_error(isolate, to_string(isolate, "Value not transferable"));
        return {};
      }
      moved.push_back(item.As<v8::ArrayBuffer>());
    }
  }
  Bytes bytes;
  if (!write(isolate, value, Classes::MakePlain, CloneMode::Kept, moved, bytes)) return {};
  ReadDelegate delegate;
  v8::ValueDeserializer reader(isolate, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                               &delegate);
  delegate.set_reader(&reader);
  if (!reader.ReadHeader(context).FromMaybe(false)) return {};
  for (std::uint32_t index = 0; index < moved.size(); ++index) {
    auto store = moved[index]->GetBackingStore();
    if (moved[index]->Detach(v8::Local<v8::Value>()).IsNothing()) return {};
    reader.TransferArrayBuffer(index, v8::ArrayBuffer::New(isolate, std::move(store)));
  }
  return reader.ReadValue(context);
}

}  // namespace insula::runner
