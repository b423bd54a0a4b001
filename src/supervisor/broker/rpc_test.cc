// SPDX-License-Identifier: Apache-2.0
//
// RPC between runners, with fake ones: 0 is the platform's, 1 the tenants'.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/supervisor/broker/entrypoint.h"
#include "src/supervisor/broker/world_test.h"
#include "tests/support/references.h"

namespace insula::broker {
namespace {

using protocol::CapabilityRef;
using protocol::Payload;
using protocol::QuestionId;
using testing::World;
using testing::entrypoint;
using testing::receiver_hosted;
using testing::sender_hosted;

protocol::RpcCall rpc(std::vector<CapabilityRef> references = {}) {
  protocol::RpcCall call;
  call.path = {"method"};
  call.arguments.bytes = "args";
  call.arguments.capabilities = std::move(references);
  return call;
}

const Payload& arguments_of(const protocol::Invoke& invoke) {
  return std::get<protocol::RpcCall>(invoke.call).arguments;
}

// A world in which an event is open, on whose behalf the platform's runner makes calls.
class RpcTest : public ::testing::Test {
 public:
  explicit RpcTest(fleet::Isolation isolation = fleet::Isolation::Cordon) : world(isolation) {
    parent = world.open_event();
  }

  testing::FakeRunner& platform() { return world.runner(0); }
  testing::FakeRunner& tenants() { return world.runner(1); }
  void say(testing::FakeRunner& runner, const protocol::Frame& frame) {
    runner.send(frame);
    world.settle();
  }
  // The platform calls a method of tenant "a".
  void call_tenant(QuestionId question, std::vector<CapabilityRef> references = {}) {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.parent = parent;
    invoke.target.kind = protocol::Target::Kind::Dynamic;
    invoke.target.dynamic = {world.loader, "a", 0, 1};
    invoke.call = rpc(std::move(references));
    say(platform(), invoke);
  }
  void call_promised(QuestionId question, QuestionId base) {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.parent = parent;
    invoke.target.kind = protocol::Target::Kind::Promised;
    invoke.target.number = base;
    invoke.call = rpc();
    say(platform(), invoke);
  }
  void call_import(testing::FakeRunner& runner, QuestionId question, protocol::CapabilityId import,
                   std::vector<CapabilityRef> references = {}) {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = import;
    invoke.call = rpc(std::move(references));
    say(runner, invoke);
  }
  std::uint32_t needed_code() {
    const auto* const need = platform().next_of<protocol::NeedCode>();
    INSULA_CHECK(need != nullptr);
    return need->request;
  }
  // The first call on "a", which loads it; its Invoke as the tenants' runner gets it.
  const protocol::Invoke* load_tenant(QuestionId question, std::vector<CapabilityRef> references = {}) {
    call_tenant(question, std::move(references));
    world.send_code(needed_code());
    return tenants().next_of<protocol::Invoke>();
  }
  static protocol::Return value(QuestionId question, std::vector<CapabilityRef> references = {}) {
    protocol::Return result;
    result.question = question;
    protocol::RpcValue value;
    value.payload.bytes = "value";
    value.payload.capabilities = std::move(references);
    result.outcome = std::move(value);
    return result;
  }
  static std::string fault_of(const protocol::Return* result) {
    INSULA_CHECK(result != nullptr);
    const auto* const error = std::get_if<protocol::ErrorInfo>(&result->outcome);
    return error == nullptr ? "none" : std::string(error->fault);
  }

  World world;
  QuestionId parent = 0;
};

class SharedRpcTest : public RpcTest {
 public:
  SharedRpcTest() : RpcTest(fleet::Isolation::Shared) {}
  std::vector<std::unique_ptr<testing::Received>> kept;
};

// ---- Objects

TEST_F(RpcTest, AnObjectInAnArgumentCanBeCalledBackAndIsReleased) {
  const auto* const invoke = load_tenant(100, {sender_hosted(7)});
  ASSERT_EQ(arguments_of(*invoke).bytes, "args");
  const auto import = arguments_of(*invoke).capabilities.at(0);
  EXPECT_EQ(import.kind, CapabilityRef::Kind::SenderHosted);

  call_import(tenants(), 200, import.number);
  const auto* const back = platform().next_of<protocol::Invoke>();
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->target.kind, protocol::Target::Kind::Capability);
  EXPECT_EQ(back->target.number, 7u);
  say(platform(), value(back->question));
  const auto* const answer = tenants().next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->question, 200u);
  EXPECT_EQ(std::get<protocol::RpcValue>(answer->outcome).payload.bytes, "value");
  say(tenants(), protocol::Finish{200});
  EXPECT_EQ(platform().next_of<protocol::Finish>()->question, back->question);

  // The call still holds it for the case that it must be sent again.
  say(tenants(), protocol::Release{import.number});
  EXPECT_EQ(platform().next_of<protocol::Release>(), nullptr);
  say(tenants(), value(invoke->question));
  EXPECT_EQ(platform().next_of<protocol::Release>()->capability, 7u);
}

TEST_F(RpcTest, AnObjectInAResultReachesTheCallerAndComesHomeAsItself) {
  const auto* const invoke = load_tenant(100);
  auto result = value(invoke->question, {sender_hosted(3)});
  result.continues = true;
  say(tenants(), result);
  const auto* const answer = platform().next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_FALSE(answer->continues);
  const auto import = std::get<protocol::RpcValue>(answer->outcome).payload.capabilities.at(0);
  say(platform(), protocol::Finish{100});
  EXPECT_EQ(tenants().next_of<protocol::Finish>()->question, invoke->question);

  call_tenant(101, {receiver_hosted(import.number)});
  const auto* const second = tenants().next_of<protocol::Invoke>();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(arguments_of(*second).capabilities.at(0).kind, CapabilityRef::Kind::ReceiverHosted);
  EXPECT_EQ(arguments_of(*second).capabilities.at(0).number, 3u);
  say(tenants(), value(second->question));

  say(platform(), protocol::Release{import.number});
  EXPECT_EQ(tenants().next_of<protocol::Release>()->capability, 3u);
}

TEST_F(RpcTest, TheDeathOfAHolderReleasesWhatItHeld) {
  const auto* const invoke = load_tenant(100, {sender_hosted(7)});
  say(tenants(), value(invoke->question));
  EXPECT_EQ(platform().next_of<protocol::Release>(), nullptr);  // the import is still there
  tenants().die();
  world.settle();
  EXPECT_EQ(platform().next_of<protocol::Release>()->capability, 7u);
}

TEST_F(RpcTest, CallsOnAnObjectOfADeadRunnerHearOfItsLoss) {
  const auto* const invoke = load_tenant(100);
  say(tenants(), value(invoke->question, {sender_hosted(3)}));
  const auto* const answer = platform().next_of<protocol::Return>();
  const auto import = std::get<protocol::RpcValue>(answer->outcome).payload.capabilities.at(0).number;
  tenants().die();
  world.settle();
  call_import(platform(), 101, import);
  EXPECT_EQ(fault_of(platform().next_of<protocol::Return>()), "ERR_RUNNER_LOST");
  // So does a call on a result that was kept there.
  call_promised(102, 100);
  EXPECT_EQ(fault_of(platform().next_of<protocol::Return>()), "ERR_RUNNER_LOST");
  EXPECT_FALSE(platform().is_cut());
}

TEST_F(RpcTest, RpcIsNeverReplayedAfterALoss) {
  load_tenant(100);
  tenants().die();
  world.settle();
  EXPECT_EQ(fault_of(platform().next_of<protocol::Return>()), "ERR_RUNNER_LOST");
}

TEST_F(RpcTest, TheDeathOfACallerEndsItsCalls) {
  const auto* const invoke = load_tenant(100);
  platform().die();
  world.settle();
  EXPECT_EQ(tenants().next_of<protocol::Cancel>()->question, invoke->question);
  say(tenants(), value(invoke->question, {sender_hosted(3)}));
  EXPECT_EQ(tenants().next_of<protocol::Release>()->capability, 3u);
}

// ---- Pipelining

TEST_F(RpcTest, CallsOnAResultWaitBehindTheirCallAndFollowInOrder) {
  call_tenant(100);
  call_promised(101, 100);
  call_promised(102, 101);
  call_promised(103, 100);
  world.send_code(needed_code());
  std::vector<const protocol::Invoke*> invokes;
  while (const auto* const invoke = tenants().next_of<protocol::Invoke>()) invokes.push_back(invoke);
  ASSERT_EQ(invokes.size(), 4u);
  EXPECT_EQ(invokes[0]->target.kind, protocol::Target::Kind::Worker);
  // Behind 100 come those on its result; behind 101 that on its own.
  EXPECT_EQ(invokes[1]->target.kind, protocol::Target::Kind::Promised);
  EXPECT_EQ(invokes[1]->target.number, invokes[0]->question);
  EXPECT_EQ(invokes[2]->target.number, invokes[1]->question);
  EXPECT_EQ(invokes[3]->target.number, invokes[0]->question);
}

TEST_F(RpcTest, ACallOnAResultThatIsThereAlreadyFindsItUntilFinish) {
  const auto* const invoke = load_tenant(100);
  say(tenants(), value(invoke->question));
  call_promised(101, 100);
  const auto* const second = tenants().next_of<protocol::Invoke>();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->target.number, invoke->question);
  // The result is kept as long as a call on it is on its way.
  say(platform(), protocol::Finish{100});
  EXPECT_EQ(tenants().next_of<protocol::Finish>(), nullptr);
  say(tenants(), value(second->question));
  EXPECT_EQ(tenants().next_of<protocol::Finish>()->question, invoke->question);
  say(platform(), protocol::Finish{101});
  EXPECT_EQ(tenants().next_of<protocol::Finish>()->question, second->question);
}

TEST_F(RpcTest, CallsOnARefusedCallShareItsError) {
  call_tenant(100);
  call_promised(101, 100);
  call_promised(102, 101);
  protocol::Code code;
  code.request = needed_code();
  protocol::ErrorInfo info;
  info.name = "TypeError";
  info.message = "no such tenant";
  code.outcome = info;
  say(platform(), code);
  call_promised(103, 100);
  for (const QuestionId question : {100u, 101u, 102u, 103u}) {
    const auto* const answer = platform().next_of<protocol::Return>();
    ASSERT_NE(answer, nullptr) << question;
    EXPECT_EQ(answer->question, question);
    const auto& error = std::get<protocol::ErrorInfo>(answer->outcome);
    EXPECT_EQ(error.name, "TypeError");
    EXPECT_EQ(error.message, "no such tenant");
  }
}

TEST_F(RpcTest, ACallThatWasCancelledWhileItWaitedTakesItsFollowersAlong) {
  call_tenant(100);
  call_promised(101, 100);
  say(platform(), protocol::Cancel{100});
  EXPECT_EQ(fault_of(platform().next_of<protocol::Return>()), "ERR_CANCELLED");
  EXPECT_EQ(fault_of(platform().next_of<protocol::Return>()), "ERR_CANCELLED");
  EXPECT_FALSE(platform().is_cut());
}

TEST_F(RpcTest, UndeliveredCallsAreSentAgainInOrderWithWhatRodeWithThem) {
  const auto* const first = load_tenant(100, {sender_hosted(7)});
  call_promised(101, 100);
  const auto* const second = tenants().next_of<protocol::Invoke>();
  ASSERT_NE(second, nullptr);
  const auto import = arguments_of(*first).capabilities.at(0).number;
  say(tenants(), World::error(first->question, "ERR_ISOLATE_LOST", "gone", true));
  say(tenants(), World::error(second->question, "ERR_ISOLATE_LOST", "gone", true));
  say(tenants(), protocol::Release{import});
  world.send_code(needed_code());
  const auto* const again = tenants().next_of<protocol::Invoke>();
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->target.kind, protocol::Target::Kind::Worker);
  ASSERT_EQ(arguments_of(*again).capabilities.size(), 1u);
  EXPECT_NE(arguments_of(*again).capabilities[0].number, import);
  const auto* const promised = tenants().next_of<protocol::Invoke>();
  ASSERT_NE(promised, nullptr);
  EXPECT_EQ(promised->target.kind, protocol::Target::Kind::Promised);
  EXPECT_EQ(promised->target.number, again->question);
}

TEST_F(RpcTest, AnErrorOfTheCalleeIsKeptThereForCallsOnIt) {
  const auto* const invoke = load_tenant(100);
  auto failure = World::error(invoke->question, "", "no");
  std::get<protocol::ErrorInfo>(failure.outcome).remote = true;
  say(tenants(), failure);
  const auto* const answer = platform().next_of<protocol::Return>();
  EXPECT_TRUE(std::get<protocol::ErrorInfo>(answer->outcome).remote);
  call_promised(101, 100);
  EXPECT_EQ(tenants().next_of<protocol::Invoke>()->target.number, invoke->question);
  say(platform(), protocol::Finish{100});
}

// ---- Entrypoints

TEST_F(RpcTest, AServiceIsReachedWithItsOwnEntrypointWhateverTheCallerSays) {
  protocol::Invoke invoke;
  invoke.question = 100;
  invoke.parent = parent;
  invoke.target.kind = protocol::Target::Kind::Capability;
  invoke.target.number = world.service;
  invoke.target.entrypoint = "Other";
  invoke.target.props.bytes = "forged";
  invoke.call = rpc();
  say(platform(), invoke);
  const auto* const forwarded = platform().next_of<protocol::Invoke>();
  ASSERT_NE(forwarded, nullptr);
  EXPECT_EQ(forwarded->target.kind, protocol::Target::Kind::Worker);
  EXPECT_EQ(forwarded->target.entrypoint, "Named");
  EXPECT_TRUE(forwarded->target.props.bytes.empty());
}

TEST_F(RpcTest, AnEntrypointThatWasGivenAwayIsCalledWithItsProps) {
  Payload props;
  props.bytes = "props";
  props.capabilities = {receiver_hosted(world.service)};
  const auto* const invoke = load_tenant(100, {entrypoint(world.platform_load->worker, "Given", std::move(props))});
  const auto import = arguments_of(*invoke).capabilities.at(0).number;
  call_import(tenants(), 200, import);
  const auto* const back = platform().next_of<protocol::Invoke>();
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->target.kind, protocol::Target::Kind::Worker);
  EXPECT_EQ(back->target.number, world.platform_load->worker);
  EXPECT_EQ(back->target.entrypoint, "Given");
  EXPECT_EQ(back->target.props.bytes, "props");
  ASSERT_EQ(back->target.props.capabilities.size(), 1u);
  call_import(platform(), 101, back->target.props.capabilities[0].number);
  EXPECT_EQ(platform().next_of<protocol::Invoke>()->target.entrypoint, "Named");
}

TEST_F(RpcTest, AnEntrypointOfADynamicWorkerIsAViolation) {
  const auto* const invoke = load_tenant(100);
  say(tenants(), value(invoke->question, {entrypoint(invoke->target.number, "default")}));
  EXPECT_TRUE(tenants().is_cut());
  EXPECT_EQ(fault_of(platform().next_of<protocol::Return>()), "ERR_PROTOCOL");
}

TEST_F(RpcTest, ALoaderIsNotGivenAway) {
  call_tenant(100, {receiver_hosted(world.loader)});
  EXPECT_TRUE(platform().is_cut());
}

TEST_F(RpcTest, PropsThatGrowWithEveryMessageBecomeABrokenStub) {
  std::shared_ptr<fleet::Capability> chain;
  for (std::size_t depth = 0; depth < 2 * kEntrypointDepthMax; ++depth) {
    fleet::Carried carried;
    if (chain != nullptr) carried.capabilities.push_back(chain);
    chain = world.broker.make_entrypoint(*world.statics->at(0), "Named", {}, std::move(carried));
    const bool is_whole = dynamic_cast<EntrypointCapability*>(chain.get()) != nullptr;
    // Where it broke, another chain begins.
    ASSERT_EQ(is_whole, depth % (kEntrypointDepthMax + 1) < kEntrypointDepthMax);
  }
}

// ---- What a dynamic Worker is given

protocol::WorkerCode code_with_grants(World& world) {
  protocol::WorkerCode code;
  code.main_module = "a.js";
  code.modules = {{"a.js", protocol::ModuleKind::EsModule, "export default {}"}};
  code.env.bytes = "env";
  code.env.capabilities = {receiver_hosted(world.service), entrypoint(world.platform_load->worker, "InEnv")};
  code.outbound = protocol::OutboundRule::Capability;
  code.outbound_to = entrypoint(world.platform_load->worker, "Gateway");
  code.tails = {entrypoint(world.platform_load->worker, "Tail")};
  return code;
}

TEST_F(RpcTest, EnvOutboundAndTailsOfADynamicWorkerAreItsOwnImports) {
  call_tenant(100);
  say(platform(), protocol::Code{needed_code(), code_with_grants(world)});
  world.greet_all();
  const auto* const load = tenants().next_of<protocol::Load>();
  ASSERT_NE(load, nullptr);
  EXPECT_EQ(load->code.env.bytes, "env");
  ASSERT_EQ(load->code.env.capabilities.size(), 2u);
  ASSERT_EQ(load->tails.size(), 1u);
  EXPECT_TRUE(load->code.tails.empty());
  const auto expect_entrypoint = [&](protocol::CapabilityId import, QuestionId question, std::string_view name) {
    call_import(tenants(), question, import);
    const auto* const invoke = platform().next_of<protocol::Invoke>();
    ASSERT_NE(invoke, nullptr) << name;
    EXPECT_EQ(invoke->target.entrypoint, name);
  };
  expect_entrypoint(load->code.env.capabilities[0].number, 200, "Named");
  expect_entrypoint(load->code.env.capabilities[1].number, 201, "InEnv");
  expect_entrypoint(load->outbound, 202, "Gateway");
  expect_entrypoint(load->tails[0], 203, "Tail");

  say(tenants(), protocol::Evicted{load->worker, "idle"});
  call_import(tenants(), 204, load->code.env.capabilities[0].number);
  EXPECT_EQ(platform().next_of<protocol::Invoke>(), nullptr);
  EXPECT_FALSE(tenants().is_cut());
}

TEST_F(RpcTest, TailEventsReachTheEntrypointAndNeedNoFinish) {
  call_tenant(100);
  say(platform(), protocol::Code{needed_code(), code_with_grants(world)});
  world.greet_all();
  const auto* const load = tenants().next_of<protocol::Load>();
  protocol::Invoke event;
  event.question = 200;
  event.target.kind = protocol::Target::Kind::Capability;
  event.target.number = load->tails.at(0);
  event.call = protocol::EventCall{"tail", "[1]", {}};
  say(tenants(), event);
  const auto* const invoke = platform().next_of<protocol::Invoke>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(invoke->target.entrypoint, "Tail");
  EXPECT_EQ(std::get<protocol::EventCall>(invoke->call).detail, "[1]");
  say(platform(), value(invoke->question));
  EXPECT_EQ(fault_of(tenants().next_of<protocol::Return>()), "none");
  EXPECT_EQ(platform().next_of<protocol::Finish>(), nullptr);
  event.call = protocol::EventCall{"tail", "[2]", {}};
  say(tenants(), event);  // the number is free again
  EXPECT_FALSE(tenants().is_cut());
}

TEST_F(SharedRpcTest, ARunnerThatHostsBothSidesHearsOfItBeforeTheLoad) {
  call_tenant(100);
  say(platform(), protocol::Code{needed_code(), code_with_grants(world)});
  std::vector<protocol::Local> locals;
  const protocol::Load* load = nullptr;
  while (load == nullptr) {
    auto received = platform().next();
    ASSERT_TRUE(received.has_value());
    kept.push_back(std::make_unique<testing::Received>(std::move(*received)));
    load = std::get_if<protocol::Load>(&kept.back()->frame);
    if (const auto* const local = std::get_if<protocol::Local>(&kept.back()->frame)) locals.push_back(*local);
  }
  ASSERT_EQ(locals.size(), 4u);
  for (const protocol::Local& local : locals) EXPECT_EQ(local.worker, world.platform_load->worker);
  EXPECT_EQ(locals[0].capability, load->code.env.capabilities[0].number);
  EXPECT_EQ(locals[1].entrypoint, "InEnv");
  EXPECT_EQ(locals[2].capability, load->outbound);
  EXPECT_EQ(locals[3].capability, load->tails.at(0));
}

}  // namespace
}  // namespace insula::broker
