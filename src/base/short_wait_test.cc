// SPDX-License-Identifier: Apache-2.0
#include "src/base/short_wait.h"

#include <gtest/gtest.h>

namespace insula {
namespace {

// Waits that sleep at once before the next one that looks again.
unsigned sleeps_of(ShortWait& wait) {
  unsigned count = 0;
  while (!wait.is_worth_it()) ++count;
  return count;
}

TEST(ShortWait, LooksAgainAsLongAsAnswersComeSoon) {
  ShortWait wait;
  for (int count = 0; count < 10; ++count) {
    EXPECT_TRUE(wait.is_worth_it());
    wait.note(true);
  }
}

TEST(ShortWait, SleepsTwiceAsOftenAfterEachMiss) {
  ShortWait wait;
  for (const unsigned sleeps : {2u, 4u, 8u, 16u}) {
    wait.note(false);
    EXPECT_EQ(sleeps_of(wait), sleeps);
  }
}

TEST(ShortWait, NeverGivesUpForGood) {
  ShortWait wait;
  for (int count = 0; count < 100; ++count) wait.note(false);
  EXPECT_EQ(sleeps_of(wait), 256u);
  wait.note(true);
  EXPECT_EQ(sleeps_of(wait), 0u);
}

}  // namespace
}  // namespace insula
