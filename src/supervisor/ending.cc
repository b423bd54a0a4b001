// SPDX-License-Identifier: Apache-2.0
//
// Ending: clients first, then what their requests left running, then the runners.
#include "src/supervisor/ending.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <utility>

namespace insula::supervisor {
namespace {

constexpr milliseconds kGrace{30000};
constexpr milliseconds kLookEvery{20};
constexpr milliseconds kCloseWithin{3000};

}  // namespace

Ending::Ending(boost::asio::io_context& io, http::Server& server, fleet::Fleet& fleet, Log& log, const Clock& clock)
    : io_(io), server_(server), fleet_(fleet), log_(log), clock_(clock), signals_(io, SIGINT, SIGTERM), timer_(io) {
  wait_for_signal();
}

void Ending::wait_for_signal() {
  signals_.async_wait([this](boost::system::error_code error, int number) {
    if (error) return;
    wait_for_signal();
    on_signal(number);
  });
}

void Ending::on_signal(int number) {
  // Runners end with us: each has asked the kernel for that, and sees the end of its socket.
  if (is_draining_ || is_stopping_) ::_exit(128 + number);
  if (number == SIGTERM) return drain();
  log_.info("server.stopping", {{"signal", number}});
  stop(0);
}

void Ending::drain() {
  is_draining_ = true;
  deadline_ = clock_.now() + kGrace;
  log_.info("server.draining", {{"connections", server_.connection_count()}, {"grace_ms", kGrace.count()}});
  if (at_drain_) at_drain_();
  server_.drain(kGrace, [this] { wait_for_runners(); });
}

void Ending::wait_for_runners() {
  if (!fleet_.has_work() || clock_.now() >= deadline_) return stop(0);
  timer_.expires_after(kLookEvery);
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) wait_for_runners();
  });
}

void Ending::stop(int exit_code) {
  if (std::exchange(is_stopping_, true)) return;
  exit_code_ = exit_code;
  if (at_drain_) at_drain_();
  server_.close();
  if (close_ == nullptr) return end();
  // What is not closed then is found in the logs of its databases at the next start.
  timer_.expires_after(kCloseWithin);
  timer_.async_wait([this](boost::system::error_code error) {
    if (!error) end();
  });
  close_([this] { end(); });
}

void Ending::end() {
  if (io_.stopped()) return;
  fleet_.shut_down();
  log_.info("server.stopped", {{"exit_code", exit_code_}});
  io_.stop();
}

}  // namespace insula::supervisor
