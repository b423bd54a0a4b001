// SPDX-License-Identifier: Apache-2.0
//
// Frames: decoding of hostile bytes. Every pointer is checked by Cap'n Proto, every count and text by us.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>
#include <cstring>

#include "frames.capnp.h"
#include "src/protocol/frames.h"

namespace insula::protocol {
namespace {

constexpr std::size_t kListMax = 16384;

std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }
BytesView view(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

// Counts are bounded before anything is reserved; a list of small elements cannot be amplified past its bytes.
template <class List>
bool is_sane(const List& list) {
  return list.size() <= kListMax;
}

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

// How many references a frame may still hold, at whatever depth: pointers may overlap, so the same bytes could name
// them over and over.
class References {
 public:
  Result<Payload> read_payload(wire::Payload::Reader from);
  // Props and env: they are used more than once, and a stream can be read only once.
  Result<Payload> read_props(wire::Payload::Reader from);
  Result<std::vector<CapabilityRef>> read_list(capnp::List<wire::CapabilityRef>::Reader from);
  Result<CapabilityRef> read_one(wire::CapabilityRef::Reader from);

 private:
  std::size_t left_ = 2 * kPayloadCapabilitiesMax;
  std::size_t depth_ = 0;  // of props in props
};

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
    case wire::CapabilityRef::SENDER_HOSTED: reference.number = from.getSenderHosted(); return reference;
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

Result<Frame> read(wire::Invoke::Reader from) {
  References references;
  Invoke invoke;
  invoke.question = from.getQuestion();
  invoke.parent = from.getParent();
  invoke.depth = from.getDepth();
  TRY(invoke.target, read(from.getTarget(), references));
  invoke.cpu_millis = from.getCpuMillis();
  invoke.subrequests = from.getSubrequests();
  switch (from.which()) {
    case wire::Invoke::FETCH: {
      const auto fetch = from.getFetch();
      FetchRequest request;
      request.method = view(fetch.getMethod());
      request.url = view(fetch.getUrl());
      request.headers = view(fetch.getHeaders());
      request.cf = view(fetch.getCf());
      TRY(request.body, read(fetch.getBody()));
      invoke.call = request;
      return Frame(std::move(invoke));
    }
    case wire::Invoke::RPC: {
      const auto rpc = from.getRpc();
      RpcCall call;
      TRY(call.path, read_texts(rpc.getPath()));
      if (rpc.hasArguments()) {
        TRY(call.arguments, references.read_payload(rpc.getArguments()));
      }
      call.is_call = rpc.getIsCall();
      invoke.call = std::move(call);
      return Frame(std::move(invoke));
    }
    case wire::Invoke::EVENT: {
      const auto event = from.getEvent();
      EventCall call{view(event.getName()), view(event.getDetail()), {}};
      if (event.hasPayload()) {
        TRY(call.payload, references.read_payload(event.getPayload()));
      }
      invoke.call = std::move(call);
      return Frame(std::move(invoke));
    }
    case wire::Invoke::ENGINE: {
      const auto engine = from.getEngine();
      EngineCall call{view(engine.getOperation()), view(engine.getDetail()), {}};
      if (engine.hasPayload()) {
        TRY(call.payload, references.read_payload(engine.getPayload()));
      }
      invoke.call = std::move(call);
      return Frame(std::move(invoke));
    }
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind of call");
}

Result<Frame> read(wire::Return::Reader from) {
  Return result;
  result.question = from.getQuestion();
  result.cpu_micros = from.getCpuMicros();
  result.continues = from.getContinues();
  switch (from.which()) {
    case wire::Return::FETCH: {
      const auto fetch = from.getFetch();
      FetchResponse response;
      response.status = fetch.getStatus();
      response.status_text = view(fetch.getStatusText());
      response.headers = view(fetch.getHeaders());
      TRY(response.body, read(fetch.getBody()));
      result.outcome = response;
      return Frame(result);
    }
    case wire::Return::VALUE: {
      References references;
      TRY(auto payload, references.read_payload(from.getValue()));
      result.outcome = RpcValue{std::move(payload)};
      return Frame(std::move(result));
    }
    case wire::Return::ERROR: result.outcome = read(from.getError()); return Frame(result);
    case wire::Return::ENGINE: {
      const auto engine = from.getEngine();
      EngineResult answer{view(engine.getDetail()), {}};
      const auto payloads = engine.getPayloads();
      if (!is_sane(payloads)) return Error(ErrorCode::Corrupt, "frame: too many payloads");
      answer.payloads.reserve(payloads.size());
      for (const auto payload : payloads) answer.payloads.push_back(view(payload));
      result.outcome = std::move(answer);
      return Frame(std::move(result));
    }
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind of outcome");
}

Result<Frame> read(wire::Load::Reader from) {
  Load load;
  load.worker = from.getWorker();
  load.name = view(from.getName());
  load.dynamic_id = view(from.getDynamicId());
  load.is_tenant = from.getIsTenant();
  load.is_pinned = from.getIsPinned();
  load.frozen_clock = from.getFrozenClock();
  TRY(load.code, read(from.getCode()));
  const auto bindings = from.getBindings();
  if (!is_sane(bindings)) return Error(ErrorCode::Corrupt, "frame: too many bindings");
  for (const auto item : bindings) {
    Binding binding;
    binding.name = view(item.getName());
    switch (item.which()) {
      case wire::Binding::TEXT: binding.text = view(item.getText()); break;
      case wire::Binding::JSON:
        binding.kind = Binding::Kind::Json;
        binding.text = view(item.getJson());
        break;
      case wire::Binding::LOADER:
        binding.kind = Binding::Kind::Loader;
        binding.capability = item.getLoader();
        break;
      case wire::Binding::FETCHER:
        binding.kind = Binding::Kind::Fetcher;
        binding.capability = item.getFetcher();
        break;
      case wire::Binding::NAMESPACE: {
        const auto name_space = item.getNamespace();
        binding.kind = Binding::Kind::Namespace;
        binding.capability = name_space.getCapability();
        binding.key = view(name_space.getKey());
        binding.text = view(name_space.getClassName());
        break;
      }
      case wire::Binding::WORKFLOW:
        binding.kind = Binding::Kind::Workflow;
        binding.capability = item.getWorkflow();
        break;
      default: return Error(ErrorCode::Corrupt, "frame: unknown kind of binding");
    }
    load.bindings.push_back(binding);
  }
  load.outbound = from.getOutbound();
  load.limits = read(from.getLimits());
  const auto tails = from.getTails();
  if (!is_sane(tails)) return Error(ErrorCode::Corrupt, "frame: too many tails");
  for (const CapabilityId tail : tails) load.tails.push_back(tail);
  return Frame(std::move(load));
}

Result<Frame> read(wire::Code::Reader from) {
  Code code;
  code.request = from.getRequest();
  switch (from.which()) {
    case wire::Code::CODE: {
      TRY(auto worker, read(from.getCode()));
      code.outcome = std::move(worker);
      return Frame(std::move(code));
    }
    case wire::Code::ERROR: code.outcome = read(from.getError()); return Frame(std::move(code));
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind of code answer");
}

Result<Frame> read(wire::Hello::Reader from) {
  Hello hello;
  hello.version = from.getVersion();
  hello.engine = view(from.getEngine());
  TRY(hello.layers, read_texts(from.getLayers()));
  hello.start_micros = from.getStartMicros();
  return Frame(std::move(hello));
}

Result<Frame> read(wire::OpenActor::Reader from) {
  References references;
  OpenActor open;
  open.actor = from.getActor();
  open.worker = from.getWorker();
  open.class_name = view(from.getClassName());
  if (from.hasProps()) {
    TRY(open.props, references.read_props(from.getProps()));
  }
  open.id = view(from.getId());
  open.name = view(from.getName());
  open.namespace_uid = view(from.getNamespaceUid());
  open.parent = from.getParent();
  open.facet_name = view(from.getFacetName());
  open.is_facet = from.getIsFacet();
  open.quota_bytes = from.getQuotaBytes();
  open.depth = from.getDepth();
  open.descriptors = from.getDescriptors();
  return Frame(std::move(open));
}

Result<Frame> read(wire::Frame::Reader from) {
  switch (from.which()) {
    case wire::Frame::HELLO: return read(from.getHello());
    case wire::Frame::INVOKE: return read(from.getInvoke());
    case wire::Frame::RETURN: return read(from.getReturn());
    case wire::Frame::FINISHED: {
      const auto frame = from.getFinished();
      return Frame(Finished{frame.getQuestion(), frame.getCpuMicros()});
    }
    case wire::Frame::CANCEL: return Frame(Cancel{from.getCancel().getQuestion()});
    case wire::Frame::DATA: {
      const auto frame = from.getData();
      return Frame(StreamData{frame.getStream(), view(frame.getBytes())});
    }
    case wire::Frame::END: {
      const auto frame = from.getEnd();
      return Frame(StreamEnd{frame.getStream(), view(frame.getError())});
    }
    case wire::Frame::CREDIT: {
      const auto frame = from.getCredit();
      return Frame(StreamCredit{frame.getStream(), frame.getBytes()});
    }
    case wire::Frame::STOP: return Frame(StreamStop{from.getStop().getStream()});
    case wire::Frame::LOAD: return read(from.getLoad());
    case wire::Frame::UNLOAD: return Frame(Unload{from.getUnload().getWorker()});
    case wire::Frame::EVICTED: {
      const auto frame = from.getEvicted();
      return Frame(Evicted{frame.getWorker(), view(frame.getReason())});
    }
    case wire::Frame::PRELOAD: {
      const auto frame = from.getPreload();
      return Frame(Preload{read(frame.getDynamic()), frame.getParent()});
    }
    case wire::Frame::NEED_CODE: {
      const auto frame = from.getNeedCode();
      return Frame(NeedCode{frame.getRequest(), frame.getSource(), frame.getLoader()});
    }
    case wire::Frame::CODE: return read(from.getCode());
    case wire::Frame::BIND: {
      const auto frame = from.getBind();
      return Frame(Bind{frame.getLoader(), view(frame.getId()), frame.getWorker()});
    }
    case wire::Frame::LOG: {
      const auto frame = from.getLog();
      return Frame(LogLine{frame.getWorker(), frame.getQuestion(), view(frame.getLevel()), view(frame.getText()),
                           frame.getIsException()});
    }
    case wire::Frame::PING: return Frame(Ping{from.getPing()});
    case wire::Frame::PONG: return Frame(Pong{from.getPong()});
    case wire::Frame::USAGE: {
      const auto frame = from.getUsage();
      return Frame(Usage{frame.getIsolates(), frame.getHeapBytes(), frame.getExternalBytes()});
    }
    case wire::Frame::DRAIN: return Frame(Drain{});
    case wire::Frame::RELEASE: return Frame(Release{from.getRelease().getCapability()});
    case wire::Frame::FINISH: return Frame(Finish{from.getFinish().getQuestion()});
    case wire::Frame::LOCAL: {
      const auto frame = from.getLocal();
      References references;
      Local local{frame.getCapability(), frame.getWorker(), view(frame.getEntrypoint()), {}};
      if (frame.hasProps()) {
        TRY(local.props, references.read_props(frame.getProps()));
      }
      return Frame(std::move(local));
    }
    case wire::Frame::OPEN_ACTOR: return read(from.getOpenActor());
    case wire::Frame::ACTOR_CLOSED: {
      const auto frame = from.getActorClosed();
      return Frame(ActorClosed{frame.getActor(), view(frame.getReason())});
    }
    case wire::Frame::CLOSE_ACTOR: {
      const auto frame = from.getCloseActor();
      return Frame(CloseActor{frame.getActor(), view(frame.getReason())});
    }
    case wire::Frame::FACET_CLOSED: {
      const auto frame = from.getFacetClosed();
      return Frame(FacetClosed{frame.getParent(), view(frame.getName())});
    }
    case wire::Frame::SPLICE: {
      const auto frame = from.getSplice();
      return Frame(Splice{frame.getStream(), frame.getSource()});
    }
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind");
}

}  // namespace

Result<std::size_t> frame_size(BytesView header) {
  INSULA_CHECK(header.size() >= kFrameHeaderBytes);
  std::uint32_t parts[2];
  std::memcpy(parts, header.data(), sizeof parts);
  if (parts[0] != 0) return Error(ErrorCode::Corrupt, "frame: more than one segment");
  const std::size_t size = kFrameHeaderBytes + std::size_t{parts[1]} * 8;
  if (parts[1] == 0) return Error(ErrorCode::Corrupt, "frame: empty");
  if (size > kFrameBytesMax) return Error(ErrorCode::Corrupt, "frame: too large");
  return size;
}

Result<Frame> decode_frame(BytesView bytes) {
  INSULA_CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0);
  if (bytes.size() <= kFrameHeaderBytes || bytes.size() % 8 != 0) {
    return Error(ErrorCode::Corrupt, "frame: odd size");
  }
  const kj::ArrayPtr<const capnp::word> words(
      reinterpret_cast<const capnp::word*>(bytes.data() + kFrameHeaderBytes),
      (bytes.size() - kFrameHeaderBytes) / sizeof(capnp::word));
  const kj::ArrayPtr<const capnp::word> segments[1] = {words};
  capnp::ReaderOptions options;
  options.traversalLimitInWords = words.size() + 16384;
  options.nestingLimit = 8 + 4 * (static_cast<int>(kPropsDepthMax) + 1);  // four pointers for each depth of props
  // Cap'n Proto throws on malformed input; the exception ends here.
  try {
    capnp::SegmentArrayMessageReader message(kj::arrayPtr(segments, 1), options);
    return read(message.getRoot<wire::Frame>());
  } catch (const kj::Exception& error) {
    return Error(ErrorCode::Corrupt, std::string("frame: ") + error.getDescription().cStr());
  }
}

FrameReader::Space FrameReader::space(std::size_t least) {
  if (begin_ == end_) begin_ = end_ = 0;
  const auto base = [this] { return reinterpret_cast<char*>(words_.data()); };
  if (words_.size() * 8 - end_ < least && begin_ > 0) {
    std::memmove(base(), base() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // A large frame is announced by its header: make room for all of it at once. What one large frame needed is given
  // back when the buffer is empty again.
  std::size_t wanted = end_ + least;
  if (end_ - begin_ >= kFrameHeaderBytes) {
    if (auto size = frame_size({base() + begin_, kFrameHeaderBytes}); size && begin_ + *size > wanted) {
      // Grow with what really arrives, at most doubling, so that a header alone cannot claim memory.
      wanted = std::min(begin_ + *size, std::max(wanted, 2 * (end_ + least)));
    }
  } else if (end_ == 0 && words_.size() * 8 > 1 * kMiB) {
    words_ = {};
  }
  if (words_.size() * 8 < wanted) words_.resize((wanted + 7) / 8);
  return {base() + end_, words_.size() * 8 - end_};
}

void FrameReader::commit(std::size_t bytes) { end_ += bytes; }

Result<BytesView> FrameReader::next() {
  if (end_ - begin_ < kFrameHeaderBytes) return BytesView();
  const char* start = reinterpret_cast<const char*>(words_.data()) + begin_;
  TRY(const std::size_t size, frame_size({start, kFrameHeaderBytes}));
  if (end_ - begin_ < size) return BytesView();
  begin_ += size;
  return BytesView(start, size);
}

}  // namespace insula::protocol
