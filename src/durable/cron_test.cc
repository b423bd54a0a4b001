// SPDX-License-Identifier: Apache-2.0
//
// Cron: what is read, what is refused, and which times come next.
#include "src/durable/cron.h"

#include <chrono>
#include <ctime>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::durable {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TimeMs at(const char* text) {
  std::tm time{};
  EXPECT_NE(::strptime(text, "%Y-%m-%d %H:%M", &time), nullptr) << text;
  return static_cast<TimeMs>(::timegm(&time)) * 1000;
}

std::string shown(TimeMs ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm time{};
  ::gmtime_r(&seconds, &time);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &time);
  return text;
}

std::vector<std::string> next(const char* schedule, const char* from, int count) {
  const auto cron = Cron::parse(schedule);
  EXPECT_TRUE(cron) << schedule;
  std::vector<std::string> times;
  auto last = at(from);
  for (int i = 0; i < count; ++i) {
    const auto found = cron->next_after(last);
    if (!found) break;
    last = *found;
    times.push_back(shown(last));
  }
  return times;
}

std::string problem(const char* schedule) {
  const auto cron = Cron::parse(schedule);
  return cron ? "" : cron.error().message();
}

TEST(Cron, MinutesAndHours) {
  EXPECT_THAT(next("* * * * *", "2026-11-23 23:58", 3), ElementsAre("2026-11-23 23:59", "2026-11-24 00:00", "2026-11-24 00:01"));
  EXPECT_THAT(next("*/20 * * * *", "2026-11-23 10:00", 3), ElementsAre("2026-11-23 10:20", "2026-11-23 10:40", "2026-11-23 11:00"));
  EXPECT_THAT(next("5,7-8 9-17/4 * * *", "2026-11-23 09:06", 4),
              ElementsAre("2026-11-23 09:07", "2026-11-23 09:08", "2026-11-23 13:05", "2026-11-23 13:07"));
  EXPECT_THAT(next("30/10 0 * * *", "2026-11-23 10:00", 2), ElementsAre("2026-11-24 00:30", "2026-11-24 00:40"));
}

TEST(Cron, ATimeWithinAMinuteIsBeforeTheNext) {
  const auto cron = Cron::parse("* * * * *");
  EXPECT_EQ(shown(*cron->next_after(at("2026-11-23 10:00") + 59'999)), "2026-11-23 10:01");
  EXPECT_EQ(shown(*cron->next_after(at("2026-11-23 10:00") - 1)), "2026-11-23 10:00");
}

TEST(Cron, DaysOfTheWeekBeginWithSunday) {
  EXPECT_THAT(next("0 17 * * 1", "2026-11-23 00:00", 1), ElementsAre("2026-11-29 17:00"));
  EXPECT_THAT(next("0 9 * * MON-FRI", "2026-11-26 12:00", 2), ElementsAre("2026-11-27 09:00", "2026-11-30 09:00"));
  EXPECT_THAT(next("0 9 * * sat,2", "2026-11-23 12:00", 2), ElementsAre("2026-11-28 09:00", "2026-11-30 09:00"));
}

TEST(Cron, DaysOfTheMonth) {
  EXPECT_THAT(next("0 0 31 * *", "2026-11-23 00:00", 2), ElementsAre("2026-12-31 00:00", "2027-01-31 00:00"));
  EXPECT_THAT(next("0 0 29 FEB *", "2026-11-23 00:00", 2), ElementsAre("2028-02-29 00:00", "2032-02-29 00:00"));
  EXPECT_THAT(next("0 0 L 2,4 *", "2027-01-01 00:00", 2), ElementsAre("2027-02-28 00:00", "2027-04-30 00:00"));
  EXPECT_THAT(next("0 0 30 2 *", "2027-01-01 00:00", 1), ElementsAre());
}

TEST(Cron, WorkingDays) {
  // The 31st of January 2027 is a Sunday, the 28th of February too.
  EXPECT_THAT(next("0 0 LW * *", "2027-01-01 00:00", 3), ElementsAre("2027-01-29 00:00", "2027-02-26 00:00", "2027-03-31 00:00"));
  // 2027-05-01 is a Saturday and 2027-08-01 a Sunday: nearest within the month. 2027-01-16 is a Saturday.
  EXPECT_THAT(next("0 0 1W 5,8 *", "2027-01-01 00:00", 2), ElementsAre("2027-05-03 00:00", "2027-08-02 00:00"));
  EXPECT_THAT(next("0 0 16W 1 *", "2027-01-01 00:00", 1), ElementsAre("2027-01-15 00:00"));
  EXPECT_THAT(next("0 0 31W 1 *", "2027-01-01 00:00", 1), ElementsAre("2027-01-29 00:00"));
}

TEST(Cron, LastAndNthDaysOfTheWeek) {
  EXPECT_THAT(next("0 18 * * FRIL", "2026-11-01 00:00", 2), ElementsAre("2026-11-27 18:00", "2026-12-25 18:00"));
  EXPECT_THAT(next("0 18 * * 2#2", "2026-11-01 00:00", 2), ElementsAre("2026-11-09 18:00", "2026-12-14 18:00"));
}

TEST(Cron, EitherKindOfDayWillDo) {
  EXPECT_THAT(next("0 0 25 * MON", "2026-11-23 00:00", 2), ElementsAre("2026-11-25 00:00", "2026-11-30 00:00"));
}

TEST(Cron, RefusesWhatIsNoSchedule) {
  EXPECT_THAT(problem(""), HasSubstr("five fields"));
  EXPECT_THAT(problem("* * * *"), HasSubstr("five fields"));
  EXPECT_THAT(problem("* * * * * *"), HasSubstr("five fields"));
  EXPECT_THAT(problem("60 * * * *"), HasSubstr("\"60\" is no minute"));
  EXPECT_THAT(problem("5-1 * * * *"), HasSubstr("is no minute"));
  EXPECT_THAT(problem("*/0 * * * *"), HasSubstr("is no minute"));
  EXPECT_THAT(problem("1, * * * *"), HasSubstr("is no minute"));
  EXPECT_THAT(problem("* 24 * * *"), HasSubstr("is no hour"));
  EXPECT_THAT(problem("* * 0 * *"), HasSubstr("is no day of the month"));
  EXPECT_THAT(problem("* * W * *"), HasSubstr("is no day of the month"));
  EXPECT_THAT(problem("* * * 13 *"), HasSubstr("is no month"));
  EXPECT_THAT(problem("* * * * 0"), HasSubstr("is no day of the week"));
  EXPECT_THAT(problem("* * * * MON#6"), HasSubstr("is no day of the week"));
  EXPECT_THAT(problem("* * * * NEVER"), HasSubstr("is no day of the week"));
}

}  // namespace
}  // namespace insula::durable
