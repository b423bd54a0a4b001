// SPDX-License-Identifier: Apache-2.0
//
// EventsCall: one look at the event stream of an instance. It is answered as soon as there is something above the
// cursor, or when nothing more will come.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "src/supervisor/instances/detail.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::instances {

class EventsCall final : public fleet::Job, public std::enable_shared_from_this<EventsCall> {
 public:
  static void start(workflow::Engine& engine, workflow::InstanceName name, const Asked& asked);
  EventsCall(workflow::Engine& engine, workflow::InstanceName name, fleet::Answer to)
      : engine_(engine), name_(std::move(name)), to_(std::move(to)) {}

  // Job
  void cancel() override { end(); }

 private:
  void take(const std::vector<durable::StreamEvent>& events);
  void fetch_next();
  void tell();
  void end();

  workflow::Engine& engine_;
  const workflow::InstanceName name_;
  const fleet::Answer to_;
  std::uint64_t subscription_ = 0;
  bool is_over_ = false;
  workflow::InstanceRef ref_ = 0;
  std::vector<durable::StreamEvent> events_;
  std::size_t fetched_ = 0;
};

// One event in the words of the API; a value goes to `payloads` and stands in the event as {"$value": its place}.
json::object to_json(const durable::StreamEvent& event, const std::string& instance, std::vector<BytesView>* payloads);

}  // namespace insula::instances
