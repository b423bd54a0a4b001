// SPDX-License-Identifier: Apache-2.0
//
// Session: what the supervisor says to a runner, and the tables behind it. What the runner says is in
// session_receive.cc.
#include "src/supervisor/fleet/session.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "src/base/limits.h"

namespace insula::fleet {
namespace {

// Unsent bytes from which on new calls are refused: one more frame, the largest, still leaves the runner below the size
// at which it counts as stuck, so that nobody's large messages can bring down the runner of somebody else. A Worker of
// the greatest size that has just been sent is no congestion.
constexpr std::size_t kCongestedBytes = kRunnerQueueBytesMax - kFrameBytesMax;
static_assert(kCongestedBytes > kFrameBytesMax);

}  // namespace

Session::Session(boost::asio::io_context& io, Fd socket, SessionEvents& events, SessionHandler& handler)
    : io_(io), events_(events), handler_(handler), channel_(std::make_shared<Channel>(io, std::move(socket), *this)) {}

Session::~Session() {
  channel_->close();
  is_open_ = false;
  // Streams may outlive us in their readers' hands; they must not call back.
  for (auto& [number, weak] : runner_streams_) {
    if (const auto stream = weak.lock()) stream->surrender();
  }
  outgoing_.for_each([](protocol::StreamId, std::unique_ptr<OutgoingStream>& stream) {
    if (stream != nullptr) stream->abandon();
  });
}

// ---- Workers

protocol::WorkerId Session::add_worker(std::shared_ptr<WorkerOwner> owner) {
  const protocol::WorkerId number = workers_.insert();
  if (WorkerRecord* const record = workers_.find(number)) record->owner = std::move(owner);
  return number;
}

protocol::CapabilityId Session::mint(protocol::WorkerId worker, std::shared_ptr<Capability> capability) {
  WorkerRecord* const record = workers_.find(worker);
  if (record == nullptr) return 0;
  const protocol::CapabilityId number = imports_.insert();
  if (Import* const import = imports_.find(number)) *import = {std::move(capability), worker};
  record->imports.push_back(number);
  return number;
}

void Session::unload(protocol::WorkerId worker) {
  if (workers_.find(worker) == nullptr) return;
  forget_worker(worker);
  send_frame(protocol::Unload{worker});
}

void Session::forget_worker(protocol::WorkerId worker) {
  WorkerRecord* const record = workers_.find(worker);
  if (record == nullptr) return;
  const WorkerRecord gone = std::move(*record);
  workers_.erase(worker);
  for (const protocol::CapabilityId import : gone.imports) imports_.erase(import);
}

std::shared_ptr<WorkerOwner> Session::owner_of(protocol::WorkerId worker) {
  WorkerRecord* const record = workers_.find(worker);
  return record == nullptr ? nullptr : record->owner;
}

// ---- Questions

protocol::QuestionId Session::ask(protocol::Invoke& invoke, const io::ByteSourcePtr& body,
                                  std::shared_ptr<ReplySink> sink) {
  if (!is_open_ || channel_->unsent_bytes() > kCongestedBytes) return 0;
  const protocol::QuestionId number = questions_.insert();
  Question* const question = questions_.find(number);
  if (question == nullptr) return 0;
  question->sink = std::move(sink);
  question->worker = invoke.target.number;
  question->depth = invoke.depth;
  invoke.question = number;
  invoke.parent = 0;
  if (body != nullptr) {
    if (auto* const fetch = std::get_if<protocol::FetchRequest>(&invoke.call)) {
      give(fetch->body, body, &question->body_stream);
    }
  }
  send_frame(std::move(invoke));
  return number;
}

void Session::cancel(protocol::QuestionId number) {
  Question* const question = questions_.find(number);
  if (question == nullptr) return;
  question->sink.reset();
  auto children = std::exchange(question->children, {});
  send_frame(protocol::Cancel{number});
  cancel_children(std::move(children));
}

std::unique_ptr<InvocationState>* Session::invocation_state(protocol::QuestionId number) {
  if (number == 0) return &session_state_;
  Question* const question = questions_.find(number);
  return question == nullptr ? nullptr : &question->state;
}

bool Session::is_open(protocol::QuestionId number, protocol::WorkerId worker) {
  const Question* const question = questions_.find(number);
  return question != nullptr && question->worker == worker;
}

std::vector<Session::OpenCall> Session::open_calls() {
  std::vector<OpenCall> calls;
  questions_.for_each([&](protocol::QuestionId number, Question& question) {
    calls.push_back({number, question.worker});
  });
  return calls;
}

void Session::end_question(protocol::QuestionId number, Question& question) {
  auto children = std::exchange(question.children, {});
  const protocol::StreamId body_stream = question.body_stream;
  if (children.empty()) question.children = std::move(children);  // only its capacity is of interest
  questions_.erase(number);
  if (body_stream != 0) {
    // A request body that nobody began to read has no reader any more.
    auto* const slot = outgoing_.find(body_stream);
    if (slot != nullptr && (*slot)->is_untouched()) (*slot)->stop();
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

void Session::answer(protocol::QuestionId number, protocol::Return& outcome, const io::ByteSourcePtr& body) {
  const auto found = answers_.find(number);
  if (!is_open_ || found == answers_.end()) {
    if (body != nullptr) body->stop();
    return;
  }
  const protocol::QuestionId parent = found->second.parent;
  answers_.erase(found);
  if (parent != 0) drop_child(parent, number);
  outcome.question = number;
  outcome.continues = false;
  if (auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome); fetch != nullptr && body != nullptr) {
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

// ---- Code

bool Session::need_code(protocol::CapabilityId loader, std::uint32_t source, std::shared_ptr<CodeSink> sink) {
  if (!is_open_) return false;
  const std::uint32_t request = code_requests_.insert();
  auto* const slot = code_requests_.find(request);
  if (slot == nullptr) return false;
  *slot = std::move(sink);
  send_frame(protocol::NeedCode{request, source, loader});
  return true;
}

// ---- Streams

Result<io::ByteSourcePtr> Session::adopt(const protocol::Body& body) {
  switch (body.kind) {
    case protocol::Body::Kind::None: return io::ByteSourcePtr();
    case protocol::Body::Kind::Inline:
      if (body.bytes.size() > kInlineBodyBytesMax) return Error(ErrorCode::Corrupt, "inline body is too large");
      return io::ByteSourcePtr();
    case protocol::Body::Kind::Stream: {
      constexpr std::size_t kStreamsPerRunnerMax = 65536;
      if (body.stream == 0) return Error(ErrorCode::Corrupt, "stream 0");
      if (runner_streams_.contains(body.stream)) return Error(ErrorCode::Corrupt, "stream is open already");
      if (runner_streams_.size() >= kStreamsPerRunnerMax) return Error(ErrorCode::Corrupt, "too many streams");
      if (!was_seen(body.stream)) newest_runner_stream_ = body.stream;
      auto stream = std::make_shared<RunnerStream>(static_cast<StreamPort&>(*this), body.stream);
      runner_streams_.emplace(body.stream, stream);
      return io::ByteSourcePtr(std::move(stream));
    }
    case protocol::Body::Kind::HandedBack: {
      io::ByteSourcePtr source = take_back(body.stream);
      if (source == nullptr) return Error(ErrorCode::Corrupt, "stream cannot be handed back");
      return source;
    }
  }
  return Error(ErrorCode::Corrupt, "unknown kind of body");
}

void Session::give(protocol::Body& body, const io::ByteSourcePtr& source, protocol::StreamId* outgoing) {
  body.bytes = {};
  if (auto* const own = dynamic_cast<RunnerStream*>(source.get());
      own != nullptr && own->port() == static_cast<StreamPort*>(this) && own->is_untouched()) {
    // The runner's own stream comes home: its bytes never leave that process.
    body.kind = protocol::Body::Kind::HandedBack;
    body.stream = own->number();
    own->surrender();
    runner_streams_.erase(body.stream);
    return;
  }
  const protocol::StreamId number = outgoing_.insert();
  auto* const slot = outgoing_.find(number);
  if (slot == nullptr) {
    source->stop();
    body.kind = protocol::Body::Kind::None;
    return;
  }
  *slot = std::make_unique<OutgoingStream>(static_cast<StreamPort&>(*this), number, source);
  body.kind = protocol::Body::Kind::Stream;
  body.stream = number;
  if (outgoing != nullptr) *outgoing = number;
}

io::ByteSourcePtr Session::take_back(protocol::StreamId number) {
  auto* const slot = outgoing_.find(number);
  if (slot == nullptr || !(*slot)->is_untouched()) return nullptr;
  io::ByteSourcePtr source = (*slot)->take_source();
  outgoing_.erase(number);
  return source;
}

void Session::on_reader_stopped(protocol::StreamId number) {
  runner_streams_.erase(number);
}

void Session::on_outgoing_ended(protocol::StreamId number) {
  auto* const slot = outgoing_.find(number);
  if (slot == nullptr) return;
  // Its source, and the stream itself, are further up in this very call chain: they go when it is over.
  boost::asio::post(io_, [ended = std::shared_ptr<OutgoingStream>(std::move(*slot))] {});
  outgoing_.erase(number);
}

void Session::send_frame(const protocol::Frame& frame) {
  if (is_open_) channel_->send(frame);
}

// ---- The end

void Session::violate(std::string_view what) {
  if (!is_open_) return;
  on_channel_end(Error(ErrorCode::Corrupt, "session: " + std::string(what)));
}

void Session::on_channel_end(const Error& error) {
  if (!is_open_) return;
  is_open_ = false;
  channel_->close();
  events_.on_session_end(*this, error);
}

void Session::close(const LossPolicy& policy) {
  const auto self = shared_from_this();
  is_open_ = false;
  channel_->close();
  // The tables are taken out first: what is called below may come back here.
  auto workers = std::exchange(workers_, {});
  auto answers = std::exchange(answers_, {});
  auto questions = std::exchange(questions_, {});
  auto code_requests = std::exchange(code_requests_, {});
  auto runner_streams = std::exchange(runner_streams_, {});
  auto outgoing = std::exchange(outgoing_, {});
  imports_ = {};

  // First nobody can find the lost Workers any more and the runner's own calls end, then callers may try again.
  workers.for_each([&](protocol::WorkerId number, WorkerRecord& record) {
    if (record.owner != nullptr) record.owner->on_worker_gone(*this, number, "lost");
  });
  for (auto& [number, answer] : answers) {
    if (answer.job != nullptr) answer.job->cancel();
  }
  code_requests.for_each([](std::uint32_t, std::shared_ptr<CodeSink>& sink) {
    if (sink != nullptr) sink->on_code_lost();
  });
  outgoing.for_each([](protocol::StreamId, std::unique_ptr<OutgoingStream>& stream) {
    if (stream != nullptr) stream->abandon();
  });
  const Error lost(ErrorCode::Unavailable, std::string(info_of(policy.others.fault).message));
  for (auto& [number, weak] : runner_streams) {
    if (const auto stream = weak.lock()) stream->fail(lost);
  }
  questions.for_each([&](protocol::QuestionId number, Question& question) {
    if (question.sink == nullptr || question.is_returned) return;
    const auto sink = std::move(question.sink);
    sink->on_lost(number == policy.culprit ? Loss{policy.culprit_fault, false} : policy.others);
  });
}

}  // namespace insula::fleet
