// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/actors/directory.h"

#include <gtest/gtest.h>

#include "src/supervisor/actors/directory_world_test.h"

namespace insula::actors {
namespace {

using protocol::ActorClosed;
using protocol::CloseActor;
using protocol::ErrorInfo;
using protocol::FacetClosed;
using protocol::Invoke;
using protocol::OpenActor;
using protocol::Return;

std::string error_of(const Return* outcome) {
  const auto* error = outcome == nullptr ? nullptr : std::get_if<ErrorInfo>(&outcome->outcome);
  return error == nullptr ? "" : std::string(error->fault) + " " + std::string(error->message);
}

std::string detail_of(const Return* outcome) {
  const auto* result = outcome == nullptr ? nullptr : std::get_if<protocol::EngineResult>(&outcome->outcome);
  return result == nullptr ? "no result: " + error_of(outcome) : std::string(result->detail);
}

TEST_F(DirectoryTest, OpensOnceAndKeepsTheOrder) {
  call_object(id, 1, "one", "name");
  call_object(id, 2, "two");
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->worker, home.worker);
  EXPECT_EQ(open->class_name, "Counter");
  EXPECT_EQ(open->id, id);
  EXPECT_EQ(open->name, "name");
  EXPECT_FALSE(open->is_facet);
  EXPECT_EQ(open->depth, 1u);
  EXPECT_EQ(open->descriptors, 3u);
  EXPECT_EQ(home.peer->descriptors.size(), 3u);
  const auto* const first = home.peer->next_of<Invoke>();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->target.actor, open->actor);
  EXPECT_EQ(std::get<protocol::RpcCall>(first->call).arguments.bytes, "one");
  const auto* const second = home.peer->next_of<Invoke>();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(std::get<protocol::RpcCall>(second->call).arguments.bytes, "two");
  home.peer->send(value(first->question, "answer"));
  settle();
  const auto* const answer = caller.peer->next_of<Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::RpcValue>(answer->outcome).payload.bytes, "answer");
  EXPECT_EQ(all->actor_count(), 1u);
}

TEST_F(DirectoryTest, ObjectsOfTwoNamespacesAreTwo) {
  call_object(id, 1);
  auto invoke = rpc(2, "x");
  invoke.target.number = others;
  invoke.target.object = id;
  caller.peer->send(invoke);
  const auto* const first = wait_for<OpenActor>(home);
  const auto* const second = wait_for<OpenActor>(home);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_NE(first->namespace_uid, second->namespace_uid);
  EXPECT_EQ(home.peer->descriptors.size(), 6u);
}

TEST_F(DirectoryTest, BadIdsAreRefused) {
  for (const std::string& bad : {std::string("abc"), std::string(64, 'G'), std::string(63, 'a') + "/", std::string(65, 'a')}) {
    call_object(bad, 1);
    EXPECT_EQ(error_of(caller.peer->next_of<Return>()), " Invalid Durable Object ID: must be 64 hex digits");
    caller.peer->send(protocol::Finish{1});
    settle();
  }
  EXPECT_EQ(all->actor_count(), 0u);
}

TEST_F(DirectoryTest, AClosedActorIsOpenedAgain) {
  call_object(id, 1);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  const auto* const invoke = home.peer->next_of<Invoke>();
  home.peer->send(value(invoke->question));
  home.peer->descriptors.clear();
  home.peer->send(ActorClosed{open->actor, ""});
  settle();
  EXPECT_EQ(all->actor_count(), 0u);
  call_object(id, 2);
  const auto* const again = wait_for<OpenActor>(home);
  ASSERT_NE(again, nullptr);
  EXPECT_NE(again->actor, open->actor);
}

TEST_F(DirectoryTest, ACallThatCrossedTheCloseIsDeliveredAgain) {
  call_object(id, 1);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  const auto* const invoke = home.peer->next_of<Invoke>();
  ASSERT_NE(invoke, nullptr);
  home.peer->descriptors.clear();
  home.peer->send(ActorClosed{open->actor, ""});
  Return undelivered;
  undelivered.question = invoke->question;
  ErrorInfo error;
  error.fault = "ERR_ISOLATE_LOST";
  error.undelivered = true;
  undelivered.outcome = error;
  home.peer->send(undelivered);
  settle();
  const auto* const again = wait_for<OpenActor>(home);
  ASSERT_NE(again, nullptr);
  EXPECT_NE(home.peer->next_of<Invoke>(), nullptr);
}

// The files stay locked as long as anybody has them, whatever was said.
TEST_F(DirectoryTest, ARunnerThatKeepsTheFilesKeepsTheActor) {
  call_object(id, 1);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  auto kept = std::move(home.peer->descriptors);
  home.peer->descriptors.clear();
  home.peer->send(ActorClosed{open->actor, ""});
  settle();
  call_object(id, 2);
  for (int turn = 0; turn < 5; ++turn) {
    io.restart();
    io.run_for(std::chrono::milliseconds(6));
    EXPECT_EQ(home.peer->next_of<OpenActor>(), nullptr);
  }
  kept.clear();
  EXPECT_NE(wait_for<OpenActor>(home), nullptr);
}

TEST_F(DirectoryTest, ALostRunnerLosesNothingDurable) {
  home = start_runner();
  host->become_loaded(home.session, home.worker);
  call_object(id, 1);
  ASSERT_NE(wait_for<OpenActor>(home), nullptr);
  home.peer->descriptors.clear();
  home.peer->die();
  until([&] { return !home.session->is_open(); });
  EXPECT_EQ(error_of(wait_for<Return>(caller)).substr(0, 15), "ERR_RUNNER_LOST");
  EXPECT_EQ(all->actor_count(), 0u);
  home = start_runner();
  host->become_loaded(home.session, home.worker);
  call_object(id, 2);
  EXPECT_NE(wait_for<OpenActor>(home), nullptr);
}

TEST_F(DirectoryTest, AHostThatCannotBeLoadedIsSaid) {
  host->session = nullptr;
  host->is_broken = true;
  call_object(id, 1);
  EXPECT_EQ(error_of(wait_for<Return>(caller)).substr(0, 15), "ERR_LOAD_FAILED");
  EXPECT_EQ(all->actor_count(), 0u);
  // And lets go of the files.
  host->is_broken = false;
  host->become_loaded(home.session, home.worker);
  call_object(id, 2);
  EXPECT_NE(wait_for<OpenActor>(home), nullptr);
}

TEST_F(DirectoryTest, NumbersOfActorsAreChecked) {
  engine(caller, 12345, 1, "alarm", "{}");
  EXPECT_NE(end_text.find("an actor that was never opened"), std::string::npos) << end_text;
}

TEST_F(DirectoryTest, EngineCallsOnBindingsAreRefused) {
  auto invoke = rpc(1, "x");
  invoke.call = protocol::EngineCall{"alarm", "{}", {}};
  caller.peer->send(invoke);
  EXPECT_EQ(error_of(wait_for<Return>(caller)), "ERR_INTERNAL This binding does not answer such calls.");
}

// ---- Alarms

TEST_F(DirectoryTest, AlarmsWakeTheObject) {
  all->start();
  call_object(id, 1, "x", "name");
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  const auto* const invoke = home.peer->next_of<Invoke>();
  engine(home, open->actor, 7, "alarm", R"({"at": 5000})");
  EXPECT_EQ(detail_of(wait_for<Return>(home)), "{}");
  home.peer->send(value(invoke->question));
  home.peer->descriptors.clear();
  home.peer->send(ActorClosed{open->actor, ""});
  settle();
  restart();
  all->start();
  settle();
  clock.advance(std::chrono::seconds(6));
  all->tick();
  const auto* const again = wait_for<OpenActor>(home);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->name, "name") << "the name is restored";
  const auto* const ring = home.peer->next_of<Invoke>();
  ASSERT_NE(ring, nullptr);
  const auto& event = std::get<protocol::EventCall>(ring->call);
  EXPECT_EQ(event.name, "alarm");
  EXPECT_EQ(event.detail, R"({"scheduledTime":5000,"retryCount":0,"isRetry":false,"isLast":false,"now":6000})");
  home.peer->send(value(ring->question, {}));
  until([&] { return all->alarms().running_count() == 0; });
  EXPECT_EQ(all->alarms().pending_count(), 0u);
}

TEST_F(DirectoryTest, AlarmsOfUnknownObjectsAreDropped) {
  std::optional<Result<>> written;
  store->write({storage::SetAlarm{{std::string(32, '0') + "/" + id, 1, 0}}}, [&](Result<> r) { written = std::move(r); });
  until([&] { return written.has_value(); });
  clock.advance(std::chrono::seconds(1));
  all->start();
  std::optional<storage::Alarm> left = storage::Alarm{};
  until([&] {
    std::optional<bool> is_read;
    store->find_alarm(std::string(32, '0') + "/" + id, [&](auto found) {
      left = *found;
      is_read = true;
    });
    until([&] { return is_read.has_value(); });
    return !left.has_value();
  });
  EXPECT_FALSE(left.has_value());
}

TEST_F(DirectoryTest, AHandlerThatTakesTooLongIsCancelled) {
  all->start();
  call_object(id, 1);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  engine(home, open->actor, 7, "alarm", R"({"at": 5000})");
  ASSERT_EQ(detail_of(wait_for<Return>(home)), "{}");
  clock.advance(std::chrono::seconds(6));
  all->tick();
  const Invoke* ring = nullptr;
  ASSERT_TRUE(until([&] {
    const auto* const next = home.peer->next_of<Invoke>();
    if (next != nullptr && std::holds_alternative<protocol::EventCall>(next->call)) ring = next;
    return ring != nullptr;
  }));
  clock.advance(std::chrono::minutes(15));
  all->tick();
  settle();
  EXPECT_NE(home.peer->next_of<protocol::Cancel>(), nullptr);
  EXPECT_EQ(all->alarms().running_count(), 0u);
  EXPECT_EQ(all->alarms().pending_count(), 1u) << "tried again, and counted";
}

// ---- The end

TEST_F(DirectoryTest, ClosesAll) {
  call_object(id, 1);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  bool is_closed = false;
  all->close_all([&] { is_closed = true; });
  settle();
  EXPECT_FALSE(is_closed);
  const auto* const close = home.peer->next_of<CloseActor>();
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->reason, "");
  home.peer->send(ActorClosed{open->actor, ""});
  settle();
  EXPECT_TRUE(is_closed);
}

TEST_F(DirectoryTest, NothingOpenIsClosedAtOnce) {
  bool is_closed = false;
  all->close_all([&] { is_closed = true; });
  EXPECT_TRUE(is_closed);
}

}  // namespace
}  // namespace insula::actors
