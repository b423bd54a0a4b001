// SPDX-License-Identifier: Apache-2.0
//
// Session: calls as the supervisor sees them, its questions to the runner and its answers to the runner's.
#include <algorithm>
#include <utility>
#include <variant>

#include "src/base/limits.h"
#include "src/supervisor/fleet/session.h"

namespace insula::fleet {
namespace {

// Unsent bytes from which on new calls are refused: one more frame, the largest, still leaves the runner below the size
// at which it counts as stuck, so that nobody's large messages can bring down the runner of somebody else. A Worker of
// the greatest size that has just been sent is no congestion.
constexpr std::size_t kCongestedBytes = kRunnerQueueBytesMax - kFrameBytesMax;
static_assert(kCongestedBytes > kFrameBytesMax);

constexpr std::size_t kKeptTextBytesMax = 2 * kKiB;

// In the place of a call that never had a callee: calls on its result fail as it did.
class FailedResult final : public Job {
 public:
  explicit FailedResult(const protocol::ErrorInfo& error)
      : fault_(error.fault.substr(0, 64)),
        name_(error.name.substr(0, 64)),
        message_(error.message.substr(0, kKeptTextBytesMax)),
        is_remote_(error.remote) {}
  void cancel() override {}
  void promised(IncomingCall& call) override {
    protocol::ErrorInfo error;
    error.fault = fault_;
    error.name = name_;
    error.message = message_;
    error.remote = is_remote_;
    call.session.answer_error(call.answer.question, error);
  }

 private:
  const std::string fault_;
  const std::string name_;
  const std::string message_;
  const bool is_remote_;
};

}  // namespace

// ---- Questions

protocol::WorkerId Session::worker_behind(const protocol::Target& target) {
  switch (target.kind) {
    case protocol::Target::Kind::Worker: return target.number;
    case protocol::Target::Kind::Capability: {
      const auto found = runner_exports_.find(target.number);
      return found == runner_exports_.end() ? 0 : found->second;
    }
    case protocol::Target::Kind::Promised: {
      const Question* const base = questions_.find(target.number);
      return base == nullptr ? 0 : base->worker;
    }
    default: return 0;  // what only a runner says
  }
}

protocol::QuestionId Session::ask(protocol::Invoke& invoke, const io::ByteSourcePtr& body,
                                  std::shared_ptr<ReplySink> sink, const Carried& arguments, const Carried& props) {
  if (!is_open_ || channel_->unsent_bytes() > kCongestedBytes) return 0;
  if (!has_room_for(arguments.capabilities.size() + props.capabilities.size())) return 0;
  const protocol::WorkerId worker = worker_behind(invoke.target);
  const protocol::QuestionId number = questions_.insert();
  Question* const question = questions_.find(number);
  if (question == nullptr) return 0;
  question->sink = std::move(sink);
  question->worker = worker;
  question->actor = invoke.target.actor;
  question->depth = invoke.depth;
  question->kind = static_cast<Kind>(invoke.call.index());
  question->is_on_object = invoke.target.kind != protocol::Target::Kind::Worker;
  invoke.question = number;
  invoke.parent = 0;
  give(invoke.target.props, props);
  if (auto* const rpc = std::get_if<protocol::RpcCall>(&invoke.call)) {
    give(rpc->arguments, arguments, 0, &question->streams);
  } else if (auto* const event = std::get_if<protocol::EventCall>(&invoke.call)) {
    give(event->payload, arguments, 0, &question->streams);
  } else if (auto* const fetch = std::get_if<protocol::FetchRequest>(&invoke.call); fetch != nullptr && body != nullptr) {
    protocol::StreamId stream = 0;
    give(fetch->body, body, &stream);
    if (stream != 0) question->streams.push_back(stream);
  }
  send_frame(std::move(invoke));
  return number;
}

void Session::cancel(protocol::QuestionId number) {
  Question* const question = questions_.find(number);
  if (question == nullptr || question->is_over) return;
  question->sink.reset();
  auto children = std::exchange(question->children, {});
  send_frame(protocol::Cancel{number});
  cancel_children(std::move(children));
}

void Session::finish(protocol::QuestionId number) {
  Question* const question = questions_.find(number);
  if (question == nullptr || question->kind != Kind::Rpc || std::exchange(question->is_finished, true)) return;
  // Before there is a Return the callee could not tell what it finishes: it follows then.
  if (!question->is_returned) return;
  send_frame(protocol::Finish{number});
  if (!question->is_over) return;
  --kept_results_;
  questions_.erase(number);
}

std::unique_ptr<InvocationState>* Session::invocation_state(protocol::QuestionId number) {
  if (number == 0) return &session_state_;
  Question* const question = questions_.find(number);
  return question == nullptr || question->is_over ? nullptr : &question->state;
}

std::string_view Session::subject_of(protocol::QuestionId number) {
  const Question* const question = number == 0 ? nullptr : questions_.find(number);
  return question == nullptr || question->sink == nullptr ? std::string_view() : question->sink->subject();
}

bool Session::is_open(protocol::QuestionId number, protocol::WorkerId worker) {
  const Question* const question = questions_.find(number);
  return question != nullptr && !question->is_over && question->worker == worker;
}

std::vector<Session::OpenCall> Session::open_calls() {
  std::vector<OpenCall> calls;
  questions_.for_each([&](protocol::QuestionId number, Question& question) {
    if (!question.is_over) calls.push_back({number, question.worker});
  });
  return calls;
}

void Session::end_question(protocol::QuestionId number, Question& question) {
  auto children = std::exchange(question.children, {});
  auto streams = std::exchange(question.streams, {});
  const auto state = std::move(question.state);
  const bool may_read_later = question.is_on_object;
  // Only their capacity is of interest.
  if (children.empty()) question.children = std::move(children);
  if (streams.empty()) question.streams = std::move(streams);
  if (question.kind == Kind::Rpc && !question.is_finished) {
    question.is_over = true;
    question.sink.reset();
    ++kept_results_;
  } else {
    questions_.erase(number);
  }
  for (const protocol::StreamId stream : streams) {
    // A stream of the request that nobody began to read has no reader any more.
    auto* const slot = outgoing_.find(stream);
    if (slot != nullptr && !may_read_later && (*slot)->is_untouched()) (*slot)->stop();
  }
  if (!children.empty()) cancel_children(std::move(children));
}

void Session::cancel_children(std::vector<protocol::QuestionId> children) {
  for (const protocol::QuestionId child : children) {
    const auto found = answers_.find(child);
    if (found == answers_.end()) continue;
    found->second.parent = 0;
    if (const auto job = std::move(found->second.job)) job->cancel();
    answer_error(child, error_of(Fault::Cancelled));
  }
}

void Session::drop_child(protocol::QuestionId parent, protocol::QuestionId child) {
  Question* const question = questions_.find(parent);
  if (question == nullptr) return;
  auto& children = question->children;
  const auto found = std::find(children.begin(), children.end(), child);
  if (found == children.end()) return;
  *found = children.back();
  children.pop_back();
}

// ---- Answers

void Session::answer(protocol::QuestionId number, protocol::Return& outcome, const io::ByteSourcePtr& body,
                     const Carried& carried) {
  const auto found = answers_.find(number);
  if (!is_open_ || found == answers_.end() || found->second.is_returned) {
    if (body != nullptr) body->stop();
    for (const auto& stream : carried.streams) {
      if (stream != nullptr) stream->stop();
    }
    return;
  }
  if (!has_room_for(carried.capabilities.size())) {
    return answer_error(number, error_of(Fault::RpcLimit, "Too many live stubs in this process."));
  }
  OpenAnswer& open = found->second;
  const protocol::QuestionId parent = open.parent;
  // What a job lets go of may come back here: it ends when this is done.
  std::shared_ptr<Job> job;
  if (open.kind == Kind::Rpc) {
    open.is_returned = true;
    open.parent = 0;
    const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome);
    if (error != nullptr && (open.job == nullptr || !open.job->has_result())) {
      job = std::exchange(open.job, std::make_shared<FailedResult>(*error));
    }
  } else {
    job = std::move(open.job);
    answers_.erase(found);
  }
  if (parent != 0) drop_child(parent, number);
  outcome.question = number;
  outcome.continues = false;
  if (auto* const value = std::get_if<protocol::RpcValue>(&outcome.outcome)) {
    give(value->payload, carried);
  } else if (auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome);
             fetch != nullptr && body != nullptr) {
    give(fetch->body, body);
  }
  send_frame(outcome);
}

void Session::answer_error(protocol::QuestionId number, const protocol::ErrorInfo& error) {
  protocol::Return outcome;
  outcome.outcome = error;
  answer(number, outcome, nullptr);
}

void Session::set_job(protocol::QuestionId number, std::shared_ptr<Job> job) {
  const auto found = answers_.find(number);
  if (found != answers_.end()) found->second.job = std::move(job);
}

}  // namespace insula::fleet
