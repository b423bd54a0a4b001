// SPDX-License-Identifier: Apache-2.0
//
// Invoker: sends one event from outside to one static Worker and returns its outcome.
//
//   front ──Event──► [Invoker: admission] ──► Destination (broker) ──► fleet: session ──Invoke──► runner
//
// Invariants
//   1. An event reaches at most one runner at a time; it is sent again at most once (fleet/routed_call.h).
//   2. At most `running_max` events of one Worker run at once and `waiting_max` wait; further ones are refused.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "src/base/clock.h"
#include "src/protocol/frames.h"
#include "src/supervisor/fleet/admission.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::dispatch {

// Events of one static Worker. The dispatcher carries the load of all tenants: its bounds protect the node's memory,
// the tenants' own (base/limits.h) protect them from each other.
inline constexpr std::size_t kEventsRunningMax = 4096;
inline constexpr std::size_t kEventsWaitingMax = 4096;

// Something that happened outside and wants an answer: an HTTP request. Derive, submit, be called back.
class Event : public fleet::RoutedCall {
 public:
  // The client is gone: nothing will be called any more.
  void cancel() { abandon(); }
};

class Invoker {
 public:
  Invoker(const Clock& clock, std::size_t running_max = kEventsRunningMax, std::size_t waiting_max = kEventsWaitingMax)
      : clock_(clock), running_max_(running_max), waiting_max_(waiting_max) {}

  // Worker number workers().size() from now on.
  void add_worker(std::shared_ptr<fleet::Destination> worker);
  void submit(std::size_t worker, const std::shared_ptr<Event>& event);
  // Refuses events that waited too long.
  void expire();

  std::size_t running() const;

 private:
  class Gate;

  const Clock& clock_;
  const std::size_t running_max_;
  const std::size_t waiting_max_;
  std::vector<std::shared_ptr<Gate>> gates_;
};

}  // namespace insula::dispatch
