// SPDX-License-Identifier: Apache-2.0
//
// Admission: rates and queues.
#include "src/supervisor/workflow/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::workflow {
namespace {

using ::testing::HasSubstr;

std::string problem(const Result<>& result) { return result ? "" : result.error().message(); }

TEST(Admission, WithoutLimitsAnyNumberIsMade) {
  Admission admission;
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(admission.admit("w", "", 0, 0));
  EXPECT_EQ(admission.bucket_count(), 0U);
}

TEST(Admission, ASecondsWorthAtOnceAndThenAsTimePasses) {
  Admission admission;
  admission.set_limits("w", {10, 0, 100});
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(admission.admit("w", "", 0, 1'000)) << i;
  EXPECT_THAT(problem(admission.admit("w", "", 0, 1'000)), HasSubstr("(instance.rate_exceeded) More than 10 instances a second;"));
  EXPECT_THAT(problem(admission.admit("w", "", 0, 1'099)), HasSubstr("rate_exceeded"));
  EXPECT_TRUE(admission.admit("w", "", 0, 1'100));
  EXPECT_FALSE(admission.admit("w", "", 0, 1'100));
  EXPECT_TRUE(admission.admit("other", "", 0, 1'100));
}

TEST(Admission, AKeyAboveItsLimitTakesNothingFromTheOthers) {
  Admission admission;
  admission.set_limits("w", {4, 2, 100});
  EXPECT_TRUE(admission.admit("w", "loud", 0, 0));
  EXPECT_TRUE(admission.admit("w", "loud", 0, 0));
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(problem(admission.admit("w", "loud", 0, 0)), HasSubstr("More than 2 instances a second for one origin"));
  }
  EXPECT_TRUE(admission.admit("w", "quiet", 0, 0));
  EXPECT_TRUE(admission.admit("w", "quiet", 0, 0));
  EXPECT_THAT(problem(admission.admit("w", "third", 0, 0)), HasSubstr("More than 4 instances a second;"));
}

TEST(Admission, AFullQueueRefuses) {
  Admission admission;
  admission.set_limits("w", {0, 0, 3});
  EXPECT_TRUE(admission.admit("w", "", 2, 0));
  EXPECT_THAT(problem(admission.admit("w", "", 3, 0)), HasSubstr("(instance.queue_full) The workflow has 3 instances"));
}

TEST(Admission, KeysThatWereQuietAreForgotten) {
  Admission admission;
  admission.set_limits("w", {0, 5, 100});
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(admission.admit("w", "tenant " + std::to_string(i), 0, i * 10));
  EXPECT_LT(admission.bucket_count(), 8'192U);
}

}  // namespace
}  // namespace insula::workflow
