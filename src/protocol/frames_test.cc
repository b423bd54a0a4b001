// SPDX-License-Identifier: Apache-2.0
//
// Frames: what goes in comes out, and what is too much does not. The text and stream frames are proved by the tests of
// the sessions, which speak in them.
#include "src/protocol/frames.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace insula::protocol {
namespace {

// A frame after its journey, with the words that its views point into.
struct Journey {
  std::vector<std::uint64_t> words;
  Result<Frame> frame;

  explicit Journey(const Frame& sent) : frame(Error(ErrorCode::Internal, "not read")) {
    Bytes bytes;
    append_frame(bytes, sent);
    words.resize(bytes.size() / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    frame = decode_frame({reinterpret_cast<const char*>(words.data()), bytes.size()});
  }
  template <class T>
  const T& as() const {
    INSULA_CHECK(frame.has_value());
    return std::get<T>(*frame);
  }
};

CapabilityRef sender_hosted(CapabilityId number) { return {CapabilityRef::Kind::SenderHosted, number, nullptr}; }

CapabilityRef entrypoint(std::string_view name, Payload props) {
  return {CapabilityRef::Kind::Entrypoint, 0,
          std::make_shared<const Entrypoint>(Entrypoint{3, name, std::move(props)})};
}

Invoke call_with(Payload arguments) {
  Invoke invoke;
  invoke.target.kind = Target::Kind::Promised;
  invoke.target.number = 9;
  invoke.call = RpcCall{{"a", "b"}, std::move(arguments), true};
  return invoke;
}

// Props that hold an entrypoint whose props hold an entrypoint, so many times.
Payload nested(std::size_t depth) {
  Payload payload;
  if (depth > 0) payload.capabilities.push_back(entrypoint("E", nested(depth - 1)));
  return payload;
}

TEST(Frames, ACallKeepsWhatRidesWithIt) {
  Payload props;
  props.bytes = "props";
  props.capabilities.push_back(sender_hosted(11));
  Payload arguments;
  arguments.bytes = "bytes";
  arguments.capabilities = {sender_hosted(5),
                            {CapabilityRef::Kind::ReceiverHosted, 6, nullptr},
                            entrypoint("Named", std::move(props))};
  arguments.streams = {{Body::Kind::Stream, {}, 8, 100}, {Body::Kind::Inline, "abc", 0, 3}, {}};
  const Journey journey(call_with(std::move(arguments)));
  const auto& invoke = journey.as<Invoke>();
  EXPECT_EQ(invoke.target.kind, Target::Kind::Promised);
  EXPECT_EQ(invoke.target.number, 9u);
  const auto& rpc = std::get<RpcCall>(invoke.call);
  EXPECT_EQ(rpc.path, (std::vector<std::string_view>{"a", "b"}));
  EXPECT_EQ(rpc.arguments.bytes, "bytes");
  ASSERT_EQ(rpc.arguments.capabilities.size(), 3u);
  EXPECT_EQ(rpc.arguments.capabilities[0].number, 5u);
  EXPECT_EQ(rpc.arguments.capabilities[1].kind, CapabilityRef::Kind::ReceiverHosted);
  EXPECT_EQ(rpc.arguments.capabilities[1].number, 6u);
  const Entrypoint& given = *rpc.arguments.capabilities[2].entrypoint;
  EXPECT_EQ(given.worker, 3u);
  EXPECT_EQ(given.name, "Named");
  EXPECT_EQ(given.props.bytes, "props");
  ASSERT_EQ(given.props.capabilities.size(), 1u);
  EXPECT_EQ(given.props.capabilities[0].number, 11u);
  ASSERT_EQ(rpc.arguments.streams.size(), 3u);
  EXPECT_EQ(rpc.arguments.streams[0].stream, 8u);
  EXPECT_EQ(rpc.arguments.streams[0].length, 100);
  EXPECT_EQ(rpc.arguments.streams[1].bytes, "abc");
  EXPECT_EQ(rpc.arguments.streams[2].kind, Body::Kind::None);
}

TEST(Frames, ManyReferencesFitOneSegment) {
  Payload arguments;
  for (std::size_t count = 0; count < kPayloadCapabilitiesMax; ++count) {
    arguments.capabilities.push_back(count % 2 == 0 ? sender_hosted(1) : entrypoint("A name of some length", {}));
  }
  for (std::size_t count = 0; count < kPayloadStreamsMax; ++count) {
    arguments.streams.push_back({Body::Kind::Inline, "12345", 0, 5});
  }
  const Journey journey(call_with(std::move(arguments)));
  const auto& rpc = std::get<RpcCall>(journey.as<Invoke>().call);
  EXPECT_EQ(rpc.arguments.capabilities.size(), kPayloadCapabilitiesMax);
  EXPECT_EQ(rpc.arguments.streams.size(), kPayloadStreamsMax);
}

TEST(Frames, EventsValuesAndSmallFramesSurvive) {
  Invoke event;
  event.call = EventCall{"tail", "[{}]", {}};
  const Journey event_journey(event);
  EXPECT_EQ(std::get<EventCall>(event_journey.as<Invoke>().call).detail, "[{}]");

  Return result;
  Payload value;
  value.bytes = "v";
  value.capabilities.push_back(sender_hosted(2));
  result.outcome = RpcValue{std::move(value)};
  const Journey value_journey(result);
  EXPECT_EQ(std::get<RpcValue>(value_journey.as<Return>().outcome).payload.capabilities.size(), 1u);

  EXPECT_EQ(Journey(Release{4}).as<Release>().capability, 4u);
  EXPECT_EQ(Journey(Finish{5}).as<Finish>().question, 5u);
  Local local{7, 8, "Named", {}};
  local.props.bytes = "p";
  const Journey local_journey(local);
  EXPECT_EQ(local_journey.as<Local>().worker, 8u);
  EXPECT_EQ(local_journey.as<Local>().entrypoint, "Named");
  EXPECT_EQ(local_journey.as<Local>().props.bytes, "p");
}

TEST(Frames, CodeAndLoadKeepTheirCapabilities) {
  WorkerCode worker;
  worker.env.bytes = "env";
  worker.env.capabilities.push_back(sender_hosted(1));
  worker.outbound = OutboundRule::Capability;
  worker.outbound_to = {CapabilityRef::Kind::ReceiverHosted, 4, nullptr};
  worker.tails = {entrypoint("Tail", {})};
  const Journey journey(Code{1, worker});
  const auto& code = std::get<WorkerCode>(journey.as<Code>().outcome);
  EXPECT_EQ(code.env.capabilities.size(), 1u);
  EXPECT_EQ(code.outbound_to.number, 4u);
  ASSERT_EQ(code.tails.size(), 1u);
  EXPECT_EQ(code.tails[0].entrypoint->name, "Tail");

  Load load;
  load.tails = {6, 7};
  EXPECT_EQ(Journey(load).as<Load>().tails, (std::vector<CapabilityId>{6, 7}));
}

// ---- Bounds

TEST(Frames, TooManyCapabilitiesAreRefused) {
  Payload arguments;
  arguments.capabilities.assign(kPayloadCapabilitiesMax + 1, sender_hosted(1));
  EXPECT_FALSE(Journey(call_with(std::move(arguments))).frame.has_value());
}

TEST(Frames, TooManyStreamsAreRefused) {
  Payload arguments;
  arguments.streams.assign(kPayloadStreamsMax + 1, Body{});
  EXPECT_FALSE(Journey(call_with(std::move(arguments))).frame.has_value());
}

TEST(Frames, AllReferencesOfAFrameCountTogether) {
  Payload inner;
  inner.capabilities.assign(kPayloadCapabilitiesMax, sender_hosted(1));
  Payload arguments;
  arguments.capabilities = {entrypoint("A", inner), entrypoint("B", inner)};
  EXPECT_FALSE(Journey(call_with(std::move(arguments))).frame.has_value());
}

TEST(Frames, PropsNestAsDeepAsTheLimitAndNoDeeper) {
  EXPECT_TRUE(Journey(call_with(nested(kPropsDepthMax))).frame.has_value());
  EXPECT_FALSE(Journey(call_with(nested(kPropsDepthMax + 1))).frame.has_value());
}

TEST(Frames, PropsAndEnvCarryNoStreams) {
  Invoke invoke = call_with({});
  invoke.target.props.streams = {{Body::Kind::Stream, {}, 1, -1}};
  EXPECT_FALSE(Journey(invoke).frame.has_value());
  WorkerCode worker;
  worker.env.streams = {{Body::Kind::Stream, {}, 1, -1}};
  EXPECT_FALSE(Journey(Code{1, worker}).frame.has_value());
  Payload props;
  props.streams = {{Body::Kind::Stream, {}, 1, -1}};
  Payload arguments;
  arguments.capabilities = {entrypoint("A", std::move(props))};
  EXPECT_FALSE(Journey(call_with(std::move(arguments))).frame.has_value());
}

TEST(Frames, CallsOnActorsKeepTheirAddresses) {
  Invoke invoke;
  invoke.target.kind = Target::Kind::Own;
  invoke.target.number = 4;
  invoke.target.actor = 5;
  invoke.target.object = "ab";
  invoke.target.object_name = "name";
  invoke.target.facet = {6, "facet", "id", "id name", 1 << 20};
  Payload payload;
  payload.bytes = "value";
  payload.capabilities.push_back(sender_hosted(3));
  invoke.call = EngineCall{"facet.clone", R"({"from":"a"})", payload};
  const Journey journey(invoke);
  const Target& target = journey.as<Invoke>().target;
  EXPECT_EQ(target.kind, Target::Kind::Own);
  EXPECT_EQ(target.number, 4u);
  EXPECT_EQ(target.actor, 5u);
  EXPECT_EQ(target.object, "ab");
  EXPECT_EQ(target.object_name, "name");
  EXPECT_EQ(target.facet.parent, 6u);
  EXPECT_EQ(target.facet.name, "facet");
  EXPECT_EQ(target.facet.id_text, "id");
  EXPECT_EQ(target.facet.id_name, "id name");
  EXPECT_EQ(target.facet.quota_bytes, 1u << 20);
  const auto& engine = std::get<EngineCall>(journey.as<Invoke>().call);
  EXPECT_EQ(engine.operation, "facet.clone");
  EXPECT_EQ(engine.detail, R"({"from":"a"})");
  EXPECT_EQ(engine.payload.bytes, "value");
  ASSERT_EQ(engine.payload.capabilities.size(), 1u);
  EXPECT_EQ(engine.payload.capabilities[0].number, 3u);
}

TEST(Frames, AnEventMayCarryAValue) {
  Invoke invoke;
  invoke.target.kind = Target::Kind::OwnActor;
  invoke.target.actor = 9;
  Payload payload;
  payload.bytes = "value";
  invoke.call = EventCall{"workflow", "{}", payload};
  const Journey journey(invoke);
  EXPECT_EQ(journey.as<Invoke>().target.kind, Target::Kind::OwnActor);
  EXPECT_EQ(journey.as<Invoke>().target.actor, 9u);
  EXPECT_EQ(std::get<EventCall>(journey.as<Invoke>().call).payload.bytes, "value");
}

TEST(Frames, AnswersOfEnginesSurvive) {
  Return outcome;
  outcome.question = 7;
  outcome.outcome = EngineResult{"{}", {"a", "", "ccc"}};
  const Journey journey(outcome);
  const auto& result = std::get<EngineResult>(journey.as<Return>().outcome);
  EXPECT_EQ(result.detail, "{}");
  EXPECT_EQ(result.payloads, (std::vector<BytesView>{"a", "", "ccc"}));
}

TEST(Frames, TheLifeOfAnActorSurvives) {
  Payload props;
  props.bytes = "props";
  OpenActor open{5, 6, "Counter", props, "id", "name", "uid", 7, "facet", true, 8, 2, kActorDescriptors};
  const Journey opened(open);
  const auto& frame = opened.as<OpenActor>();
  EXPECT_EQ(frame.actor, 5u);
  EXPECT_EQ(frame.worker, 6u);
  EXPECT_EQ(frame.class_name, "Counter");
  EXPECT_EQ(frame.props.bytes, "props");
  EXPECT_EQ(frame.id, "id");
  EXPECT_EQ(frame.name, "name");
  EXPECT_EQ(frame.namespace_uid, "uid");
  EXPECT_EQ(frame.parent, 7u);
  EXPECT_EQ(frame.facet_name, "facet");
  EXPECT_TRUE(frame.is_facet);
  EXPECT_EQ(frame.quota_bytes, 8u);
  EXPECT_EQ(frame.depth, 2u);
  EXPECT_EQ(frame.descriptors, 3u);

  const Journey closed(ActorClosed{5, "why", true});
  EXPECT_TRUE(closed.as<ActorClosed>().is_lost);
  EXPECT_EQ(closed.as<ActorClosed>().actor, 5u);
  EXPECT_EQ(closed.as<ActorClosed>().reason, "why");
  const Journey close(CloseActor{6, "stop"});
  EXPECT_EQ(close.as<CloseActor>().actor, 6u);
  EXPECT_EQ(close.as<CloseActor>().reason, "stop");
  const Journey facet(FacetClosed{7, "name"});
  EXPECT_EQ(facet.as<FacetClosed>().parent, 7u);
  EXPECT_EQ(facet.as<FacetClosed>().name, "name");
}

TEST(Frames, WordsOfSocketsSurvive) {
  const Journey said(SocketSay{5, 6, SocketSay::Kind::AutoResponse, "ping", "pong", 7});
  const auto& say = said.as<SocketSay>();
  EXPECT_EQ(say.actor, 5u);
  EXPECT_EQ(say.socket, 6u);
  EXPECT_EQ(say.kind, SocketSay::Kind::AutoResponse);
  EXPECT_EQ(say.bytes, "ping");
  EXPECT_EQ(say.more, "pong");
  EXPECT_EQ(say.number, 7u);
  const Journey told(SocketTell{5, 6, SocketTell::Kind::Answered, 1ull << 40});
  EXPECT_EQ(told.as<SocketTell>().socket, 6u);
  EXPECT_EQ(told.as<SocketTell>().kind, SocketTell::Kind::Answered);
  EXPECT_EQ(told.as<SocketTell>().number, 1ull << 40);
  const Bytes entries(40000, 'e');
  const Journey listed(Sockets{5, entries, 9, true, "a", "b", 100});
  const auto& list = listed.as<Sockets>();
  EXPECT_EQ(list.actor, 5u);
  EXPECT_EQ(list.entries, entries);
  EXPECT_EQ(list.next, 9u);
  EXPECT_TRUE(list.has_auto_response);
  EXPECT_EQ(list.auto_request, "a");
  EXPECT_EQ(list.auto_response, "b");
  EXPECT_EQ(list.event_timeout, 100u);
}

TEST(Frames, BindingsOfObjectsAndWorkflowsSurvive) {
  Load load;
  const std::string key(32, 'k');
  load.bindings.push_back({"COUNTERS", Binding::Kind::Namespace, "Counter", 3, key});
  load.bindings.push_back({"", Binding::Kind::Namespace, "Other", 4, key});
  load.bindings.push_back({"ORDERS", Binding::Kind::Workflow, {}, 5, {}});
  const Journey journey(load);
  const auto& bindings = journey.as<Load>().bindings;
  ASSERT_EQ(bindings.size(), 3u);
  EXPECT_EQ(bindings[0].kind, Binding::Kind::Namespace);
  EXPECT_EQ(bindings[0].text, "Counter");
  EXPECT_EQ(bindings[0].capability, 3u);
  EXPECT_EQ(bindings[0].key, key);
  EXPECT_EQ(bindings[1].name, "");
  EXPECT_EQ(bindings[2].kind, Binding::Kind::Workflow);
  EXPECT_EQ(bindings[2].capability, 5u);
}

}  // namespace
}  // namespace insula::protocol
