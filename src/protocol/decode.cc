// SPDX-License-Identifier: Apache-2.0
//
// Frames: decoding of hostile bytes. Every pointer is checked by Cap'n Proto, every count and text by us.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include "frames.capnp.h"
#include "src/protocol/decode_values.h"
#include "src/protocol/frames.h"

namespace insula::protocol {
namespace {

Result<Frame> read_frame(wire::Invoke::Reader from) {
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

Result<Frame> read_frame(wire::Return::Reader from) {
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

Result<Frame> read_frame(wire::Load::Reader from) {
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

Result<Frame> read_frame(wire::Code::Reader from) {
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

Result<Frame> read_frame(wire::Hello::Reader from) {
  Hello hello;
  hello.version = from.getVersion();
  hello.engine = view(from.getEngine());
  TRY(hello.layers, read_texts(from.getLayers()));
  hello.start_micros = from.getStartMicros();
  return Frame(std::move(hello));
}

Result<Frame> read_frame(wire::OpenActor::Reader from) {
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

Result<Frame> read_frame(wire::Frame::Reader from) {
  switch (from.which()) {
    case wire::Frame::HELLO: return read_frame(from.getHello());
    case wire::Frame::INVOKE: return read_frame(from.getInvoke());
    case wire::Frame::RETURN: return read_frame(from.getReturn());
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
    case wire::Frame::LOAD: return read_frame(from.getLoad());
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
    case wire::Frame::CODE: return read_frame(from.getCode());
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
      return Frame(Usage{frame.getIsolates(), frame.getMemoryBytes(), frame.getCalls(), frame.getQuestions(),
                         frame.getImports(), frame.getExports(), frame.getStreams(), frame.getTimers(),
                         frame.getActors()});
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
    case wire::Frame::OPEN_ACTOR: return read_frame(from.getOpenActor());
    case wire::Frame::ACTOR_CLOSED: {
      const auto frame = from.getActorClosed();
      return Frame(ActorClosed{frame.getActor(), view(frame.getReason()), frame.getIsLost()});
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
    case wire::Frame::SOCKET_SAY: {
      const auto frame = from.getSocketSay();
      if (frame.getKind() > wire::SocketSay::Kind::EVENT_TIMEOUT) break;
      return Frame(SocketSay{frame.getActor(), frame.getSocket(), static_cast<SocketSay::Kind>(frame.getKind()),
                             view(frame.getBytes()), view(frame.getMore()), frame.getNumber()});
    }
    case wire::Frame::SOCKET_TELL: {
      const auto frame = from.getSocketTell();
      if (frame.getKind() > wire::SocketTell::Kind::ANSWERED) break;
      return Frame(SocketTell{frame.getActor(), frame.getSocket(), static_cast<SocketTell::Kind>(frame.getKind()),
                              frame.getNumber()});
    }
    case wire::Frame::SOCKETS: {
      const auto frame = from.getSockets();
      return Frame(Sockets{frame.getActor(), view(frame.getEntries()), frame.getNext(), frame.getHasAutoResponse(),
                           view(frame.getAutoRequest()), view(frame.getAutoResponse()), frame.getEventTimeout()});
    }
  }
  return Error(ErrorCode::Corrupt, "frame: unknown kind");
}

}  // namespace

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
    return read_frame(message.getRoot<wire::Frame>());
  } catch (const kj::Exception& error) {
    return Error(ErrorCode::Corrupt, std::string("frame: ") + error.getDescription().cStr());
  }
}

}  // namespace insula::protocol
