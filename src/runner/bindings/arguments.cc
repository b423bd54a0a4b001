// SPDX-License-Identifier: Apache-2.0
//
// Arguments of native calls.
#include "src/runner/bindings/arguments.h"

#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {

std::uint32_t number_at(const Info& info, int index) {
  return info[index]->IsUint32() ? info[index].As<v8::Uint32>()->Value() : 0;
}

std::string text_at(const Info& info, int index) { return to_utf8(info.GetIsolate(), info[index]); }

Bytes byte_text_at(const Info& info, int index) {
  return info[index]->IsString() ? to_bytes(info.GetIsolate(), info[index].As<v8::String>()) : Bytes();
}

CallError error_of(const Info& info) {
  CallError error;
  error.fault = text_at(info, 1);
  error.name = text_at(info, 2);
  error.message = text_at(info, 3);
  error.stack = text_at(info, 4);
  error.remote = info[5]->IsTrue();
  error.properties = Bytes(view_of(info[6]));
  return error;
}

std::vector<std::string> texts_of(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  std::vector<std::string> out;
  if (!value->IsArray()) return out;
  const auto list = value.As<v8::Array>();
  const auto context = isolate->GetCurrentContext();
  out.reserve(list->Length());
  for (std::uint32_t index = 0; index < list->Length(); ++index) {
    v8::Local<v8::Value> item;
    if (!list->Get(context, index).ToLocal(&item)) break;
    out.push_back(to_utf8(isolate, item));
  }
  return out;
}

bool target_of(const Info& info, CallTarget& target) {
  auto& context = WorkerContext::of(info.GetIsolate());
  target.kind = static_cast<CallTarget::Kind>(number_at(info, 0));
  switch (target.kind) {
    case CallTarget::Kind::Capability:
      target.capability = context.use_handle(number_at(info, 1));
      if (target.capability == nullptr) return false;
      break;
    case CallTarget::Kind::Dynamic:
      target.loader = number_at(info, 1);
      target.id = text_at(info, 2);
      target.anonymous = number_at(info, 3);
      target.source = number_at(info, 4);
      break;
    case CallTarget::Kind::Outbound: target.capability = context.spec().outbound; break;
    case CallTarget::Kind::Self: break;
    case CallTarget::Kind::Promised: target.call = number_at(info, 1); return true;
    case CallTarget::Kind::Object:
      target.capability = context.use_handle(number_at(info, 1));
      if (target.capability == nullptr) return false;
      target.id = text_at(info, 2);
      break;
    case CallTarget::Kind::Facet: {
      const auto found = context.facets().find(number_at(info, 1));
      if (found == context.facets().end()) {
        throw_cross_request(context, "Client");
        return false;
      }
      target = found->second;
      return true;
    }
    case CallTarget::Kind::OwnActor: target.actor = number_at(info, 1); return true;
  }
  target.entrypoint = text_at(info, 5);
  target.cpu_millis = number_at(info, 7);
  target.subrequests = number_at(info, 8);
  return info[6]->IsUndefined() || take_packed(context, info[6], target.props);
}

CallContext context_of(WorkerContext& context, const Invocation& invocation) {
  return {context.spec().id, invocation.reply_to.caller == 0 ? invocation.reply_to.question : 0, invocation.depth,
          context.gate_of(invocation)};
}

void promise_length(HostBody& body, v8::Local<v8::Value> length) {
  if (body.stream == nullptr || !length->IsNumber()) return;
  const double value = length.As<v8::Number>()->Value();
  if (value >= 0 && value < 9007199254740992.0) body.length = static_cast<std::int64_t>(value);
}

Invocation* calling_invocation(WorkerContext& context, std::string_view type) {
  Invocation* invocation = context.current();
  if (refuse_in_startup(context)) return nullptr;
  if (invocation == nullptr) throw_cross_request(context, type);
  return invocation;
}

}  // namespace insula::runner
