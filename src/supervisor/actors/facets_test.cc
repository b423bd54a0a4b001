// SPDX-License-Identifier: Apache-2.0
//
// Facets: below an open actor, in its own runner or another one.
#include <gtest/gtest.h>

#include <fstream>

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

class FacetsTest : public DirectoryTest {
 protected:
  // An open root in `home`, and a runner for tenants.
  FacetsTest() {
    call_object(id, 1, "x", "root name");
    const auto* const open = wait_for<OpenActor>(home);
    root = open == nullptr ? 0 : open->actor;
    uid = open == nullptr ? "" : std::string(open->namespace_uid);
    tenants = start_runner();
    facet_host->become_loaded(tenants.session, tenants.worker);
  }

  const OpenActor* open_facet(std::string_view name) {
    call_facet(home, root, name, next_question++);
    return wait_for<OpenActor>(tenants);
  }
  std::filesystem::path file_of(int number) const {
    return data / "objects" / uid / "aa" / (id + "." + std::to_string(number) + ".sqlite");
  }
  std::string ask(std::string_view operation, std::string_view detail) {
    engine(home, root, next_question++, operation, detail);
    // The caller's calls are answered on the same channel.
    const Return* found = nullptr;
    until([&] {
      found = home.peer->next_of<Return>();
      return found != nullptr && !std::holds_alternative<protocol::RpcValue>(found->outcome);
    });
    const auto* const result = std::get_if<protocol::EngineResult>(&found->outcome);
    return result == nullptr ? std::string(std::get<ErrorInfo>(found->outcome).message) : std::string(result->detail);
  }

  protocol::ActorId root = 0;
  std::string uid;
  Runner tenants;
  protocol::QuestionId next_question = 100;
};

TEST_F(FacetsTest, OpenInTheRunnerOfTheirClass) {
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  EXPECT_TRUE(open->is_facet);
  EXPECT_EQ(open->facet_name, "app");
  EXPECT_EQ(open->class_name, "Facet");
  EXPECT_EQ(open->props.bytes, "props");
  EXPECT_EQ(open->id, id) << "the parent's by default";
  EXPECT_EQ(open->name, "root name");
  EXPECT_EQ(open->depth, 2u);
  EXPECT_EQ(open->quota_bytes, 4096u);
  EXPECT_EQ(open->parent, 0u) << "the parent lives elsewhere";
  const auto* const invoke = tenants.peer->next_of<Invoke>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(invoke->target.actor, open->actor);
  EXPECT_TRUE(invoke->target.props.bytes.empty()) << "props belong to the class";
  EXPECT_TRUE(std::filesystem::exists(file_of(1)));
  // The same instance, whatever class the second call names.
  call_facet(home, root, "app", next_question++);
  EXPECT_NE(wait_for<Invoke>(tenants), nullptr);
  EXPECT_EQ(facet_host->asked, 1);
}

TEST_F(FacetsTest, OwnIdsAreShown) {
  call_facet(home, root, "app", 50, "my id");
  const auto* const open = wait_for<OpenActor>(tenants);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->id, "my id");
  EXPECT_EQ(open->name, "");
}

TEST_F(FacetsTest, InOneRunnerTheParentIsNamed) {
  facet_host->become_loaded(home.session, home.worker);
  call_facet(home, root, "app", 50);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  EXPECT_EQ(open->parent, root);
}

TEST_F(FacetsTest, NestAtMostFourDeep) {
  protocol::ActorId parent = root;
  Runner at = home;
  for (std::uint32_t depth = 2; depth <= 4; ++depth) {
    call_facet(at, parent, "n", next_question++);
    const auto* const open = wait_for<OpenActor>(tenants);
    ASSERT_NE(open, nullptr) << depth;
    EXPECT_EQ(open->depth, depth);
    parent = open->actor;
    at = tenants;
  }
  call_facet(at, parent, "n", next_question++);
  const auto* const refused = wait_for<Return>(tenants);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(std::get<ErrorInfo>(refused->outcome).message,
            "Facet nesting depth limit exceeded. The maximum depth including the root Durable Object is 4.");
}

TEST_F(FacetsTest, AParentMustBeOpenOnTheSameChannel) {
  call_facet(tenants, root + 7, "app", 50);
  EXPECT_NE(end_text.find("an actor that was never opened"), std::string::npos) << end_text;
}

TEST_F(FacetsTest, AFailedStartIsTriedAgainWithTheNextCall) {
  facet_host->session = nullptr;
  facet_host->is_broken = true;
  call_facet(home, root, "app", 50);
  const auto* const failed = wait_for<Return>(home);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(std::get<ErrorInfo>(failed->outcome).fault, "ERR_LOAD_FAILED");
  facet_host->is_broken = false;
  facet_host->become_loaded(tenants.session, tenants.worker);
  EXPECT_NE(open_facet("app"), nullptr);
}

TEST_F(FacetsTest, TheParentHearsWhenAFacetCloses) {
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  tenants.peer->descriptors.clear();
  tenants.peer->send(ActorClosed{open->actor, ""});
  const auto* const closed = wait_for<FacetClosed>(home);
  ASSERT_NE(closed, nullptr);
  EXPECT_EQ(closed->parent, root);
  EXPECT_EQ(closed->name, "app");
}

TEST_F(FacetsTest, CloseWithTheirParent) {
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  home.peer->descriptors.clear();
  home.peer->send(ActorClosed{root, "parent's reason"});
  const auto* const close = wait_for<CloseActor>(tenants);
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->actor, open->actor);
  EXPECT_EQ(close->reason, "parent's reason");
  EXPECT_EQ(all->actor_count(), 1u) << "as long as calls are open";
  for (const auto* runner : {&home, &tenants}) runner->session->close({});
  EXPECT_EQ(all->actor_count(), 0u);
}

TEST_F(FacetsTest, AbortKeepsTheData) {
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  const auto actor = open->actor;
  EXPECT_EQ(ask("facet.abort", R"({"name": "app", "reason": "because"})"), "{}");
  const auto* const close = wait_for<CloseActor>(tenants);
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->reason, "because");
  // The next instance has to wait until the old one has let go of the files.
  call_facet(home, root, "app", next_question++);
  EXPECT_EQ(tenants.peer->next_of<OpenActor>(), nullptr);
  tenants.peer->descriptors.clear();
  tenants.peer->send(ActorClosed{actor, "because"});
  EXPECT_NE(wait_for<OpenActor>(tenants), nullptr);
  EXPECT_TRUE(std::filesystem::exists(file_of(1)));
  EXPECT_FALSE(std::filesystem::exists(file_of(2)));
}

TEST_F(FacetsTest, DeleteBeginsAnew) {
  ASSERT_NE(open_facet("app"), nullptr);
  EXPECT_EQ(ask("facet.delete", R"({"name": "app"})"), "{}");
  const auto* const close = wait_for<CloseActor>(tenants);
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->reason, "Facet was deleted.");
  // Without waiting for the old one: these are other files.
  ASSERT_NE(open_facet("app"), nullptr);
  EXPECT_TRUE(std::filesystem::exists(file_of(2)));
  EXPECT_TRUE(until([&] { return !std::filesystem::exists(file_of(1)); }));
  EXPECT_EQ(ask("facet.delete", R"({"name": "never there"})"), "{}");
}

TEST_F(FacetsTest, DeleteAllTakesTheTree) {
  ASSERT_NE(open_facet("a"), nullptr);
  const auto* const b = open_facet("b");
  ASSERT_NE(b, nullptr);
  call_facet(tenants, b->actor, "below", next_question++);
  ASSERT_NE(wait_for<OpenActor>(tenants), nullptr);
  EXPECT_EQ(ask("facet.deleteAll", "{}"), "{}");
  EXPECT_TRUE(until([&] {
    return !std::filesystem::exists(file_of(1)) && !std::filesystem::exists(file_of(2)) &&
           !std::filesystem::exists(file_of(3));
  }));
}

TEST_F(FacetsTest, CloneCopiesTheTreeWhileCallsWait) {
  const auto* const a = open_facet("a");
  ASSERT_NE(a, nullptr);
  const auto actor = a->actor;
  std::ofstream(file_of(1)) << "data of a";
  engine(home, root, next_question++, "facet.clone", R"({"from": "a", "to": "b"})");
  call_facet(home, root, "b", next_question++);
  const auto* const close = wait_for<CloseActor>(tenants);
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->reason, "") << "a clean end, so that all of it is in the file";
  EXPECT_EQ(tenants.peer->next_of<OpenActor>(), nullptr) << "not before the copy is there";
  tenants.peer->descriptors.clear();
  tenants.peer->send(ActorClosed{actor, ""});
  const auto* const b = wait_for<OpenActor>(tenants);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->facet_name, "b");
  std::ifstream copy(file_of(2));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(copy), {}), "data of a");
  EXPECT_TRUE(std::filesystem::exists(file_of(1)));
}

TEST_F(FacetsTest, CloneFromNothingEmptiesTheTarget) {
  ASSERT_NE(open_facet("b"), nullptr);
  EXPECT_EQ(ask("facet.clone", R"({"from": "nobody", "to": "b"})"), "{}");
  EXPECT_TRUE(until([&] { return !std::filesystem::exists(file_of(1)); }));
  ASSERT_NE(open_facet("b"), nullptr);
  EXPECT_TRUE(std::filesystem::exists(file_of(2)));
}

TEST_F(FacetsTest, CloneOntoItselfOnlyAborts) {
  ASSERT_NE(open_facet("a"), nullptr);
  EXPECT_EQ(ask("facet.clone", R"({"from": "a", "to": "a"})"), "{}");
  const auto* const close = wait_for<CloseActor>(tenants);
  ASSERT_NE(close, nullptr);
  EXPECT_EQ(close->reason, "Facet was cloned-over.");
  EXPECT_TRUE(std::filesystem::exists(file_of(1)));
}

TEST_F(FacetsTest, UsageIsMetered) {
  EXPECT_EQ(ask("facet.usage", R"({"name": "app"})"),
            R"({"databaseBytes":0,"historyBytes":0,"isRunning":false,"cpuMillis":0,"requests":0})");
  ASSERT_NE(open_facet("app"), nullptr);
  const auto* const invoke = tenants.peer->next_of<Invoke>();
  ASSERT_NE(invoke, nullptr);
  auto outcome = value(invoke->question);
  outcome.cpu_micros = 12345;
  tenants.peer->send(outcome);
  settle();
  std::ofstream(file_of(1)) << std::string(8192, 'x');
  EXPECT_EQ(ask("facet.usage", R"({"name": "app"})"),
            R"({"databaseBytes":8192,"historyBytes":0,"isRunning":true,"cpuMillis":12,"requests":1})");
}

TEST_F(FacetsTest, AlarmsReachAFacetThatRuns) {
  all->start();
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  engine(tenants, open->actor, 9, "alarm", R"({"at": 5000})");
  ASSERT_NE(wait_for<Return>(tenants), nullptr);
  tenants.peer->next_of<Invoke>();
  clock.advance(std::chrono::seconds(6));
  all->tick();
  const auto* const ring = wait_for<Invoke>(tenants);
  ASSERT_NE(ring, nullptr);
  EXPECT_EQ(ring->target.actor, open->actor);
  EXPECT_EQ(std::get<protocol::EventCall>(ring->call).name, "alarm");
}

// Only the parent knows the class of a facet that does not run.
TEST_F(FacetsTest, ParentsAreAskedToStartAFacetWhoseAlarmIsDue) {
  all->start();
  const auto* const open = open_facet("a \"b");
  ASSERT_NE(open, nullptr);
  engine(tenants, open->actor, 9, "alarm", R"({"at": 5000})");
  ASSERT_NE(wait_for<Return>(tenants), nullptr);
  restart();
  tenants = start_runner();
  facet_host->become_loaded(tenants.session, tenants.worker);
  clock.advance(std::chrono::seconds(6));
  all->start();
  const auto* const parent = wait_for<OpenActor>(home);
  ASSERT_NE(parent, nullptr);
  const auto* const asked = wait_for<Invoke>(home);
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->target.actor, parent->actor);
  EXPECT_EQ(std::get<protocol::EventCall>(asked->call).name, "facetAlarm");
  EXPECT_EQ(std::get<protocol::EventCall>(asked->call).detail, R"({"name":"a \"b"})");
  const auto question = asked->question;
  call_facet(home, parent->actor, "a \"b", 70);
  const auto* const started = wait_for<OpenActor>(tenants);
  ASSERT_NE(started, nullptr);
  home.peer->send(value(question, {}));
  const Invoke* ring = nullptr;
  until([&] {
    const auto* const next = tenants.peer->next_of<Invoke>();
    if (next != nullptr && std::holds_alternative<protocol::EventCall>(next->call)) ring = next;
    return ring != nullptr;
  });
  ASSERT_NE(ring, nullptr);
  EXPECT_EQ(ring->target.actor, started->actor);
  EXPECT_EQ(std::get<protocol::EventCall>(ring->call).name, "alarm");
  tenants.peer->send(value(ring->question, {}));
  EXPECT_TRUE(until([&] { return all->alarms().running_count() == 0; }));
  EXPECT_EQ(all->alarms().pending_count(), 0u);
}

TEST_F(FacetsTest, CanBeOpenedWithoutACall) {
  protocol::Invoke invoke;
  invoke.question = 80;
  invoke.target.kind = protocol::Target::Kind::Own;
  invoke.target.number = home.worker;
  invoke.target.entrypoint = "Facet";
  invoke.target.facet = {root, "app", {}, {}, 0};
  invoke.call = protocol::EngineCall{"open", "{}", {}};
  home.peer->send(invoke);
  ASSERT_NE(wait_for<OpenActor>(tenants), nullptr);
  const auto* const answer = wait_for<Return>(home);
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(std::get<protocol::EngineResult>(answer->outcome).detail, "{}");
  facet_host->session = nullptr;
  facet_host->is_broken = true;
  invoke.question = 81;
  invoke.target.facet.name = "other";
  home.peer->send(invoke);
  const auto* const failed = wait_for<Return>(home);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(std::get<ErrorInfo>(failed->outcome).fault, "ERR_LOAD_FAILED");
}

TEST_F(FacetsTest, AParentThatDoesNotStartItsFacetIsAskedAgain) {
  all->start();
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  engine(tenants, open->actor, 9, "alarm", R"({"at": 5000})");
  ASSERT_NE(wait_for<Return>(tenants), nullptr);
  clock.advance(std::chrono::seconds(6));
  tenants.peer->descriptors.clear();
  tenants.peer->send(ActorClosed{open->actor, ""});
  settle();
  all->tick();
  const Invoke* asked = nullptr;
  until([&] {
    const auto* const next = home.peer->next_of<Invoke>();
    if (next != nullptr && std::holds_alternative<protocol::EventCall>(next->call)) asked = next;
    return asked != nullptr;
  });
  ASSERT_NE(asked, nullptr);
  home.peer->send(value(asked->question, {}));
  EXPECT_TRUE(until([&] { return all->alarms().running_count() == 0; }));
  EXPECT_EQ(all->alarms().pending_count(), 1u);
}

TEST_F(FacetsTest, ADeletedFacetHasNoAlarm) {
  all->start();
  const auto* const open = open_facet("app");
  ASSERT_NE(open, nullptr);
  engine(tenants, open->actor, 9, "alarm", R"({"at": 5000})");
  ASSERT_NE(wait_for<Return>(tenants), nullptr);
  EXPECT_EQ(all->alarms().pending_count(), 1u);
  EXPECT_EQ(ask("facet.delete", R"({"name": "app"})"), "{}");
  EXPECT_EQ(all->alarms().pending_count(), 0u);
}

TEST_F(FacetsTest, NumbersSurviveTheProcess) {
  ASSERT_NE(open_facet("a"), nullptr);
  ASSERT_NE(open_facet("b"), nullptr);
  EXPECT_EQ(ask("facet.delete", R"({"name": "a"})"), "{}");
  restart();
  call_object(id, 1);
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  root = open->actor;
  tenants = start_runner();
  facet_host->become_loaded(tenants.session, tenants.worker);
  ASSERT_NE(open_facet("b"), nullptr);
  ASSERT_NE(open_facet("a"), nullptr);
  EXPECT_TRUE(std::filesystem::exists(file_of(2)));
  EXPECT_TRUE(std::filesystem::exists(file_of(3)));
  EXPECT_FALSE(std::filesystem::exists(file_of(4)));
}

TEST_F(FacetsTest, BadRequestsAreAnswered) {
  EXPECT_EQ(ask("facet.abort", "[]"), "The detail of an operation is no object.");
  EXPECT_EQ(ask("nothing", "{}"), "There is no such operation of an actor.");
  EXPECT_EQ(ask("alarm", R"({"at": 1e300})"), "An alarm is no time.");
}

}  // namespace
}  // namespace insula::actors
