// SPDX-License-Identifier: Apache-2.0
//
// Pool: connections that wait for another request to the same origin.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>

#include "src/base/clock.h"
#include "src/supervisor/egress/connection.h"

namespace insula::egress {

class Pool final : public std::enable_shared_from_this<Pool> {
 public:
  struct Limits {
    std::size_t idle_max = 256;
    std::size_t idle_per_origin_max = 8;
    // Servers commonly close after 5, 60 or 75 s; the watch notices, this bounds what we hold.
    std::chrono::milliseconds idle_for{55000};
  };

  Pool(const Clock& clock, Limits limits) : clock_(clock), limits_(limits) {}

  // An idle connection to `origin` at an address for which `is_checked` holds and which was used within the last
  // `used_within`; null when there is none. The most recently used comes first, as it is the least likely to be
  // closed by the server at this moment.
  std::shared_ptr<Connection> take(const Origin& origin, std::chrono::milliseconds used_within,
                                   const std::function<bool(const Connection::Endpoint&)>& is_checked);
  void put(std::shared_ptr<Connection> connection);

  // Closes what has been idle for too long. Called by a timer of the owner.
  void sweep();
  // Closes the least recently used connection; false when none is idle.
  bool close_one();
  void clear();
  std::size_t idle() const noexcept { return idle_.size(); }

 private:
  struct Idle {
    std::shared_ptr<Connection> connection;
    Monotonic since;
  };
  using Order = std::list<Idle>;  // the least recently used first

  void remove(Order::iterator place, bool closes);

  const Clock& clock_;
  const Limits limits_;
  Order idle_;
  std::multimap<Origin, Order::iterator> by_origin_;  // per origin in the order of idle_
};

}  // namespace insula::egress
