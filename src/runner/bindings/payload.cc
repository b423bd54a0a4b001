// SPDX-License-Identifier: Apache-2.0
//
// Values with what rides beside them.
#include "src/runner/bindings/payload.h"

#include <utility>

#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

// A value may be written while another one is being written: props of an entrypoint in an argument.
template <class T>
class Current {
 public:
  Current(T*& slot, T* value) : slot_(slot), before_(std::exchange(slot, value)) {}
  ~Current() { slot_ = before_; }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  T*& slot_;
  T* const before_;
};

void let_go(WorkerContext& context, Payload& payload) {
  for (const HostBody& body : payload.streams) {
    if (body.stream != nullptr) context.host().stop(*body.stream);
  }
  payload = {};
}

}  // namespace

bool write_payload(WorkerContext& context, v8::Local<v8::Value> value, PayloadWriter& writer) {
  const Current current(context.payload_writer, &writer);
  if (serialize_value(context.v8(), value, writer.mode, writer.payload.bytes)) return true;
  take_back(context, writer);
  return false;
}

void take_back(WorkerContext& context, PayloadWriter& writer) {
  // The built-ins have taken their objects back too: nobody is told.
  for (const auto id : writer.exports) context.drop_export(id);
  let_go(context, writer.payload);
}

v8::MaybeLocal<v8::Value> read_payload(WorkerContext& context, Payload& payload, std::uint32_t invocation,
                                       bool is_of_caller) {
  PayloadReader reader{payload, invocation, is_of_caller};
  const Current current(context.payload_reader, &reader);
  v8::MaybeLocal<v8::Value> value = deserialize_value(context.v8(), payload.bytes);
  if (!payload.is_plain()) let_go(context, payload);
  return value;
}

bool take_packed(WorkerContext& context, v8::Local<v8::Value> value, Payload& out) {
  if (!value->IsUint32()) {
    out.bytes = Bytes(view_of(value));
    return true;
  }
  const Payload* packed = context.find_packed(value.As<v8::Uint32>()->Value());
  if (packed == nullptr) {
    context.v8()->ThrowException(v8::Exception::Error(
        to_string(context.v8(), "The properties of this stub belonged to a request that has ended.")));
    return false;
  }
  out = *packed;
  return true;
}

}  // namespace insula::runner
