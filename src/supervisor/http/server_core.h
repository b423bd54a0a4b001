// SPDX-License-Identifier: Apache-2.0
//
// ServerCore: the listeners and connections of one Server, and what a Connection needs of it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>

#include "src/base/fd.h"
#include "src/supervisor/http/address_table.h"
#include "src/supervisor/http/poller.h"
#include "src/supervisor/http/response_head.h"
#include "src/supervisor/http/server.h"

namespace insula::http {

class Connection;

class ServerCore final : public Poller::Owner {
 public:
  ServerCore(io::Executor executor, const HttpLimits& limits, const Clock& clock, Log& log, RequestHandler& handler);
  ~ServerCore() override;
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;

  Result<std::uint16_t> listen(std::string_view host, std::uint16_t port);
  void stop_accepting();
  void drain(milliseconds grace, std::function<void()> on_empty);
  void close();
  void check_timeouts();
  std::size_t connection_count() const noexcept { return connections_.size(); }

  void on_batch_start() override;
  void on_batch_end() override;

  // For connections.
  const HttpLimits& limits() const noexcept { return limits_; }
  RequestHandler& handler() noexcept { return handler_; }
  ServerCounters& counters() noexcept { return counters_; }
  Log& log() noexcept { return log_; }
  const DateLine& date() const noexcept { return date_; }
  Monotonic now() const noexcept { return now_; }  // as of this batch, or the last tick
  bool is_draining() const noexcept { return is_draining_; }
  std::span<char> scratch() noexcept { return {scratch_.get(), kScratchBytes}; }  // one pump() at a time uses it
  void schedule(Connection& connection);  // pump() it soon, outside the present call
  void remove(Connection& connection);    // destroyed later

 private:
  class Listener;
  static constexpr std::size_t kScratchBytes = 64 * kKiB;

  void refresh_time();
  void accept_from(Listener& listener);
  void admit(Fd socket, const sockaddr_storage& address);
  void pause_accepting(int reason);
  void resume_accepting();
  void start_ticking();
  void end_turn();
  void request_turn();
  void report_if_empty();

  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, io::Executor>;

  io::Executor executor_;
  const HttpLimits limits_;
  const Clock& clock_;
  Log& log_;
  RequestHandler& handler_;
  Poller poller_;
  Timer timer_;
  bool is_polling_ = false;
  bool is_ticking_ = false;
  bool is_accepting_paused_ = false;
  bool is_draining_ = false;
  bool is_in_turn_ = false;
  bool is_turn_requested_ = false;
  std::optional<Monotonic> drain_deadline_;
  std::function<void()> on_empty_;

  Monotonic now_;
  DateLine date_;
  ServerCounters counters_;
  const std::unique_ptr<char[]> scratch_ = std::make_unique_for_overwrite<char[]>(kScratchBytes);
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> closed_;  // destroyed at the end of the turn
  std::vector<Connection*> runnable_;
  std::vector<Connection*> running_;
  AddressTable addresses_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // false ends turns that are already posted
};

}  // namespace insula::http
