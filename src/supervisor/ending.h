// SPDX-License-Identifier: Apache-2.0
//
// Ending: how the server stops.
//
//   SIGTERM          accepts no more, finishes what runs (30 s at most), ends with 0
//   SIGINT           ends at once and clean, with 0
//   a second signal  ends at once, with 128 + its number
#pragma once

#include <functional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/supervisor/fleet/fleet.h"
#include "src/supervisor/http/server.h"

namespace insula::supervisor {

class Ending {
 public:
  Ending(boost::asio::io_context& io, http::Server& server, fleet::Fleet& fleet, Log& log, const Clock& clock);

  // What must be closed while there are runners; it says when it is, and has kCloseWithin for it.
  void before_runners(std::function<void(std::function<void()>)> close) { close_ = std::move(close); }
  // What is to be known when connections begin to be closed.
  void at_drain(std::function<void()> tell) { at_drain_ = std::move(tell); }
  // Ends the server because of a failure of its own.
  void fail() { stop(1); }
  int exit_code() const noexcept { return exit_code_; }

 private:
  void wait_for_signal();
  void on_signal(int number);
  void drain();
  void wait_for_runners();
  void stop(int exit_code);
  void end();

  boost::asio::io_context& io_;
  http::Server& server_;
  fleet::Fleet& fleet_;
  Log& log_;
  const Clock& clock_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer timer_;
  Monotonic deadline_{};
  std::function<void(std::function<void()>)> close_;
  std::function<void()> at_drain_;
  bool is_draining_ = false;
  bool is_stopping_ = false;
  int exit_code_ = 0;
};

// SIGUSR1: what the processes hold in their tables goes to the log ("runner.tables").
class ReportSignal {
 public:
  ReportSignal(boost::asio::io_context& io, fleet::Fleet& fleet) : fleet_(fleet), signals_(io, SIGUSR1) { wait(); }

 private:
  void wait() {
    signals_.async_wait([this](boost::system::error_code error, int) {
      if (error) return;
      fleet_.report_tables();
      wait();
    });
  }

  fleet::Fleet& fleet_;
  boost::asio::signal_set signals_;
};

}  // namespace insula::supervisor
