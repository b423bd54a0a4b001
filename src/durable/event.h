// SPDX-License-Identifier: Apache-2.0
//
// What may happen to an instance, and what the machine wants done about it.
//
// A *run* is one execution of `run(event, step)` from the top, named by its epoch. A *call* is one use of `step` within
// a run, named by a number that the runner chooses, once per run. Whatever names a past epoch, an unknown call or an
// attempt that is over has no effect: duplicates and late messages are harmless.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/durable/record.h"
#include "src/durable/words.h"

namespace insula::durable {

// --- events -----------------------------------------------------------------------------------------------------

struct CreateAsked {
  Bytes params;
};
// The scheduler lets the instance run. code_version: what code the run will have, when known; two runs of the same
// version must ask for the same steps in the same order, or the instance ends with an error that names the step.
struct SlotGranted {
  std::string code_version;
};

struct StepAsked {
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  StepKind kind = StepKind::Do;
  std::string name;
  // do
  RawConfig config;
  bool has_callback = true;
  bool has_rollback = false;
  std::string rollback_problem;  // "must be an object", "must be a function"; empty: none
  RawConfig rollback_config;
  // sleep: its length, or until when (is_until; epoch milliseconds in `until`)
  RawDuration length;
  bool is_until = false;
  double until = 0;
  // waitForEvent
  std::string event_type;
  RawDuration timeout;
};

struct AttemptEnded {
  enum class How : std::uint8_t { Returned, Threw, NotSerialisable };
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  std::uint32_t attempt = 0;
  How how = How::Returned;
  Value value;  // inline, or stored already (a stream)
  Failure failure;
};
// The answer to ComputeDelay. problem empty: `delay` counts.
struct DelayComputed {
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  std::uint32_t attempt = 0;
  RawDuration delay;
  std::string problem;  // "threw an error: ..."
};
struct RollbackEnded {
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  std::uint32_t attempt = 0;
  bool succeeded = false;
  Failure failure;
};
// Nothing goes on in the run's isolate but waiting for answers. answers: how many the run has received; a report that
// crossed an answer on its way is ignored.
struct RunIdle {
  std::uint64_t epoch = 0;
  std::uint64_t answers = 0;
};
struct RunReturned {
  std::uint64_t epoch = 0;
  Value value;
};
struct RunThrew {
  std::uint64_t epoch = 0;
  Failure failure;
};
// The run is gone without an end. Crash: of the isolate or its process. Withdrawn: we took it (restart, eviction).
struct RunGone {
  enum class Cause : std::uint8_t { Crash, Withdrawn };
  std::uint64_t epoch = 0;
  Cause cause = Cause::Crash;
};
struct TimerFired {};
struct EventSent {
  std::string type;
  Bytes payload;
};
struct PauseAsked {};
struct ResumeAsked {};
struct TerminateAsked {
  bool rollback = false;
};
struct RestartFrom {
  StepKind kind = StepKind::Do;
  std::string name;
  std::uint32_t count = 1;
};
struct RestartAsked {
  std::optional<RestartFrom> from;
};
struct DeleteAsked {};
// After the history was read back: whatever was under way belongs to a process that is no more.
struct Recovered {};

using Happening = std::variant<CreateAsked, SlotGranted, StepAsked, AttemptEnded, DelayComputed, RollbackEnded, RunIdle,
                               RunReturned, RunThrew, RunGone, TimerFired, EventSent, PauseAsked, ResumeAsked,
                               TerminateAsked, RestartAsked, DeleteAsked, Recovered>;

struct Event {
  TimeMs at = 0;  // never goes back
  Happening what;
};

// --- actions ----------------------------------------------------------------------------------------------------

struct StartRun {
  std::uint64_t epoch = 0;
  bool only_rollback = false;  // replays to find the rollback handlers again, starts nothing new
  bool may_go_ahead = false;   // it may begin first attempts before it is told to: nothing is there to be replayed
};
// The run is no longer wanted: stop it, forget its calls. Also sent after its end.
struct ReleaseRun {
  std::uint64_t epoch = 0;
};
struct AnswerStep {
  enum class How : std::uint8_t { Value, Nothing, Event, Throw };
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  How how = How::Nothing;
  Value value;
  bool is_own = false;        // what an attempt of this run has returned: it is not told again
  bool may_go_ahead = false;  // as in StartRun, from now on
  Failure failure;
  std::string event_type;
  TimeMs event_at = 0;
};
struct InvokeStep {
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  std::string name;
  std::uint32_t count = 0;
  std::uint32_t attempt = 0;
  StepConfig config;
};
struct ComputeDelay {
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;
  std::string name;
  std::uint32_t count = 0;
  std::uint32_t attempt = 0;
  StepConfig config;
  Failure failure;
};
struct InvokeRollback {
  std::uint64_t epoch = 0;
  std::uint64_t call = 0;  // of the step, whose handler came with it
  std::string name;
  std::uint32_t count = 0;
  std::uint32_t attempt = 0;
  StepConfig config;
  Failure failure;  // why there is a rollback
  bool has_output = false;
  Value output;
};
// A line for the tenant's log: something that is allowed and probably a mistake.
struct Notice {
  std::string text;
};

struct Action {
  std::uint64_t needs = 0;  // not before this record of the instance is durable (0: at once)
  std::variant<StartRun, ReleaseRun, AnswerStep, InvokeStep, ComputeDelay, InvokeRollback, Notice> what;
};

struct StoredValue {
  std::uint64_t number = 0;
  Bytes bytes;
};

struct Reaction {
  std::vector<Record> records;       // to be journaled, in order, together with `values`
  std::vector<StoredValue> values;
  std::vector<Action> actions;
  bool wipes_history = false;        // records and values before `records` are void
  std::uint64_t void_values_from = 0;  // stored values from this number ...
  std::uint64_t void_values_to = 0;    // ... to below this one are void
  std::optional<Failure> refusal;    // of an operation; nothing has changed
};

}  // namespace insula::durable
