// SPDX-License-Identifier: Apache-2.0
//
// WorkflowCapability: operations by name.
#include "src/supervisor/instances/binding.h"

#include <algorithm>
#include <cmath>

#include "src/supervisor/instances/events_call.h"
#include "src/supervisor/instances/workflows.h"

namespace insula::instances {
namespace {

using workflow::Engine;
using workflow::InstanceName;
using workflow::NewInstance;

constexpr std::size_t kBatchMax = 100;
constexpr std::size_t kBatchBytesMax = std::size_t{1} << 20;
constexpr std::size_t kOriginBytesMax = 4'096;  // 1,024 characters, of up to three bytes each, and quotes
constexpr durable::TimeMs kRetentionMsMax = 365 * durable::kDayMs;

workflow::Done<> done_with(const fleet::Answer& to) {
  return [to](Result<> result) {
    if (!result) return answer_refusal(to, result.error());
    answer(to, {});
  };
}

Result<std::optional<durable::TimeMs>> retention_of(const json::object* retention, std::string_view field) {
  if (retention == nullptr) return std::optional<durable::TimeMs>();
  const auto raw = duration_of(*retention, field);
  if (raw.form == durable::RawDuration::Form::Absent) return std::optional<durable::TimeMs>();
  auto duration = raw.form == durable::RawDuration::Form::Text ? durable::parse_duration(raw.text)
                                                               : durable::duration_of(raw.number);
  if (!duration) return duration.error().within("retention");
  if (duration->ms > kRetentionMsMax) {
    return Error(ErrorCode::InvalidInput, "retention: a finished instance is kept for 365 days at most");
  }
  return std::optional<durable::TimeMs>(duration->ms);
}

Result<NewInstance> read_instance(const std::string& workflow, const json::object& detail, const std::string& origin,
                                  Bytes params) {
  NewInstance instance;
  instance.workflow = workflow;
  instance.id = text_of(detail, "id");
  instance.params = std::move(params);
  instance.fairness_key = instance.metadata = origin;
  const json::object* const retention = object_of(detail, "retention");
  TRY(instance.success_retention_ms, retention_of(retention, "success"));
  TRY(instance.error_retention_ms, retention_of(retention, "error"));
  return instance;
}

// Who made the instance, in the caller's words: a hint for fairness and for operators, and nothing more.
std::string origin_of(const json::object& detail) {
  auto origin = text_of(detail, "origin");
  if (origin.size() > kOriginBytesMax) origin.clear();
  return origin;
}

void create(Engine& engine, const std::string& workflow, Asked asked) {
  auto instance = read_instance(workflow, asked.detail, origin_of(asked.detail), std::move(asked.payload));
  if (!instance) return answer_refusal(asked.answer, instance.error());
  const auto id = instance->id;
  engine.create(*std::move(instance), [to = asked.answer, id](Result<workflow::InstanceRef> made) {
    if (!made) return answer_refusal(to, made.error());
    answer(to, {{"id", id}});
  });
}

void create_batch(Engine& engine, const std::string& workflow, const Asked& asked) {
  const json::value* const list = asked.detail.if_contains("instances");
  const json::array* const given = list == nullptr ? nullptr : list->if_array();
  if (given == nullptr || given->empty() || given->size() > kBatchMax || asked.payload.size() > kBatchBytesMax) {
    return answer_refusal(asked.answer, Error(ErrorCode::InvalidInput, "batchCreate takes 1 to 100 instances and 1 MiB"));
  }
  struct Gathered {
    std::vector<json::object> results;
    std::size_t left = 0;
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->results.resize(given->size());
  gathered->left = given->size();
  const auto origin = origin_of(asked.detail);
  BytesView rest = asked.payload;
  for (std::size_t place = 0; place < given->size(); ++place) {
    const auto finish = [gathered, place, to = asked.answer](json::object result) {
      gathered->results[place] = std::move(result);
      if (--gathered->left > 0) return;
      json::array results;
      for (auto& one : gathered->results) results.emplace_back(std::move(one));
      answer(to, {{"results", std::move(results)}});
    };
    const json::object* const one = (*given)[place].if_object();
    const json::object nothing;
    const json::object& detail = one == nullptr ? nothing : *one;
    const auto bytes = std::min<std::size_t>(count_of(detail, "bytes"), rest.size());
    auto instance = read_instance(workflow, detail, origin, Bytes(rest.substr(0, bytes)));
    rest.remove_prefix(bytes);
    if (!instance) {
      finish({{"error", refusal_of(instance.error())}});
      continue;
    }
    const auto id = instance->id;
    engine.create(*std::move(instance), [finish, id](Result<workflow::InstanceRef> made) {
      if (!made) return finish({{"error", refusal_of(made.error())}});
      finish({{"id", id}});
    });
  }
}

void delete_batch(Engine& engine, const std::string& workflow, const Asked& asked) {
  const json::value* const list = asked.detail.if_contains("ids");
  const json::array* const ids = list == nullptr ? nullptr : list->if_array();
  if (ids == nullptr || ids->empty() || ids->size() > kBatchMax) {
    return answer_refusal(asked.answer, Error(ErrorCode::InvalidInput, "deleteBatch takes 1 to 100 instance ids"));
  }
  struct Gathered {
    json::array results;
    std::size_t left = 0;
  };
  auto gathered = std::make_shared<Gathered>();
  gathered->results.resize(ids->size());
  gathered->left = ids->size();
  for (std::size_t place = 0; place < ids->size(); ++place) {
    const json::string* const id = (*ids)[place].if_string();
    engine.remove({workflow, id == nullptr ? std::string() : std::string(*id)},
                  [gathered, place, to = asked.answer](Result<> removed) {
                    json::object result;
                    if (!removed) result["error"] = refusal_of(removed.error());
                    gathered->results[place] = std::move(result);
                    if (--gathered->left == 0) answer(to, {{"results", std::move(gathered->results)}});
                  });
  }
}

void tell_status(Engine& engine, InstanceName name, const fleet::Answer& to) {
  engine.status(std::move(name), [to](Result<workflow::InstanceStatus> status) {
    if (!status) return answer_refusal(to, status.error());
    json::object detail{{"status", durable::name_of(status->status)}};
    std::vector<BytesView> payloads;
    if (status->failure) detail["error"] = to_json(*status->failure);
    if (status->output) {
      detail["hasOutput"] = true;
      payloads.emplace_back(status->output->bytes);
    }
    answer(to, detail, std::move(payloads));
  });
}

void restart(Engine& engine, InstanceName name, const Asked& asked) {
  std::optional<durable::RestartFrom> from;
  if (const json::object* const step = object_of(asked.detail, "from")) {
    from.emplace();
    from->name = text_of(*step, "name");
    from->count = static_cast<std::uint32_t>(std::clamp(number_of(*step, "count", 1), 0.0, 4e9));
    const auto type = text_of(*step, "type");
    if (type == "sleep") {
      from->kind = durable::StepKind::Sleep;
    } else if (type == "waitForEvent") {
      from->kind = durable::StepKind::Wait;
    } else if (!type.empty() && type != "do") {
      return answer_refusal(asked.answer, Error(ErrorCode::InvalidInput,
                                                "from.type must be \"do\", \"sleep\" or \"waitForEvent\""));
    }
  }
  engine.restart(std::move(name), std::move(from), done_with(asked.answer));
}

void operate(Engine& engine, const std::string& workflow, Asked asked) {
  const std::string& operation = asked.operation;
  if (operation == "create") return create(engine, workflow, std::move(asked));
  if (operation == "createBatch") return create_batch(engine, workflow, asked);
  if (operation == "deleteBatch") return delete_batch(engine, workflow, asked);
  InstanceName name{workflow, text_of(asked.detail, "id")};
  if (operation == "get") {
    const auto id = name.id;
    return engine.find_out(std::move(name), [to = asked.answer, id](Result<> known) {
      if (!known) return answer_refusal(to, known.error());
      answer(to, {{"id", id}});
    });
  }
  if (operation == "status") return tell_status(engine, std::move(name), asked.answer);
  if (operation == "pause") return engine.pause(std::move(name), done_with(asked.answer));
  if (operation == "resume") return engine.resume(std::move(name), done_with(asked.answer));
  if (operation == "terminate") {
    return engine.terminate(std::move(name), flag_of(asked.detail, "rollback"), done_with(asked.answer));
  }
  if (operation == "restart") return restart(engine, std::move(name), asked);
  if (operation == "delete") return engine.remove(std::move(name), done_with(asked.answer));
  if (operation == "sendEvent") {
    return engine.send_event(std::move(name), text_of(asked.detail, "type"), std::move(asked.payload),
                             done_with(asked.answer));
  }
  if (operation == "events") return EventsCall::start(engine, std::move(name), asked);
  answer_lost(asked.answer, "There is no such operation of a workflow.");
}

}  // namespace

void WorkflowCapability::invoke(fleet::IncomingCall& call) {
  if (!std::holds_alternative<protocol::EngineCall>(call.invoke.call)) {
    return answer_lost(call.answer, "A workflow binding answers no such call.");
  }
  auto asked = read_call(call);
  if (!asked) return answer_lost(call.answer, asked.error().message());
  all_.when_ready([workflow = workflow_, asked = *std::move(asked)](Engine& engine) { operate(engine, workflow, asked); });
}

}  // namespace insula::instances
