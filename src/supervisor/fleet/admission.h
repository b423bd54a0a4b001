// SPDX-License-Identifier: Apache-2.0
//
// Admission: how many calls to one Worker run at once, and how many wait for their turn.
//
// Overload is shed at the source: the oldest waiting call goes first, because its caller is the likeliest to have given
// up, and nobody waits beyond kQueueWaitMax. So a Worker that waits for calls to itself cannot lock up for good.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>

#include "src/base/clock.h"
#include "src/base/limits.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::fleet {

inline constexpr milliseconds kQueueWaitMax{10000};

class Admission {
 public:
  Admission(std::size_t running_max, std::size_t waiting_max, const Clock& clock)
      : running_max_(running_max), waiting_max_(waiting_max), clock_(clock) {}

  // True: run it now. False: it waits, or was refused.
  bool enter(const std::shared_ptr<RoutedCall>& call);
  // One that ran is over. Returns the next one to run, admitted, or null.
  std::shared_ptr<RoutedCall> leave();
  void withdraw(const RoutedCall& call);
  // Refuses who waited too long.
  void expire();

  std::size_t running() const noexcept { return running_; }
  std::size_t waiting() const noexcept { return waiting_.size(); }

 private:
  struct Waiting {
    std::shared_ptr<RoutedCall> call;
    Monotonic since;
  };
  void refuse_oldest();

  const std::size_t running_max_;
  const std::size_t waiting_max_;
  const Clock& clock_;
  std::size_t running_ = 0;
  std::deque<Waiting> waiting_;
};

}  // namespace insula::fleet
