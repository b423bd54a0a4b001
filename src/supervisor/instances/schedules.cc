// SPDX-License-Identifier: Apache-2.0
//
// Schedules: times to instances.
#include "src/supervisor/instances/schedules.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace insula::instances {
namespace {

// An empty object of JavaScript's as the built-ins pack it: the params of an instance that was given none.
constexpr std::string_view kEmptyObject("\xff\x0d" "o{\0", 5);

}  // namespace

void Schedules::add(const std::string& workflow, const std::vector<std::string>& schedules) {
  for (const auto& text : schedules) {
    auto cron = durable::Cron::parse(text);
    if (cron) schedules_.push_back(Schedule{workflow, text, *std::move(cron)});
  }
}

void Schedules::start(durable::TimeMs now) {
  for (auto& schedule : schedules_) schedule.next = schedule.cron.next_after(now).value_or(durable::kNever);
}

durable::TimeMs Schedules::tick(durable::TimeMs now) {
  auto soonest = durable::kNever;
  for (auto& schedule : schedules_) {
    auto due = durable::kNever;
    while (schedule.next <= now) {
      due = schedule.next;
      schedule.next = schedule.cron.next_after(due).value_or(durable::kNever);
    }
    if (due != durable::kNever) make(schedule, due);
    soonest = std::min(soonest, schedule.next);
  }
  return soonest;
}

void Schedules::make(const Schedule& schedule, durable::TimeMs at) {
  workflow::NewInstance instance;
  instance.workflow = schedule.workflow;
  instance.id = schedule.text + "#" + std::to_string(at);
  instance.params = Bytes(kEmptyObject);
  instance.is_scheduled = true;
  engine_.create(instance, [this, id = instance.id, workflow = schedule.workflow](Result<workflow::InstanceRef> made) {
    if (made) return log_.info("workflow.scheduled", {{"workflow", workflow}, {"instance", id}});
    if (made.error().code() == ErrorCode::Conflict) return;  // made before the clock was set back, or a restart
    log_.error("workflow.failed", {{"workflow", workflow}, {"instance", id}, {"text", made.error().message()}});
  });
}

std::optional<boost::json::object> schedule_of(const std::string& id) {
  const auto hash = id.rfind('#');
  if (hash == std::string::npos) return std::nullopt;
  durable::TimeMs at = 0;
  const auto* const end = id.data() + id.size();
  const auto [stop, error] = std::from_chars(id.data() + hash + 1, end, at);
  if (error != std::errc() || stop != end) return std::nullopt;
  return boost::json::object{{"cron", id.substr(0, hash)}, {"scheduledTime", at}};
}

}  // namespace insula::instances
