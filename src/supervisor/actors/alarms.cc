// SPDX-License-Identifier: Apache-2.0
//
// Alarms: what is due, and what comes after.
#include "src/supervisor/actors/alarms.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "src/base/crash_point.h"

namespace insula::actors {
namespace {

using storage::TimeMs;

constexpr TimeMs kHorizonMs = 10 * 60 * 1000;
constexpr std::uint32_t kLoadedAtOnce = 10000;
constexpr std::size_t kRunningMax = 256;
constexpr TimeMs kFirstDelayMs = 2000;
constexpr std::uint32_t kBackOffMax = 9;  // doublings
constexpr std::chrono::milliseconds kLookEvery{1000};

}  // namespace

Alarms::Alarms(boost::asio::io_context& io, storage::Store& store, Bell& bell, Log& log, const Clock& clock,
               std::uint64_t seed)
    : timer_(io), store_(store), bell_(bell), log_(log), clock_(clock), random_(seed | 1) {}

void Alarms::start() {
  is_started_ = true;
  load();
}

void Alarms::stop() {
  is_started_ = false;
  timer_.cancel();
}

TimeMs Alarms::now() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock_.wall_now().time_since_epoch()).count();
}

// ---- What is in memory

void Alarms::put(const std::string& object, const Pending& alarm) {
  erase(object);
  by_object_[object] = alarm;
  by_due_.emplace(alarm.due, object);
}

void Alarms::erase(const std::string& object) {
  const auto found = by_object_.find(object);
  if (found == by_object_.end()) return;
  by_due_.erase({found->second.due, object});
  by_object_.erase(found);
}

void Alarms::load() {
  if (std::exchange(is_loading_, true)) return;
  const TimeMs until = now() + kHorizonMs;
  store_.due_alarms(until, kLoadedAtOnce, [this, until, alive = std::weak_ptr<bool>(is_alive_)](
                                              Result<std::vector<storage::Alarm>> alarms) {
    if (alive.expired()) return;
    is_loading_ = false;
    if (!alarms) {
      log_.error("alarms.unreadable", {{"text", alarms.error().message()}});
      return schedule();
    }
    for (const storage::Alarm& alarm : *alarms) {
      // What was said since the rows were read is newer.
      if (by_object_.contains(alarm.object) || running_.contains(alarm.object)) continue;
      put(alarm.object, {alarm.due, alarm.attempt == 0 ? alarm.due : 0, alarm.attempt});
    }
    horizon_ = alarms->size() < kLoadedAtOnce ? until : alarms->back().due;
    ring_due();
  });
}

void Alarms::set(const std::string& object, std::optional<TimeMs> at, std::function<void(Result<>)> done) {
  if (const auto running = running_.find(object); running != running_.end()) running->second.is_replaced = true;
  undone_.erase(object);
  if (!at) {
    erase(object);
    return store_.write({storage::ClearAlarm{object}}, std::move(done));
  }
  crash_point(CrashPoint::AlarmSetting);
  // The row may be overtaken by load() until it is written: so it is in memory even beyond the horizon until then.
  put(object, {*at, *at, 0});
  store_.write({storage::SetAlarm{{object, *at, 0}}},
               [this, object, at = *at, done = std::move(done), alive = std::weak_ptr<bool>(is_alive_)](Result<> result) {
                 if (alive.expired()) return;
                 crash_point(CrashPoint::AlarmSet);
                 const auto found = by_object_.find(object);
                 if (found != by_object_.end() && found->second.due == at && at > horizon_) erase(object);
                 done(std::move(result));
               });
  schedule();
}

void Alarms::drop(const std::string& object) {
  if (const auto running = running_.find(object); running != running_.end()) running->second.is_replaced = true;
  undone_.erase(object);
  erase(object);
}

// ---- Ringing

void Alarms::tick() {
  if (is_started_) ring_due();
}

void Alarms::ring_due() {
  const TimeMs time = now();
  for (auto next = by_due_.begin(); next != by_due_.end() && next->first <= time && running_.size() < kRunningMax;) {
    const std::string object = next->second;
    if (running_.contains(object)) {
      ++next;  // its handler runs already
      continue;
    }
    const Pending alarm = by_object_[object];
    erase(object);
    ring(object, alarm);
    next = by_due_.begin();
  }
  if (is_started_ && time >= horizon_ && running_.size() < kRunningMax) return load();
  schedule();
}

void Alarms::ring(const std::string& object, const Pending& alarm) {
  running_[object] = {alarm, false};
  crash_point(CrashPoint::AlarmRinging);
  bell_.ring({object, alarm.scheduled, now(), alarm.attempt},
             [this, object, alive = std::weak_ptr<bool>(is_alive_)](AlarmOutcome outcome) {
               if (!alive.expired()) on_done(object, outcome);
             });
}

void Alarms::on_done(const std::string& object, AlarmOutcome outcome) {
  const auto found = running_.find(object);
  if (found == running_.end()) return;
  const Running ended = found->second;
  running_.erase(found);
  crash_point(CrashPoint::AlarmAnswered);
  if (!ended.is_replaced) {
    switch (outcome) {
      case AlarmOutcome::Failed: again(object, ended, true); break;
      case AlarmOutcome::Undone: again(object, ended, false); break;
      case AlarmOutcome::Done:
      case AlarmOutcome::Unknown:
        undone_.erase(object);
        store_.write({storage::ClearAlarm{object}}, [](Result<>) {});
        break;
    }
  }
  if (is_started_) ring_due();
}

void Alarms::again(const std::string& object, const Running& ended, bool is_counted) {
  Pending next = ended.alarm;
  std::uint32_t failures = next.attempt;
  if (is_counted) {
    if (next.attempt >= kAlarmRetriesMax) {
      log_.warn("alarm.given_up", {{"object", object}, {"retries", kAlarmRetriesMax}});
      store_.write({storage::ClearAlarm{object}}, [](Result<>) {});
      return;
    }
    ++next.attempt;
  } else {
    failures = undone_[object]++;
  }
  next.due = now() + delay(failures);
  crash_point(CrashPoint::AlarmAgain);
  put(object, next);
  store_.write({storage::SetAlarm{{object, next.due, next.attempt}}}, [](Result<>) {});
}

TimeMs Alarms::delay(std::uint32_t failures) {
  const TimeMs base = kFirstDelayMs << std::min(failures, kBackOffMax);
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return base + static_cast<TimeMs>(random_ % static_cast<std::uint64_t>(base / 4 + 1));
}

void Alarms::schedule() {
  if (!is_started_) return;
  auto wait = kLookEvery;
  if (!by_due_.empty()) {
    wait = std::clamp(std::chrono::milliseconds(by_due_.begin()->first - now()), std::chrono::milliseconds(1), kLookEvery);
  }
  timer_.expires_after(wait);
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) tick();
  });
}

}  // namespace insula::actors
