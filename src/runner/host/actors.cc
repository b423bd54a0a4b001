// SPDX-License-Identifier: Apache-2.0
//
// Host: the actors that are open in this runner: their way, their output gate, their syncs, their end.
//
//   turn ends ──actor_committed(sequence)──► a sync thread ──► durable ──► what was held back is said, in its order
//
// Several actors are synced side by side; while one is being synced its next commits gather, and one sync covers them all.
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "src/base/crash_point.h"
#include "src/runner/host/host.h"

namespace insula::runner {
namespace {

constexpr std::size_t kIdleClosesAtOnce = 64;

std::string object_way(std::string_view key, std::string_view id) {
  std::string way(key);
  way += '/';
  way += id;
  return way;
}

// The key of a namespace's ids (docs/design/actors.md).
std::string key_of(std::string_view uid) {
  std::string key(SHA256_DIGEST_LENGTH, '\0');
  ::SHA256(reinterpret_cast<const unsigned char*>(uid.data()), uid.size(), reinterpret_cast<unsigned char*>(key.data()));
  return key;
}

std::string facet_way(std::uint32_t parent, std::string_view name) {
  std::string way = "#" + std::to_string(parent) + "/";
  way += name;
  return way;
}

}  // namespace

// ---- Ways

std::string Host::way_of(const CallTarget& target) const {
  if (target.kind == CallTarget::Kind::Object && target.capability != nullptr) {
    return object_way(target.capability->namespace_key, target.id);
  }
  if (target.kind == CallTarget::Kind::Facet) return facet_way(target.actor, target.facet_name);
  return {};
}

Host::Actor* Host::find_actor(std::uint32_t number) {
  const auto found = actors_.find(number);
  return found == actors_.end() ? nullptr : &found->second;
}

// ---- Frames

void Host::on_open_actor(const protocol::OpenActor& open) {
  OpenActorEvent event;
  event.actor = open.actor;
  event.class_name = open.class_name;
  event.props = from_wire(open.props);
  event.id = open.id;
  event.name = open.name;
  event.is_facet = open.is_facet;
  event.depth = open.depth;
  event.quota_bytes = open.quota_bytes;
  Fd* const places[3] = {&event.database, &event.log, &event.history};
  for (std::uint32_t index = 0; index < open.descriptors && !descriptors_.empty(); ++index) {
    Fd one = std::move(descriptors_.front());
    descriptors_.pop_front();
    if (index < 3) *places[index] = std::move(one);
  }
  const CellPtr cell = find(open.worker);
  if (cell == nullptr) {
    event = {};  // closes the descriptors before it says so
    send(protocol::ActorClosed{open.actor, "The Worker of this object is gone.", true});
    return;
  }
  Actor& actor = actors_[open.actor];
  actor.worker = open.worker;
  touch_actor(open.actor, actor);
  actor.way = open.is_facet ? facet_way(open.parent, open.facet_name) : object_way(key_of(open.namespace_uid), open.id);
  // A facet whose parent lives in another runner is not found from here.
  if (!open.is_facet || open.parent != 0) actor_ways_[actor.way].actor = open.actor;
  cell->busy = true;
  post(cell, std::move(event));
  if (actors_by_use_.size() > options_.actors_max) close_idle_actors();
  maintainer_wait_.notify_one();
}

void Host::on_close_actor(const protocol::CloseActor& close) {
  Actor* const actor = find_actor(close.actor);
  if (actor == nullptr) return;  // it has ended by itself
  begin_closing(*actor);
  post(actor->worker, CloseActorEvent{close.actor, std::string(close.reason), false});
}

void Host::on_facet_closed(const protocol::FacetClosed& closed) {
  if (Actor* const parent = find_actor(closed.parent)) {
    post(parent->worker, FacetClosedEvent{closed.parent, std::string(closed.name)});
  }
}

void Host::on_sockets(const protocol::Sockets& sockets) {
  Actor* const actor = find_actor(sockets.actor);
  if (actor == nullptr) return;
  SocketsEvent event;
  event.actor = sockets.actor;
  event.entries = sockets.entries;
  event.next = sockets.next;
  event.has_auto_response = sockets.has_auto_response;
  event.auto_request = sockets.auto_request;
  event.auto_response = sockets.auto_response;
  event.event_timeout = sockets.event_timeout;
  post(actor->worker, std::move(event));
}

void Host::on_socket_tell(const protocol::SocketTell& tell) {
  Actor* const actor = find_actor(tell.actor);
  if (actor == nullptr) return;
  post(actor->worker, SocketTellEvent{tell.actor, tell.socket, static_cast<std::uint8_t>(tell.kind), tell.number});
}

// ---- The output gate

bool Host::is_held_back(const Gate& gate) {
  if (gate.actor == 0) return false;
  const Actor* const actor = find_actor(gate.actor);
  return actor != nullptr && (gate.sequence > actor->durable || !actor->held.empty() || actor->acknowledgements > 0);
}

void Host::hold_back(const Gate& gate, std::function<void()> say, std::function<void(const CallError&)> fail) {
  Actor& actor = *find_actor(gate.actor);
  actor.held.push_back({gate.sequence, std::move(say), std::move(fail)});
}

void Host::actor_committed(std::uint32_t number, std::uint64_t sequence, const Sync& sync) {
  const Lock lock(mutex_);
  Actor* const actor = find_actor(number);
  if (actor == nullptr) return;
  actor->committed = std::max(actor->committed, sequence);
  actor->sync = sync;
  for (auto held = actor->held.rbegin(); held != actor->held.rend() && held->sequence == Gate::kThisTurn; ++held) {
    held->sequence = sequence;
  }
  if (actor->committed > actor->durable) {
    want_sync(number, *actor);
  } else {
    release_held(number);
  }
}

void Host::socket_say(SocketWord word, Gate gate) {
  const Lock lock(mutex_);
  if (find_actor(word.actor) == nullptr) return;
  auto say = [this, word = std::move(word)] {
    send(protocol::SocketSay{word.actor, word.socket, static_cast<protocol::SocketSay::Kind>(word.kind), word.bytes,
                             word.more, word.number});
  };
  if (!is_held_back(gate)) return say();
  hold_back(gate, std::move(say), [](const CallError&) {});
}

void Host::want_sync(std::uint32_t number, Actor& actor) {
  if (actor.syncing) return;
  actor.syncing = true;
  jobs_.push_back({number, nullptr, nullptr});
  jobs_wait_.notify_one();
}

void Host::release_held(std::uint32_t number) {
  for (;;) {
    // What is said may come back here.
    Actor* const actor = find_actor(number);
    if (actor == nullptr || actor->acknowledgements > 0 || actor->held.empty() ||
        actor->held.front().sequence > actor->durable) {
      return;
    }
    const auto say = std::move(actor->held.front().say);
    actor->held.pop_front();
    say();
  }
}

void Host::fail_held(std::uint32_t number, const CallError& error, std::uint64_t from_sequence) {
  Actor* actor = find_actor(number);
  if (actor == nullptr) return;
  std::deque<Actor::Held> failed;
  while (!actor->held.empty() && actor->held.back().sequence >= from_sequence) {
    failed.push_front(std::move(actor->held.back()));
    actor->held.pop_back();
  }
  for (const Actor::Held& one : failed) one.fail(error);
}

void Host::actor_failed(std::uint32_t number, const CallError& error) {
  const Lock lock(mutex_);
  // What an earlier turn has said is still true, if only its commit reaches the disk.
  fail_held(number, error, Gate::kThisTurn);
}

void Host::actor_notify(std::uint32_t number, std::uint64_t sequence) {
  const Lock lock(mutex_);
  Actor* const actor = find_actor(number);
  if (actor == nullptr) return;
  if (sequence <= actor->durable) {
    post(actor->worker, SyncedEvent{number, actor->durable});
  } else {
    actor->notify = std::max(actor->notify, sequence);
  }
}

void Host::actor_alarm(std::uint32_t number, std::optional<std::int64_t> unix_ms) {
  const Lock lock(mutex_);
  Actor* const actor = find_actor(number);
  if (actor == nullptr) return;
  std::uint32_t id = next_call_++;
  if (id == 0) id = next_call_++;
  OutCall out;
  out.kind = OutCall::Kind::Alarm;
  out.actor = number;
  calls_.emplace(id, std::move(out));
  ++actor->acknowledgements;
  protocol::Invoke invoke;
  invoke.question = id;
  invoke.depth = 1;
  invoke.target.kind = protocol::Target::Kind::OwnActor;
  invoke.target.actor = number;
  const std::string detail = "{\"at\":" + (unix_ms ? std::to_string(*unix_ms) : std::string("null")) + "}";
  protocol::EngineCall engine;
  engine.operation = "alarm";
  engine.detail = detail;
  invoke.call = engine;
  send(invoke);
  crash_point(CrashPoint::ActorAlarmTold);
}

// ---- The end

void Host::actor_closed(std::uint32_t number, std::string reason, std::function<void()> close, bool is_lost) {
  const Lock lock(mutex_);
  Actor* const actor = find_actor(number);
  if (actor == nullptr) return;
  begin_closing(*actor);
  if (const auto way = actor_ways_.find(actor->way); way != actor_ways_.end() && way->second.actor == number) {
    way->second.actor = 0;
    if (way->second.long_ways == 0) actor_ways_.erase(way);
  }
  auto then = [this, number, is_lost, reason = std::move(reason)] {
    if (Actor* const gone = find_actor(number)) {
      // Closing has synced what was committed, or it is said to have failed.
      gone->durable = gone->committed;
      gone->acknowledgements = 0;
      release_held(number);
    }
    CallError lost = error_of(Fault::IsolateLost);
    fail_held(number, lost, 0);
    actors_.erase(number);
    send(protocol::ActorClosed{number, reason, is_lost});
  };
  jobs_.push_back({number, std::move(close), std::move(then)});
  jobs_wait_.notify_one();
}

void Host::actor_kept(std::uint32_t number) {
  const Lock lock(mutex_);
  Actor* const actor = find_actor(number);
  if (actor == nullptr) return;
  actor->closing = false;
  touch_actor(number, *actor);
}

void Host::touch_actor(std::uint32_t number, Actor& actor) {
  actor.used = Clock::now();
  if (actor.is_listed) return actors_by_use_.splice(actors_by_use_.end(), actors_by_use_, actor.place);
  if (actor.closing) return;
  actor.place = actors_by_use_.insert(actors_by_use_.end(), number);
  actor.is_listed = true;
}

void Host::begin_closing(Actor& actor) {
  actor.closing = true;
  if (std::exchange(actor.is_listed, false)) actors_by_use_.erase(actor.place);
}

// Asks those that nobody has called for long, or for longest when there are too many, to end if nothing of them runs; those
// that go on are told by actor_kept(). True: there are more.
bool Host::close_idle_actors() {
  const auto now = Clock::now();
  std::size_t count = 0;
  for (auto at = actors_by_use_.begin(); at != actors_by_use_.end() && count < kIdleClosesAtOnce;) {
    const std::uint32_t number = *at++;
    Actor& actor = *find_actor(number);
    if (actors_by_use_.size() <= options_.actors_max && now - actor.used <= options_.actor_idle_after) return false;
    if (!actor.held.empty()) continue;
    begin_closing(actor);
    post(actor.worker, CloseActorEvent{number, {}, true});
    ++count;
  }
  return count == kIdleClosesAtOnce;
}

// ---- Threads that wait for the disk

void Host::sync_main() {
  Lock lock(mutex_);
  for (;;) {
    while (jobs_.empty()) jobs_wait_.wait(lock);
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    if (job.run != nullptr || job.then != nullptr) {
      lock.unlock();
      if (job.run != nullptr) job.run();
      job.run = nullptr;  // what it held is gone before anybody hears of it
      lock.lock();
      if (job.then != nullptr) job.then();
    } else if (Actor* actor = find_actor(job.actor); actor != nullptr) {
      const Sync sync = actor->sync;
      lock.unlock();
      const SyncOutcome outcome = sync();
      lock.lock();
      actor = find_actor(job.actor);
      if (actor != nullptr) {
        actor->syncing = false;
        if (!outcome.error.empty()) {
          CallError error = error_of(Fault::Internal, outcome.error);
          fail_held(job.actor, error, 0);
          post(actor->worker, ActorBrokenEvent{job.actor, outcome.error});
        } else {
          actor->durable = std::max(actor->durable, outcome.durable);
          crash_point(CrashPoint::ActorGateOpening);
          release_held(job.actor);
          actor = find_actor(job.actor);
          if (actor != nullptr && actor->notify != 0 && actor->notify <= actor->durable) {
            actor->notify = 0;
            post(actor->worker, SyncedEvent{job.actor, actor->durable});
          }
          if (actor != nullptr && actor->committed > actor->durable) want_sync(job.actor, *actor);
        }
      }
    }
    drain_releases();
    // The poller may be asleep, or busy elsewhere: nobody else would write this.
    flush(lock);
  }
}

}  // namespace insula::runner
