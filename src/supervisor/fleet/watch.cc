// SPDX-License-Identifier: Apache-2.0
//
// Fleet: what time and death do to runners.
#include <algorithm>
#include <string>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include "src/base/limits.h"
#include "src/protocol/runner_options.h"
#include "src/supervisor/fleet/fleet.h"

namespace insula::fleet {
namespace {

constexpr milliseconds kBusyTick{50};   // while some runner has work: its memory can grow that fast
constexpr milliseconds kIdleTick{500};
constexpr milliseconds kPingEvery{500};
constexpr milliseconds kHelloMax{10000};
constexpr milliseconds kBackOffFirst{100};
constexpr milliseconds kBackOffMax{5000};
constexpr milliseconds kYoung{5000};
constexpr milliseconds kEmptyHomeMax{5000};  // a private runner without Workers
constexpr std::chrono::hours kRetiringMax{1};  // what has not ended then is lost

std::string text_of(const Exit& exit) {
  if (exit.code < 0) return fmt::format("it was ended by signal {}", exit.signal);
  switch (exit.code) {
    case protocol::kExitSnapshot: return "its start-up snapshot cannot be used";
    case protocol::kExitSandbox: return "its sandbox cannot be set up";
    default: return fmt::format("it ended with exit code {}", exit.code);
  }
}

}  // namespace

void Fleet::start_ticking() {
  last_tick_ = clock_.now();
  schedule_tick();
}

void Fleet::schedule_tick() {
  timer_.expires_after(has_work() ? kBusyTick : kIdleTick);
  timer_.async_wait([this](boost::system::error_code error) {
    if (error || is_down_) return;
    tick();
    schedule_tick();
  });
}

void Fleet::tick() {
  if (is_down_) return;
  const Monotonic now = clock_.now();
  // A supervisor that was itself held up (a stopped process, a machine that slept) must not blame its runners.
  const bool was_stalled = now - std::exchange(last_tick_, now) > 4 * kIdleTick;
  std::size_t busy = 0;
  for (const auto& runner : runners_) {
    if (!runner->is_dead) busy += busy_slots(runner->process->board());
  }
  for (std::size_t index = 0; index < runners_.size(); ++index) {
    // Burials and promotions move the table, but never shorten it before the loop comes round again.
    if (!runners_[index]->is_dead) check(*runners_[index], now, was_stalled, busy);
  }
  retire_old(now);
  start_runners();
  if (ticked_) ticked_();
}

void Fleet::check(Runner& runner, Monotonic now, bool was_stalled, std::size_t busy) {
  if (!runner.has_greeted) {
    if (now - runner.started > kHelloMax && !was_stalled) bury(runner, End::Unresponsive, "no Hello within 10 s");
    return;
  }
  if (runner.is_pong_due) {
    if (was_stalled) runner.pinged = now;
    if (now - runner.pinged > kRunnerHeartbeatMax) {
      bury(runner, End::Unresponsive, fmt::format("no Pong within {} ms", kRunnerHeartbeatMax.count()));
      return;
    }
  } else if (now - runner.pinged >= kPingEvery) {
    runner.pinged = now;
    runner.is_pong_due = true;
    runner.session->ping(++runner.ping);
  }
  const std::size_t resident = runner.process->resident_bytes();
  if (resident > options_.runner_memory_bytes) {
    bury(runner, End::Memory, fmt::format("{} MiB resident, the bound is {} MiB", resident / kMiB,
                                          options_.runner_memory_bytes / kMiB));
    return;
  }
  if (runner.home == nullptr && !runner.is_retiring) return;
  if (!was_stalled && has_stuck_slice(runner.process->board(), *runner.session, now, busy, options_.cores)) {
    bury(runner, End::Stuck, "a slice ran far beyond its CPU limit");
    return;
  }
  if (now - runner.started >= kYoung) failures_ = 0;
  if (runner.is_retiring) return end_if_retired(runner, now);
  retire_if_empty(*runner.home, runner, now);
}

void Fleet::retire_if_empty(Home& home, Runner& runner, Monotonic now) {
  if (home.name_.kind != HomeKind::Private) return;
  if (runner.session->worker_count() > 0 || runner.session->has_work()) {
    home.empty_since_ = now;
  } else if (now - home.empty_since_ > kEmptyHomeMax) {
    bury(runner, End::Retired, "its tenant is idle");
  }
}

// Nobody lives there any more. A shared home gets its replacement at once; a private one when its tenant is heard of again.
void Fleet::vacate(Home& home) {
  home.session_.reset();
  if (home.is_wanted_) return;
  if (home.name_.kind != HomeKind::Private) {
    home.is_wanted_ = true;
    wanting_.push_front(&home);
  } else if (home.waiters_.empty()) {
    std::erase_if(homes_, [&home](const auto& item) { return item.get() == &home; });
  }
}

// A process that somebody has broken into lives for a day at most. One at a time, when a spare is ready: what is new goes
// there, what has begun is finished here.
void Fleet::retire_old(Monotonic now) {
  if (options_.runner_age_max.count() == 0) return;
  Runner* oldest = nullptr;
  bool has_spare = false;
  for (const auto& runner : runners_) {
    if (runner->is_dead || !runner->has_greeted) continue;
    if (runner->home == nullptr) {
      has_spare = has_spare || !runner->is_retiring;
    } else if (now - runner->housed >= options_.runner_age_max && (oldest == nullptr || runner->housed < oldest->housed)) {
      oldest = runner.get();
    }
  }
  if (oldest == nullptr || !has_spare) return;
  Home& home = *std::exchange(oldest->home, nullptr);
  oldest->is_retiring = true;
  oldest->retiring = now;
  log_.info("runner.retiring", {{"runner", oldest->id},
                                {"pid", static_cast<std::int64_t>(oldest->process->pid())},
                                {"role", text_of(home.name_)}});
  const auto session = oldest->session;
  vacate(home);
  session->retire();
  fill_homes();
}

void Fleet::end_if_retired(Runner& runner, Monotonic now) {
  const Session& session = *runner.session;
  const bool is_empty = session.worker_count() == 0 && session.actor_count() == 0 && !session.has_work();
  if (is_empty) return bury(runner, End::Retired, "it has finished its work");
  if (now - runner.retiring > kRetiringMax) bury(runner, End::Retired, "its work did not end in time");
}

void Fleet::report_tables() {
  for (const auto& runner : runners_) {
    if (!runner->is_dead && runner->has_greeted) runner->session->ask_usage();
  }
}

void Fleet::log_tables(const Runner& runner, const protocol::Usage& usage) {
  const Session& session = *runner.session;
  log_.info("runner.tables", {{"runner", runner.id},
                              {"role", runner.home == nullptr ? std::string("none") : text_of(runner.home->name_)},
                              {"workers", session.worker_count()},
                              {"asked", session.question_count()},
                              {"kept_results", session.kept_result_count()},
                              {"answering", session.answer_count()},
                              {"granted", session.import_count()},
                              {"held", session.export_count()},
                              {"streams", session.stream_count()},
                              {"isolates", usage.isolates},
                              {"memory_bytes", usage.memory_bytes},
                              {"runner_calls", usage.calls},
                              {"runner_questions", usage.questions},
                              {"runner_imports", usage.imports},
                              {"runner_exports", usage.exports},
                              {"runner_streams", usage.streams},
                              {"runner_timers", usage.timers},
                              {"runner_actors", usage.actors}});
}

void Fleet::hear_pong(Runner& runner, Session& session, std::uint32_t number) {
  if (runner.is_dead || runner.session.get() != &session) return;
  if (!runner.is_pong_due || number != runner.ping) {
    bury(runner, End::Protocol, "a Pong that nobody asked for");
    return;
  }
  runner.is_pong_due = false;
}

void Fleet::watch_exit(Runner& runner) {
  const int pidfd = runner.process->pidfd();
  if (pidfd < 0) return;
  runner.exit_watch = std::make_unique<boost::asio::posix::stream_descriptor>(io_, ::dup(pidfd));
  wait_for_exit(runner);
}

void Fleet::wait_for_exit(Runner& runner) {
  runner.exit_watch->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                [this, &runner](boost::system::error_code error) {
                                  if (!error) on_exit_seen(runner);
                                });
}

void Fleet::on_exit_seen(Runner& runner) {
  const auto exit = runner.process->try_reap();
  if (!exit) return wait_for_exit(runner);  // a wake-up without a cause
  // What it said before it ended still counts; the end of the socket comes with it.
  if (!runner.is_dead) runner.session->read_rest();
  if (!runner.is_dead) bury(runner, End::Closed, "it ended");
  finish(runner, *exit);
}

void Fleet::bury(Runner& runner, End end, std::string_view detail) {
  if (runner.is_dead) return;
  runner.is_dead = true;
  runner.end = end;
  const auto session = runner.session;
  const Findings findings = examine(runner.process->board(), *session, end);
  runner.cause = std::string(findings.cause);
  runner.suspect_count = findings.suspects.size();
  runner.process->kill();
  if (end != End::Retired) {
    log_.warn("runner.lost", {{"runner", runner.id},
                              {"pid", static_cast<std::int64_t>(runner.process->pid())},
                              {"cause", runner.cause},
                              {"detail", detail.substr(0, 512)},
                              {"suspects", runner.suspect_count}});
    blame_.record_death(findings.suspects);
  }

  if (Home* const home = std::exchange(runner.home, nullptr)) vacate(*home);
  // A runner that dies young and by nobody's doing will do so again: the next ones start ever more slowly.
  const bool is_young = clock_.now() - runner.started < kYoung;
  if (!runner.has_greeted || (is_young && findings.suspects.empty() && end != End::Retired)) fail_start(detail);
  // The replacement first, so that calls that may be tried again find it when they hear of their loss.
  fill_homes();
  session->close(findings.losses);
  if (runner.process->pidfd() >= 0) return;  // on_exit_seen() goes on from here
  // Our caller may be this runner's own session.
  boost::asio::post(io_, [this, id = runner.id] {
    const auto found =
        std::find_if(runners_.begin(), runners_.end(), [id](const auto& item) { return item->id == id; });
    if (found != runners_.end()) finish(**found, Exit{});
  });
}

void Fleet::finish(Runner& runner, const Exit& exit) {
  log_.info("runner.exited", {{"runner", runner.id},
                              {"pid", static_cast<std::int64_t>(runner.process->pid())},
                              {"code", exit.code},
                              {"signal", exit.signal},
                              {"cause", runner.cause},
                              {"suspects", runner.suspect_count}});
  if (started_ != nullptr && !runner.has_greeted) {
    auto callback = std::exchange(started_, nullptr);
    callback(Error(ErrorCode::Unavailable,
                   fmt::format("the first runner did not start: {}; it wrote to stderr what it found", text_of(exit))));
  }
  // Its watch is what may have called us.
  const auto found = std::find_if(runners_.begin(), runners_.end(),
                                  [&](const auto& item) { return item.get() == &runner; });
  if (found == runners_.end()) return;
  boost::asio::post(io_, [gone = std::shared_ptr<Runner>(std::move(*found))] {});
  runners_.erase(found);
}

void Fleet::fail_start(std::string_view detail) {
  // Several that die together are one failure.
  if (clock_.now() < start_not_before_) return;
  const unsigned doublings = std::min(failures_++, 9u);
  const milliseconds pause = std::min(kBackOffFirst * (1 << doublings), kBackOffMax);
  start_not_before_ = clock_.now() + pause;
  log_.error("runner.failed", {{"detail", detail.substr(0, 512)}, {"retry_ms", pause.count()}});
}

}  // namespace insula::fleet
