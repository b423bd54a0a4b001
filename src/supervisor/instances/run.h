// SPDX-License-Identifier: Apache-2.0
//
// Run: one execution of a workflow's run(event, step), between the isolate that does it and the engine that leads it.
//
//   engine ──start()──► [run] ──Invoke.event "workflow" + the run capability──► WorkflowEntrypoint.run()
//   step.do() ──engine call on the capability──► [run] ──report()──► engine
//   engine ──answer(), invoke(), ...──► [run] ──answer to that call──► step.do()
//
// Invariants
//   1. Each use of `step` is a call with a number of its own, and has one question open at most. What the engine says of
//      a call that has none open waits for the next question; of several, only the last one counts.
//   2. After release() nothing is reported, and who asks is told that the run is over.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/base/log.h"
#include "src/supervisor/fleet/routed_call.h"
#include "src/supervisor/instances/detail.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::instances {

class RunCall;

class Run : public std::enable_shared_from_this<Run> {
 public:
  Run(workflow::Engine& engine, Log& log, const workflow::RunStart& start)
      : engine_(engine), log_(log), ref_(start.ref), epoch_(start.epoch), workflow_(start.workflow), id_(start.id) {}

  void start(workflow::RunStart start, const std::string& class_name, std::shared_ptr<fleet::Destination> worker);
  // The engine needs it no longer.
  void release();
  std::uint64_t epoch() const noexcept { return epoch_; }

  // What the engine says.
  void answer(durable::AnswerStep answer);
  void invoke(const durable::InvokeStep& invoke);
  void compute_delay(const durable::ComputeDelay& compute);
  void invoke_rollback(const durable::InvokeRollback& invoke);
  void notice(const std::string& text);

  // What the isolate says.
  void on_call(fleet::IncomingCall& call);
  void on_ended(const protocol::ErrorInfo* error);  // null: without one

 private:
  // What is to be done about a call.
  struct Instruction {
    json::object detail;
    std::vector<Bytes> payloads;
  };
  struct Stream {
    std::uint32_t attempt = 0;
    std::uint64_t value = 0;  // number of its first piece
    std::uint64_t pieces = 0;
    std::uint64_t bytes = 0;
  };
  struct Call {
    std::optional<fleet::Answer> question;
    std::optional<Instruction> instruction;
    std::optional<durable::AttemptEnded> ahead;  // the outcome of the first attempt, which came with the question
    std::string step;  // for the log
    std::uint32_t attempt = 0;
    Stream stream;
  };

  void tell(std::uint64_t call, Instruction instruction);
  Call* listen(const Asked& asked);
  void ask_step(Asked& asked);
  void end_attempt(Asked& asked);
  void read_outcome(const json::object& detail, std::string_view how, Bytes payload, Call& call,
                    durable::AttemptEnded& ended);
  void report_attempt(const Call& call, durable::AttemptEnded ended);
  void keep_piece(Asked& asked);
  void read_piece(const Asked& asked);
  void drop_stream(Stream& stream);
  void next_rollback(fleet::Answer question);
  void end(Asked& asked);
  void report(durable::Happening what) { engine_.report(ref_, std::move(what)); }

  workflow::Engine& engine_;
  Log& log_;
  const workflow::InstanceRef ref_;
  const std::uint64_t epoch_;
  const std::string workflow_;
  const std::string id_;
  bool is_over_ = false;
  std::shared_ptr<RunCall> call_;
  std::unordered_map<std::uint64_t, Call> calls_;
  std::optional<fleet::Answer> end_question_;
  std::optional<fleet::Answer> rollback_question_;
  std::deque<Instruction> rollbacks_;
};

// What the isolate holds of a run.
class RunCapability final : public fleet::Capability {
 public:
  explicit RunCapability(std::weak_ptr<Run> run) : run_(std::move(run)) {}
  void invoke(fleet::IncomingCall& call) override;
  bool takes_engine_calls() const override { return true; }
  bool is_transferable() const override { return false; }

 private:
  const std::weak_ptr<Run> run_;
};

}  // namespace insula::instances
