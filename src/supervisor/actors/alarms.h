// SPDX-License-Identifier: Apache-2.0
//
// Alarms: wakes actors when their alarm is due, until the handler has succeeded or failed too often.
//
//   set() ──► store (object, due, attempt) ──due──► Bell::ring ──► done(outcome)
//                    ▲                                                 │ ok: the row goes
//                    └── due = now + back-off, attempt + 1 ◄───────────┘ failed
//
// The rows are copies: the truth is in the actor's database, and a bell that rings for nothing does no harm. All rows due
// before the horizon are in memory, the others in the store alone. Times are wall times, looked at often, so a clock that
// jumps only makes alarms earlier or later by as much.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/storage/store.h"

namespace insula::actors {

inline constexpr std::uint32_t kAlarmRetriesMax = 6;
inline constexpr std::chrono::minutes kAlarmWallMax{15};

enum class AlarmOutcome : std::uint8_t {
  Done,
  Failed,   // by the actor's own doing: counted
  Undone,   // by the platform's: tried again, not counted
  Unknown,  // there is no such object any more
};

struct Ring {
  std::string object;
  storage::TimeMs scheduled = 0;  // 0: only the actor knows
  storage::TimeMs now = 0;
  std::uint32_t attempt = 0;
};

class Bell {
 public:
  virtual ~Bell() = default;
  // Delivers the alarm; calls `done` once.
  virtual void ring(const Ring& ring, std::function<void(AlarmOutcome)> done) = 0;
};

class Alarms {
 public:
  // seed: of the jitter.
  Alarms(boost::asio::io_context& io, storage::Store& store, Bell& bell, Log& log, const Clock& clock,
         std::uint64_t seed);

  // From the store; call it when objects can be reached.
  void start();
  // The object's alarm is now at that time, or there is none. `done` hears when that is durable.
  void set(const std::string& object, std::optional<storage::TimeMs> at, std::function<void(Result<>)> done);
  // The object is gone. Its row is the caller's business.
  void drop(const std::string& object);
  // Looks at the clock.
  void tick();
  void stop();

  std::size_t pending_count() const noexcept { return by_object_.size(); }
  std::size_t running_count() const noexcept { return running_.size(); }

 private:
  struct Pending {
    storage::TimeMs due = 0;
    storage::TimeMs scheduled = 0;
    std::uint32_t attempt = 0;
  };
  struct Running {
    Pending alarm;
    bool is_replaced = false;  // the actor has set another one, or none, in the meantime
  };

  storage::TimeMs now() const;
  void load();
  void put(const std::string& object, const Pending& alarm);
  void erase(const std::string& object);
  void ring_due();
  void ring(const std::string& object, const Pending& alarm);
  void on_done(const std::string& object, AlarmOutcome outcome);
  void again(const std::string& object, const Running& ended, bool is_counted);
  void schedule();
  storage::TimeMs delay(std::uint32_t failures);

  boost::asio::steady_timer timer_;
  storage::Store& store_;
  Bell& bell_;
  Log& log_;
  const Clock& clock_;
  std::uint64_t random_;
  bool is_started_ = false;
  bool is_loading_ = false;
  storage::TimeMs horizon_ = 0;  // every stored alarm that is due before is in memory
  std::unordered_map<std::string, Pending> by_object_;
  std::set<std::pair<storage::TimeMs, std::string>> by_due_;
  std::unordered_map<std::string, Running> running_;
  std::unordered_map<std::string, std::uint32_t> undone_;  // failures of the platform in a row
  const std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace insula::actors
