// SPDX-License-Identifier: Apache-2.0
//
// Session: its Workers, actors and end. Calls are in session_calls.cc, what rides with them in session_carried.cc, what the
// runner says in session_receive.cc.
#include "src/supervisor/fleet/session.h"

#include <utility>
#include <vector>

#include "src/base/limits.h"

namespace insula::fleet {
namespace {

constexpr std::size_t kFormerStaticsMax = 256;

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
  if (gone.owner != nullptr && gone.owner->dynamic_id().empty()) {
    // One that is used up again and again is not worth more memory.
    if (former_statics_.size() >= kFormerStaticsMax) former_statics_.clear();
    former_statics_[worker] = gone.owner;
  }
  if (!actors_.empty()) drop_actors(worker);
}

void Session::retire() {
  // What is said to owners may come back here.
  std::vector<std::pair<protocol::WorkerId, std::shared_ptr<WorkerOwner>>> workers;
  workers_.for_each([&](protocol::WorkerId number, WorkerRecord& record) { workers.emplace_back(number, record.owner); });
  actors_.for_each([&](protocol::ActorId number, ActorRecord&) { send_frame(protocol::CloseActor{number, {}}); });
  for (const auto& [number, owner] : workers) {
    if (owner != nullptr) owner->on_worker_gone(*this, number, "retired");
    // The record stays until the runner says Evicted: what still runs there uses its imports.
    send_frame(protocol::Unload{number});
  }
}

std::shared_ptr<WorkerOwner> Session::owner_of(protocol::WorkerId worker) {
  WorkerRecord* const record = workers_.find(worker);
  return record == nullptr ? nullptr : record->owner;
}

std::shared_ptr<WorkerOwner> Session::owner_of_entrypoint(protocol::WorkerId worker) {
  if (auto owner = owner_of(worker)) return owner;
  const auto former = former_statics_.find(worker);
  return former == former_statics_.end() ? nullptr : former->second.lock();
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
