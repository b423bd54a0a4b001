// SPDX-License-Identifier: Apache-2.0
//
// Serialisation: plain data only. Objects of the runtime (stubs, streams, requests) are refused here with the
// contract's text; capabilities get their own delegate.
#include "src/runner/isolate/serialize.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "src/runner/isolate/convert.h"
#include "src/runner/isolate/isolate.h"

namespace insula::runner {
namespace {

// Isolate data slot 1 holds the runtime object of the context, set by the Worker (see worker.cc).
void throw_data_clone_error(v8::Isolate* isolate, v8::Local<v8::String> message) {
  const auto context = isolate->GetCurrentContext();
  auto* owner = static_cast<Isolate*>(isolate->GetData(1));
  v8::Local<v8::Value> factory;
  v8::Local<v8::Value> error;
  v8::Local<v8::Value> arguments[1] = {message};
  if (owner != nullptr &&
      owner->runtime()->Get(context, to_name(isolate, "newDataCloneError")).ToLocal(&factory) &&
      factory->IsFunction() &&
      factory.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, arguments).ToLocal(&error)) {
    isolate->ThrowException(error);
  } else {
    isolate->ThrowException(v8::Exception::Error(message));
  }
}

class WriteDelegate final : public v8::ValueSerializer::Delegate {
 public:
  explicit WriteDelegate(v8::Isolate* isolate) : isolate_(isolate) {}

  void ThrowDataCloneError(v8::Local<v8::String> message) override { throw_data_clone_error(isolate_, message); }

  // Class instances would silently become plain objects; the contract refuses them. Plain objects, and what V8 knows,
  // are not host objects.
  bool HasCustomHostObject(v8::Isolate*) override { return true; }
  v8::Maybe<bool> IsHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    if (object->IsArray() || object->IsFunction() || object->IsProxy()) return v8::Just(false);
    const auto context = isolate->GetCurrentContext();
    const auto prototype = object->GetPrototypeV2();
    if (prototype->IsNull()) return v8::Just(true);
    if (!prototype->IsObject()) return v8::Just(false);
    // Object.prototype is the only prototype whose own prototype is null and that is a plain object here.
    const auto upper = prototype.As<v8::Object>()->GetPrototypeV2();
    if (upper->IsNull()) return v8::Just(false);
    (void)context;
    return v8::Just(true);
  }
  v8::Maybe<bool> WriteHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    const std::string name = to_utf8(isolate, object->GetConstructorName());
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
};

class ReadDelegate final : public v8::ValueDeserializer::Delegate {};

bool write(v8::Isolate* isolate, v8::Local<v8::Value> value, const std::vector<v8::Local<v8::ArrayBuffer>>& moved,
           Bytes& out) {
  WriteDelegate delegate(isolate);
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
  return write(isolate, value, {}, out);
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
  if (!write(isolate, value, moved, bytes)) return {};
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
