// SPDX-License-Identifier: Apache-2.0
//
// Commands: an operator's question as JSON, and its answer. {"error": text} when it is refused.
//
//   {"command": "list", "workflow"?, "status"?: [..], "metadata"?, "from"?, "until"?, "before"?, "limit"?}
//   {"command": "show" | "pause" | "resume" | "terminate" | "restart" | "delete" | "send-event", "workflow", "id", ...}
//   {"command": "clock", "by": text, "set"?}  for tests
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "src/supervisor/instances/workflows.h"

namespace insula::admin {

void answer_command(instances::Workflows& workflows, std::string_view line, std::function<void(std::string)> answer);

}  // namespace insula::admin
