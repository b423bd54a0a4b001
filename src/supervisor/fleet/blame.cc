// SPDX-License-Identifier: Apache-2.0
//
// Blame: the arithmetic of strikes, in halves so that it stays exact.
#include "src/supervisor/fleet/blame.h"

#include <algorithm>

namespace insula::fleet {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

constexpr unsigned kAloneAfterHalves = 4;       // two strikes
constexpr unsigned kSuspendedAfterHalves = 6;   // three deaths
constexpr seconds kDeathWindow{60};
constexpr hours kAloneFor{1};
constexpr seconds kSuspensionMax{600};
constexpr std::size_t kRecordsMax = 10000;

}  // namespace

void Blame::record_death(const std::vector<std::string>& suspects) {
  if (records_.size() > kRecordsMax) forget_old();
  const unsigned halves = suspects.size() == 1 ? 2 : 1;
  for (const std::string& tenant : suspects) add(records_[tenant], halves);
}

void Blame::add(Record& record, unsigned halves) {
  const Monotonic now = clock_.now();
  // Who behaved for an hour starts afresh.
  if (now - record.touched > kAloneFor && now >= record.alone_until) record = Record{};
  record.touched = now;
  record.strike_halves += halves;
  if (record.strike_halves >= kAloneAfterHalves) {
    record.alone_until = now + kAloneFor;
    record.strike_halves = kAloneAfterHalves;  // each further death renews the hour
  }
  record.deaths.push_back({now, halves});
  while (now - record.deaths.front().at >= kDeathWindow) record.deaths.pop_front();
  unsigned recent = 0;
  for (const Death& death : record.deaths) recent += death.halves;
  if (recent < kSuspendedAfterHalves) return;
  record.suspended_until = now + record.next_suspension;
  record.next_suspension = std::min(record.next_suspension * 2, kSuspensionMax);
  record.deaths.clear();
}

Verdict Blame::verdict(const std::string& tenant) const {
  const auto found = records_.find(tenant);
  if (found == records_.end()) return {};
  const Record& record = found->second;
  const Monotonic now = clock_.now();
  if (now < record.suspended_until) {
    const auto left = std::chrono::ceil<seconds>(record.suspended_until - now);
    return {Standing::Suspended, std::max(left, seconds{1})};
  }
  if (now < record.alone_until) return {Standing::Alone, seconds{0}};
  return {};
}

void Blame::forget_old() {
  const Monotonic now = clock_.now();
  std::erase_if(records_, [now](const auto& entry) {
    const Record& record = entry.second;
    return now >= record.suspended_until && now >= record.alone_until && now - record.touched >= kDeathWindow;
  });
}

}  // namespace insula::fleet
