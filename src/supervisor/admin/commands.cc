// SPDX-License-Identifier: Apache-2.0
//
// Commands: from JSON to the engine's operations.
#include "src/supervisor/admin/commands.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "src/durable/duration.h"
#include "src/supervisor/admin/value_of_json.h"
#include "src/supervisor/instances/events_call.h"

namespace insula::admin {
namespace {

namespace json = boost::json;
using Say = std::function<void(std::string)>;
using instances::count_of;
using instances::flag_of;
using instances::text_of;
using workflow::Engine;
using workflow::InstanceStatus;

std::string refusal(std::string_view text) { return json::serialize(json::object{{"error", text}}); }

json::object to_json(const InstanceStatus& status) {
  json::object object{{"ref", status.ref},
                      {"workflow", status.workflow},
                      {"id", status.id},
                      {"status", durable::name_of(status.status)},
                      {"created", status.created_at}};
  if (status.ended_at != 0) object["ended"] = status.ended_at;
  if (status.due != 0) object["due"] = status.due;
  if (!status.metadata.empty()) object["metadata"] = status.metadata;
  if (status.failure) object["error"] = instances::to_json(*status.failure);
  if (status.output) object["outputBytes"] = status.output->size;
  return object;
}

std::optional<durable::Status> status_named(std::string_view name) {
  for (std::uint8_t i = 0; i < durable::kStatusCount; ++i) {
    if (durable::name_of(static_cast<durable::Status>(i)) == name) return static_cast<durable::Status>(i);
  }
  return std::nullopt;
}

void list(Engine& engine, const json::object& asked, const Say& say) {
  storage::InstanceFilter filter;
  filter.workflow = text_of(asked, "workflow");
  if (const auto* const statuses = asked.if_contains("status"); statuses != nullptr && statuses->is_array()) {
    std::uint32_t mask = 0;
    for (const auto& one : statuses->get_array()) {
      const auto status = one.is_string() ? status_named(one.get_string()) : std::nullopt;
      if (!status) return say(refusal("status: unknown; expected queued, running, waiting, waitingForPause, paused, "
                                      "errored, terminated or complete"));
      mask |= 1U << static_cast<unsigned>(*status);
    }
    if (mask != 0) filter.status_mask = mask;
  }
  if (asked.contains("metadata")) filter.metadata = text_of(asked, "metadata");
  filter.created_from = static_cast<durable::TimeMs>(count_of(asked, "from"));
  filter.created_before = static_cast<durable::TimeMs>(count_of(asked, "until"));
  filter.before = count_of(asked, "before");
  if (asked.contains("limit")) filter.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(count_of(asked, "limit"), 1'000));
  engine.list(filter, [say](Result<std::vector<InstanceStatus>> page) {
    if (!page) return say(refusal(page.error().message()));
    json::array instances;
    for (const auto& status : *page) instances.emplace_back(to_json(status));
    say(json::serialize(json::object{{"instances", std::move(instances)}}));
  });
}

void show(Engine& engine, const workflow::InstanceName& name, const Say& say) {
  engine.status(name, [&engine, name, say](Result<InstanceStatus> status) {
    if (!status) return say(refusal(status.error().message()));
    json::object shown = to_json(*status);
    engine.timeline(name, 0, [id = name.id, say, shown](Result<std::vector<durable::StreamEvent>> events) mutable {
      if (!events) return say(refusal(events.error().message()));
      json::array timeline;
      for (const auto& event : *events) {
        json::object one = instances::to_json(event, id, nullptr);
        if (event.has_value && !event.is_redacted) one["bytes"] = event.value.size;
        timeline.emplace_back(std::move(one));
      }
      shown["events"] = std::move(timeline);
      say(json::serialize(shown));
    });
  });
}

void operate(Engine& engine, const json::object& asked, const Say& say) {
  const auto command = text_of(asked, "command");
  if (command == "list") return list(engine, asked, say);
  const workflow::InstanceName name{text_of(asked, "workflow"), text_of(asked, "id")};
  const auto done = [say](Result<> result) { say(result ? std::string("{}") : refusal(result.error().message())); };
  if (command == "show") return show(engine, name, say);
  if (command == "pause") return engine.pause(name, done);
  if (command == "resume") return engine.resume(name, done);
  if (command == "terminate") return engine.terminate(name, flag_of(asked, "rollback"), done);
  if (command == "delete") return engine.remove(name, done);
  if (command == "restart") {
    std::optional<durable::RestartFrom> from;
    if (asked.contains("from")) {
      from.emplace();
      from->name = text_of(asked, "from");
      from->count = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, count_of(asked, "count")));
    }
    return engine.restart(name, std::move(from), done);
  }
  if (command == "send-event") {
    const auto* const payload = asked.if_contains("payload");
    return engine.send_event(name, text_of(asked, "type"), payload == nullptr ? Bytes() : value_of_json(*payload), done);
  }
  say(refusal("there is no such command"));
}

}  // namespace

namespace {

// "1 day", "-2 hours", or milliseconds.
Result<std::chrono::milliseconds> distance_of(std::string_view text) {
  const bool is_back = text.starts_with('-');
  if (is_back || text.starts_with('+')) text.remove_prefix(1);
  durable::TimeMs ms = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error != std::errc() || stop != text.data() + text.size()) {
    TRY(const auto duration, durable::parse_duration(text));
    ms = duration.ms;
  }
  return std::chrono::milliseconds(is_back ? -ms : ms);
}

void move_clock(instances::Workflows& workflows, const json::object& asked, const Say& say) {
  const auto by = distance_of(text_of(asked, "by"));
  if (!by) return say(refusal(by.error().message()));
  const auto now = workflows.move_clock(*by, flag_of(asked, "set"));
  say(now ? json::serialize(json::object{{"now", *now}}) : refusal(now.error().message()));
}

}  // namespace

void answer_command(instances::Workflows& workflows, std::string_view line, std::function<void(std::string)> answer) {
  boost::system::error_code error;
  const json::value asked = json::parse(line, error);
  if (error || !asked.is_object()) return answer(refusal("a question is one line with a JSON object"));
  workflows.when_ready([&workflows, asked, answer = std::move(answer)](Engine& engine) {
    if (text_of(asked.get_object(), "command") == "clock") return move_clock(workflows, asked.get_object(), answer);
    operate(engine, asked.get_object(), answer);
  });
}

}  // namespace insula::admin
