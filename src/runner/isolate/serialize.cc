// SPDX-License-Identifier: Apache-2.0
//
// Serialisation: plain data only. Objects of the runtime (stubs, streams, requests) are refused with the contract's
// text. Instances of the Worker's own classes are refused where a value leaves the isolate, because they would arrive
// without their class; structuredClone() makes them plain, as the standard wants.
#include "src/runner/isolate/serialize.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "src/runner/isolate/convert.h"
#include "src/runner/isolate/isolate.h"

namespace insula::runner {
namespace {

enum class Classes : std::uint8_t { Refuse, MakePlain };

// A function of the built-ins, called with one argument. Isolate data slot 1 leads to them (see worker.cc).
v8::MaybeLocal<v8::Value> ask_runtime(v8::Isolate* isolate, const char* function, v8::Local<v8::Value> argument) {
  const auto context = isolate->GetCurrentContext();
  auto* owner = static_cast<Isolate*>(isolate->GetData(1));
  v8::Local<v8::Value> found;
  if (owner == nullptr || !owner->runtime()->Get(context, to_name(isolate, function)).ToLocal(&found) ||
      !found->IsFunction()) {
    return {};
  }
  v8::Local<v8::Value> arguments[1] = {argument};
  return found.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, arguments);
}

void throw_data_clone_error(v8::Isolate* isolate, v8::Local<v8::String> message) {
  v8::Local<v8::Value> error;
  if (ask_runtime(isolate, "newDataCloneError", message).ToLocal(&error)) {
    isolate->ThrowException(error);
  } else if (!isolate->HasPendingException()) {
    isolate->ThrowException(v8::Exception::Error(message));
  }
}

class WriteDelegate final : public v8::ValueSerializer::Delegate {
 public:
  WriteDelegate(v8::Isolate* isolate, Classes classes)
      : isolate_(isolate), classes_(classes), plain_(v8::Object::New(isolate)->GetPrototypeV2()) {}

  void ThrowDataCloneError(v8::Local<v8::String> message) override { throw_data_clone_error(isolate_, message); }

  bool HasCustomHostObject(v8::Isolate*) override { return true; }
  // Asked of what V8 knows no format of its own for, and of errors.
  v8::Maybe<bool> IsHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    if (object->IsNativeError() || object->IsArray() || object->IsFunction() || object->IsProxy()) {
      return v8::Just(false);
    }
    if (object->GetPrototypeV2() == plain_) return v8::Just(false);
    if (classes_ == Classes::Refuse) return v8::Just(true);
    v8::Local<v8::Value> name;
    if (!ask_runtime(isolate, "platformClassOf", object).ToLocal(&name)) return v8::Nothing<bool>();
    return v8::Just(name->IsString());
  }
  v8::Maybe<bool> WriteHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
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

 private:
  v8::Isolate* isolate_;
  const Classes classes_;
  const v8::Local<v8::Value> plain_;  // Object.prototype
};

class ReadDelegate final : public v8::ValueDeserializer::Delegate {};

bool write(v8::Isolate* isolate, v8::Local<v8::Value> value, Classes classes,
           const std::vector<v8::Local<v8::ArrayBuffer>>& moved, Bytes& out) {
  WriteDelegate delegate(isolate, classes);
  v8::ValueSerializer serializer(isolate, &delegate);
  serializer.WriteHeader();
  for (std::uint32_t index = 0; index < moved.size(); ++index) {
    serializer.TransferArrayBuffer(index, moved[index]);
  }
  const auto context = isolate->GetCurrentContext();
  const bool ok = serializer.WriteValue(context, value).FromMaybe(false);
  const auto [data, size] = serializer.Release();
  if (ok) out.assign(reinterpret_cast<const char*>(data), size);
  std::free(data);
  return ok;
}

}  // namespace

bool serialize_value(v8::Isolate* isolate, v8::Local<v8::Value> value, Bytes& out) {
  return write(isolate, value, Classes::Refuse, {}, out);
}

v8::MaybeLocal<v8::Value> deserialize_value(v8::Isolate* isolate, BytesView bytes) {
  ReadDelegate delegate;
  v8::ValueDeserializer reader(isolate, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                               &delegate);
  const auto context = isolate->GetCurrentContext();
  if (!reader.ReadHeader(context).FromMaybe(false)) return {};
  return reader.ReadValue(context);
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
  if (!write(isolate, value, Classes::MakePlain, moved, bytes)) return {};
  ReadDelegate delegate;
  v8::ValueDeserializer reader(isolate, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                               &delegate);
  if (!reader.ReadHeader(context).FromMaybe(false)) return {};
  for (std::uint32_t index = 0; index < moved.size(); ++index) {
    auto store = moved[index]->GetBackingStore();
    if (moved[index]->Detach(v8::Local<v8::Value>()).IsNothing()) return {};
    reader.TransferArrayBuffer(index, v8::ArrayBuffer::New(isolate, std::move(store)));
  }
  return reader.ReadValue(context);
}

}  // namespace insula::runner
