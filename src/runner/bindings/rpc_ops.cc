// SPDX-License-Identifier: Apache-2.0
//
// RPC: calls and their answers, capabilities in values, handles, packed values.
#include <array>

#include "src/runner/bindings/arguments.h"
#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

// The contract's text: nobody could find a dynamic Worker again by what is written down of it.
constexpr std::string_view kDynamicEntrypoint =
    "Entrypoints to dynamically-loaded workers cannot be transferred to other Workers, because the system does not know "
    "how to reload this Worker from scratch. Instead, have the parent Worker expose an entrypoint which constructs the "
    "dynamic worker and forwards to it.";

void throw_error(WorkerContext& context, std::string_view message) {
  context.v8()->ThrowException(v8::Exception::Error(to_string(context.v8(), message)));
}

// Is a call on the target one of the caller's subrequests?
bool is_subrequest(WorkerContext& context, const CallTarget& target) {
  if (target.kind == CallTarget::Kind::Promised) return false;
  return target.capability == nullptr || !context.host().facts_of(*target.capability).is_object;
}

// rpc_call(kind, capability, id, anonymous, source, entrypoint, props, cpuMs, subrequests, path, args) -> number
void rpc_call(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = calling_invocation(context, "Client");
  if (invocation == nullptr) return;
  if (context.other_call_count() >= kRpcCallsPerWorkerMax) {
    context.throw_fault(Fault::RpcLimit);
    return;
  }
  const std::uint32_t invocation_id = invocation->id;
  CallTarget target;
  if (!target_of(info, target)) return;
  RpcCall call;
  call.path = texts_of(info.GetIsolate(), info[9]);
  call.is_call = !info[10]->IsUndefined();
  const bool holds = target.kind == CallTarget::Kind::Capability && context.is_of_caller(number_at(info, 1));
  PayloadWriter writer{.payload = call.arguments, .invocation = invocation_id, .holds = holds, .exports = {}};
  if (call.is_call && !write_payload(context, info[10], writer)) return;
  invocation = context.find_invocation(invocation_id);  // the Worker's code may have run meanwhile
  if (invocation == nullptr) return take_back(context, writer);
  if (is_subrequest(context, target) && !context.take_subrequest(*invocation)) {
    take_back(context, writer);
    context.throw_fault(Fault::SubrequestLimit);
    return;
  }
  const std::uint32_t id =
      context.host().start_call(context_of(context, *invocation), std::move(target), std::move(call));
  context.calls()[id] = {invocation_id, true};
  info.GetReturnValue().Set(id);
}

// rpc_return(answer, value)
void rpc_return(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t id = number_at(info, 0);
  const Answer* answer = context.find_answer(id);
  if (answer == nullptr || answer->answered) return;
  RpcResult result;
  PayloadWriter writer{.payload = result.value, .invocation = answer->invocation, .holds = true, .exports = {}};
  if (!info[1]->IsUndefined() && !write_payload(context, info[1], writer)) return;
  context.answer_call(id, std::move(result));
}

// rpc_fail(answer, fault, name, message, stack, remote, properties)
void rpc_fail(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t id = number_at(info, 0);
  const Answer* answer = context.find_answer(id);
  if (answer == nullptr || answer->answered) return;
  context.answer_call(id, error_of(info));
}

// ---- What a value carries, while it is written

PayloadWriter* writer_of(WorkerContext& context) {
  if (context.payload_writer == nullptr) throw_error(context, "No value is being serialised.");
  return context.payload_writer;
}

void carry(const Info& info, WorkerContext& context, PayloadWriter& writer, CapabilityPtr capability) {
  writer.references += context.host().facts_of(*capability).references;
  if (writer.references > kPayloadCapabilitiesMax) {
    context.throw_fault(Fault::RpcLimit);
    return;
  }
  info.GetReturnValue().Set(static_cast<std::uint32_t>(writer.payload.capabilities.size()));
  writer.payload.capabilities.push_back(std::move(capability));
}

void payload_capability(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  PayloadWriter* writer = writer_of(context);
  if (writer == nullptr) return;
  CapabilityPtr capability = context.use_handle(number_at(info, 0));
  if (capability == nullptr) return;
  // An object of this very invocation that is returned holds it, by a reference of its own.
  if (const CapabilityFacts facts = context.host().facts_of(*capability); facts.worker == context.spec().id) {
    const auto* known = context.find_export(facts.export_id);
    if (writer->holds && known != nullptr && known->invocation == writer->invocation) {
      capability = context.add_export(known->object, known->invocation, true);
      if (capability == nullptr) return;
      writer->exports.push_back(context.host().facts_of(*capability).export_id);
    }
  }
  carry(info, context, *writer, std::move(capability));
}

void payload_export(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  PayloadWriter* writer = writer_of(context);
  if (writer == nullptr) return;
  if (CapabilityPtr capability = context.add_export(number_at(info, 0), writer->invocation, writer->holds)) {
    writer->exports.push_back(context.host().facts_of(*capability).export_id);
    carry(info, context, *writer, std::move(capability));
  }
}

// Null with an exception pending.
CapabilityPtr own_entrypoint(WorkerContext& context, const Info& info) {
  if (!context.spec().is_pinned) {
    throw_data_clone_error(context.v8(), to_string(context.v8(), kDynamicEntrypoint));
    return nullptr;
  }
  Payload props;
  if (!info[1]->IsUndefined() && !take_packed(context, info[1], props)) return nullptr;
  CapabilityPtr capability = context.host().entrypoint(context.spec().id, context.spec().is_pinned, text_at(info, 0), std::move(props));
  if (capability == nullptr) {
    throw_error(context, "Entrypoints in the props of entrypoints are nested too deeply (max " +
                             std::to_string(kPropsDepthMax) + ").");
  }
  return capability;
}

// payload_entrypoint(entrypoint, props)
void payload_entrypoint(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  PayloadWriter* writer = writer_of(context);
  if (writer == nullptr) return;
  if (CapabilityPtr capability = own_entrypoint(context, info)) carry(info, context, *writer, std::move(capability));
}

// payload_stream(bodyKind, body, length)
void payload_stream(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  PayloadWriter* writer = writer_of(context);
  if (writer == nullptr) return;
  if (writer->mode != CloneMode::Rpc) return throw_error(context, "Streams can ride in calls only.");
  if (writer->payload.streams.size() >= kPayloadStreamsMax) return context.throw_fault(Fault::StreamLimit);
  HostBody body = take_body(context, number_at(info, 0), info[1]);
  if (context.v8()->HasPendingException()) return;
  promise_length(body, info[2]);
  info.GetReturnValue().Set(static_cast<std::uint32_t>(writer->payload.streams.size()));
  writer->payload.streams.push_back(std::move(body));
}

// ---- What came with a value, while it is read

void payload_take_capability(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t index = number_at(info, 0);
  PayloadReader* reader = context.payload_reader;
  if (reader == nullptr || index >= reader->payload.capabilities.size() ||
      reader->payload.capabilities[index] == nullptr) {
    return throw_error(context, "This value names a capability that did not come with it.");
  }
  info.GetReturnValue().Set(
      context.add_handle(std::move(reader->payload.capabilities[index]), reader->invocation, reader->is_of_caller));
}

void payload_take_stream(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t index = number_at(info, 0);
  PayloadReader* reader = context.payload_reader;
  if (reader == nullptr || index >= reader->payload.streams.size()) {
    return throw_error(context, "This value names a stream that did not come with it.");
  }
  HostBody body = std::move(reader->payload.streams[index]);
  reader->payload.streams[index] = {};
  info.GetReturnValue().Set(context.add_body(std::move(body), reader->invocation));
}

// ---- Handles

// capability_export(exportId)
void capability_export(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t invocation = context.current_id();
  if (CapabilityPtr capability = context.add_export(number_at(info, 0), invocation, false)) {
    info.GetReturnValue().Set(context.add_handle(std::move(capability), invocation));
  }
}

// capability_entrypoint(entrypoint, props)
void capability_entrypoint(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  if (CapabilityPtr capability = own_entrypoint(context, info)) {
    info.GetReturnValue().Set(context.add_handle(std::move(capability), context.current_id()));
  }
}

void capability_dup(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t handle = number_at(info, 0);
  if (CapabilityPtr capability = context.use_handle(handle)) {
    info.GetReturnValue().Set(
        context.add_handle(std::move(capability), context.current_id(), context.is_of_caller(handle)));
  }
}

void capability_drop(const Info& info) { WorkerContext::of(info.GetIsolate()).drop_handle(number_at(info, 0)); }

void is_proxy(const Info& info) { info.GetReturnValue().Set(info[0]->IsProxy()); }

// ---- Packed values

// pack(value, mode): bytes, or a number when capabilities ride along.
void pack(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t invocation = context.current_id();
  Payload payload;
  PayloadWriter writer{.payload = payload,
                       .mode = static_cast<CloneMode>(std::min(number_at(info, 1), 2u)),
                       .invocation = invocation,
                       .exports = {}};
  if (!write_payload(context, info[0], writer)) return;
  if (!payload.is_plain()) {
    info.GetReturnValue().Set(context.add_packed(std::move(payload), invocation));
    return;
  }
  v8::Local<v8::Uint8Array> array;
  if (to_uint8_array(info.GetIsolate(), payload.bytes).ToLocal(&array)) info.GetReturnValue().Set(array);
}

void pack_drop(const Info& info) { WorkerContext::of(info.GetIsolate()).drop_packed(number_at(info, 0)); }

void pack_size(const Info& info) {
  const Payload* packed = WorkerContext::of(info.GetIsolate()).find_packed(number_at(info, 0));
  info.GetReturnValue().Set(packed == nullptr ? 0.0 : static_cast<double>(packed->bytes.size()));
}

constexpr std::array<Op, 17> kOps = {{
    {"rpc_call", rpc_call},
    {"rpc_return", rpc_return},
    {"rpc_fail", rpc_fail},
    {"payload_capability", payload_capability},
    {"payload_export", payload_export},
    {"payload_entrypoint", payload_entrypoint},
    {"payload_stream", payload_stream},
    {"payload_take_capability", payload_take_capability},
    {"payload_take_stream", payload_take_stream},
    {"capability_export", capability_export},
    {"capability_entrypoint", capability_entrypoint},
    {"capability_dup", capability_dup},
    {"capability_drop", capability_drop},
    {"is_proxy", is_proxy},
    {"pack", pack},
    {"pack_drop", pack_drop},
    {"pack_size", pack_size},
}};

}  // namespace

std::span<const Op> rpc_ops() { return kOps; }

}  // namespace insula::runner
