// SPDX-License-Identifier: Apache-2.0
//
// Fleet: starts, promotions, burials, with fake runners and a clock that moves by hand.
#include "src/supervisor/fleet/fleet.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "tests/support/fake_runner.h"

namespace insula::fleet {
namespace {

class NoHandler final : public SessionHandler {
 public:
  void on_dynamic_invoke(IncomingCall&, const std::shared_ptr<Capability>&) override {}
  void on_preload(Session&, const protocol::Dynamic&, const std::shared_ptr<Capability>&) override {}
  std::shared_ptr<Capability> make_entrypoint(WorkerOwner&, std::string_view, BytesView, Carried) override {
    return nullptr;
  }
  void on_log(Session&, const std::shared_ptr<WorkerOwner>&, const protocol::LogLine&) override {}
};

class Tenant final : public WorkerOwner {
 public:
  explicit Tenant(std::string key) : key_(std::move(key)) {}
  std::string_view worker_name() const override { return "w"; }
  std::string_view dynamic_id() const override { return key_; }
  const std::string& tenant_key() const override { return key_; }
  void on_worker_gone(Session&, protocol::WorkerId, std::string_view reason) override { gone = std::string(reason); }
  std::string gone;

 private:
  const std::string key_;
};

class FleetTest : public ::testing::Test {
 public:
  ~FleetTest() override { fleet.shut_down(); }

  void settle() {
    io.restart();
    while (io.poll() > 0) io.restart();
  }
  void start() {
    fleet.start([this](Result<> result) { first = result.has_value(); });
    settle();
  }
  void start_and_greet() {
    start();
    starter.runner(0).hello();
    settle();
    starter.runner(1).hello();
    settle();
  }
  void pass(milliseconds time) {
    for (milliseconds step{0}; step < time; step += milliseconds(100)) {
      clock.advance(milliseconds(100));
      fleet.tick();
      settle();
    }
  }
  // Answers the last Ping of a runner, if there is one.
  void pong(std::size_t index) {
    if (const auto* const ping = starter.runner(index).next_of<protocol::Ping>()) {
      starter.runner(index).send(protocol::Pong{ping->number});
      settle();
    }
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  const Fd null_log{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null_log.get(), LogFormat::Json, LogLevel::Info, clock};
  testing::FakeStarter starter;
  NoHandler handler;
  Fleet fleet{io, {Isolation::Cordon, 2, 64 * kMiB, 2, std::chrono::minutes(1)}, starter, handler, log, clock};
  std::optional<bool> first;
};

TEST_F(FleetTest, TheFirstRunnerBecomesThePlatformsAndASpareFollows) {
  start();
  EXPECT_FALSE(first.has_value());
  EXPECT_EQ(starter.started(), 1u);
  starter.runner(0).hello();
  settle();
  EXPECT_EQ(first, true);
  EXPECT_NE(fleet.platform().session(), nullptr);
  EXPECT_EQ(starter.started(), 2u);
}

TEST_F(FleetTest, AFirstRunnerThatDiesIsAnError) {
  start();
  starter.runner(0).die();
  settle();
  EXPECT_EQ(first, false);
}

TEST_F(FleetTest, ABrokenStarterIsAnError) {
  starter.is_broken = true;
  start();
  EXPECT_EQ(first, false);
}

TEST_F(FleetTest, AnotherVersionOfTheProtocolIsRefused) {
  start();
  protocol::Hello hello;
  hello.version = protocol::kProtocolVersion + 1;
  starter.runner(0).send(hello);
  settle();
  EXPECT_EQ(first, false);
  EXPECT_TRUE(starter.state(0).is_killed);
}

TEST_F(FleetTest, ARunnerThatSaysNothingIsGivenUpAfterTenSeconds) {
  start();
  pass(milliseconds(10000));
  EXPECT_FALSE(starter.state(0).is_killed);
  pass(milliseconds(200));
  EXPECT_TRUE(starter.state(0).is_killed);
  EXPECT_EQ(first, false);
}

TEST_F(FleetTest, TheSpareTakesThePlaceOfALostRunnerAtOnce) {
  start_and_greet();
  const auto before = fleet.platform().session();
  starter.runner(0).die();
  settle();
  ASSERT_NE(fleet.platform().session(), nullptr);
  EXPECT_NE(fleet.platform().session(), before);
}

TEST_F(FleetTest, RunnersThatDieYoungAreStartedEverMoreSlowly) {
  start_and_greet();
  starter.runner(1).die();
  settle();
  EXPECT_EQ(starter.started(), 2u);
  pass(milliseconds(100));
  EXPECT_EQ(starter.started(), 3u);
  starter.runner(2).die();
  settle();
  pass(milliseconds(100));
  EXPECT_EQ(starter.started(), 3u);
  pass(milliseconds(100));
  EXPECT_EQ(starter.started(), 4u);
}

TEST_F(FleetTest, ARunnerThatDoesNotAnswerPingsIsKilled) {
  start_and_greet();
  for (int round = 0; round < 30; ++round) {
    pass(milliseconds(100));
    pong(1);
  }
  EXPECT_TRUE(starter.state(0).is_killed);
  EXPECT_FALSE(starter.state(1).is_killed);
}

TEST_F(FleetTest, AStalledSupervisorDoesNotBlameItsRunners) {
  start_and_greet();
  pass(milliseconds(600));
  clock.advance(std::chrono::seconds(60));
  fleet.tick();
  settle();
  EXPECT_FALSE(starter.state(0).is_killed);
  EXPECT_FALSE(starter.state(1).is_killed);
}

TEST_F(FleetTest, APongThatNobodyAskedForEndsTheRunner) {
  start_and_greet();
  starter.runner(0).send(protocol::Pong{99});
  settle();
  EXPECT_TRUE(starter.state(0).is_killed);
}

TEST_F(FleetTest, ARunnerAboveItsMemoryIsKilled) {
  start_and_greet();
  starter.state(0).resident_bytes = 64 * kMiB;
  pass(milliseconds(100));
  EXPECT_FALSE(starter.state(0).is_killed);
  starter.state(0).resident_bytes += 1;
  pass(milliseconds(100));
  EXPECT_TRUE(starter.state(0).is_killed);
  EXPECT_FALSE(starter.state(1).is_killed);
}

TEST_F(FleetTest, ASliceFarBeyondItsLimitEndsTheRunner) {
  start_and_greet();
  const auto worker = fleet.platform().session()->add_worker(std::make_shared<Tenant>("a"));
  clock.advance(milliseconds(1));
  auto& slot = starter.state(0).board.slots[3];
  slot.started_nanos = static_cast<std::uint64_t>(clock.now().time_since_epoch() / std::chrono::nanoseconds(1));
  slot.cpu_left_millis = 100;
  slot.worker = worker;
  // 100 ms left, 250 ms until the runner ends itself, 5 s of grace.
  for (int round = 0; round < 53; ++round) {
    pass(milliseconds(100));
    pong(0);
  }
  EXPECT_FALSE(starter.state(0).is_killed);
  pass(milliseconds(100));
  EXPECT_TRUE(starter.state(0).is_killed);
  EXPECT_EQ(fleet.place("a").fault, Fault::None);
}

TEST_F(FleetTest, ATenantThatKillsTwiceGetsARunnerOfItsOwn) {
  start_and_greet();
  for (int death = 0; death < 2; ++death) {
    std::shared_ptr<Session> home;
    fleet.when_ready(*fleet.place("a").home, [&](const auto& session) { home = session; });
    settle();
    for (std::size_t index = 1; home == nullptr && index < starter.started(); ++index) {
      starter.runner(index).hello();
      settle();
    }
    ASSERT_NE(home, nullptr);
    const auto worker = home->add_worker(std::make_shared<Tenant>("a"));
    for (std::size_t index = 0; index < starter.started(); ++index) {
      auto& board = starter.state(index).board;
      board.worker = worker;
      board.cause = static_cast<std::uint32_t>(protocol::EndCause::HeapLimit);
    }
    // The home's own runner is the one whose end the session notices.
    for (std::size_t index = 1; index < starter.started() && home->is_open(); ++index) {
      starter.runner(index).die();
      settle();
    }
    ASSERT_FALSE(home->is_open());
    while (starter.state(starter.started() - 1).is_killed) pass(milliseconds(100));
  }
  const Place place = fleet.place("a");
  ASSERT_NE(place.home, nullptr);
  EXPECT_EQ(place.home->name().kind, HomeKind::Private);
  EXPECT_EQ(fleet.place("b").home->name().kind, HomeKind::Tenants);
}

// A day in the life of a runner is a minute here.
class RecyclingTest : public FleetTest {
 public:
  // Answers all pings meanwhile.
  void live(milliseconds time) {
    for (milliseconds step{0}; step < time; step += milliseconds(100)) {
      pass(milliseconds(100));
      for (std::size_t index = 0; index < starter.started(); ++index) {
        if (!starter.state(index).is_killed) listen(index);
      }
    }
  }
  void listen(std::size_t index) {
    while (const auto received = starter.runner(index).next()) {
      if (const auto* const unload = std::get_if<protocol::Unload>(&received->frame)) unloaded.push_back(unload->worker);
      if (const auto* const ping = std::get_if<protocol::Ping>(&received->frame)) {
        starter.runner(index).send(protocol::Pong{ping->number});
      }
    }
    settle();
  }
  std::shared_ptr<Tenant> owner = std::make_shared<Tenant>("a");
  std::vector<protocol::WorkerId> unloaded;
};

TEST_F(RecyclingTest, AnOldRunnerGivesItsHomeToTheSpareAndEnds) {
  start_and_greet();
  const auto before = fleet.platform().session();
  live(milliseconds(59900));
  EXPECT_EQ(fleet.platform().session(), before);
  live(milliseconds(200));
  ASSERT_NE(fleet.platform().session(), nullptr);
  EXPECT_NE(fleet.platform().session(), before);
  live(milliseconds(200));
  EXPECT_TRUE(starter.state(0).is_killed);
  EXPECT_FALSE(starter.state(1).is_killed);
}

TEST_F(RecyclingTest, ItWaitsForASpare) {
  start_and_greet();
  fleet.when_ready(*fleet.place("a").home, [](const auto&) {});  // the spare has a home now, the next says nothing yet
  settle();
  const auto before = fleet.platform().session();
  live(milliseconds(9000));
  EXPECT_EQ(fleet.platform().session(), before);
}

TEST_F(RecyclingTest, WhatHasBegunIsFinished) {
  start_and_greet();
  const auto before = fleet.platform().session();
  const auto worker = before->add_worker(owner);
  live(milliseconds(60100));
  EXPECT_NE(fleet.platform().session(), before);
  EXPECT_EQ(owner->gone, "retired");
  EXPECT_TRUE(before->is_open());
  EXPECT_EQ(unloaded, std::vector{worker});
  live(milliseconds(5000));
  EXPECT_FALSE(starter.state(0).is_killed);
  EXPECT_EQ(before->worker_count(), 1u);  // what still runs there uses what it was granted
  starter.runner(0).send(protocol::Evicted{worker, "unloaded"});
  settle();
  live(milliseconds(200));
  EXPECT_TRUE(starter.state(0).is_killed);
}

TEST_F(RecyclingTest, AfterAnotherHourItIsOver) {
  start_and_greet();
  const auto before = fleet.platform().session();
  before->add_worker(owner);
  live(milliseconds(60100));
  for (int minute = 0; minute < 60; ++minute) {
    EXPECT_TRUE(before->is_open());
    starter.runner(starter.started() - 1).hello();
    settle();
    live(milliseconds(60000));
  }
  live(milliseconds(1000));
  EXPECT_FALSE(before->is_open());
}

}  // namespace
}  // namespace insula::fleet
