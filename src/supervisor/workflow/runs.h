// SPDX-License-Identifier: Apache-2.0
//
// Runs: the engine's way down to the isolates that execute workflows. Implemented over the channels to the runners.
//
// The other way, what a run says, is Engine::report(). An implementation may call it at any time, also inside the calls
// below. After release() nothing of that epoch needs to be reported, and what is reported is ignored.
#pragma once

#include <chrono>
#include <string>

#include "src/base/bytes.h"
#include "src/durable/event.h"
#include "src/storage/store.h"

namespace insula::workflow {

using storage::InstanceRef;

struct RunStart {
  InstanceRef ref = 0;
  std::string workflow;
  std::string id;
  std::uint64_t epoch = 0;
  bool only_rollback = false;
  Bytes params;
  durable::TimeMs created_at = 0;
  bool may_go_ahead = false;
  durable::StepConfig defaults;  // of its steps
};

class Runs {
 public:
  virtual ~Runs() = default;
  // What code the next run of this workflow has: two runs with one non-empty version must ask for the same steps. Empty
  // when that cannot be known, as for code that a dispatcher loads by itself.
  virtual std::string code_version(const std::string& workflow) = 0;
  virtual void start(RunStart start) = 0;
  virtual void release(InstanceRef ref, std::uint64_t epoch) = 0;
  virtual void answer(InstanceRef ref, durable::AnswerStep answer) = 0;  // values are whole, but for streams
  virtual void invoke(InstanceRef ref, durable::InvokeStep invoke) = 0;
  virtual void compute_delay(InstanceRef ref, durable::ComputeDelay compute) = 0;
  virtual void invoke_rollback(InstanceRef ref, durable::InvokeRollback invoke) = 0;
  virtual void notice(InstanceRef ref, const std::string& text) = 0;
};

// One timer of the loop that owns the engine: it calls Engine::tick() when the time has come. A new time replaces the
// old one.
class Wakeup {
 public:
  virtual ~Wakeup() = default;
  virtual void wake_in(std::chrono::milliseconds delay) = 0;
};

}  // namespace insula::workflow
