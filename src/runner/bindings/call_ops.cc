// SPDX-License-Identifier: Apache-2.0
//
// Calls: what a Worker asks of others, how it answers, and the code it gives for dynamic Workers.
#include <array>

#include "src/base/compatibility.h"
#include "src/runner/bindings/arguments.h"
#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

// call_fetch(kind, capability, id, anonymous, source, entrypoint, props, cpuMs, subrequests,
//            method, url, headers, bodyKind, body, cf, length) -> number of the call
void call_fetch(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = calling_invocation(context, "Fetcher");
  if (invocation == nullptr) return;
  CallTarget target;
  if (!target_of(info, target)) return;
  FetchCall call;
  call.body = take_body(context, number_at(info, 12), info[13]);
  if (context.v8()->HasPendingException()) return;
  // What an actor asks of the supervisor on its own behalf is no subrequest.
  if (target.kind != CallTarget::Kind::OwnActor && !context.take_subrequest(*invocation)) {
    context.throw_fault(Fault::SubrequestLimit);
    return;
  }
  promise_length(call.body, info[15]);
  call.method = text_at(info, 9);
  call.url = text_at(info, 10);
  call.headers = byte_text_at(info, 11);
  call.cf = text_at(info, 14);
  const std::uint32_t id =
      context.host().start_call(context_of(context, *invocation), std::move(target), std::move(call));
  context.calls()[id] = {invocation->id, false};
  info.GetReturnValue().Set(id);
}

void call_cancel(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const auto found = context.calls().find(number_at(info, 0));
  if (found == context.calls().end()) return;
  context.abandon_call(found->first, found->second.is_rpc);
  context.forget_call(found);
}

// preload(1, loader, id, anonymous, source): start loading although nothing is asked of the Worker yet.
void preload(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const Invocation* invocation = context.current();
  if (invocation == nullptr) return;
  CallTarget target;
  if (target_of(info, target)) context.host().preload(context_of(context, *invocation), target);
}

// An invocation, or a call on one of its objects, that waits for its answer.
bool is_open(WorkerContext& context, std::uint32_t number) {
  if (const Invocation* invocation = context.find_invocation(number)) return !invocation->answered;
  const Answer* call = context.find_answer(number);
  return call != nullptr && !call->answered;
}

void give_answer(WorkerContext& context, std::uint32_t number, Outcome outcome) {
  if (Invocation* invocation = context.find_invocation(number)) {
    context.answer(*invocation, std::move(outcome));
  } else {
    context.answer_call(number, std::move(outcome));
  }
}

// respond(invocation, status, statusText, headers, bodyKind, body, length)
void respond(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  if (!is_open(context, number_at(info, 0))) return;
  FetchResult result;
  result.body = take_body(context, number_at(info, 4), info[5]);
  if (context.v8()->HasPendingException()) return;
  promise_length(result.body, info[6]);
  result.status = static_cast<std::uint16_t>(number_at(info, 1));
  result.status_text = text_at(info, 2);
  result.headers = byte_text_at(info, 3);
  give_answer(context, number_at(info, 0), std::move(result));
}

// fail(invocation, fault, name, message, stack, remote, properties)
void fail(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  give_answer(context, number_at(info, 0), error_of(info));
}

// abort_invocation(invocation, fault, name, message, stack, remote, properties)
void abort_invocation(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = context.find_invocation(number_at(info, 0));
  if (invocation == nullptr) return;
  context.abort(*invocation, error_of(info));
}

// provide_code(request, date, flags, main, names, kinds, bodies, env, blocked, cpuMs, subrequests, outbound, tails)
// kinds: numbers of protocol::ModuleKind; bodies: strings or Uint8Arrays.
void provide_code(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  v8::Isolate* isolate = info.GetIsolate();
  const auto v8_context = isolate->GetCurrentContext();
  WorkerCode code;
  code.compatibility_date = text_at(info, 1);
  code.compatibility_flags = texts_of(isolate, info[2]);
  code.main_module = text_at(info, 3);
  const auto names = texts_of(isolate, info[4]);
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
  if (!info[7]->IsUndefined() && !take_packed(context, info[7], code.env)) return;
  code.outbound_blocked = info[8]->IsTrue();
  code.cpu_millis = number_at(info, 9);
  code.subrequests = number_at(info, 10);
  if (const std::uint32_t outbound = number_at(info, 11); outbound != 0) {
    code.outbound = context.use_handle(outbound);
    if (code.outbound == nullptr) return;
  }
  if (info[12]->IsArray()) {
    const auto tails = info[12].As<v8::Array>();
    for (std::uint32_t index = 0; index < tails->Length(); ++index) {
      v8::Local<v8::Value> handle;
      if (!tails->Get(v8_context, index).ToLocal(&handle)) return;
      code.tails.push_back(context.use_handle(handle->IsUint32() ? handle.As<v8::Uint32>()->Value() : 0));
      if (code.tails.back() == nullptr) return;
    }
  }
  context.host().provide_code(number_at(info, 0), std::move(code));
}

// refuse_code(request, fault, name, message)
void refuse_code(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  CallError error;
  error.fault = text_at(info, 1);
  error.name = text_at(info, 2);
  error.message = text_at(info, 3);
  context.host().provide_code(number_at(info, 0), std::move(error));
}

// check_compatibility(date, flags, allowExperimental): the complaint, or undefined.
void check_compatibility_op(const Info& info) {
  const auto flags = texts_of(info.GetIsolate(), info[1]);
  const auto checked = check_compatibility(text_at(info, 0), flags, info[2]->IsTrue());
  if (!checked) info.GetReturnValue().Set(to_string(info.GetIsolate(), checked.error().message()));
}

// compatibility_settings(date, flags): {flag: is it enabled}
void compatibility_settings_op(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  const auto context = isolate->GetCurrentContext();
  const auto flags = texts_of(isolate, info[1]);
  const auto settings = v8::Object::New(isolate);
  for (const CompatibilitySetting& setting : compatibility_settings(text_at(info, 0), flags)) {
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

constexpr std::array<Op, 11> kOps = {{
    {"call_fetch", call_fetch},
    {"call_cancel", call_cancel},
    {"preload", preload},
    {"respond", respond},
    {"fail", fail},
    {"abort_invocation", abort_invocation},
    {"provide_code", provide_code},
    {"refuse_code", refuse_code},
    {"check_compatibility", check_compatibility_op},
    {"compatibility_settings", compatibility_settings_op},
    {"wasm_bytes", wasm_bytes},
}};

}  // namespace

std::span<const Op> call_ops() { return kOps; }

}  // namespace insula::runner
