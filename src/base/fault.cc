// SPDX-License-Identifier: Apache-2.0
//
// Fault: the table behind every runtime-made failure.
#include "src/base/fault.h"

#include <array>
#include <cstddef>

namespace insula {
namespace {

constexpr std::array<FaultInfo, 26> kTable = {{
    {"", 500, false, ""},
    {"ERR_CPU_LIMIT", 503, false, "Worker exceeded CPU time limit."},
    {"ERR_MEMORY_LIMIT", 503, false, "Worker exceeded memory limit."},
    {"ERR_STARTUP_CPU_LIMIT", 503, false, "Worker exceeded its start-up CPU time limit."},
    {"ERR_WALL_LIMIT", 504, false, "Worker exceeded its wall time limit."},
    {"ERR_HUNG", 500, false,
     "The Workers runtime canceled this request because it detected that your Worker's code had hung and would "
     "never generate a response."},
    {"ERR_LOAD_FAILED", 500, false, "Failed to start Worker."},
    {"ERR_NO_ENTRYPOINT", 500, false, "Worker has no such entrypoint."},
    {"ERR_SUBREQUEST_LIMIT", 500, false, "Too many subrequests."},
    {"ERR_DEPTH_LIMIT", 500, false,
     "Subrequest depth limit exceeded. A chain of Workers may call at most 16 deep."},
    {"ERR_STREAM_LIMIT", 500, false, "Too many open streams in one invocation."},
    {"ERR_TIMER_LIMIT", 500, false, "Too many pending timers in one invocation."},
    {"ERR_RPC_LIMIT", 500, false, "Too many RPC calls in flight or live stubs."},
    {"ERR_OUTBOUND_BLOCKED", 502, false, "The address of this outbound request is not allowed."},
    {"ERR_RUNNER_LOST", 503, true, "The process that ran this Worker ended before it answered."},
    {"ERR_ISOLATE_LOST", 503, true, "The isolate that ran this Worker ended before it answered."},
    {"ERR_TENANT_SUSPENDED", 503, false,
     "This Worker is suspended for a while because it ended its process several times."},
    {"ERR_OVERLOADED", 503, true, "Too many requests are waiting for this Worker."},
    {"ERR_BAD_RESPONSE", 502, false, "The Worker returned a response that cannot be sent."},
    {"ERR_BAD_TENANT_ID", 500, false, "The id of the dynamic Worker is not valid."},
    {"ERR_PROTOCOL", 500, false, "The process that ran this Worker broke the protocol and was ended."},
    {"ERR_CANCELLED", 499, false, "The caller went away."},
    {"ERR_EXCEPTION", 500, false, "The Worker threw an exception."},
    {"ERR_STORAGE_FAILED", 500, false, "The storage of this Durable Object is not available."},
    {"ERR_DB_FULL", 503, false, "The database of this Durable Object is full."},
    {"ERR_INTERNAL", 500, false, "Internal error."},
}};

}  // namespace

const FaultInfo& info_of(Fault fault) noexcept {
  return kTable[static_cast<std::size_t>(fault)];
}

std::optional<Fault> fault_from_code(std::string_view code) noexcept {
  for (std::size_t index = 1; index < kTable.size(); ++index) {
    if (kTable[index].code == code) return static_cast<Fault>(index);
  }
  return std::nullopt;
}

}  // namespace insula
