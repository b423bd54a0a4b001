// SPDX-License-Identifier: Apache-2.0
//
// Run: engine calls to happenings, actions to answers.
#include "src/supervisor/instances/run.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "src/base/crash_point.h"
#include "src/supervisor/fleet/session.h"
#include "src/supervisor/instances/schedules.h"

namespace insula::instances {
namespace {

constexpr std::string_view kOver = "This Workflow run is over.";

durable::Failure failure_of(const json::object& detail, Bytes thrown) {
  return {text_of(detail, "name"), text_of(detail, "message"), std::move(thrown)};
}

bool is_loss(Fault fault) {
  // Everything that is not about the code as such: the same run may go well another time.
  return fault != Fault::None && fault != Fault::LoadFailed && fault != Fault::NoEntrypoint;
}

}  // namespace

// The event "workflow" on its way.
class RunCall final : public fleet::RoutedCall {
 public:
  RunCall(std::weak_ptr<Run> run, std::string subject, std::string class_name, std::string detail, Bytes params,
          std::shared_ptr<fleet::Capability> capability)
      : run_(std::move(run)), subject_(std::move(subject)), class_name_(std::move(class_name)), detail_(std::move(detail)), params_(std::move(params)) {
    arguments_.capabilities.push_back(std::move(capability));
  }

  std::string_view subject() const override { return subject_; }

 private:
  protocol::Invoke* invoke() override {
    frame_ = {};
    frame_.target.entrypoint = class_name_;
    protocol::EventCall event;
    event.name = "workflow";
    event.detail = detail_;
    event.payload.bytes = params_;
    frame_.call = std::move(event);
    return &frame_;
  }
  bool may_replay() const override { return false; }
  void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr, fleet::Carried) override {
    if (const auto run = run_.lock()) run->on_ended(std::get_if<protocol::ErrorInfo>(&outcome.outcome));
  }
  void on_refused(const protocol::ErrorInfo& error) override {
    if (const auto run = run_.lock()) run->on_ended(&error);
  }

  const std::weak_ptr<Run> run_;
  const std::string subject_;
  const std::string class_name_;
  const std::string detail_;
  const Bytes params_;
  protocol::Invoke frame_;
};

void RunCapability::invoke(fleet::IncomingCall& call) {
  const auto run = run_.lock();
  if (run == nullptr || !std::holds_alternative<protocol::EngineCall>(call.invoke.call)) {
    return answer_lost(call.answer, kOver);
  }
  run->on_call(call);
}

// ---- Life

void Run::start(workflow::RunStart start, const std::string& class_name, std::shared_ptr<fleet::Destination> worker) {
  json::object detail{{"instanceId", id_},
                            {"workflowName", workflow_},
                            {"epoch", epoch_},
                            {"timestamp", start.created_at},
                            {"onlyRollback", start.only_rollback},
                            {"ahead", start.may_go_ahead},
                            {"defaults", to_json(start.defaults)},
                            {"timeoutMs", start.defaults.timeout.ms}};
  if (auto schedule = schedule_of(id_)) detail["schedule"] = *std::move(schedule);
  log_.debug("workflow.run_started", {{"workflow", workflow_}, {"instance", id_}, {"run", epoch_}});
  call_ = std::make_shared<RunCall>(weak_from_this(), workflow_ + "/" + id_, class_name, json::serialize(detail),
                                    std::move(start.params), std::make_shared<RunCapability>(weak_from_this()));
  const auto call = call_;
  call->route(std::move(worker));
}

void Run::release() {
  if (std::exchange(is_over_, true)) return;
  const auto self = shared_from_this();
  log_.debug("workflow.run_ended", {{"workflow", workflow_}, {"instance", id_}, {"run", epoch_}});
  for (auto& [number, call] : calls_) drop_stream(call.stream);
  calls_.clear();
  const auto call = std::exchange(call_, nullptr);
  if (end_question_) {
    // run() has returned; its invocation ends by itself, with what it still has to do after that.
    instances::answer(*std::exchange(end_question_, std::nullopt), {});
  } else if (call != nullptr) {
    call->abandon();
  }
}

void Run::on_ended(const protocol::ErrorInfo* error) {
  if (is_over_) return;
  const auto self = shared_from_this();
  call_ = nullptr;
  const Fault fault = error == nullptr ? Fault::Internal : fault_from_code(error->fault).value_or(Fault::None);
  if (error != nullptr && !is_loss(fault)) {
    return report(durable::RunThrew{
        epoch_, {std::string(error->name), std::string(error->message), Bytes(error->properties)}});
  }
  log_.warn("workflow.run_lost", {{"workflow", workflow_},
                                  {"instance", id_},
                                  {"run", epoch_},
                                  {"text", error == nullptr ? std::string_view("it ended without a result") : error->message}});
  report(durable::RunGone{epoch_, durable::RunGone::Cause::Crash});
}

void Run::notice(const std::string& text) {
  log_.warn("workflow.noticed", {{"workflow", workflow_}, {"instance", id_}, {"text", text}});
}

// ---- What the engine says

void Run::tell(std::uint64_t number, Instruction instruction) {
  const auto found = calls_.find(number);
  if (found == calls_.end()) return;
  Call& call = found->second;
  if (!call.question) {
    call.instruction = std::move(instruction);
    return;
  }
  const auto question = *std::exchange(call.question, std::nullopt);
  std::vector<BytesView> payloads(instruction.payloads.begin(), instruction.payloads.end());
  const auto* const how = instruction.detail.if_contains("how");
  const bool goes_on = how != nullptr && (*how == "run" || *how == "delay");
  if (!goes_on) calls_.erase(found);
  instances::answer(question, instruction.detail, std::move(payloads));
}

void Run::answer(durable::AnswerStep answer) {
  using How = durable::AnswerStep::How;
  Instruction instruction;
  json::object& detail = instruction.detail;
  switch (answer.how) {
    case How::Nothing: detail["how"] = "nothing"; break;
    case How::Value:
      detail["how"] = "value";
      if (answer.is_own) break;  // who has returned it has it
      if (answer.value.is_stream) {
        detail["stream"] = {{"value", answer.value.number}, {"chunks", durable::rows_of(answer.value)}, {"size", answer.value.size}};
      } else {
        instruction.payloads.push_back(std::move(answer.value.bytes));
      }
      break;
    case How::Event:
      detail["how"] = "event";
      detail["type"] = answer.event_type;
      detail["timestamp"] = answer.event_at;
      instruction.payloads.push_back(std::move(answer.value.bytes));
      break;
    case How::Throw:
      detail["how"] = "throw";
      detail["name"] = answer.failure.name;
      detail["message"] = answer.failure.message;
      if (!answer.failure.thrown.empty()) instruction.payloads.push_back(std::move(answer.failure.thrown));
      break;
  }
  if (answer.may_go_ahead) detail["ahead"] = true;
  tell(answer.call, std::move(instruction));
}

void Run::invoke(const durable::InvokeStep& invoke) {
  const auto found = calls_.find(invoke.call);
  if (found != calls_.end()) {
    found->second.step = fmt::format("{}-{}", invoke.name, invoke.count);
    found->second.attempt = invoke.attempt;
    drop_stream(found->second.stream);
    log_.debug("workflow.attempt_started", {{"workflow", workflow_},
                                            {"instance", id_},
                                            {"step", found->second.step},
                                            {"attempt", invoke.attempt}});
    auto ahead = std::exchange(found->second.ahead, std::nullopt);
    if (ahead && invoke.attempt == ahead->attempt) return report_attempt(found->second, *std::move(ahead));
  }
  tell(invoke.call, {{{"how", "run"},
                      {"name", invoke.name},
                      {"count", invoke.count},
                      {"attempt", invoke.attempt},
                      {"config", to_json(invoke.config)},
                      {"timeoutMs", invoke.config.timeout.ms}},
                     {}});
}

void Run::compute_delay(const durable::ComputeDelay& compute) {
  Instruction instruction{{{"how", "delay"},
                           {"name", compute.name},
                           {"count", compute.count},
                           {"attempt", compute.attempt},
                           {"config", to_json(compute.config)},
                           {"error", to_json(compute.failure)}},
                          {}};
  if (!compute.failure.thrown.empty()) instruction.payloads.push_back(compute.failure.thrown);
  tell(compute.call, std::move(instruction));
}

void Run::invoke_rollback(const durable::InvokeRollback& invoke) {
  Instruction instruction{{{"call", invoke.call},
                           {"name", invoke.name},
                           {"count", invoke.count},
                           {"attempt", invoke.attempt},
                           {"config", to_json(invoke.config)},
                           {"error", to_json(invoke.failure)},
                           {"hasOutput", invoke.has_output && !invoke.output.is_stream}},
                          {}};
  if (invoke.has_output && !invoke.output.is_stream) instruction.payloads.push_back(invoke.output.bytes);
  rollbacks_.push_back(std::move(instruction));
  if (rollback_question_) next_rollback(*std::exchange(rollback_question_, std::nullopt));
}

void Run::next_rollback(fleet::Answer question) {
  if (rollbacks_.empty()) {
    rollback_question_ = std::move(question);
    return;
  }
  const auto instruction = std::move(rollbacks_.front());
  rollbacks_.pop_front();
  instances::answer(question, instruction.detail, {instruction.payloads.begin(), instruction.payloads.end()});
}

// ---- What the isolate says

void Run::on_call(fleet::IncomingCall& incoming) {
  if (is_over_) return answer_lost(incoming.answer, kOver);
  auto asked = read_call(incoming);
  if (!asked) return answer_lost(incoming.answer, asked.error().message());
  // What is reported may end the run.
  const auto self = shared_from_this();
  const std::string& operation = asked->operation;
  if (operation == "do" || operation == "sleep" || operation == "sleepUntil" || operation == "waitForEvent") {
    return ask_step(*asked);
  }
  if (operation == "attempt") return end_attempt(*asked);
  if (operation == "idle") {
    instances::answer(asked->answer, {});
    return report(durable::RunIdle{epoch_, count_of(asked->detail, "answers")});
  }
  if (operation == "end") return end(*asked);
  if (operation == "delay") {
    if (listen(*asked) == nullptr) return;
    durable::DelayComputed computed;
    computed.epoch = epoch_;
    computed.call = count_of(asked->detail, "call");
    computed.attempt = static_cast<std::uint32_t>(count_of(asked->detail, "attempt"));
    computed.delay = duration_of(asked->detail, "delay");
    computed.problem = text_of(asked->detail, "problem");
    return report(std::move(computed));
  }
  if (operation == "rollback") return next_rollback(asked->answer);
  if (operation == "rollbackEnded") {
    durable::RollbackEnded ended;
    ended.epoch = epoch_;
    ended.call = count_of(asked->detail, "call");
    ended.attempt = static_cast<std::uint32_t>(count_of(asked->detail, "attempt"));
    ended.succeeded = flag_of(asked->detail, "ok");
    if (!ended.succeeded) ended.failure = failure_of(asked->detail, {});
    next_rollback(asked->answer);
    return report(std::move(ended));
  }
  if (operation == "chunk") return keep_piece(*asked);
  if (operation == "readStream") return read_piece(*asked);
  answer_lost(asked->answer, "There is no such operation of a Workflow run.");
}

// The call's question from now on. Null: it was refused.
Run::Call* Run::listen(const Asked& asked) {
  const auto found = calls_.find(count_of(asked.detail, "call"));
  if (found == calls_.end() || found->second.question) {
    answer_lost(asked.answer, "This step is not waiting for that.");
    return nullptr;
  }
  Call& call = found->second;
  call.question = asked.answer;
  if (call.instruction) {
    auto instruction = *std::exchange(call.instruction, std::nullopt);
    tell(found->first, std::move(instruction));
    return nullptr;  // what is said now is about an attempt that is over
  }
  return &call;
}

void Run::ask_step(Asked& asked) {
  crash_point(CrashPoint::WorkflowStepAsked);
  const json::object& detail = asked.detail;
  durable::StepAsked step;
  step.epoch = epoch_;
  step.call = count_of(detail, "call");
  step.name = text_of(detail, "name");
  if (step.call == 0 || !calls_.try_emplace(step.call).second) {
    return answer_lost(asked.answer, "This step was asked for already.");
  }
  Call& call = calls_[step.call];
  call.question = asked.answer;
  // The run has gone ahead: what the first attempt has come to is here before the engine has asked for it.
  if (const json::object* const outcome = object_of(detail, "outcome")) {
    call.ahead.emplace();
    call.ahead->call = step.call;
    call.ahead->attempt = 1;
    read_outcome(*outcome, text_of(*outcome, "how"), std::move(asked.payload), call, *call.ahead);
  }
  if (asked.operation == "do") {
    step.kind = durable::StepKind::Do;
    step.config = config_of(object_of(detail, "config"), text_of(detail, "problem"));
    step.has_callback = flag_of(detail, "hasCallback");
    step.has_rollback = flag_of(detail, "rollback");
    step.rollback_problem = text_of(detail, "rollbackProblem");
    step.rollback_config = config_of(object_of(detail, "rollbackConfig"), {});
  } else if (asked.operation == "waitForEvent") {
    step.kind = durable::StepKind::Wait;
    step.event_type = text_of(detail, "type");
    step.timeout = duration_of(detail, "timeout");
  } else {
    step.kind = durable::StepKind::Sleep;
    step.is_until = asked.operation == "sleepUntil";
    step.until = number_of(detail, "until");
    step.length = duration_of(detail, "length");
  }
  report(std::move(step));
}

void Run::end_attempt(Asked& asked) {
  const std::string how = text_of(asked.detail, "how");
  Call* const call = listen(asked);
  crash_point(CrashPoint::WorkflowAttemptEnded);
  if (call == nullptr || how == "late") return;  // then the engine's own timer decides
  durable::AttemptEnded ended;
  ended.call = count_of(asked.detail, "call");
  ended.attempt = static_cast<std::uint32_t>(count_of(asked.detail, "attempt"));
  read_outcome(asked.detail, how, std::move(asked.payload), *call, ended);
  report_attempt(*call, std::move(ended));
}

void Run::read_outcome(const json::object& detail, std::string_view how, Bytes payload, Call& call,
                       durable::AttemptEnded& ended) {
  ended.epoch = epoch_;
  if (how == "returned") {
    ended.how = durable::AttemptEnded::How::Returned;
    if (call.stream.value != 0 && detail.contains("stream")) {
      const Stream stream = std::exchange(call.stream, {});
      ended.value = {{}, stream.value, stream.bytes, true};
    } else {
      ended.value = durable::Value::inline_of(std::move(payload));
    }
  } else if (how == "notSerialisable") {
    ended.how = durable::AttemptEnded::How::NotSerialisable;
  } else {
    ended.how = durable::AttemptEnded::How::Threw;
    ended.failure = failure_of(detail, std::move(payload));
  }
}

void Run::report_attempt(const Call& call, durable::AttemptEnded ended) {
  if (ended.how == durable::AttemptEnded::How::Threw) {
    log_.info("workflow.attempt_failed",
              {{"workflow", workflow_},
               {"instance", id_},
               {"step", call.step},
               {"attempt", ended.attempt},
               {"error", std::string_view(ended.failure.name).substr(0, 100)},
               {"text", std::string_view(ended.failure.message).substr(0, 1000)}});
  }
  report(std::move(ended));
}

void Run::end(Asked& asked) {
  if (end_question_) return answer_lost(asked.answer, "This Workflow run has ended already.");
  end_question_ = asked.answer;
  crash_point(CrashPoint::WorkflowRunEnded);
  if (text_of(asked.detail, "how") == "returned") {
    return report(durable::RunReturned{epoch_, durable::Value::inline_of(std::move(asked.payload))});
  }
  report(durable::RunThrew{epoch_, failure_of(asked.detail, std::move(asked.payload))});
}

// ---- Streams: pieces of 256 KiB in rows with numbers one after the other

void Run::keep_piece(Asked& asked) {
  const auto found = calls_.find(count_of(asked.detail, "call"));
  const auto attempt = static_cast<std::uint32_t>(count_of(asked.detail, "attempt"));
  if (found == calls_.end() || found->second.attempt != attempt || found->second.instruction) {
    return answer_lost(asked.answer, "The attempt that this stream belongs to is over.");
  }
  Stream& stream = found->second.stream;
  const auto index = count_of(asked.detail, "index");
  if (index == 0) drop_stream(stream);
  const auto room = engine_.room_of(ref_);
  const bool is_in_order = index == stream.pieces && stream.bytes == index * durable::kStreamPieceBytes;
  if (!is_in_order || asked.payload.size() > durable::kStreamPieceBytes) {
    return answer_lost(asked.answer, "The pieces of a stream come whole and in order.");
  }
  if (stream.bytes + asked.payload.size() > room) {
    return answer_refusal(asked.answer, Error(ErrorCode::LimitExceeded, "The instance has exceeded the 1GiB storage limit"));
  }
  if (stream.value == 0) stream.value = engine_.reserve_values(ref_, durable::kStreamPiecesMax);
  stream.attempt = attempt;
  ++stream.pieces;
  stream.bytes += asked.payload.size();
  engine_.put_value(ref_, stream.value + index, std::move(asked.payload),
                    [to = asked.answer, value = stream.value](Result<> result) {
                      if (!result) return answer_refusal(to, result.error());
                      instances::answer(to, {{"value", value}});
                    });
}

void Run::read_piece(const Asked& asked) {
  const auto number = count_of(asked.detail, "value") + count_of(asked.detail, "index");
  engine_.read_value(ref_, number, [to = asked.answer](Result<Bytes> bytes) {
    if (!bytes) return answer_lost(to, bytes.error().message());
    instances::answer(to, {}, {*bytes});
  });
}

void Run::drop_stream(Stream& stream) {
  if (stream.value != 0) engine_.drop_values(ref_, stream.value, stream.value + stream.pieces);
  stream = {};
}

}  // namespace insula::instances
