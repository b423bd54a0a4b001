// SPDX-License-Identifier: Apache-2.0
//
// Weigh: what an isolate costs on this machine, stage by stage (docs/decisions/0015-memory-of-a-tenant.md). No V8 type is
// named.
#pragma once

#include <string>

#include "src/runner/worker/worker.h"

namespace insula::runner {

// Makes `count` isolates at a time and says how much private memory each takes: empty ones of V8's own, then blank ones, with
// a Worker loaded, after a request, and after a pause.
std::string weigh(IsolateFactory& factory, HostCalls& host, ExecutorSlot& slot, std::size_t count);

}  // namespace insula::runner
