// SPDX-License-Identifier: Apache-2.0
//
// Calls: what a Worker asks of others, how it answers, and the code it gives for dynamic Workers.
#include <array>

#include "src/base/compatibility.h"
#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

std::uint32_t number(const Info& info, int index) {
  return info[index]->IsUint32() ? info[index].As<v8::Uint32>()->Value() : 0;
}

std::string text(const Info& info, int index) { return to_utf8(info.GetIsolate(), info[index]); }

Bytes byte_text(const Info& info, int index) {
  return info[index]->IsString() ? to_bytes(info.GetIsolate(), info[index].As<v8::String>()) : Bytes();
}

CallTarget target_of(const Info& info) {
  CallTarget target;
  target.kind = static_cast<CallTarget::Kind>(number(info, 0));
  target.capability = number(info, 1);
  target.id = text(info, 2);
  target.anonymous = number(info, 3);
  target.source = number(info, 4);
  target.entrypoint = text(info, 5);
  target.props = Bytes(view_of(info[6]));
  target.cpu_millis = number(info, 7);
  target.subrequests = number(info, 8);
  return target;
}

CallContext context_of(WorkerContext& context, const Invocation& invocation) {
  return {context.spec().id, invocation.reply_to.caller == 0 ? invocation.reply_to.question : 0, invocation.depth};
}

// A stream's declared length, when the caller knows it better than the stream.
void promise_length(HostBody& body, v8::Local<v8::Value> length) {
  if (body.stream == nullptr || !length->IsNumber()) return;
  const double value = length.As<v8::Number>()->Value();
  if (value >= 0 && value < 9007199254740992.0) body.length = static_cast<std::int64_t>(value);
}

// call_fetch(kind, capability, id, anonymous, source, entrypoint, props, cpuMs, subrequests,
//            method, url, headers, bodyKind, body, cf, length) -> number of the call
void call_fetch(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = context.current();
  if (refuse_in_startup(context)) return;
  if (invocation == nullptr) {
    throw_cross_request(context, "Fetcher");
    return;
  }
  FetchCall call;
  call.body = take_body(context, number(info, 12), info[13]);
  if (context.v8()->HasPendingException()) return;
  if (!context.take_subrequest(*invocation)) {
    context.throw_fault(Fault::SubrequestLimit);
    return;
  }
  promise_length(call.body, info[15]);
  CallTarget target = target_of(info);
  if (target.kind == CallTarget::Kind::Outbound) target.capability = context.spec().outbound;
  call.method = text(info, 9);
  call.url = text(info, 10);
  call.headers = byte_text(info, 11);
  call.cf = text(info, 14);
  const std::uint32_t id =
      context.host().start_call(context_of(context, *invocation), std::move(target), std::move(call));
  context.calls()[id] = invocation->id;
  info.GetReturnValue().Set(id);
}

void call_cancel(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const auto found = context.calls().find(number(info, 0));
  if (found == context.calls().end()) return;
  context.host().cancel_call(found->first);
  context.calls().erase(found);
}

// preload(1, loader, id, anonymous, source): start loading although nothing is asked of the Worker yet.
void preload(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const Invocation* invocation = context.current();
  if (invocation == nullptr) return;
  context.host().preload(context_of(context, *invocation), target_of(info));
}

// respond(invocation, status, statusText, headers, bodyKind, body, length)
void respond(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = context.find_invocation(number(info, 0));
  if (invocation == nullptr || invocation->answered) return;
  FetchResult result;
  result.body = take_body(context, number(info, 4), info[5]);
  if (context.v8()->HasPendingException()) return;
  promise_length(result.body, info[6]);
  result.status = static_cast<std::uint16_t>(number(info, 1));
  result.status_text = text(info, 2);
  result.headers = byte_text(info, 3);
  context.answer(*invocation, std::move(result));
}

// fail(invocation, fault, name, message, stack, remote)
void fail(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = context.find_invocation(number(info, 0));
  if (invocation == nullptr || invocation->answered) return;
  CallError error;
  error.fault = text(info, 1);
  error.name = text(info, 2);
  error.message = text(info, 3);
  error.stack = text(info, 4);
  error.remote = info[5]->IsTrue();
  context.answer(*invocation, std::move(error));
}

std::vector<std::string> texts(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  std::vector<std::string> out;
  if (!value->IsArray()) return out;
  const auto list = value.As<v8::Array>();
  const auto context = isolate->GetCurrentContext();
  for (std::uint32_t index = 0; index < list->Length(); ++index) {
    v8::Local<v8::Value> item;
    if (!list->Get(context, index).ToLocal(&item)) break;
    out.push_back(to_utf8(isolate, item));
  }
  return out;
}

// provide_code(request, date, flags, main, names, kinds, bodies, env, blocked, cpuMs, subrequests)
// kinds: numbers of protocol::ModuleKind; bodies: strings or Uint8Arrays.
void provide_code(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  v8::Isolate* isolate = info.GetIsolate();
  const auto v8_context = isolate->GetCurrentContext();
  WorkerCode code;
  code.compatibility_date = text(info, 1);
  code.compatibility_flags = texts(isolate, info[2]);
  code.main_module = text(info, 3);
  const auto names = texts(isolate, info[4]);
  if (info[5]->IsArray() && info[6]->IsArray()) {
    const auto kinds = info[5].As<v8::Array>();
    const auto bodies = info[6].As<v8::Array>();
    for (std::uint32_t index = 0; index < names.size(); ++index) {
      v8::Local<v8::Value> kind;
      v8::Local<v8::Value> body;
      if (!kinds->Get(v8_context, index).ToLocal(&kind) || !bodies->Get(v8_context, index).ToLocal(&body)) return;
      Module module;
      module.name = names[index];
      module.kind = static_cast<std::uint8_t>(kind->IsUint32() ? kind.As<v8::Uint32>()->Value() : 0);
      module.bytes = body->IsString() ? to_utf8(isolate, body) : Bytes(view_of(body));
      code.modules.push_back(std::move(module));
    }
  }
  code.env = Bytes(view_of(info[7]));
  code.outbound_blocked = info[8]->IsTrue();
  code.cpu_millis = number(info, 9);
  code.subrequests = number(info, 10);
  context.host().provide_code(number(info, 0), std::move(code));
}

// refuse_code(request, fault, name, message)
void refuse_code(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  CallError error;
  error.fault = text(info, 1);
  error.name = text(info, 2);
  error.message = text(info, 3);
  context.host().provide_code(number(info, 0), std::move(error));
}

// check_compatibility(date, flags, allowExperimental): the complaint, or undefined.
void check_compatibility_op(const Info& info) {
  const auto flags = texts(info.GetIsolate(), info[1]);
  const auto checked = check_compatibility(text(info, 0), flags, info[2]->IsTrue());
  if (!checked) info.GetReturnValue().Set(to_string(info.GetIsolate(), checked.error().message()));
}

// compatibility_settings(date, flags): {flag: is it enabled}
void compatibility_settings_op(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  const auto context = isolate->GetCurrentContext();
  const auto flags = texts(isolate, info[1]);
  const auto settings = v8::Object::New(isolate);
  for (const CompatibilitySetting& setting : compatibility_settings(text(info, 0), flags)) {
    settings->CreateDataProperty(context, to_name(isolate, setting.flag), v8::Boolean::New(isolate, setting.is_enabled))
        .Check();
  }
  info.GetReturnValue().Set(settings);
}

// wasm_bytes(value): the bytes of a compiled module, or undefined.
void wasm_bytes(const Info& info) {
  if (!info[0]->IsWasmModuleObject()) return;
  auto module = info[0].As<v8::WasmModuleObject>()->GetCompiledModule();
  const auto bytes = module.GetWireBytesRef();
  v8::Local<v8::Uint8Array> array;
  if (to_uint8_array(info.GetIsolate(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).ToLocal(&array)) {
    info.GetReturnValue().Set(array);
  }
}

constexpr std::array<Op, 10> kOps = {{
    {"call_fetch", call_fetch},
    {"call_cancel", call_cancel},
    {"preload", preload},
    {"respond", respond},
    {"fail", fail},
    {"provide_code", provide_code},
    {"refuse_code", refuse_code},
    {"check_compatibility", check_compatibility_op},
    {"compatibility_settings", compatibility_settings_op},
    {"wasm_bytes", wasm_bytes},
}};

}  // namespace

std::span<const Op> call_ops() { return kOps; }

}  // namespace insula::runner
