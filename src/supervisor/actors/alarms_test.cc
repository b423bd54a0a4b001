// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/actors/alarms.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "src/base/fd.h"
#include "tests/support/memory_store.h"

namespace insula::actors {
namespace {

using storage::TimeMs;

class AlarmsTest : public ::testing::Test, public Bell {
 protected:
  void ring(const Ring& ring, std::function<void(AlarmOutcome)> done) override {
    rings.push_back(ring);
    dones.push_back(std::move(done));
  }
  void make() {
    alarms = std::make_unique<Alarms>(io, store, *this, log, clock, 1);
    alarms->start();
  }
  TimeMs now() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall_now().time_since_epoch()).count();
  }
  void advance(TimeMs by) {
    clock.advance(std::chrono::milliseconds(by));
    alarms->tick();
  }
  void set(const std::string& object, std::optional<TimeMs> at) {
    alarms->set(object, at, [this](Result<> result) { stored += result ? 1 : 0; });
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  const Fd null_log{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null_log.get(), LogFormat::Json, LogLevel::Info, clock};
  testing::MemoryStore store;
  std::vector<Ring> rings;
  std::vector<std::function<void(AlarmOutcome)>> dones;
  int stored = 0;
  std::unique_ptr<Alarms> alarms;
};

TEST_F(AlarmsTest, RingWhenDueAndAreForgottenAfterwards) {
  make();
  set("a", now() + 1000);
  EXPECT_EQ(stored, 1);
  advance(999);
  EXPECT_TRUE(rings.empty());
  advance(1);
  ASSERT_EQ(rings.size(), 1u);
  EXPECT_EQ(rings[0].object, "a");
  EXPECT_EQ(rings[0].scheduled, 1000);
  EXPECT_EQ(rings[0].attempt, 0u);
  EXPECT_TRUE(store.rows.contains("a")) << "until it has succeeded";
  dones[0](AlarmOutcome::Done);
  EXPECT_TRUE(store.rows.empty());
  advance(1000000);
  EXPECT_EQ(rings.size(), 1u);
}

TEST_F(AlarmsTest, LastOneCounts) {
  make();
  set("a", 1000);
  set("a", 5000);
  advance(2000);
  EXPECT_TRUE(rings.empty());
  set("a", std::nullopt);
  advance(10000);
  EXPECT_TRUE(rings.empty());
  EXPECT_TRUE(store.rows.empty());
}

TEST_F(AlarmsTest, FailuresAreTriedSixTimesMore) {
  make();
  set("a", 0);
  advance(0);
  TimeMs delay = 2000;
  for (std::uint32_t retry = 1; retry <= kAlarmRetriesMax; ++retry) {
    ASSERT_EQ(rings.size(), retry);
    dones.back()(AlarmOutcome::Failed);
    advance(delay - 1);
    ASSERT_EQ(rings.size(), retry) << "not before the delay";
    advance(delay / 4 + 1);
    ASSERT_EQ(rings.size(), retry + 1) << "at most a quarter later";
    EXPECT_EQ(rings.back().attempt, retry);
    delay *= 2;
  }
  dones.back()(AlarmOutcome::Failed);
  EXPECT_TRUE(store.rows.empty());
  advance(10000000);
  EXPECT_EQ(rings.size(), kAlarmRetriesMax + 1);
}

TEST_F(AlarmsTest, FaultsOfThePlatformDoNotCount) {
  make();
  set("a", 0);
  advance(0);
  for (int round = 0; round < 30; ++round) {
    dones.back()(AlarmOutcome::Undone);
    advance(2000 * 1024);  // the longest delay there is, and its jitter below
    advance(2000 * 1024);
    ASSERT_EQ(rings.size(), static_cast<std::size_t>(round) + 2);
    EXPECT_EQ(rings.back().attempt, 0u);
  }
}

TEST_F(AlarmsTest, ANewAlarmDuringTheHandlerStays) {
  make();
  set("a", 0);
  advance(0);
  set("a", 60000);
  dones[0](AlarmOutcome::Failed);
  EXPECT_EQ(store.rows.at("a").due, 60000);
  EXPECT_EQ(store.rows.at("a").attempt, 0u);
  advance(59999);
  EXPECT_EQ(rings.size(), 1u) << "no retry of the old one";
  advance(1);
  EXPECT_EQ(rings.size(), 2u);
}

TEST_F(AlarmsTest, OneHandlerAtATime) {
  make();
  set("a", 0);
  advance(0);
  set("a", 10);
  advance(100);
  EXPECT_EQ(rings.size(), 1u);
  dones[0](AlarmOutcome::Done);
  EXPECT_EQ(rings.size(), 2u);
  EXPECT_TRUE(store.rows.contains("a"));
  dones[1](AlarmOutcome::Done);
  EXPECT_TRUE(store.rows.empty());
}

TEST_F(AlarmsTest, SurviveTheProcess) {
  clock.advance(std::chrono::hours(1));
  store.rows["old"] = {"old", 5, 0};
  store.rows["retried"] = {"retried", 6, 3};
  store.rows["later"] = {"later", now() + 60000, 0};
  store.rows["much later"] = {"much later", now() + 24 * 3600 * 1000, 0};
  make();
  ASSERT_EQ(rings.size(), 2u);
  EXPECT_EQ(rings[0].scheduled, 5);
  EXPECT_EQ(rings[1].scheduled, 0) << "only the actor knows";
  EXPECT_EQ(rings[1].attempt, 3u);
  EXPECT_EQ(alarms->pending_count(), 1u) << "beyond the horizon they stay in the store";
  advance(60000);
  EXPECT_EQ(rings.size(), 3u);
  for (int minute = 0; minute < 24 * 60; ++minute) advance(60000);
  EXPECT_EQ(rings.size(), 4u);
}

TEST_F(AlarmsTest, FarAlarmsAreNotKeptInMemory) {
  make();
  for (int index = 0; index < 100; ++index) set(std::to_string(index), now() + 3600 * 1000 + index);
  EXPECT_EQ(alarms->pending_count(), 0u);
  for (int minute = 0; minute < 62; ++minute) advance(60000);
  EXPECT_EQ(rings.size(), 100u);
}

TEST_F(AlarmsTest, ManyAtOnceAreTakenInPortions) {
  for (int index = 0; index < 30000; ++index) {
    const std::string name = std::to_string(index);
    store.rows[name] = {name, index % 7, 0};
  }
  clock.advance(std::chrono::seconds(1));
  make();
  EXPECT_LE(alarms->running_count(), 256u);
  for (std::size_t next = 0; next < dones.size(); ++next) {
    const auto done = dones[next];
    done(AlarmOutcome::Done);
    EXPECT_LE(alarms->running_count(), 256u);
  }
  EXPECT_EQ(rings.size(), 30000u);
  EXPECT_TRUE(store.rows.empty());
}

TEST_F(AlarmsTest, AClockThatGoesBackOnlyDelays) {
  make();
  set("a", now() + 1000);
  clock.advance(-std::chrono::hours(1));
  alarms->tick();
  EXPECT_TRUE(rings.empty());
  advance(3600 * 1000 + 1000);
  EXPECT_EQ(rings.size(), 1u);
}

}  // namespace
}  // namespace insula::actors
