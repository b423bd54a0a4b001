// SPDX-License-Identifier: Apache-2.0
//
// EventsCall: subscribe, answer once, unsubscribe.
#include "src/supervisor/instances/events_call.h"

#include <algorithm>
#include <utility>

#include "src/supervisor/fleet/session.h"

namespace insula::instances {
namespace {

constexpr std::size_t kEventsMax = 100;  // in one answer

bool is_end(const durable::StreamEvent& event) {
  return event.type == "workflow_completed" || event.type == "workflow_errored" || event.type == "workflow_terminated";
}

}  // namespace

void EventsCall::start(workflow::Engine& engine, workflow::InstanceName name, const Asked& asked) {
  const auto call = std::make_shared<EventsCall>(engine, name, asked.answer);
  if (const auto session = asked.answer.session.lock()) session->set_job(asked.answer.question, call);
  const auto cursor = count_of(asked.detail, "cursor");
  // Whose state is final has nothing more to say than what is recorded: known before the stream is read.
  engine.status(std::move(name), [call, cursor](Result<workflow::InstanceStatus> status) {
    if (call->is_over_) return;
    if (!status) {
      call->is_over_ = true;
      return answer_refusal(call->to_, status.error());
    }
    call->ref_ = status->ref;
    const bool is_final = durable::is_final(status->status);
    call->engine_.subscribe(
        call->name_, cursor, [call](const std::vector<durable::StreamEvent>& events) { call->take(events); },
        [call, is_final](Result<std::uint64_t> subscription) {
          if (!subscription) {
            if (std::exchange(call->is_over_, true)) return;
            return answer_refusal(call->to_, subscription.error());
          }
          call->subscription_ = *subscription;
          if (call->is_over_) return call->end();
          if (call->events_.empty() && is_final) call->tell();
        });
  });
}

void EventsCall::take(const std::vector<durable::StreamEvent>& events) {
  if (is_over_ || !events_.empty() || events.empty()) return;
  events_.assign(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(std::min(events.size(), kEventsMax)));
  fetch_next();
}

// Values that are stored beside the records are read one after the other.
void EventsCall::fetch_next() {
  while (fetched_ < events_.size()) {
    auto& value = events_[fetched_].value;
    if (!events_[fetched_].has_value || !value.is_stored() || value.is_stream) {
      ++fetched_;
      continue;
    }
    return engine_.read_value(ref_, value.number, [call = shared_from_this()](Result<Bytes> bytes) {
      if (call->is_over_) return;
      // One that a restart has wiped meanwhile is shown as nothing.
      call->events_[call->fetched_++].value = durable::Value::inline_of(bytes ? *std::move(bytes) : Bytes());
      call->fetch_next();
    });
  }
  tell();
}

void EventsCall::tell() {
  if (is_over_) return;
  json::array list;
  std::vector<BytesView> payloads;
  for (const auto& event : events_) list.emplace_back(to_json(event, name_.id, &payloads));
  const bool is_over = events_.empty() || is_end(events_.back());
  answer(to_, {{"events", std::move(list)}, {"end", is_over}}, std::move(payloads));
  end();
}

void EventsCall::end() {
  is_over_ = true;
  if (subscription_ != 0) engine_.unsubscribe(std::exchange(subscription_, 0));
}

json::object to_json(const durable::StreamEvent& event, const std::string& instance, std::vector<BytesView>* payloads) {
  json::object object{{"instanceId", instance}, {"eventId", event.id}, {"timestamp", event.at}, {"type", event.type}};
  const auto is = [&](std::string_view type) { return event.type == type; };
  if (!event.step_name.empty()) object["stepName"] = event.step_name;
  if (event.attempt != 0 && event.type.find("attempt") != std::string_view::npos) object["attempt"] = event.attempt;
  if (is("sleep_started")) object["durationMs"] = event.duration_ms;
  if (is("wait_started")) object["eventType"] = event.event_type;
  if ((is("attempt_errored") || is("rollback_attempt_errored")) && event.duration_ms != 0) {
    object["retryDelayMs"] = event.duration_ms;
  }
  if (event.has_failure) object["error"] = to_json(event.failure);
  if (event.has_config) {
    json::object config = to_json(event.config);
    if (event.config.has_delay_function) config["retries"].as_object()["delay"] = "[dynamic]";
    object["config"] = std::move(config);
  }
  if (event.has_value) {
    const std::string_view field = is("workflow_started") ? "params" : "output";
    if (event.is_redacted) {
      object[field] = "[REDACTED]";
    } else if (event.value.is_stream) {
      object[field] = "[stream]";
    } else if (payloads != nullptr) {
      object[field] = {{"$value", payloads->size()}};
      payloads->emplace_back(event.value.bytes);
    }
  }
  return object;
}

}  // namespace insula::instances
