// SPDX-License-Identifier: Apache-2.0
//
// Cron: fields to sets, and the search for the next time: over days, then within one.
#include "src/durable/cron.h"

#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <span>
#include <string>

namespace insula::durable {
namespace {

constexpr TimeMs kMinuteMs = 60'000;
constexpr int kDaysSearched = 366 * 9;  // a 29th of February may be eight years away

struct Field {
  std::string_view name;
  unsigned least;
  unsigned most;
  std::span<const std::string_view> names = {};  // of `least` and those after it
};

constexpr std::array<std::string_view, 12> kMonths{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                   "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kWeekdays{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};
constexpr Field kMinute{"minute", 0, 59};
constexpr Field kHour{"hour", 0, 23};
constexpr Field kDay{"day of the month", 1, 31};
constexpr Field kMonth{"month", 1, 12, kMonths};
constexpr Field kWeekday{"day of the week", 1, 7, kWeekdays};

Error bad(const Field& field, std::string_view text) {
  return Error(ErrorCode::InvalidInput, "\"" + std::string(text.substr(0, 64)) + "\" is no " + std::string(field.name) +
                                            "; expected values from " + std::to_string(field.least) + " to " +
                                            std::to_string(field.most) + ", such as \"*\", \"5\", \"1-5\", \"*/10\"");
}

std::optional<unsigned> number_of(std::string_view text) {
  unsigned value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

Result<unsigned> value_of(const Field& field, std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (unsigned i = 0; i < field.names.size(); ++i) {
    if (field.names[i] == upper) return field.least + i;
  }
  const auto value = number_of(text);
  if (!value || *value < field.least || *value > field.most) return bad(field, text);
  return *value;
}

std::string_view take_until(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const auto part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return part;
}

// One member of a list: "*", "a", "a-b", any of them with "/n".
template <std::size_t N>
Result<> read_range(const Field& field, std::string_view text, std::bitset<N>& set) {
  const auto slash = text.find('/');
  const auto range = text.substr(0, slash);
  unsigned step = 1;
  if (slash != std::string_view::npos) {
    const auto given = number_of(text.substr(slash + 1));
    if (!given || *given == 0 || *given > field.most) return bad(field, text);
    step = *given;
  }
  unsigned from = field.least;
  unsigned to = field.most;
  if (range != "*") {
    const auto dash = range.find('-');
    TRY(from, value_of(field, range.substr(0, dash)));
    if (dash != std::string_view::npos) {
      TRY(to, value_of(field, range.substr(dash + 1)));
    } else if (slash == std::string_view::npos) {
      to = from;
    }
    if (from > to) return bad(field, text);
  }
  for (auto value = from; value <= to; value += step) set.set(value);
  return {};
}

template <std::size_t N>
Result<> read_list(const Field& field, std::string_view text, std::bitset<N>& set) {
  if (text.ends_with(',')) return bad(field, text);
  for (auto rest = text; !rest.empty();) TRY_VOID(read_range(field, take_until(rest, ','), set));
  return {};
}

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
  std::array<std::string_view, 5> fields;
  std::size_t count = 0;
  for (auto rest = text; !rest.empty();) {
    const auto word = take_until(rest, ' ');
    if (word.empty()) continue;
    if (count < fields.size()) fields[count] = word;
    ++count;
  }
  if (count != fields.size()) {
    return Error(ErrorCode::InvalidInput, "\"" + std::string(text.substr(0, 64)) +
                                              "\" is no schedule; expected five fields: minute, hour, day of the "
                                              "month, month, day of the week");
  }
  Cron cron;
  TRY_VOID(read_list(kMinute, fields[0], cron.minutes_));
  TRY_VOID(read_list(kHour, fields[1], cron.hours_));
  TRY_VOID(cron.read_days(fields[2]));
  TRY_VOID(read_list(kMonth, fields[3], cron.months_));
  TRY_VOID(cron.read_weekdays(fields[4]));
  return cron;
}

Result<> Cron::read_days(std::string_view text) {
  is_any_day_ = text == "*";
  if (text.ends_with(',')) return bad(kDay, text);
  for (auto rest = text; !rest.empty();) {
    auto part = take_until(rest, ',');
    if (part == "L") {
      is_last_day_ = true;
    } else if (part == "LW") {
      is_last_working_day_ = true;
    } else if (part.ends_with('W')) {
      part.remove_suffix(1);
      TRY(const auto day, value_of(kDay, part));
      working_days_.set(day);
    } else {
      TRY_VOID(read_range(kDay, part, days_));
    }
  }
  return {};
}

Result<> Cron::read_weekdays(std::string_view text) {
  is_any_weekday_ = text == "*";
  if (text.ends_with(',')) return bad(kWeekday, text);
  for (auto rest = text; !rest.empty();) {
    auto part = take_until(rest, ',');
    const auto hash = part.find('#');
    if (hash != std::string_view::npos) {
      TRY(const auto day, value_of(kWeekday, part.substr(0, hash)));
      const auto nth = number_of(part.substr(hash + 1));
      if (!nth || *nth < 1 || *nth > 5) return bad(kWeekday, part);
      nth_weekdays_.set((day - 1) * 6 + *nth);
    } else if (part.size() > 1 && part.ends_with('L')) {
      part.remove_suffix(1);
      TRY(const auto day, value_of(kWeekday, part));
      last_weekdays_.set(day - 1);
    } else {
      std::bitset<8> set;
      TRY_VOID(read_range(kWeekday, part, set));
      for (unsigned day = 1; day <= 7; ++day) {
        if (set.test(day)) weekdays_.set(day - 1);
      }
    }
  }
  return {};
}

bool Cron::has_day_of_month(const Day& day) const {
  if (days_.test(day.day) || (is_last_day_ && day.day == day.last)) return true;
  const bool is_working = day.weekday != 0 && day.weekday != 6;
  if (!is_working) return false;
  // A working day stands in for the Saturday after it and the Sunday before it, where those are in its month; and at the
  // month's edges for the Sunday that ends it and the Saturday that begins it.
  const bool is_friday = day.weekday == 5;
  const bool is_monday = day.weekday == 1;
  if (is_last_working_day_ && (day.day == day.last || (is_friday && day.day + 2 >= day.last))) return true;
  if (working_days_.test(day.day)) return true;
  if (is_friday && day.day < day.last && working_days_.test(day.day + 1)) return true;
  if (is_friday && day.day + 2 == day.last && working_days_.test(day.last)) return true;
  if (is_monday && day.day > 1 && working_days_.test(day.day - 1)) return true;
  return is_monday && day.day == 3 && working_days_.test(1);
}

bool Cron::has_day_of_week(const Day& day) const {
  if (weekdays_.test(day.weekday)) return true;
  if (last_weekdays_.test(day.weekday) && day.day + 7 > day.last) return true;
  return nth_weekdays_.test(day.weekday * 6 + (day.day + 6) / 7);
}

bool Cron::has_day(const Day& day) const {
  if (!months_.test(day.month)) return false;
  if (is_any_day_) return is_any_weekday_ || has_day_of_week(day);
  if (is_any_weekday_) return has_day_of_month(day);
  return has_day_of_month(day) || has_day_of_week(day);
}

std::optional<TimeMs> Cron::next_after(TimeMs at) const {
  using std::chrono::days;
  using std::chrono::sys_days;
  const auto from = std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(at));
  auto date = std::chrono::floor<days>(from);
  auto minute = static_cast<unsigned>((from - date).count() / kMinuteMs) + 1;  // of the day
  for (int i = 0; i < kDaysSearched; ++i, date += days(1), minute = 0) {
    const std::chrono::year_month_day calendar(date);
    const auto last = std::chrono::year_month_day_last(calendar.year(), std::chrono::month_day_last(calendar.month())).day();
    const Day day{static_cast<unsigned>(calendar.month()), static_cast<unsigned>(calendar.day()),
                  std::chrono::weekday(date).c_encoding(), static_cast<unsigned>(last)};
    if (!has_day(day)) continue;
    for (; minute < 24 * 60; ++minute) {
      if (!hours_.test(minute / 60)) {
        minute += 59 - minute % 60;
        continue;
      }
      if (!minutes_.test(minute % 60)) continue;
      return std::chrono::duration_cast<std::chrono::milliseconds>(date.time_since_epoch()).count() + minute * kMinuteMs;
    }
  }
  return std::nullopt;
}

}  // namespace insula::durable
