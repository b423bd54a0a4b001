// SPDX-License-Identifier: Apache-2.0
//
// Worker: RPC calls and runtime events that come in, outcomes of those that went out, and objects that others hold.
#include <algorithm>

#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

// What a stub says whose object has ended with the invocation that gave it away.
constexpr std::string_view kNoLongerRunning = "The execution context which hosts this callback is no longer running.";

v8::Local<v8::Value> number(v8::Isolate* isolate, std::uint32_t value) {
  return v8::Integer::NewFromUnsigned(isolate, value);
}

v8::Local<v8::Value> texts(v8::Isolate* isolate, const std::vector<std::string>& list) {
  const auto context = isolate->GetCurrentContext();
  const auto array = v8::Array::New(isolate, static_cast<int>(list.size()));
  for (std::uint32_t index = 0; index < list.size(); ++index) {
    array->Set(context, index, to_string(isolate, list[index])).Check();
  }
  return array;
}

CallError unreadable(v8::Isolate* isolate, const v8::TryCatch& caught) {
  CallError error;
  error.name = "DataCloneError";
  error.message = "Unable to deserialize cloned data.";
  v8::Local<v8::Value> message;
  if (!caught.HasTerminated() && caught.Exception()->IsObject() &&
      caught.Exception().As<v8::Object>()->Get(isolate->GetCurrentContext(), to_name(isolate, "message")).ToLocal(&message) &&
      message->IsString()) {
    error.message = to_utf8(isolate, message);
  }
  return error;
}

}  // namespace

// Calls on objects run in an invocation that is there already.
void WorkerImpl::call_object(InvokeEvent& event) {
  const auto refuse_with = [&](const CallError& error) {
    if (std::holds_alternative<RpcCall>(event.call)) context_.add_failed_answer(event.reply_to, error);
    host_.answer(event.reply_to, error, 0, false, {});
  };
  CallError gone;
  gone.name = "Error";
  gone.message = kNoLongerRunning;
  std::uint32_t target = 0;
  std::uint32_t base = 0;
  std::uint32_t actor = 0;  // the object is an actor's
  Invocation* invocation = nullptr;
  if (event.on == InvokeEvent::On::Export) {
    const auto* found = context_.find_export(event.export_id);
    if (found == nullptr) return refuse_with(gone);
    target = found->object;
    if ((found->invocation & WorkerContext::kActorOwner) != 0) {
      actor = found->invocation & ~WorkerContext::kActorOwner;
    } else {
      invocation = context_.find_invocation(found->invocation);
    }
  } else {
    const Answer* answer = context_.find_answer(event.promised);
    if (answer == nullptr) return refuse_with(gone);
    if (answer->failed != nullptr) return refuse_with(*answer->failed);
    target = base = answer->id;
    invocation = context_.find_invocation(answer->invocation);
    if (invocation != nullptr) actor = invocation->actor;
  }
  std::uint32_t answer = 0;
  if (invocation == nullptr) {
    // A plain result outlives its invocation; what is read of it is an invocation of its own. So is a call on an object of
    // an actor.
    invocation = &start_invocation(event);
    if (WorkerContext::OpenActor* const open = context_.find_actor(actor)) {
      invocation->actor = actor;
      ++open->invocations;
    }
    context_.add_answer(*invocation, true);
    answer = invocation->id;
    if (Answer* added = context_.find_answer(answer)) added->base = base;
  } else {
    answer = context_.add_answer(event.reply_to, *invocation, base).id;
    // Each call of another Worker brings time for itself, as much as the invocation began with; those of this Worker spend
    // what its own invocation has left.
    if (event.reply_to.caller != context_.spec().id) {
      invocation->cpu_nanos_max = invocation->cpu_nanos + std::min(cpu_limit_of(event), invocation->cpu_nanos_each);
    }
  }
  const std::uint32_t id = invocation->id;
  if (std::holds_alternative<FetchCall>(event.call)) {
    if (Answer* added = context_.find_answer(answer)) added->finished = true;  // fetch has no Finish
  }
  step(id, [&] {
    if (auto* fetch = std::get_if<FetchCall>(&event.call)) {
      dispatch_request(*fetch, event, answer, target, id);
    } else if (auto* rpc = std::get_if<RpcCall>(&event.call)) {
      dispatch_rpc(*rpc, event, answer, target, id);
    } else {
      context_.fail_call(answer, gone);
    }
  });
}

// Props that cannot be read are none.
v8::Local<v8::Value> WorkerImpl::read_props(InvokeEvent& event, std::uint32_t invocation) {
  v8::Local<v8::Value> props = v8::Undefined(v8());
  if (event.props.bytes.empty()) return props;
  const v8::TryCatch caught(v8());
  if (!read_payload(context_, event.props, invocation).ToLocal(&props)) return v8::Undefined(v8());
  return props;
}

void WorkerImpl::dispatch_rpc(RpcCall& call, InvokeEvent& event, std::uint32_t answer, std::uint32_t target,
                              std::uint32_t invocation) {
  const v8::Local<v8::Value> props = read_props(event, invocation);
  v8::Local<v8::Value> args = v8::Undefined(v8());
  if (call.is_call) {
    const v8::TryCatch caught(v8());
    const bool is_of_caller = answer == invocation;
    if (!read_payload(context_, call.arguments, invocation, is_of_caller).ToLocal(&args)) {
      if (!caught.HasTerminated()) context_.fail_call(answer, unreadable(v8(), caught));
      return;
    }
  }
  v8::Local<v8::Value> arguments[7] = {number(v8(), answer),
                                       number(v8(), static_cast<std::uint32_t>(event.on)),
                                       to_name(v8(), event.entrypoint),
                                       props,
                                       number(v8(), target),
                                       texts(v8(), call.path),
                                       args};
  invoke(dispatch_rpc_.Get(v8()), 7, arguments);
}

void WorkerImpl::dispatch_event(RuntimeCall& call, InvokeEvent& event, std::uint32_t answer) {
  v8::Local<v8::Value> payload = v8::Undefined(v8());
  v8::Local<v8::Uint8Array> bytes;
  if (!call.payload.bytes.empty() && to_uint8_array(v8(), call.payload.bytes).ToLocal(&bytes)) payload = bytes;
  std::uint32_t handle = 0;
  if (!call.payload.capabilities.empty() && call.payload.capabilities.front() != nullptr) {
    handle = context_.add_handle(call.payload.capabilities.front(), answer);
  }
  // What is too long to ride inside.
  std::uint32_t body = 0;
  if (!call.payload.streams.empty()) body = context_.add_body(std::move(call.payload.streams.front()), answer);
  v8::Local<v8::Value> arguments[9] = {number(v8(), answer),
                                       to_name(v8(), event.entrypoint),
                                       read_props(event, answer),
                                       to_name(v8(), call.name),
                                       to_string(v8(), call.detail),
                                       payload,
                                       number(v8(), handle),
                                       number(v8(), event.actor),
                                       number(v8(), body)};
  call_runtime("dispatchRuntimeEvent", 9, arguments);
}

// The answer of an engine: JSON text and values that it keeps.
void WorkerImpl::finish_engine(std::uint32_t call, EngineResult& result) {
  const auto context = isolate_.context();
  const auto payloads = v8::Array::New(v8(), static_cast<int>(result.payloads.size()));
  for (std::uint32_t index = 0; index < result.payloads.size(); ++index) {
    v8::Local<v8::Uint8Array> bytes;
    if (!to_uint8_array(v8(), result.payloads[index]).ToLocal(&bytes)) return;
    payloads->Set(context, index, bytes).Check();
  }
  v8::Local<v8::Value> arguments[3] = {number(v8(), call), to_string(v8(), result.detail), payloads};
  call_runtime("engineDone", 3, arguments);
}

// The outcome of an RPC call of this Worker.
void WorkerImpl::finish_rpc(std::uint32_t call, RpcResult& result, std::uint32_t invocation) {
  v8::Local<v8::Value> value = v8::Undefined(v8());
  if (!result.value.bytes.empty()) {
    v8::TryCatch caught(v8());
    if (!read_payload(context_, result.value, invocation).ToLocal(&value)) {
      if (caught.HasTerminated()) return;
      const CallError error = unreadable(v8(), caught);
      caught.Reset();
      return tell_failure(call, error);
    }
  }
  v8::Local<v8::Value> arguments[2] = {number(v8(), call), value};
  invoke(rpc_done_.Get(v8()), 2, arguments);
}

void WorkerImpl::tell_failure(std::uint32_t call, const CallError& error) {
  v8::Local<v8::Value> properties = v8::Undefined(v8());
  v8::Local<v8::Uint8Array> bytes;
  if (!error.properties.empty()) {
    const v8::TryCatch caught(v8());
    if (to_uint8_array(v8(), error.properties).ToLocal(&bytes)) properties = bytes;
  }
  v8::Local<v8::Value> arguments[6] = {number(v8(), call),
                                       to_name(v8(), error.fault),
                                       to_string(v8(), error.name),
                                       to_string(v8(), error.message),
                                       v8::Boolean::New(v8(), error.remote),
                                       properties};
  invoke(call_failed_.Get(v8()), 6, arguments);
}

void WorkerImpl::handle(ReleaseEvent& event) {
  const auto* found = context_.find_export(event.export_id);
  if (found == nullptr) return;  // its invocation has ended, or it was never sent
  const std::uint32_t id = found->invocation;
  const std::uint32_t object = found->object;
  if (!context_.drop_export(event.export_id)) return settle(id);
  step(id, [&] {
    v8::Local<v8::Value> arguments[2] = {number(v8(), object), v8::False(v8())};
    invoke(release_export_.Get(v8()), 2, arguments);
  });
}

void WorkerImpl::handle(FinishEvent& event) {
  std::uint32_t answer = 0;
  if (!context_.finish_answer(event.reply_to, answer)) return;
  v8::Local<v8::Value> arguments[1] = {number(v8(), answer)};
  invoke(finish_answer_.Get(v8()), 1, arguments);
}

}  // namespace insula::runner
