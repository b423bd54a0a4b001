// SPDX-License-Identifier: Apache-2.0
//
// Session: what the supervisor says to a runner, and the tables behind it. What the runner says is in
// session_receive.cc.
#include "src/supervisor/fleet/session.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "src/base/limits.h"
#include "src/supervisor/fleet/runner_export.h"

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
  if (number == 0) return 0;
  *imports_.find(number) = {std::move(capability), worker};
  record->imports.push_back(number);
  tell_place(number);
  return number;
}

void Session::mint_all(protocol::WorkerId worker, protocol::Payload& env, const Carried& carried) {
  give(env, carried, worker);
}

void Session::tell_place(protocol::CapabilityId number) {
  const Import* const import = imports_.find(number);
  if (import == nullptr) return;
  const auto capability = import->capability;
  const Capability::Place place = capability->place_in(*this);
  if (place.worker == 0) return;
  protocol::Local local{number, place.worker, place.entrypoint, {}};
  local.props.bytes = place.props;
  if (place.carried != nullptr) {
    if (!has_room_for(place.carried->capabilities.size())) return;
    give(local.props, *place.carried, import->worker);
  }
  send_frame(local);
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
  if (!actors_.empty()) drop_actors(worker);
}

std::shared_ptr<WorkerOwner> Session::owner_of(protocol::WorkerId worker) {
  WorkerRecord* const record = workers_.find(worker);
  return record == nullptr ? nullptr : record->owner;
}

// ---- Actors

protocol::ActorId Session::add_actor(protocol::WorkerId worker, std::shared_ptr<ActorOwner> owner) {
  if (!is_open_ || workers_.find(worker) == nullptr || actors_.size() >= kActorsPerRunnerMax) return 0;
  const protocol::ActorId number = actors_.insert();
  if (ActorRecord* const record = actors_.find(number)) *record = {std::move(owner), worker};
  return number;
}

void Session::send_open_actor(protocol::OpenActor& open, const Carried& props, std::vector<Fd> descriptors) {
  if (!is_open_) return;
  give(open.props, props, open.worker);
  open.descriptors = static_cast<std::uint32_t>(descriptors.size());
  channel_->send(open, std::move(descriptors));
}

void Session::close_actor(protocol::ActorId actor, std::string_view reason) {
  if (actors_.find(actor) != nullptr) send_frame(protocol::CloseActor{actor, reason});
}

void Session::send_facet_closed(protocol::ActorId parent, std::string_view name) {
  if (actors_.find(parent) != nullptr) send_frame(protocol::FacetClosed{parent, name});
}

void Session::drop_actors(protocol::WorkerId worker) {
  std::vector<std::pair<protocol::ActorId, std::shared_ptr<ActorOwner>>> gone;
  actors_.for_each([&](protocol::ActorId number, ActorRecord& record) {
    if (record.worker == worker) gone.emplace_back(number, record.owner);
  });
  for (const auto& [number, owner] : gone) actors_.erase(number);
  for (const auto& [number, owner] : gone) owner->on_actor_closed(*this, number, {}, true);
}

void Session::note_spent(protocol::ActorId actor, std::uint32_t cpu_micros) {
  if (actor == 0 || cpu_micros == 0) return;
  if (ActorRecord* const record = actors_.find(actor)) record->owner->on_spent(cpu_micros);
}

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
    give(event->payload, arguments);
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

void Session::give(protocol::Payload& payload, const Carried& carried, protocol::WorkerId worker,
                   std::vector<protocol::StreamId>* outgoing) {
  // Whatever names stood here were those of another channel.
  payload.capabilities.clear();
  for (const auto& capability : carried.capabilities) {
    protocol::CapabilityRef& reference = payload.capabilities.emplace_back();
    RunnerExport* const own = capability->as_runner_export();
    if (own != nullptr && own->is_of(*this)) {
      reference.kind = protocol::CapabilityRef::Kind::ReceiverHosted;
      reference.number = own->number();
      continue;
    }
    if (worker != 0) {
      reference.number = mint(worker, capability);
      continue;
    }
    reference.number = imports_.insert();
    if (Import* const import = imports_.find(reference.number)) import->capability = capability;
    tell_place(reference.number);
  }
  for (std::size_t index = 0; index < payload.streams.size(); ++index) {
    protocol::Body& body = payload.streams[index];
    if (index < carried.streams.size() && carried.streams[index] != nullptr) {
      protocol::StreamId stream = 0;
      give(body, carried.streams[index], &stream);
      if (outgoing != nullptr && stream != 0) outgoing->push_back(stream);
    } else if (body.kind != protocol::Body::Kind::Inline) {
      body.kind = protocol::Body::Kind::None;
    }
  }
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

void Session::release_export(protocol::CapabilityId number) {
  if (runner_exports_.erase(number) > 0) send_frame(protocol::Release{number});
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
  auto actors = std::exchange(actors_, {});
  auto answers = std::exchange(answers_, {});
  auto questions = std::exchange(questions_, {});
  auto code_requests = std::exchange(code_requests_, {});
  auto runner_streams = std::exchange(runner_streams_, {});
  auto outgoing = std::exchange(outgoing_, {});
  const auto imports = std::exchange(imports_, {});
  runner_exports_.clear();
  kept_results_ = 0;

  // First nobody can find the lost Workers any more and the runner's own calls end, then callers may try again.
  workers.for_each([&](protocol::WorkerId number, WorkerRecord& record) {
    if (record.owner != nullptr) record.owner->on_worker_gone(*this, number, "lost");
  });
  actors.for_each([&](protocol::ActorId number, ActorRecord& record) {
    record.owner->on_actor_closed(*this, number, {}, true);
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
