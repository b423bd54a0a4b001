// SPDX-License-Identifier: Apache-2.0
//
// Fleet: homes and runners; what time and death do to them is in watch.cc.
#include "src/supervisor/fleet/fleet.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "src/base/short_wait.h"

namespace insula::fleet {
namespace {

constexpr std::size_t kStartingMax = 4;       // runners that start at the same time
constexpr std::size_t kPrivateHomesMax = 512;  // runners of single tenants

}  // namespace

void Fleet::Runner::on_session_end(Session&, const Error& error) {
  End why = End::Closed;
  if (error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::Denied) why = End::Protocol;
  if (error.code() == ErrorCode::Overloaded) why = End::Unresponsive;
  fleet.bury(*this, why, error.message());
}

Fleet::Fleet(boost::asio::io_context& io, const FleetOptions& options, RunnerStarter& starter,
             SessionHandler& handler, Log& log, const Clock& clock)
    : io_(io),
      options_(options),
      starter_(starter),
      handler_(handler),
      log_(log),
      clock_(clock),
      blame_(clock),
      timer_(io) {
  homes_.push_back(std::make_unique<Home>(HomeName{}));
}

Fleet::~Fleet() { shut_down(); }

void Fleet::start(std::function<void(Result<>)> done) {
  started_ = std::move(done);
  Home& home = platform();
  home.is_wanted_ = true;
  wanting_.push_back(&home);
  last_tick_ = clock_.now();
  if (auto first = start_runner(); !first) {
    if (auto callback = std::exchange(started_, nullptr)) callback(std::move(first).error());
  }
}

// ---- Runners

void Fleet::start_runners() {
  if (is_down_ || started_ != nullptr || clock_.now() < start_not_before_) return;
  std::size_t ready = 0;
  std::size_t starting = 0;
  for (const auto& runner : runners_) {
    if (runner->is_dead || runner->home != nullptr || runner->is_retiring) continue;
    ++(runner->has_greeted ? ready : starting);
  }
  // One for each home that waits, and one that is ready for the next.
  const std::size_t wanted = wanting_.size() + 1;
  while (ready + starting < wanted && starting < kStartingMax) {
    if (auto started = start_runner(); !started) {
      fail_start(started.error().message());
      return;
    }
    ++starting;
  }
}

Result<> Fleet::start_runner() {
  TRY(auto started, starter_.start());
  auto runner = std::make_unique<Runner>(*this, next_runner_++);
  runner->started = clock_.now();
  runner->process = std::move(started.process);
  runner->session = std::make_shared<Session>(io_, std::move(started.socket), *runner, handler_);
  runner->session->start();
  watch_exit(*runner);
  runners_.push_back(std::move(runner));
  return {};
}

void Fleet::greet(Runner& runner, Session& session, const protocol::Hello& hello) {
  if (runner.is_dead || runner.session.get() != &session) return;
  if (hello.version != protocol::kProtocolVersion) {
    bury(runner, End::Protocol,
         fmt::format("it speaks version {} of the protocol, this supervisor speaks {}; run `make build`",
                     hello.version, protocol::kProtocolVersion));
    return;
  }
  runner.has_greeted = true;
  runner.pinged = clock_.now();
  layers_ = runner.process->layers();
  layers_.insert(layers_.end(), hello.layers.begin(), hello.layers.end());
  engine_ = std::string(hello.engine.substr(0, 64));
  log_.info("runner.ready", {{"runner", runner.id},
                             {"pid", static_cast<std::int64_t>(runner.process->pid())},
                             {"start_micros", hello.start_micros}});
  fill_homes();
}

void Fleet::fill_homes() {
  while (!wanting_.empty() && !is_down_) {
    const auto spare = std::find_if(runners_.begin(), runners_.end(), [](const auto& runner) {
      return !runner->is_dead && runner->has_greeted && runner->home == nullptr && !runner->is_retiring;
    });
    if (spare == runners_.end()) break;
    Runner& runner = **spare;
    Home& home = *wanting_.front();
    wanting_.pop_front();
    home.is_wanted_ = false;
    home.session_ = runner.session;
    home.empty_since_ = clock_.now();
    runner.home = &home;
    runner.housed = clock_.now();
    log_.info("runner.started", {{"runner", runner.id},
                                 {"pid", static_cast<std::int64_t>(runner.process->pid())},
                                 {"role", text_of(home.name_)}});
    if (home_filled_) home_filled_(home, home.session_);
    if (auto callback = std::exchange(started_, nullptr)) callback({});
    const auto session = home.session_;
    for (auto& waiter : std::exchange(home.waiters_, {})) waiter(session);
  }
  start_runners();
}

// ---- Homes

Home& Fleet::home_of(const HomeName& name) {
  const auto found = std::find_if(homes_.begin(), homes_.end(), [&](const auto& home) { return home->name_ == name; });
  if (found != homes_.end()) return **found;
  return *homes_.emplace_back(std::make_unique<Home>(name));
}

Place Fleet::place(const std::string& tenant) {
  const Verdict verdict = blame_.verdict(tenant);
  if (verdict.standing == Standing::Suspended) return {nullptr, Fault::TenantSuspended, verdict.retry_after};
  const HomeName name = home_for(options_.isolation, options_.tenant_homes, tenant, verdict.standing);
  if (name.kind == HomeKind::Private && homes_.size() > kPrivateHomesMax + options_.tenant_homes) {
    return {nullptr, Fault::Overloaded, std::chrono::seconds(1)};
  }
  return {&home_of(name), Fault::None, {}};
}

void Fleet::when_ready(Home& home, SessionCallback callback) {
  if (home.session_ != nullptr) {
    callback(home.session_);
    return;
  }
  home.waiters_.push_back(std::move(callback));
  if (is_down_ || home.is_wanted_) return;
  home.is_wanted_ = true;
  wanting_.push_back(&home);
  fill_homes();  // a ready spare is promoted at once
}

bool Fleet::has_work() const {
  return std::any_of(runners_.begin(), runners_.end(),
                     [](const auto& runner) { return !runner->is_dead && runner->session->has_work(); });
}

bool Fleet::is_answer_near() const {
  std::size_t open = 0;
  for (const auto& runner : runners_) {
    if (!runner->is_dead) open += runner->session->answer_count();
  }
  return open > 0 && open <= ShortWait::kFew;
}

void Fleet::shut_down() {
  if (std::exchange(is_down_, true)) return;
  timer_.cancel();
  started_ = nullptr;
  for (const auto& home : homes_) {
    home->session_.reset();
    home->waiters_.clear();
  }
  wanting_.clear();
  for (const auto& runner : runners_) {
    if (!runner->is_dead) {
      runner->is_dead = true;
      runner->session->close({{Fault::Cancelled, false}, 0, Fault::Cancelled});
    }
    runner->exit_watch.reset();
    runner->process->kill();
  }
  runners_.clear();
}

}  // namespace insula::fleet
