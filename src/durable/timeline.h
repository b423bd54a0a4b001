// SPDX-License-Identifier: Apache-2.0
//
// Timeline: an instance's records as the events that `instance.subscribe()` and the operator's timeline show.
//
// An event's id is made of the number of its record, so ids grow, never change, and need no storage of their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/durable/record.h"

namespace insula::durable {

struct StreamEvent {
  std::uint64_t id = 0;
  TimeMs at = 0;
  std::string_view type;  // "step_completed" and so on (spec/workflows.md, section 8)
  std::string step_name;  // "name-count", where there is one
  std::uint32_t attempt = 0;
  std::string event_type;      // wait_started
  TimeMs duration_ms = 0;      // sleep_started; retry delay of attempt_errored
  bool has_value = false;      // params, output
  bool is_redacted = false;
  Value value;
  bool has_failure = false;
  Failure failure;
  bool has_config = false;
  StepConfig config;
};

class Timeline {
 public:
  // The events of one more record, which is the next in order.
  std::vector<StreamEvent> next(const Record& record);

 private:
  struct Step {
    std::string label;
    StepKind kind = StepKind::Do;
    bool is_sensitive = false;
    bool is_open = true;
  };
  std::uint64_t number_ = 0;
  bool has_started_ = false;
  bool is_rolling_back_ = false;
  Value params_;
  std::vector<Step> steps_;
};

}  // namespace insula::durable
