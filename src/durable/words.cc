// SPDX-License-Identifier: Apache-2.0
//
// Names, patterns and the resolution of step configurations.
#include "src/durable/words.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace insula::durable {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}
bool is_word_or_dash(char c) { return is_word(c) || c == '-'; }

bool is_identifier(std::string_view text, std::size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(), is_word_or_dash);
}

Error bad(std::string what) { return Error(ErrorCode::InvalidInput, std::move(what)); }

Result<Duration> resolve_duration(const RawDuration& raw) {
  if (raw.form == RawDuration::Form::Text) return parse_duration(raw.text);
  return duration_of(raw.number);
}

}  // namespace

std::string_view name_of(Status status) noexcept {
  constexpr std::array<std::string_view, kStatusCount> kNames{"queued", "running", "waiting",    "waitingForPause",
                                                              "paused", "errored", "terminated", "complete"};
  return kNames[static_cast<std::size_t>(status)];
}

std::string_view name_of(StepKind kind) noexcept {
  constexpr std::array<std::string_view, 3> kNames{"do", "sleep", "waitForEvent"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name_of(Backoff backoff) noexcept {
  constexpr std::array<std::string_view, 3> kNames{"constant", "linear", "exponential"};
  return kNames[static_cast<std::size_t>(backoff)];
}

bool is_instance_id(std::string_view id) noexcept { return is_identifier(id, kInstanceIdBytesMax); }
bool is_workflow_name(std::string_view name) noexcept { return is_identifier(name, 64); }
bool is_event_type(std::string_view type) noexcept {
  return !type.empty() && type.size() <= kEventTypeBytesMax && std::all_of(type.begin(), type.end(), is_word_or_dash);
}
bool is_step_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kStepNameBytesMax && std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

Result<StepConfig> resolve_config(const RawConfig& raw, const StepConfig& defaults) {
  if (!raw.problem.empty()) return bad(raw.problem);
  StepConfig config = defaults;
  config.is_sensitive = raw.is_sensitive;
  if (raw.has_retries) {
    if (!raw.has_limit) return bad("retries.limit is missing");
    if (raw.delay.form == RawDuration::Form::Absent) return bad("retries.delay is missing");
    if (std::isnan(raw.limit) || raw.limit < 0) return bad("retries.limit must be a non-negative number");
    config.retries = raw.limit >= kRetriesUnlimited ? kRetriesUnlimited : static_cast<std::uint32_t>(raw.limit);
    if (raw.delay.form == RawDuration::Form::Function) {
      config.has_delay_function = true;
      config.delay = {};
    } else {
      auto delay = resolve_duration(raw.delay);
      if (!delay) return delay.error().within("retries.delay");
      config.delay = *std::move(delay);
    }
    if (raw.backoff == "constant") {
      config.backoff = Backoff::Constant;
    } else if (raw.backoff == "linear") {
      config.backoff = Backoff::Linear;
    } else if (raw.backoff == "exponential") {
      config.backoff = Backoff::Exponential;
    } else if (!raw.backoff.empty()) {
      return bad("retries.backoff must be \"constant\", \"linear\" or \"exponential\"");
    }
  }
  if (raw.timeout.form == RawDuration::Form::Function) return bad("timeout must be a duration");
  if (raw.timeout.form != RawDuration::Form::Absent) {
    auto timeout = resolve_duration(raw.timeout);
    if (!timeout) return timeout.error().within("timeout");
    if (timeout->ms == 0) return bad("timeout must be longer than zero");
    config.timeout = *std::move(timeout);
  }
  return config;
}

}  // namespace insula::durable
