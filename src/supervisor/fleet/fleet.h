// SPDX-License-Identifier: Apache-2.0
//
// Fleet: starts runners, gives them homes, watches them, buries them, and keeps a spare one ready.
//
//   home (platform, tenants-0 .., private)  1 ── 0..1  runner  1 ── 1  session
//
// A home is where Workers are placed; it stays when its runner dies, and gets the spare at once. Whoever needs a
// session asks the home and may have to wait for it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/supervisor/fleet/autopsy.h"
#include "src/supervisor/fleet/blame.h"
#include "src/supervisor/fleet/placement.h"
#include "src/supervisor/fleet/process.h"
#include "src/supervisor/fleet/session.h"

namespace insula::fleet {

class Fleet;

// A home's session, or why there is none.
using SessionCallback = std::function<void(const std::shared_ptr<Session>&)>;

class Home {
 public:
  explicit Home(HomeName name) : name_(std::move(name)) {}

  const HomeName& name() const noexcept { return name_; }
  // Null while it waits for a runner.
  const std::shared_ptr<Session>& session() const noexcept { return session_; }

 private:
  friend class Fleet;
  const HomeName name_;
  std::shared_ptr<Session> session_;
  std::vector<SessionCallback> waiters_;
  Monotonic empty_since_{};
  bool is_wanted_ = false;  // in the queue for a runner
};

struct FleetOptions {
  Isolation isolation = Isolation::Cordon;
  std::uint32_t tenant_homes = 1;  // in cordon
  std::size_t runner_memory_bytes = kRunnerMemoryBytes;
  unsigned cores = 1;
  milliseconds runner_age_max{0};  // then another process takes its home over; 0: never
};

// Where a tenant's Worker may be loaded.
struct Place {
  Home* home = nullptr;  // null: suspended or no room
  Fault fault = Fault::None;
  std::chrono::seconds retry_after{0};
};

class Fleet {
 public:
  Fleet(boost::asio::io_context& io, const FleetOptions& options, RunnerStarter& starter, SessionHandler& handler,
        Log& log, const Clock& clock);
  ~Fleet();

  // Called for each session that gets a home, before anybody who waits for it: the place to load what always lives
  // there.
  void on_home_filled(std::function<void(Home&, const std::shared_ptr<Session>&)> callback) {
    home_filled_ = std::move(callback);
  }
  void on_tick(std::function<void()> callback) { ticked_ = std::move(callback); }

  // Starts the first runner; `done` hears whether it came up. Later failures are retried and logged.
  void start(std::function<void(Result<>)> done);
  // Keeps calling tick() until the end.
  void start_ticking();
  // Heartbeats, bounds, back-offs: everything that time causes. Tests call it with their own clock.
  void tick();
  // Logs what each runner and its session hold.
  void report_tables();
  // Kills all runners; nothing is started any more.
  void shut_down();

  Home& platform() { return *homes_.front(); }
  Place place(const std::string& tenant);
  void when_ready(Home& home, SessionCallback callback);

  bool has_work() const;
  // A few calls of runners are in flight, so that whoever waits for one of them is held up by nothing else.
  bool is_answer_near() const;
  std::size_t runner_count() const noexcept { return runners_.size(); }
  // Layers of the sandbox that the last runner reported, made at its start and by itself.
  const std::vector<std::string>& layers() const noexcept { return layers_; }
  const std::string& engine() const noexcept { return engine_; }

 private:
  // One process with its session, from its start to its burial.
  struct Runner final : public SessionEvents {
    explicit Runner(Fleet& owner, std::uint32_t number) : fleet(owner), id(number) {}
    void on_hello(Session& from, const protocol::Hello& hello) override { fleet.greet(*this, from, hello); }
    void on_pong(Session& from, std::uint32_t number) override { fleet.hear_pong(*this, from, number); }
    void on_usage(Session&, const protocol::Usage& usage) override { fleet.log_tables(*this, usage); }
    void on_session_end(Session&, const Error& error) override;

    Fleet& fleet;
    const std::uint32_t id;
    std::unique_ptr<RunnerProcess> process;
    std::shared_ptr<Session> session;
    std::unique_ptr<boost::asio::posix::stream_descriptor> exit_watch;
    Home* home = nullptr;  // null: spare, retiring, or dead
    bool has_greeted = false;
    bool is_dead = false;
    Monotonic started{};
    Monotonic pinged{};
    std::uint32_t ping = 0;
    bool is_pong_due = false;
    Monotonic housed{};         // since when it has a home
    Monotonic retiring{};       // since when it has none any more
    bool is_retiring = false;   // it finishes what it has begun, and ends
    End end = End::Closed;
    std::string cause;
    std::size_t suspect_count = 0;
  };

  void start_runners();
  Result<> start_runner();
  void watch_exit(Runner& runner);
  void wait_for_exit(Runner& runner);
  void greet(Runner& runner, Session& session, const protocol::Hello& hello);
  void hear_pong(Runner& runner, Session& session, std::uint32_t number);
  void fill_homes();
  void bury(Runner& runner, End end, std::string_view detail);
  void finish(Runner& runner, const Exit& exit);  // it is dead and buried
  void on_exit_seen(Runner& runner);
  void check(Runner& runner, Monotonic now, bool was_stalled, std::size_t busy);
  void retire_if_empty(Home& home, Runner& runner, Monotonic now);
  void retire_old(Monotonic now);
  void end_if_retired(Runner& runner, Monotonic now);
  void log_tables(const Runner& runner, const protocol::Usage& usage);
  void vacate(Home& home);
  void fail_start(std::string_view detail);
  Home& home_of(const HomeName& name);
  void schedule_tick();

  boost::asio::io_context& io_;
  const FleetOptions options_;
  RunnerStarter& starter_;
  SessionHandler& handler_;
  Log& log_;
  const Clock& clock_;
  Blame blame_;
  boost::asio::steady_timer timer_;
  std::function<void(Home&, const std::shared_ptr<Session>&)> home_filled_;
  std::function<void()> ticked_;
  std::function<void(Result<>)> started_;

  std::vector<std::unique_ptr<Home>> homes_;  // the first is the platform's
  std::deque<Home*> wanting_;                 // homes without a runner, in the order of their asking
  std::vector<std::unique_ptr<Runner>> runners_;
  std::uint32_t next_runner_ = 1;
  unsigned failures_ = 0;  // starts that failed in a row
  Monotonic start_not_before_{};
  Monotonic last_tick_{};
  bool is_down_ = false;
  std::vector<std::string> layers_;
  std::string engine_;
};

}  // namespace insula::fleet
