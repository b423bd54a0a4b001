// SPDX-License-Identifier: Apache-2.0
//
// Schedules: makes an instance of a workflow at each time that one of its cron schedules names.
//
// The id of such an instance is "SCHEDULE#TIME", which no code can give: so each time makes one instance, whatever happens
// in between, and the schedule of an instance can be read from its id. Times that pass while nobody is there make none; of
// several that pass at once, only the last one counts.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "src/base/log.h"
#include "src/durable/cron.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::instances {

class Schedules {
 public:
  Schedules(workflow::Engine& engine, Log& log) : engine_(engine), log_(log) {}

  // `now`: times after it count. What the configuration has refused is not given here.
  void add(const std::string& workflow, const std::vector<std::string>& schedules);
  void start(durable::TimeMs now);
  // Makes what is due. Returns the next time; kNever: none.
  durable::TimeMs tick(durable::TimeMs now);

 private:
  struct Schedule {
    std::string workflow;
    std::string text;
    durable::Cron cron;
    durable::TimeMs next = durable::kNever;
  };
  void make(const Schedule& schedule, durable::TimeMs at);

  workflow::Engine& engine_;
  Log& log_;
  std::vector<Schedule> schedules_;
};

// {cron, scheduledTime} of an instance that a schedule has made.
std::optional<boost::json::object> schedule_of(const std::string& id);

}  // namespace insula::instances
