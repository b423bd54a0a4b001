// SPDX-License-Identifier: Apache-2.0
//
// Loaders and forwarding, with fake runners: 0 is the platform's, 1 the tenants', 2 the spare.
#include "src/supervisor/broker/loader.h"

#include <gtest/gtest.h>

#include <memory>

#include "src/supervisor/broker/world_test.h"

namespace insula::broker {
namespace {

using protocol::QuestionId;
using testing::World;

// A world in which tenant "a" is loaded in runner 1 by the call `question`; returns the tenant's Invoke.
const protocol::Invoke* load_tenant(World& world, std::string_view id, QuestionId question, QuestionId parent) {
  world.call_tenant(id, question, parent);
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  INSULA_CHECK(need != nullptr);
  world.send_code(need->request);
  return world.runner(1).next_of<protocol::Invoke>();
}

TEST(Loader, LoadsTheCodeThatTheCallerGivesAndForwardsTheCall) {
  World world;
  const QuestionId parent = world.open_event();
  world.call_tenant("a", 100, parent, 7);
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  ASSERT_NE(need, nullptr);
  EXPECT_EQ(need->source, 7u);
  world.send_code(need->request);

  const auto* const load = world.runner(1).next_of<protocol::Load>();
  ASSERT_NE(load, nullptr);
  EXPECT_TRUE(load->is_tenant);
  EXPECT_EQ(load->dynamic_id, "a");
  EXPECT_EQ(load->limits.cpu, milliseconds(10));  // the lower of the code's and the node's
  EXPECT_NE(load->outbound, 0u);
  const auto* const invoke = world.runner(1).next_of<protocol::Invoke>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(invoke->target.number, load->worker);
  EXPECT_EQ(std::get<protocol::FetchRequest>(invoke->call).url, "http://tenant/");

  world.runner(1).send(World::ok(invoke->question, "hi"));
  world.settle();
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->question, 100u);
  EXPECT_EQ(std::get<protocol::FetchResponse>(answer->outcome).body.bytes, "hi");
}

TEST(Loader, SharesOneRequestForCodeAmongConcurrentFirstCalls) {
  World world;
  const QuestionId parent = world.open_event();
  for (QuestionId question = 100; question < 110; ++question) world.call_tenant("a", question, parent, question);
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  ASSERT_NE(need, nullptr);
  EXPECT_EQ(world.runner(0).next_of<protocol::NeedCode>(), nullptr);
  world.send_code(need->request);
  EXPECT_NE(world.runner(1).next_of<protocol::Load>(), nullptr);
  int calls = 0;
  while (world.runner(1).next_of<protocol::Invoke>() != nullptr) ++calls;
  EXPECT_EQ(calls, 10);
}

TEST(Loader, GivesTheErrorOfTheCodeToEveryWaiterAndAsksAgainNextTime) {
  World world;
  const QuestionId parent = world.open_event();
  world.call_tenant("a", 100, parent, 1);
  world.call_tenant("a", 101, parent, 2);
  protocol::Code code;
  code.request = world.runner(0).next_of<protocol::NeedCode>()->request;
  protocol::ErrorInfo info;
  info.name = "TypeError";
  info.message = "no such tenant";
  info.stack = "secret";
  code.outcome = info;
  world.runner(0).send(code);
  world.settle();
  for (const QuestionId question : {100u, 101u}) {
    const auto* const answer = world.runner(0).next_of<protocol::Return>();
    ASSERT_NE(answer, nullptr);
    EXPECT_EQ(answer->question, question);
    const auto& error = std::get<protocol::ErrorInfo>(answer->outcome);
    EXPECT_EQ(error.name, "TypeError");
    EXPECT_EQ(error.message, "no such tenant");
    EXPECT_EQ(error.stack, "");
  }
  world.call_tenant("a", 102, parent, 3);
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  ASSERT_NE(need, nullptr);
  EXPECT_EQ(need->source, 3u);
}

TEST(Loader, AsksTheNextSourceWhenOneIsGone) {
  World world;
  const QuestionId parent = world.open_event();
  world.call_tenant("a", 100, parent, 1);
  world.call_tenant("a", 101, parent, 2);
  protocol::Code code;
  code.request = world.runner(0).next_of<protocol::NeedCode>()->request;
  protocol::ErrorInfo info;
  info.fault = "ERR_CANCELLED";
  info.name = "Error";
  code.outcome = info;
  world.runner(0).send(code);
  world.settle();
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  ASSERT_NE(need, nullptr);
  EXPECT_EQ(need->source, 2u);
}

TEST(Loader, LoadsAgainWhenTheTargetNeverSawTheCall) {
  World world;
  const QuestionId parent = world.open_event();
  const auto* const first = load_tenant(world, "a", 100, parent);
  ASSERT_NE(first, nullptr);
  const auto old_worker = first->target.number;
  world.runner(1).send(World::error(first->question, "ERR_ISOLATE_LOST", "gone", true));
  world.settle();
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  ASSERT_NE(need, nullptr);
  world.send_code(need->request);
  const auto* const second = world.runner(1).next_of<protocol::Invoke>();
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second->target.number, old_worker);
  EXPECT_EQ(std::get<protocol::FetchRequest>(second->call).url, "http://tenant/");
  // Once, not for ever.
  world.runner(1).send(World::error(second->question, "ERR_ISOLATE_LOST", "gone", true));
  world.settle();
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_ISOLATE_LOST");
}

TEST(Loader, ForgetsAWorkerThatItsRunnerEvicted) {
  World world;
  const QuestionId parent = world.open_event();
  const auto* const invoke = load_tenant(world, "a", 100, parent);
  world.runner(1).send(World::ok(invoke->question));
  world.runner(1).send(protocol::Evicted{invoke->target.number, "idle"});
  world.settle();
  world.call_tenant("a", 101, parent);
  EXPECT_NE(world.runner(0).next_of<protocol::NeedCode>(), nullptr);
}

TEST(Loader, ReplaysAnIdempotentCallOnceWhenTheTenantsRunnerIsLost) {
  World world;
  const QuestionId parent = world.open_event();
  ASSERT_NE(load_tenant(world, "a", 100, parent), nullptr);
  world.runner(1).die();
  world.settle();
  world.greet_all();
  const auto* const need = world.runner(0).next_of<protocol::NeedCode>();
  ASSERT_NE(need, nullptr);
  world.send_code(need->request);
  const auto* const again = world.runner(2).next_of<protocol::Invoke>();
  ASSERT_NE(again, nullptr);
  world.runner(2).die();
  world.settle();
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_RUNNER_LOST");
}

TEST(Loader, DoesNotReplayACallThatIsNotIdempotent) {
  World world;
  const QuestionId parent = world.open_event();
  world.call_tenant("a", 100, parent, 1, "POST");
  world.send_code(world.runner(0).next_of<protocol::NeedCode>()->request);
  ASSERT_NE(world.runner(1).next_of<protocol::Invoke>(), nullptr);
  world.runner(1).die();
  world.settle();
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_RUNNER_LOST");
}

TEST(Loader, TellsTheCulpritWhichLimitItHitAndItsNeighbourToTryAgain) {
  World world;
  const QuestionId parent = world.open_event();
  const auto* const guilty = load_tenant(world, "a", 100, parent);
  const auto* const innocent = load_tenant(world, "b", 101, parent);
  ASSERT_NE(innocent, nullptr);
  auto& board = world.starter.state(1).board;
  board.worker = guilty->target.number;
  board.question = guilty->question;
  board.cause = static_cast<std::uint32_t>(protocol::EndCause::CpuLimit);
  world.runner(1).die();
  world.settle();
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->question, 100u);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_CPU_LIMIT");
  EXPECT_EQ(world.runner(0).next_of<protocol::Return>(), nullptr);
}

TEST(Loader, BindsWorkersThatLiveNextDoor) {
  World world(fleet::Isolation::Shared);
  const QuestionId parent = world.open_event();
  world.call_tenant("a", 100, parent);
  world.send_code(world.runner(0).next_of<protocol::NeedCode>()->request);
  const auto* const bind = world.runner(0).next_of<protocol::Bind>();
  ASSERT_NE(bind, nullptr);
  EXPECT_EQ(bind->loader, world.loader);
  EXPECT_EQ(bind->id, "a");
}

TEST(Loader, SharesWorkersAmongBindingsWithEqualIdsOnly) {
  World world;
  const QuestionId parent = world.open_event();
  const auto use = [&](protocol::CapabilityId loader, QuestionId question) {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.parent = parent;
    invoke.target.kind = protocol::Target::Kind::Dynamic;
    invoke.target.dynamic = {loader, "x", 0, question};
    invoke.call = protocol::FetchRequest{"GET", "http://t/", {}, {}, {}};
    world.runner(0).send(invoke);
    world.settle();
    return world.runner(0).next_of<protocol::NeedCode>() != nullptr;
  };
  EXPECT_TRUE(use(world.second_loader, 100));
  EXPECT_FALSE(use(world.third_loader, 101));
  EXPECT_TRUE(use(world.loader, 102));
}

TEST(Loader, RefusesTheSixtyFifthWorkerOfOneInvocation) {
  World world;
  const QuestionId parent = world.open_event();
  for (QuestionId number = 0; number < 64; ++number) world.call_tenant("t" + std::to_string(number), 100 + number, parent);
  world.call_tenant("t0", 500, parent);  // a second call of one that counts already
  EXPECT_EQ(world.runner(0).next_of<protocol::Return>(), nullptr);
  world.call_tenant("t64", 501, parent);
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->question, 501u);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_LOAD_FAILED");
}

TEST(Loader, CancelsTheCallsOfACancelledParent) {
  World world;
  const QuestionId parent = world.open_event();
  const auto* const invoke = load_tenant(world, "a", 100, parent);
  ASSERT_NE(invoke, nullptr);
  world.last_event->abandon();
  world.settle();
  const auto* const cancel = world.runner(1).next_of<protocol::Cancel>();
  ASSERT_NE(cancel, nullptr);
  EXPECT_EQ(cancel->question, invoke->question);
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_CANCELLED");
}

TEST(Loader, StopsCallsAtDepthSeventeen) {
  World world;
  QuestionId parent = world.open_event();
  for (QuestionId depth = 1; depth <= 17; ++depth) {
    protocol::Invoke invoke;
    invoke.question = 100 + depth;
    invoke.parent = parent;
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = world.service;
    invoke.target.entrypoint = "Ignored";
    invoke.call = protocol::FetchRequest{"GET", "http://t/", {}, {}, {}};
    world.runner(0).send(invoke);
    world.settle();
    if (depth == 17) break;
    const auto* const nested = world.runner(0).next_of<protocol::Invoke>();
    ASSERT_NE(nested, nullptr) << depth;
    EXPECT_EQ(nested->target.entrypoint, "Named");
    EXPECT_EQ(nested->depth, depth);
    parent = nested->question;
  }
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_DEPTH_LIMIT");
}

TEST(Loader, SuspendsATenantThatKeepsKillingItsRunner) {
  World world;
  const QuestionId parent = world.open_event();
  for (QuestionId death = 0; death < 3; ++death) {
    world.call_tenant("a", 100 + death, parent, 1, "POST");
    world.send_code(world.runner(0).next_of<protocol::NeedCode>()->request);
    for (std::size_t index = 1; index < world.starter.started(); ++index) {
      if (world.runner(index).next_of<protocol::Invoke>() != nullptr) world.runner(index).die();
    }
    world.settle();
    world.greet_all();
  }
  while (world.runner(0).next_of<protocol::Return>() != nullptr) {
  }
  world.call_tenant("a", 200, parent, 1, "POST");
  world.send_code(world.runner(0).next_of<protocol::NeedCode>()->request);
  const auto* const answer = world.runner(0).next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_TENANT_SUSPENDED");
}

TEST(Loader, CallsThatWaitAtTheEndAreRefusedAndHoldNothing) {
  auto world = std::make_unique<World>();
  const QuestionId parent = world->open_event();
  world->call_tenant("a", 100, parent);  // waits for its code
  for (std::size_t index = 0; index < world->starter.started(); ++index) world->runner(index).die();
  world->settle();
  const auto event = world->submit();  // waits for a runner
  EXPECT_EQ(event->outcomes, 0);
  world.reset();
  EXPECT_EQ(event->fault, "ERR_CANCELLED");
  EXPECT_EQ(event.use_count(), 1);
}

}  // namespace
}  // namespace insula::broker
