// SPDX-License-Identifier: Apache-2.0
//
// Frames: encoding. Decoding is in decode.cc.
#include "src/protocol/frames.h"

#include <cstring>

#include <capnp/message.h>
#include <capnp/serialize.h>

#include "frames.capnp.h"

namespace insula::protocol {
namespace {

capnp::Data::Reader data(BytesView bytes) {
  return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
}

capnp::Text::Reader text(std::string_view value) {
  // Cap'n Proto copies size bytes and adds the NUL itself; the source need not have one.
  return capnp::Text::Reader(kj::StringPtr(value.data() == nullptr ? "" : value.data(), value.size()));
}

void write(wire::Body::Builder to, const Body& body) {
  to.setLength(body.length);
  switch (body.kind) {
    case Body::Kind::None: to.setNone(); break;
    case Body::Kind::Inline: to.setInline(data(body.bytes)); break;
    case Body::Kind::Stream: to.setStream(body.stream); break;
    case Body::Kind::HandedBack: to.setHandedBack(body.stream); break;
  }
}

void write(wire::Dynamic::Builder to, const Dynamic& dynamic) {
  to.setLoader(dynamic.loader);
  to.setId(text(dynamic.id));
  to.setAnonymous(dynamic.anonymous);
  to.setSource(dynamic.source);
}

unsigned count(std::size_t size) { return static_cast<unsigned>(size); }

void write(wire::Entrypoint::Builder to, const Entrypoint& entrypoint);

void write(wire::CapabilityRef::Builder to, const CapabilityRef& reference) {
  switch (reference.kind) {
    case CapabilityRef::Kind::SenderHosted:
      to.setSenderHosted(reference.number);
      to.setIsObject(reference.is_object);
      break;
    case CapabilityRef::Kind::ReceiverHosted: to.setReceiverHosted(reference.number); break;
    case CapabilityRef::Kind::Entrypoint: write(to.initEntrypoint(), *reference.entrypoint); break;
  }
}

// Inits a list with the function given and writes one element for each item.
template <class Items, class Init>
void write_list(const Items& items, Init&& init) {
  if (items.empty()) return;
  auto list = init(count(items.size()));
  for (unsigned index = 0; index < items.size(); ++index) write(list[index], items[index]);
}

void write(wire::Payload::Builder to, const Payload& payload) {
  if (!payload.bytes.empty()) to.setBytes(data(payload.bytes));
  write_list(payload.capabilities, [&](unsigned size) { return to.initCapabilities(size); });
  write_list(payload.streams, [&](unsigned size) { return to.initStreams(size); });
}

bool is_empty(const Payload& payload) { return payload.bytes.empty() && payload.is_plain(); }

void write(wire::Entrypoint::Builder to, const Entrypoint& entrypoint) {
  to.setWorker(entrypoint.worker);
  to.setName(text(entrypoint.name));
  if (!is_empty(entrypoint.props)) write(to.initProps(), entrypoint.props);
}

void write(wire::Target::Builder to, const Target& target) {
  if (!target.entrypoint.empty()) to.setEntrypoint(text(target.entrypoint));
  if (!is_empty(target.props)) write(to.initProps(), target.props);
  switch (target.kind) {
    case Target::Kind::Worker: to.setWorker(target.number); break;
    case Target::Kind::Capability: to.setCapability(target.number); break;
    case Target::Kind::Dynamic: write(to.initDynamic(), target.dynamic); break;
    case Target::Kind::Promised: to.setPromised(target.number); break;
    case Target::Kind::Own: to.setOwn(target.number); break;
    case Target::Kind::OwnActor: to.setOwnActor(); break;
  }
  to.setActor(target.actor);
  if (!target.object.empty()) to.setObject(text(target.object));
  if (!target.object_name.empty()) to.setObjectName(text(target.object_name));
  if (target.facet.parent == 0) return;
  auto facet = to.initFacet();
  facet.setParent(target.facet.parent);
  facet.setName(text(target.facet.name));
  if (!target.facet.id_text.empty()) facet.setIdText(text(target.facet.id_text));
  if (!target.facet.id_name.empty()) facet.setIdName(text(target.facet.id_name));
  facet.setQuotaBytes(target.facet.quota_bytes);
}

void write(wire::ErrorInfo::Builder to, const ErrorInfo& error) {
  if (!error.fault.empty()) to.setFault(text(error.fault));
  to.setName(text(error.name));
  to.setMessage(text(error.message));
  if (!error.stack.empty()) to.setStack(text(error.stack));
  if (!error.properties.empty()) to.setProperties(data(error.properties));
  to.setRemote(error.remote);
  to.setUndelivered(error.undelivered);
}

template <class ListBuilder>
void write_texts(ListBuilder to, const std::vector<std::string_view>& texts) {
  for (unsigned index = 0; index < texts.size(); ++index) to.set(index, text(texts[index]));
}

void write(wire::WorkerCode::Builder to, const WorkerCode& code) {
  to.setCompatibilityDate(text(code.compatibility_date));
  write_texts(to.initCompatibilityFlags(count(code.compatibility_flags.size())), code.compatibility_flags);
  to.setMainModule(text(code.main_module));
  auto modules = to.initModules(count(code.modules.size()));
  for (unsigned index = 0; index < code.modules.size(); ++index) {
    const Module& module = code.modules[index];
    modules[index].setName(text(module.name));
    modules[index].setKind(static_cast<wire::Module::Kind>(module.kind));
    modules[index].setBytes(data(module.bytes));
  }
  if (!is_empty(code.env)) write(to.initEnv(), code.env);
  to.setOutbound(static_cast<wire::WorkerCode::Outbound>(code.outbound));
  if (code.outbound == OutboundRule::Capability) write(to.initOutboundTo(), code.outbound_to);
  write_list(code.tails, [&](unsigned size) { return to.initTails(size); });
  to.setCpuMillis(code.cpu_millis);
  to.setSubrequests(code.subrequests);
}

std::uint32_t millis(milliseconds value) { return static_cast<std::uint32_t>(value.count()); }

void write(wire::Limits::Builder to, const WorkerLimits& limits) {
  to.setCpuMillis(millis(limits.cpu));
  to.setStartupCpuMillis(millis(limits.startup_cpu));
  to.setWallMillis(millis(limits.wall));
  to.setWaitUntilMillis(millis(limits.wait_until));
  to.setMemoryBytes(limits.memory_bytes);
  to.setBufferBytesMax(limits.buffer_bytes_max);
  to.setLogBytes(static_cast<std::uint32_t>(limits.log_bytes));
  to.setSubrequests(limits.subrequests);
  to.setTimersMax(limits.timers_max);
  to.setStreamsMax(limits.streams_max);
  to.setBackgroundPromisesMax(limits.background_promises_max);
}

// One write() for each alternative of Frame.
struct Writer {
  wire::Frame::Builder to;

  void operator()(const Hello& frame) {
    auto hello = to.initHello();
    hello.setVersion(frame.version);
    hello.setEngine(text(frame.engine));
    write_texts(hello.initLayers(count(frame.layers.size())), frame.layers);
    hello.setStartMicros(frame.start_micros);
  }
  void operator()(const Invoke& frame) {
    auto invoke = to.initInvoke();
    invoke.setQuestion(frame.question);
    invoke.setParent(frame.parent);
    invoke.setDepth(frame.depth);
    write(invoke.initTarget(), frame.target);
    invoke.setCpuMillis(frame.cpu_millis);
    invoke.setSubrequests(frame.subrequests);
    if (const auto* fetch = std::get_if<FetchRequest>(&frame.call)) {
      auto request = invoke.initFetch();
      request.setMethod(text(fetch->method));
      request.setUrl(text(fetch->url));
      request.setHeaders(data(fetch->headers));
      if (!fetch->cf.empty()) request.setCf(data(fetch->cf));
      write(request.initBody(), fetch->body);
    } else if (const auto* call = std::get_if<RpcCall>(&frame.call)) {
      auto rpc = invoke.initRpc();
      write_texts(rpc.initPath(count(call->path.size())), call->path);
      write(rpc.initArguments(), call->arguments);
      rpc.setIsCall(call->is_call);
    } else if (const auto* event = std::get_if<EventCall>(&frame.call)) {
      auto to_event = invoke.initEvent();
      to_event.setName(text(event->name));
      to_event.setDetail(text(event->detail));
      if (!is_empty(event->payload)) write(to_event.initPayload(), event->payload);
    } else {
      const auto& engine = std::get<EngineCall>(frame.call);
      auto to_engine = invoke.initEngine();
      to_engine.setOperation(text(engine.operation));
      to_engine.setDetail(text(engine.detail));
      if (!is_empty(engine.payload)) write(to_engine.initPayload(), engine.payload);
    }
  }
  void operator()(const Return& frame) {
    auto result = to.initReturn();
    result.setQuestion(frame.question);
    result.setCpuMicros(frame.cpu_micros);
    result.setContinues(frame.continues);
    if (const auto* fetch = std::get_if<FetchResponse>(&frame.outcome)) {
      auto response = result.initFetch();
      response.setStatus(fetch->status);
      if (!fetch->status_text.empty()) response.setStatusText(text(fetch->status_text));
      response.setHeaders(data(fetch->headers));
      write(response.initBody(), fetch->body);
    } else if (const auto* value = std::get_if<RpcValue>(&frame.outcome)) {
      write(result.initValue(), value->payload);
    } else if (const auto* engine = std::get_if<EngineResult>(&frame.outcome)) {
      auto answer = result.initEngine();
      answer.setDetail(text(engine->detail));
      if (!engine->payloads.empty()) {
        auto payloads = answer.initPayloads(count(engine->payloads.size()));
        for (unsigned index = 0; index < engine->payloads.size(); ++index) {
          payloads.set(index, data(engine->payloads[index]));
        }
      }
    } else {
      write(result.initError(), std::get<ErrorInfo>(frame.outcome));
    }
  }
  void operator()(const Finished& frame) {
    auto finished = to.initFinished();
    finished.setQuestion(frame.question);
    finished.setCpuMicros(frame.cpu_micros);
  }
  void operator()(const Cancel& frame) { to.initCancel().setQuestion(frame.question); }
  void operator()(const StreamData& frame) {
    auto stream = to.initData();
    stream.setStream(frame.stream);
    stream.setBytes(data(frame.bytes));
  }
  void operator()(const StreamEnd& frame) {
    auto stream = to.initEnd();
    stream.setStream(frame.stream);
    if (!frame.error.empty()) stream.setError(text(frame.error));
  }
  void operator()(const StreamCredit& frame) {
    auto stream = to.initCredit();
    stream.setStream(frame.stream);
    stream.setBytes(frame.bytes);
  }
  void operator()(const StreamStop& frame) { to.initStop().setStream(frame.stream); }
  void operator()(const Load& frame) {
    auto load = to.initLoad();
    load.setWorker(frame.worker);
    load.setName(text(frame.name));
    load.setDynamicId(text(frame.dynamic_id));
    load.setIsTenant(frame.is_tenant);
    load.setIsPinned(frame.is_pinned);
    load.setFrozenClock(frame.frozen_clock);
    write(load.initCode(), frame.code);
    auto bindings = load.initBindings(count(frame.bindings.size()));
    for (unsigned index = 0; index < frame.bindings.size(); ++index) {
      const Binding& binding = frame.bindings[index];
      bindings[index].setName(text(binding.name));
      switch (binding.kind) {
        case Binding::Kind::Text: bindings[index].setText(text(binding.text)); break;
        case Binding::Kind::Json: bindings[index].setJson(text(binding.text)); break;
        case Binding::Kind::Loader: bindings[index].setLoader(binding.capability); break;
        case Binding::Kind::Fetcher: bindings[index].setFetcher(binding.capability); break;
        case Binding::Kind::Namespace: {
          auto name_space = bindings[index].initNamespace();
          name_space.setCapability(binding.capability);
          name_space.setKey(data(binding.key));
          name_space.setClassName(text(binding.text));
          break;
        }
        case Binding::Kind::Workflow: bindings[index].setWorkflow(binding.capability); break;
      }
    }
    load.setOutbound(frame.outbound);
    write(load.initLimits(), frame.limits);
    if (!frame.tails.empty()) {
      auto tails = load.initTails(count(frame.tails.size()));
      for (unsigned index = 0; index < frame.tails.size(); ++index) tails.set(index, frame.tails[index]);
    }
  }
  void operator()(const Unload& frame) { to.initUnload().setWorker(frame.worker); }
  void operator()(const Evicted& frame) {
    auto evicted = to.initEvicted();
    evicted.setWorker(frame.worker);
    evicted.setReason(text(frame.reason));
  }
  void operator()(const Preload& frame) {
    auto preload = to.initPreload();
    write(preload.initDynamic(), frame.dynamic);
    preload.setParent(frame.parent);
  }
  void operator()(const NeedCode& frame) {
    auto need = to.initNeedCode();
    need.setRequest(frame.request);
    need.setSource(frame.source);
    need.setLoader(frame.loader);
  }
  void operator()(const Code& frame) {
    auto code = to.initCode();
    code.setRequest(frame.request);
    if (const auto* worker = std::get_if<WorkerCode>(&frame.outcome)) {
      write(code.initCode(), *worker);
    } else {
      write(code.initError(), std::get<ErrorInfo>(frame.outcome));
    }
  }
  void operator()(const Bind& frame) {
    auto bind = to.initBind();
    bind.setLoader(frame.loader);
    bind.setId(text(frame.id));
    bind.setWorker(frame.worker);
  }
  void operator()(const LogLine& frame) {
    auto line = to.initLog();
    line.setWorker(frame.worker);
    line.setQuestion(frame.question);
    line.setLevel(text(frame.level));
    line.setText(text(frame.text));
    line.setIsException(frame.is_exception);
  }
  void operator()(const Ping& frame) { to.setPing(frame.number); }
  void operator()(const Pong& frame) { to.setPong(frame.number); }
  void operator()(const Usage& frame) {
    auto usage = to.initUsage();
    usage.setIsolates(frame.isolates);
    usage.setMemoryBytes(frame.memory_bytes);
    usage.setCalls(frame.calls);
    usage.setQuestions(frame.questions);
    usage.setImports(frame.imports);
    usage.setExports(frame.exports);
    usage.setStreams(frame.streams);
    usage.setTimers(frame.timers);
    usage.setActors(frame.actors);
  }
  void operator()(const Drain&) { to.setDrain(); }
  void operator()(const Release& frame) { to.initRelease().setCapability(frame.capability); }
  void operator()(const Finish& frame) { to.initFinish().setQuestion(frame.question); }
  void operator()(const Local& frame) {
    auto local = to.initLocal();
    local.setCapability(frame.capability);
    local.setWorker(frame.worker);
    if (!frame.entrypoint.empty()) local.setEntrypoint(text(frame.entrypoint));
    if (!is_empty(frame.props)) write(local.initProps(), frame.props);
  }
  void operator()(const OpenActor& frame) {
    auto open = to.initOpenActor();
    open.setActor(frame.actor);
    open.setWorker(frame.worker);
    open.setClassName(text(frame.class_name));
    if (!is_empty(frame.props)) write(open.initProps(), frame.props);
    open.setId(text(frame.id));
    if (!frame.name.empty()) open.setName(text(frame.name));
    open.setNamespaceUid(text(frame.namespace_uid));
    open.setParent(frame.parent);
    if (!frame.facet_name.empty()) open.setFacetName(text(frame.facet_name));
    open.setIsFacet(frame.is_facet);
    open.setQuotaBytes(frame.quota_bytes);
    open.setDepth(frame.depth);
    open.setDescriptors(frame.descriptors);
  }
  void operator()(const ActorClosed& frame) {
    auto closed = to.initActorClosed();
    closed.setActor(frame.actor);
    if (!frame.reason.empty()) closed.setReason(text(frame.reason));
    closed.setIsLost(frame.is_lost);
  }
  void operator()(const CloseActor& frame) {
    auto close = to.initCloseActor();
    close.setActor(frame.actor);
    if (!frame.reason.empty()) close.setReason(text(frame.reason));
  }
  void operator()(const FacetClosed& frame) {
    auto closed = to.initFacetClosed();
    closed.setParent(frame.parent);
    closed.setName(text(frame.name));
  }
  void operator()(const Splice& frame) {
    auto splice = to.initSplice();
    splice.setStream(frame.stream);
    splice.setSource(frame.source);
  }
  void operator()(const SocketSay& frame) {
    auto say = to.initSocketSay();
    say.setActor(frame.actor);
    say.setSocket(frame.socket);
    say.setKind(static_cast<wire::SocketSay::Kind>(frame.kind));
    if (!frame.bytes.empty()) say.setBytes(data(frame.bytes));
    if (!frame.more.empty()) say.setMore(data(frame.more));
    say.setNumber(frame.number);
  }
  void operator()(const SocketTell& frame) {
    auto tell = to.initSocketTell();
    tell.setActor(frame.actor);
    tell.setSocket(frame.socket);
    tell.setKind(static_cast<wire::SocketTell::Kind>(frame.kind));
    tell.setNumber(frame.number);
  }
  void operator()(const Sockets& frame) {
    auto sockets = to.initSockets();
    sockets.setActor(frame.actor);
    if (!frame.entries.empty()) sockets.setEntries(data(frame.entries));
    sockets.setNext(frame.next);
    sockets.setHasAutoResponse(frame.has_auto_response);
    if (!frame.auto_request.empty()) sockets.setAutoRequest(data(frame.auto_request));
    if (!frame.auto_response.empty()) sockets.setAutoResponse(data(frame.auto_response));
    sockets.setEventTimeout(frame.event_timeout);
  }
};

// An upper bound of the encoded size, so that the message always fits one segment.
struct Sizer {
  static constexpr std::size_t kFixed = 512;
  static std::size_t text(std::string_view value) { return value.size() + 16; }
  static std::size_t texts(const std::vector<std::string_view>& values) {
    std::size_t sum = 16;
    for (const auto value : values) sum += text(value) + 8;
    return sum;
  }
  static std::size_t refs(const std::vector<CapabilityRef>& references) {
    std::size_t sum = 8;
    for (const CapabilityRef& reference : references) {
      sum += 32;
      if (reference.entrypoint == nullptr) continue;
      sum += 64 + text(reference.entrypoint->name) + payload(reference.entrypoint->props);
    }
    return sum;
  }
  static std::size_t payload(const Payload& value) {
    std::size_t sum = 64 + value.bytes.size();
    if (!value.capabilities.empty()) sum += refs(value.capabilities);
    for (const Body& stream : value.streams) sum += 48 + stream.bytes.size();
    return sum;
  }
  static std::size_t error(const ErrorInfo& info) {
    return kFixed + info.name.size() + info.message.size() + info.stack.size() + info.properties.size();
  }
  static std::size_t code(const WorkerCode& worker) {
    std::size_t sum = kFixed + texts(worker.compatibility_flags) + payload(worker.env) + refs(worker.tails) +
                      refs({worker.outbound_to}) + worker.main_module.size();
    for (const Module& module : worker.modules) sum += module.name.size() + module.bytes.size() + 96;
    return sum;
  }

  std::size_t operator()(const Hello& frame) const { return kFixed + texts(frame.layers); }
  std::size_t operator()(const Invoke& frame) const {
    const std::size_t sum = kFixed + frame.target.entrypoint.size() + payload(frame.target.props) +
                            frame.target.dynamic.id.size() + frame.target.object.size() +
                            frame.target.object_name.size() + frame.target.facet.name.size() +
                            frame.target.facet.id_text.size() + frame.target.facet.id_name.size();
    if (const auto* fetch = std::get_if<FetchRequest>(&frame.call)) {
      return sum + fetch->method.size() + fetch->url.size() + fetch->headers.size() + fetch->cf.size() +
             fetch->body.bytes.size();
    }
    if (const auto* event = std::get_if<EventCall>(&frame.call)) {
      return sum + event->name.size() + event->detail.size() + payload(event->payload);
    }
    if (const auto* engine = std::get_if<EngineCall>(&frame.call)) {
      return sum + engine->operation.size() + engine->detail.size() + payload(engine->payload);
    }
    const auto& call = std::get<RpcCall>(frame.call);
    return sum + texts(call.path) + payload(call.arguments);
  }
  std::size_t operator()(const Return& frame) const {
    if (const auto* fetch = std::get_if<FetchResponse>(&frame.outcome)) {
      return kFixed + fetch->status_text.size() + fetch->headers.size() + fetch->body.bytes.size();
    }
    if (const auto* value = std::get_if<RpcValue>(&frame.outcome)) return kFixed + payload(value->payload);
    if (const auto* engine = std::get_if<EngineResult>(&frame.outcome)) {
      std::size_t sum = kFixed + engine->detail.size();
      for (const BytesView item : engine->payloads) sum += item.size() + 16;
      return sum;
    }
    return error(std::get<ErrorInfo>(frame.outcome));
  }
  std::size_t operator()(const StreamData& frame) const { return kFixed + frame.bytes.size(); }
  std::size_t operator()(const StreamEnd& frame) const { return kFixed + frame.error.size(); }
  std::size_t operator()(const Load& frame) const {
    std::size_t sum = kFixed + frame.name.size() + frame.dynamic_id.size() + code(frame.code) +
                      4 * frame.tails.size();
    for (const Binding& binding : frame.bindings) sum += binding.name.size() + binding.text.size() + 160;
    return sum;
  }
  std::size_t operator()(const Preload& frame) const { return kFixed + frame.dynamic.id.size(); }
  std::size_t operator()(const Code& frame) const {
    if (const auto* worker = std::get_if<WorkerCode>(&frame.outcome)) return kFixed + code(*worker);
    return error(std::get<ErrorInfo>(frame.outcome));
  }
  std::size_t operator()(const Bind& frame) const { return kFixed + frame.id.size(); }
  std::size_t operator()(const LogLine& frame) const { return kFixed + frame.text.size(); }
  std::size_t operator()(const Local& frame) const { return kFixed + frame.entrypoint.size() + payload(frame.props); }
  std::size_t operator()(const OpenActor& frame) const {
    return kFixed + frame.class_name.size() + payload(frame.props) + frame.id.size() + frame.name.size() +
           frame.namespace_uid.size() + frame.facet_name.size();
  }
  std::size_t operator()(const ActorClosed& frame) const { return kFixed + frame.reason.size(); }
  std::size_t operator()(const CloseActor& frame) const { return kFixed + frame.reason.size(); }
  std::size_t operator()(const FacetClosed& frame) const { return kFixed + frame.name.size(); }
  std::size_t operator()(const SocketSay& frame) const { return kFixed + frame.bytes.size() + frame.more.size(); }
  std::size_t operator()(const Sockets& frame) const {
    return kFixed + frame.entries.size() + frame.auto_request.size() + frame.auto_response.size();
  }
  template <class Small>
  std::size_t operator()(const Small&) const {
    return kFixed;
  }
};

}  // namespace

namespace {

constexpr std::size_t kScratchWords = 1024;

// A large frame is built where it is sent from. False: that place is not aligned.
bool append_in_place(Bytes& out, const Frame& frame, std::size_t bound) {
  const std::size_t before = out.size();
  const std::size_t begin = before + kFrameHeaderBytes;
  out.resize(begin + bound * sizeof(capnp::word));
  if (reinterpret_cast<std::uintptr_t>(out.data() + begin) % sizeof(capnp::word) != 0) {
    out.resize(before);
    return false;
  }
  capnp::FlatMessageBuilder message({reinterpret_cast<capnp::word*>(out.data() + begin), bound});
  std::visit(Writer{message.initRoot<wire::Frame>()}, frame);
  const std::size_t words = message.getSegmentsForOutput()[0].size();
  const std::uint32_t header[2] = {0, static_cast<std::uint32_t>(words)};
  std::memcpy(out.data() + before, header, sizeof header);
  out.resize(begin + words * sizeof(capnp::word));
  return true;
}

}  // namespace

void append_frame(Bytes& out, const Frame& frame) {
  const std::size_t bound = (std::visit(Sizer{}, frame) + 7) / 8;
  if (bound > kScratchWords && append_in_place(out, frame, bound)) return;
  // Small frames are built in a buffer of the thread; the builder wants its first segment zeroed and zeroes it again.
  alignas(8) static thread_local capnp::word scratch[kScratchWords] = {};
  kj::Array<capnp::word> large;
  kj::ArrayPtr<capnp::word> first(scratch, kScratchWords);
  if (bound > kScratchWords) {
    large = kj::heapArray<capnp::word>(bound);
    std::memset(large.begin(), 0, bound * sizeof(capnp::word));
    first = large;
  }
  capnp::MallocMessageBuilder message(first);
  std::visit(Writer{message.initRoot<wire::Frame>()}, frame);
  const auto segments = message.getSegmentsForOutput();
  INSULA_CHECK(segments.size() == 1);
  const std::uint32_t header[2] = {0, static_cast<std::uint32_t>(segments[0].size())};
  out.append(reinterpret_cast<const char*>(header), sizeof header);
  out.append(reinterpret_cast<const char*>(segments[0].begin()), segments[0].size() * sizeof(capnp::word));
}

}  // namespace insula::protocol
