// SPDX-License-Identifier: Apache-2.0
//
// What stands in several frames, decoded from hostile bytes.
#include "src/protocol/decode_values.h"

#include <memory>
#include <utility>

namespace insula::protocol {

Result<std::vector<std::string_view>> read_texts(capnp::List<capnp::Text>::Reader list) {
  if (!is_sane(list)) return Error(ErrorCode::Corrupt, "frame: list is too long");
  std::vector<std::string_view> out;
  out.reserve(list.size());
  for (const auto text : list) out.push_back(view(text));
  return out;
}

Result<Body> read(wire::Body::Reader from) {
  Body body;
  body.length = from.getLength();
  switch (from.which()) {
    case wire::Body::NONE: return body;
    case wire::Body::INLINE:
      body.kind = Body::Kind::Inline;
      body.bytes = view(from.getInline());
      return body;
    case wire::Body::STREAM:
      body.kind = Body::Kind::Stream;
      body.stream = from.getStream();
      return body;
    case wire::Body::HANDED_BACK:
      body.kind = Body::Kind::HandedBack;
      body.stream = from.getHandedBack();
      return body;
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind of body");
}

Dynamic read(wire::Dynamic::Reader from) {
  Dynamic dynamic;
  dynamic.loader = from.getLoader();
  dynamic.id = view(from.getId());
  dynamic.anonymous = from.getAnonymous();
  dynamic.source = from.getSource();
  return dynamic;
}

Result<Payload> References::read_payload(wire::Payload::Reader from) {
  Payload payload;
  payload.bytes = view(from.getBytes());
  if (from.hasCapabilities()) {
    TRY(payload.capabilities, read_list(from.getCapabilities()));
  }
  if (from.hasStreams()) {
    const auto streams = from.getStreams();
    if (streams.size() > kPayloadStreamsMax) return Error(ErrorCode::Corrupt, "frame: too many streams with one value");
    payload.streams.reserve(streams.size());
    for (const auto stream : streams) {
      TRY(auto body, read(stream));
      payload.streams.push_back(body);
    }
  }
  return payload;
}

Result<Payload> References::read_props(wire::Payload::Reader from) {
  TRY(auto payload, read_payload(from));
  if (!payload.streams.empty()) return Error(ErrorCode::Corrupt, "frame: a stream rides with props");
  return payload;
}

Result<std::vector<CapabilityRef>> References::read_list(capnp::List<wire::CapabilityRef>::Reader from) {
  if (from.size() > kPayloadCapabilitiesMax) return Error(ErrorCode::Corrupt, "frame: too many capabilities");
  std::vector<CapabilityRef> out;
  out.reserve(from.size());
  for (const auto item : from) {
    TRY(auto reference, read_one(item));
    out.push_back(std::move(reference));
  }
  return out;
}

Result<CapabilityRef> References::read_one(wire::CapabilityRef::Reader from) {
  if (left_ == 0) return Error(ErrorCode::Corrupt, "frame: too many capabilities");
  --left_;
  CapabilityRef reference;
  switch (from.which()) {
    case wire::CapabilityRef::SENDER_HOSTED:
      reference.number = from.getSenderHosted();
      reference.is_object = from.getIsObject();
      return reference;
    case wire::CapabilityRef::RECEIVER_HOSTED:
      reference.kind = CapabilityRef::Kind::ReceiverHosted;
      reference.number = from.getReceiverHosted();
      return reference;
    case wire::CapabilityRef::ENTRYPOINT: {
      if (depth_ >= kPropsDepthMax) return Error(ErrorCode::Corrupt, "frame: props are nested too deeply");
      const auto entry = from.getEntrypoint();
      Entrypoint entrypoint;
      entrypoint.worker = entry.getWorker();
      entrypoint.name = view(entry.getName());
      if (entry.hasProps()) {
        ++depth_;
        TRY(entrypoint.props, read_props(entry.getProps()));
        --depth_;
      }
      reference.kind = CapabilityRef::Kind::Entrypoint;
      reference.entrypoint = std::make_shared<const Entrypoint>(std::move(entrypoint));
      return reference;
    }
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind of capability");
}

Result<Target> read(wire::Target::Reader from, References& references) {
  Target target;
  target.entrypoint = view(from.getEntrypoint());
  if (from.hasProps()) {
    TRY(target.props, references.read_props(from.getProps()));
  }
  target.actor = from.getActor();
  target.object = view(from.getObject());
  target.object_name = view(from.getObjectName());
  if (from.hasFacet()) {
    const auto facet = from.getFacet();
    target.facet = {facet.getParent(), view(facet.getName()), view(facet.getIdText()), view(facet.getIdName()),
                    facet.getQuotaBytes()};
    if (target.facet.parent == 0) return Error(ErrorCode::Corrupt, "frame: a facet of no actor");
  }
  switch (from.which()) {
    case wire::Target::WORKER:
      target.kind = Target::Kind::Worker;
      target.number = from.getWorker();
      return target;
    case wire::Target::CAPABILITY:
      target.kind = Target::Kind::Capability;
      target.number = from.getCapability();
      return target;
    case wire::Target::DYNAMIC:
      target.kind = Target::Kind::Dynamic;
      target.dynamic = read(from.getDynamic());
      return target;
    case wire::Target::PROMISED:
      target.kind = Target::Kind::Promised;
      target.number = from.getPromised();
      return target;
    case wire::Target::OWN:
      target.kind = Target::Kind::Own;
      target.number = from.getOwn();
      return target;
    case wire::Target::OWN_ACTOR: target.kind = Target::Kind::OwnActor; return target;
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind of target");
}

ErrorInfo read(wire::ErrorInfo::Reader from) {
  ErrorInfo error;
  error.fault = view(from.getFault());
  error.name = view(from.getName());
  error.message = view(from.getMessage());
  error.stack = view(from.getStack());
  error.properties = view(from.getProperties());
  error.remote = from.getRemote();
  error.undelivered = from.getUndelivered();
  return error;
}

Result<WorkerCode> read(wire::WorkerCode::Reader from) {
  References references;
  WorkerCode code;
  code.compatibility_date = view(from.getCompatibilityDate());
  TRY(code.compatibility_flags, read_texts(from.getCompatibilityFlags()));
  code.main_module = view(from.getMainModule());
  const auto modules = from.getModules();
  if (!is_sane(modules)) return Error(ErrorCode::Corrupt, "frame: too many modules");
  code.modules.reserve(modules.size());
  for (const auto module : modules) {
    const auto kind = static_cast<unsigned>(module.getKind());
    if (kind > static_cast<unsigned>(ModuleKind::Wasm)) {
      return Error(ErrorCode::Corrupt, "frame: unknown kind of module");
    }
    code.modules.push_back({view(module.getName()), static_cast<ModuleKind>(kind), view(module.getBytes())});
  }
  if (from.hasEnv()) {
    TRY(code.env, references.read_props(from.getEnv()));
  }
  const auto outbound = static_cast<unsigned>(from.getOutbound());
  if (outbound > static_cast<unsigned>(OutboundRule::Capability)) {
    return Error(ErrorCode::Corrupt, "frame: unknown outbound rule");
  }
  code.outbound = static_cast<OutboundRule>(outbound);
  if (code.outbound == OutboundRule::Capability) {
    TRY(code.outbound_to, references.read_one(from.getOutboundTo()));
  }
  if (from.hasTails()) {
    TRY(code.tails, references.read_list(from.getTails()));
  }
  code.cpu_millis = from.getCpuMillis();
  code.subrequests = from.getSubrequests();
  return code;
}

WorkerLimits read(wire::Limits::Reader from) {
  WorkerLimits limits;
  limits.cpu = milliseconds(from.getCpuMillis());
  limits.startup_cpu = milliseconds(from.getStartupCpuMillis());
  limits.wall = milliseconds(from.getWallMillis());
  limits.wait_until = milliseconds(from.getWaitUntilMillis());
  limits.memory_bytes = from.getMemoryBytes();
  limits.buffer_bytes_max = from.getBufferBytesMax();
  limits.log_bytes = from.getLogBytes();
  limits.subrequests = from.getSubrequests();
  limits.timers_max = from.getTimersMax();
  limits.streams_max = from.getStreamsMax();
  limits.background_promises_max = from.getBackgroundPromisesMax();
  return limits;
}

}  // namespace insula::protocol
