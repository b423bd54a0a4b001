// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/fleet/blame.h"

#include <gtest/gtest.h>

#include "src/supervisor/fleet/placement.h"
#include "src/supervisor/fleet/slot_map.h"

namespace insula::fleet {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Blame, OneDeathLeavesTheOnlySuspectWhereItIs) {
  ManualClock clock;
  Blame blame(clock);
  blame.record_death({"a"});
  EXPECT_EQ(blame.verdict("a").standing, Standing::Normal);
}

TEST(Blame, TwoDeathsOfTheOnlySuspectGiveItARunnerOfItsOwnForAnHour) {
  ManualClock clock;
  Blame blame(clock);
  blame.record_death({"a"});
  blame.record_death({"a"});
  EXPECT_EQ(blame.verdict("a").standing, Standing::Alone);
  clock.advance(hours(1) - seconds(1));
  EXPECT_EQ(blame.verdict("a").standing, Standing::Alone);
  clock.advance(seconds(1));
  EXPECT_EQ(blame.verdict("a").standing, Standing::Normal);
}

TEST(Blame, OneOfSeveralSuspectsGetsHalfAStrike) {
  ManualClock clock;
  Blame blame(clock);
  for (int death = 0; death < 3; ++death) {
    blame.record_death({"a", "b"});
    clock.advance(minutes(2));
  }
  EXPECT_EQ(blame.verdict("a").standing, Standing::Normal);
  blame.record_death({"a", "c"});
  EXPECT_EQ(blame.verdict("a").standing, Standing::Alone);
  EXPECT_EQ(blame.verdict("b").standing, Standing::Normal);
  EXPECT_EQ(blame.verdict("c").standing, Standing::Normal);
}

TEST(Blame, ThreeDeathsInAMinuteSuspendForTenSeconds) {
  ManualClock clock;
  Blame blame(clock);
  for (int death = 0; death < 3; ++death) blame.record_death({"a"});
  EXPECT_EQ(blame.verdict("a").standing, Standing::Suspended);
  EXPECT_EQ(blame.verdict("a").retry_after, seconds(10));
  clock.advance(seconds(9));
  EXPECT_EQ(blame.verdict("a").retry_after, seconds(1));
  clock.advance(seconds(1));
  EXPECT_EQ(blame.verdict("a").standing, Standing::Alone);
}

TEST(Blame, ThreeDeathsOverMoreThanAMinuteDoNotSuspend) {
  ManualClock clock;
  Blame blame(clock);
  for (int death = 0; death < 3; ++death) {
    blame.record_death({"a"});
    clock.advance(seconds(30));
  }
  EXPECT_NE(blame.verdict("a").standing, Standing::Suspended);
}

TEST(Blame, SuspensionsDoubleUpToTenMinutes) {
  ManualClock clock;
  Blame blame(clock);
  for (const int expected : {10, 20, 40, 80, 160, 320, 600, 600}) {
    for (int death = 0; death < 3; ++death) blame.record_death({"a"});
    EXPECT_EQ(blame.verdict("a").retry_after, seconds(expected));
    clock.advance(seconds(expected));
  }
}

TEST(Blame, AnHourOfPeaceWipesTheSlate) {
  ManualClock clock;
  clock.advance(hours(5));
  Blame blame(clock);
  blame.record_death({"a"});
  clock.advance(hours(1) + seconds(1));
  blame.record_death({"a"});
  EXPECT_EQ(blame.verdict("a").standing, Standing::Normal);
}

TEST(Placement, CordonKeepsTenantsOffThePlatform) {
  for (const char* const id : {"a", "b", "c", "d", "e"}) {
    const HomeName home = home_for(Isolation::Cordon, 2, tenant_key("space", id), Standing::Normal);
    EXPECT_EQ(home.kind, HomeKind::Tenants);
    EXPECT_LT(home.number, 2u);
  }
}

TEST(Placement, IsTheSameEveryTime) {
  const std::string key = tenant_key("space", "acme");
  EXPECT_EQ(home_for(Isolation::Cordon, 7, key, Standing::Normal), home_for(Isolation::Cordon, 7, key, Standing::Normal));
}

TEST(Placement, SpreadsTenantsEvenly) {
  std::vector<int> counts(4);
  for (int tenant = 0; tenant < 4000; ++tenant) {
    ++counts[home_for(Isolation::Cordon, 4, tenant_key("space", std::to_string(tenant)), Standing::Normal).number];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST(Placement, ProcessGivesEachTenantItsOwn) {
  const HomeName home = home_for(Isolation::Process, 2, "t", Standing::Normal);
  EXPECT_EQ(home, (HomeName{HomeKind::Private, 0, "t"}));
}

TEST(Placement, SharedPutsAllOnThePlatformButThoseWhoMustBeAlone) {
  EXPECT_EQ(home_for(Isolation::Shared, 2, "t", Standing::Normal).kind, HomeKind::Platform);
  EXPECT_EQ(home_for(Isolation::Shared, 2, "t", Standing::Alone).kind, HomeKind::Private);
}

TEST(Placement, KeysOfDifferentPairsDiffer) {
  EXPECT_NE(tenant_key("a", "b:c"), tenant_key("a:b", "c"));
  EXPECT_NE(tenant_key("1:a", ""), tenant_key("", "1:a"));
}

TEST(SlotMap, TellsAReusedNumberFromAnOldOne) {
  SlotMap<int> map;
  const std::uint32_t first = map.insert();
  *map.find(first) = 7;
  map.erase(first);
  const std::uint32_t second = map.insert();
  EXPECT_NE(first, second);
  EXPECT_EQ(map.find(first), nullptr);
  EXPECT_TRUE(map.was_issued(first));
  EXPECT_EQ(*map.find(second), 0);
}

TEST(SlotMap, NeverIssuedNumbersAreKnownAsSuch) {
  SlotMap<int> map;
  const std::uint32_t number = map.insert();
  EXPECT_FALSE(map.was_issued(0));
  EXPECT_FALSE(map.was_issued(number + 1));
  EXPECT_FALSE(map.was_issued(number + (1u << SlotMap<int>::kIndexBits)));
}

TEST(SlotMap, WrapsItsGenerationsWithoutTheNumberZero) {
  SlotMap<int> map;
  for (std::uint32_t round = 0; round < 3 * SlotMap<int>::kGenerationMax; ++round) {
    const std::uint32_t number = map.insert();
    ASSERT_NE(number, 0u);
    map.erase(number);
  }
  EXPECT_EQ(map.size(), 0u);
}

}  // namespace
}  // namespace insula::fleet
