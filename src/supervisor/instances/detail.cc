// SPDX-License-Identifier: Apache-2.0
//
// Detail: reading and writing of JSON.
#include "src/supervisor/instances/detail.h"

#include <cmath>
#include <utility>

#include "src/supervisor/fleet/session.h"

namespace insula::instances {
namespace {

constexpr double kCountMax = 9'007'199'254'740'992.0;  // 2^53

}  // namespace

Result<Asked> read_call(const fleet::IncomingCall& call) {
  const auto& engine = std::get<protocol::EngineCall>(call.invoke.call);
  boost::system::error_code error;
  json::value detail = json::parse(engine.detail.empty() ? "{}" : engine.detail, error);
  if (error || !detail.is_object()) {
    return Error(ErrorCode::InvalidInput, "The detail of an operation is no object.");
  }
  return Asked{std::string(engine.operation), std::move(detail.get_object()), Bytes(engine.payload.bytes), call.answer};
}

std::string text_of(const json::object& detail, std::string_view field) {
  const json::value* const value = detail.if_contains(field);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

double number_of(const json::object& detail, std::string_view field, double otherwise) {
  const json::value* const value = detail.if_contains(field);
  if (value == nullptr || !value->is_number()) return otherwise;
  return value->is_double() ? value->get_double()
         : value->is_int64() ? static_cast<double>(value->get_int64())
                             : static_cast<double>(value->get_uint64());
}

std::uint64_t count_of(const json::object& detail, std::string_view field) {
  const double number = number_of(detail, field);
  return number >= 0 && number <= kCountMax && std::floor(number) == number ? static_cast<std::uint64_t>(number) : 0;
}

bool flag_of(const json::object& detail, std::string_view field) {
  const json::value* const value = detail.if_contains(field);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object* object_of(const json::object& detail, std::string_view field) {
  const json::value* const value = detail.if_contains(field);
  return value != nullptr ? value->if_object() : nullptr;
}

durable::RawDuration duration_of(const json::object& detail, std::string_view field) {
  using Form = durable::RawDuration::Form;
  durable::RawDuration raw;
  const json::value* const value = detail.if_contains(field);
  if (value == nullptr || value->is_null()) return raw;
  if (value->is_string()) {
    raw.form = Form::Text;
    raw.text = std::string(value->get_string());
  } else if (value->is_number()) {
    raw.form = Form::Number;
    raw.number = number_of(detail, field);
  } else if (const auto* const object = value->if_object(); object != nullptr && flag_of(*object, "function")) {
    raw.form = Form::Function;
  } else {
    raw.form = Form::Text;  // as text it is refused, in the right words
    raw.text = json::serialize(*value);
  }
  return raw;
}

durable::RawConfig config_of(const json::object* config, std::string problem) {
  durable::RawConfig raw;
  raw.problem = std::move(problem);
  if (config == nullptr) return raw;
  if (const json::object* const retries = object_of(*config, "retries")) {
    raw.has_retries = true;
    raw.has_limit = retries->contains("limit");
    raw.limit = number_of(*retries, "limit", -1);
    raw.delay = duration_of(*retries, "delay");
    raw.backoff = text_of(*retries, "backoff");
  }
  raw.timeout = duration_of(*config, "timeout");
  raw.is_sensitive = text_of(*config, "sensitive") == "output";
  return raw;
}

json::object to_json(const durable::StepConfig& config) {
  const auto shown = [](const durable::Duration& duration) {
    return duration.text.empty() ? json::value(duration.ms) : json::value(duration.text);
  };
  json::object retries;
  retries["limit"] = config.retries == durable::kRetriesUnlimited ? json::value(nullptr) : json::value(config.retries);
  if (!config.has_delay_function) retries["delay"] = shown(config.delay);
  retries["backoff"] = durable::name_of(config.backoff);
  json::object object;
  object["retries"] = std::move(retries);
  object["timeout"] = shown(config.timeout);
  if (config.is_sensitive) object["sensitive"] = "output";
  return object;
}

json::object to_json(const durable::Failure& failure) {
  return {{"name", failure.name}, {"message", failure.message}};
}

void answer(const fleet::Answer& to, const json::object& detail, std::vector<BytesView> payloads) {
  const auto session = to.session.lock();
  if (session == nullptr) return;
  const std::string text = json::serialize(detail);
  protocol::Return outcome;
  outcome.outcome = protocol::EngineResult{text, std::move(payloads)};
  session->answer(to.question, outcome, nullptr);
}

json::object refusal_of(const Error& error) {
  // What has a code and no words of its own is a plain Error in the peer too.
  const bool is_plain = error.message().starts_with("instance.") || error.code() == ErrorCode::Unavailable;
  return {{"name", is_plain ? "Error" : "WorkflowError"}, {"message", error.message()}};
}

void answer_refusal(const fleet::Answer& to, const Error& error) {
  answer(to, {{"error", refusal_of(error)}});
}

void answer_lost(const fleet::Answer& to, std::string_view message) {
  const auto session = to.session.lock();
  if (session == nullptr) return;
  protocol::ErrorInfo error;
  error.name = "Error";
  error.message = message;
  session->answer_error(to.question, error);
}

}  // namespace insula::instances
