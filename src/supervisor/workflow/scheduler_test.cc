// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/workflow/scheduler.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/supervisor/workflow/clock_of_record.h"

namespace insula::workflow {
namespace {

std::vector<std::uint64_t> drain(Scheduler& scheduler, std::size_t most) {
  std::vector<std::uint64_t> refs;
  while (refs.size() < most) {
    const auto grant = scheduler.next();
    if (!grant) break;
    refs.push_back(grant->ref);
  }
  return refs;
}

TEST(Scheduler, KeysTakeTurnsAndWakingOnesGoFirst) {
  Scheduler scheduler({10, 10});
  auto* const a = scheduler.key("w", "a");
  auto* const b = scheduler.key("w", "b");
  for (std::uint64_t ref = 1; ref <= 3; ++ref) scheduler.enqueue(a, ref, false);
  scheduler.enqueue(a, 4, true);
  scheduler.enqueue(b, 5, false);
  EXPECT_EQ(drain(scheduler, 9), (std::vector<std::uint64_t>{4, 5, 1, 2, 3}));
}

TEST(Scheduler, SlotsOfAWorkflowAndOfAKeyAreLimited) {
  Scheduler scheduler({3, 2});
  auto* const a = scheduler.key("w", "a");
  auto* const b = scheduler.key("w", "b");
  for (std::uint64_t ref = 1; ref <= 4; ++ref) scheduler.enqueue(a, ref, false);
  EXPECT_EQ(drain(scheduler, 9), (std::vector<std::uint64_t>{1, 2})) << "a key has two slots";
  scheduler.enqueue(b, 11, false);
  scheduler.enqueue(b, 12, false);
  EXPECT_EQ(drain(scheduler, 9), (std::vector<std::uint64_t>{11})) << "the workflow has three";
  scheduler.release(a);
  EXPECT_EQ(drain(scheduler, 9).size(), 1U);
  EXPECT_EQ(scheduler.granted(), 3U);
  auto* const other = scheduler.key("other", "a");
  scheduler.enqueue(other, 21, false);
  EXPECT_EQ(drain(scheduler, 9), (std::vector<std::uint64_t>{21})) << "workflows do not share slots";
}

TEST(Scheduler, AMillionOfOneTenantDelayAnotherByOneTurn) {
  Scheduler scheduler({1, 1});
  auto* const crowd = scheduler.key("w", "crowd");
  auto* const single = scheduler.key("w", "single");
  for (std::uint64_t ref = 1; ref <= 1'000'000; ++ref) scheduler.enqueue(crowd, ref, false);
  ASSERT_TRUE(scheduler.next());
  scheduler.enqueue(single, 2'000'000, false);
  scheduler.release(crowd);
  const auto next = scheduler.next();
  ASSERT_TRUE(next);
  scheduler.release(next->key);
  const auto after = scheduler.next();
  ASSERT_TRUE(after);
  EXPECT_TRUE(next->ref == 2'000'000 || after->ref == 2'000'000);
  std::uint64_t left = scheduler.queued();
  scheduler.release(after->key);
  while (const auto grant = scheduler.next()) {
    --left;
    scheduler.release(grant->key);
  }
  EXPECT_EQ(left, 0U);
}

// A clock whose two faces are set apart.
class SplitClock final : public Clock {
 public:
  Monotonic now() const override { return monotonic; }
  WallTime wall_now() const override { return wall; }
  Monotonic monotonic{};
  WallTime wall{};
};

TEST(ClockOfRecord, NeitherJumpsNorGoesBackWithTheWallClock) {
  SplitClock clock;
  clock.wall += std::chrono::hours(1'000);
  ClockOfRecord record(clock, 0);
  const auto begun = record.now_ms();
  for (const auto jump : {std::chrono::hours(1), std::chrono::hours(-2)}) {
    const auto before = record.now_ms();
    clock.wall += jump;
    EXPECT_EQ(record.now_ms(), before);
    clock.monotonic += std::chrono::seconds(10);
    clock.wall += std::chrono::seconds(10);
    const auto elapsed = record.now_ms() - before;
    EXPECT_GE(elapsed, 9'000);
    EXPECT_LE(elapsed, 11'000);
  }
  EXPECT_GT(record.now_ms(), begun);
}

TEST(ClockOfRecord, StartsNoEarlierThanWhatWasRecorded) {
  SplitClock clock;
  ClockOfRecord record(clock, 5'000);
  EXPECT_EQ(record.now_ms(), 5'000);
}

}  // namespace
}  // namespace insula::workflow
