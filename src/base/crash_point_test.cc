// SPDX-License-Identifier: Apache-2.0
//
// Crash points: what ends a process, when, and what is refused. Each process that ends is a child.
#include "src/base/crash_point.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

namespace insula {
namespace {

using Process = CrashPointInfo::Process;

TEST(CrashPoints, HaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (const CrashPointInfo& point : kCrashPoints) {
    EXPECT_TRUE(names.insert(point.name).second) << point.name;
    EXPECT_EQ(point.name.find_first_of(":* "), std::string_view::npos) << point.name;
    EXPECT_NE(list_of_crash_points().find(point.name), std::string::npos);
  }
}

TEST(CrashPointsDeathTest, EndTheProcessTheNthTime) {
  const auto life = [](std::string_view text, Process process, int times) {
    ASSERT_TRUE(arm_crash_points(text, process));
    for (int i = 0; i < times; ++i) {
      crash_point(CrashPoint::ActorSynced);
      crash_point(CrashPoint::StoreWritten);
    }
    ::_exit(0);
  };
  EXPECT_EXIT(life("actor.synced", Process::Runner, 1), testing::ExitedWithCode(kExitCrashPoint), "actor.synced");
  EXPECT_EXIT(life("actor.synced:3", Process::Runner, 3), testing::ExitedWithCode(kExitCrashPoint), "");
  EXPECT_EXIT(life("actor.synced:3", Process::Runner, 2), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(life("actor.synced", Process::Supervisor, 9), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(life("store.*:2:exit", Process::Supervisor, 2), testing::ExitedWithCode(kExitCrashPoint), "store.written");
  EXPECT_EXIT(life("store.*", Process::Runner, 2), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(life("*:2", Process::Runner, 2), testing::ExitedWithCode(kExitCrashPoint), "actor.synced");
}

TEST(CrashPoints, WrongWordsAreRefused) {
  for (const char* const text : {"", "nobody", "actor.synced:", "actor.synced:0", "actor.synced:x", "actor.synced:1:fly",
                                 "actor.synced:1:", "actor.syncedx", ":1"}) {
    const auto armed = arm_crash_points(text, Process::Runner);
    const bool is_refused = !armed;
    // A lone colon at the end leaves the defaults.
    EXPECT_EQ(is_refused, std::string_view(text) != "actor.synced:" && std::string_view(text) != "actor.synced:1:") << text;
    if (is_refused) {
      EXPECT_NE(armed.error().message().find("crash-points"), std::string::npos);
    }
  }
  disarm_crash_points();
}

}  // namespace
}  // namespace insula
