// SPDX-License-Identifier: Apache-2.0
//
// Cron: the times that a schedule names, in UTC, to the minute.
//
//   minute 0-59   hour 0-23   day of month 1-31   month 1-12 or JAN-DEC   day of week 1-7 (1: Sunday) or SUN-SAT
//
// Each field is `*`, a value, a range `a-b`, either with a step `/n`, or a list of these. A day of the month may also be `L`
// (the last), `LW` (the last working day) or `nW` (the working day nearest to n within the month); a day of the week `nL` (the
// last such day of the month) or `n#k` (the k-th). When both kinds of day are restricted, either will do.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

#include "src/base/error.h"
#include "src/durable/words.h"

namespace insula::durable {

class Cron {
 public:
  // Errors: InvalidInput, with the field that is wrong.
  static Result<Cron> parse(std::string_view text);

  // The first time after `at` that it names; none for a day that no calendar has, such as the 30th of February.
  std::optional<TimeMs> next_after(TimeMs at) const;

 private:
  struct Day {
    unsigned month = 1;
    unsigned day = 1;
    unsigned weekday = 0;  // 0: Sunday
    unsigned last = 31;    // of the month
  };
  bool has_day(const Day& day) const;
  bool has_day_of_month(const Day& day) const;
  bool has_day_of_week(const Day& day) const;
  Result<> read_days(std::string_view text);
  Result<> read_weekdays(std::string_view text);

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<32> working_days_;  // "nW"
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  std::bitset<7> last_weekdays_;      // "nL"
  std::bitset<7 * 6> nth_weekdays_;   // "n#k", at n * 6 + k
  bool is_last_day_ = false;
  bool is_last_working_day_ = false;
  bool is_any_day_ = false;      // `*`
  bool is_any_weekday_ = false;
};

}  // namespace insula::durable
