// SPDX-License-Identifier: Apache-2.0
//
// Worker: Durable Objects and facets that live in this isolate: their beginning, the commit at the end of a turn, their
// end (docs/design/actors.md).
#include <algorithm>
#include <cmath>
#include <utility>

#include "src/runner/actors/actor_storage.h"
#include "src/runner/bindings/payload.h"
#include "src/runner/bindings/storage_ops.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

v8::Local<v8::Value> number(v8::Isolate* isolate, std::uint32_t value) {
  return v8::Integer::NewFromUnsigned(isolate, value);
}

// What waits for the actor hears this; built-ins give it its properties.
CallError broken(std::string_view message, Fault fault) {
  CallError error;
  error.fault = info_of(fault).code;
  error.name = "Error";
  error.message = message;
  return error;
}

}  // namespace

void WorkerImpl::handle(OpenActorEvent& event) {
  const auto now = static_cast<std::int64_t>(engine::real_wall_millis());
  auto opened = actors::ActorStorage::open(std::move(event.database), std::move(event.log), std::move(event.history), now,
                                           actors::options_for_quota(event.quota_bytes));
  if (!opened) {
    host_.log(context_.spec().id, 0, "error",
              "The storage of an object of class " + event.class_name + " cannot be opened: " + opened.error().message(), true);
    host_.actor_closed(event.actor, opened.error().message(), nullptr, false);
    return;
  }
  WorkerContext::OpenActor& actor = context_.actors()[event.actor];
  actor.storage = *std::move(opened);
  actor.storage->set_now(now);
  actor.storage->set_monitor(&sql_monitor());
  const auto alarm = actor.storage->alarm();
  const bool has_alarm = alarm && alarm->has_value();
  if (has_alarm) host_.actor_alarm(event.actor, **alarm);
  InvokeEvent props_only;
  props_only.props = std::move(event.props);
  step(0, [&] {
    v8::Local<v8::Value> props = v8::Undefined(v8());
    if (!props_only.props.bytes.empty()) {
      const v8::TryCatch caught(v8());
      if (!read_payload(context_, props_only.props, 0).ToLocal(&props)) props = v8::Undefined(v8());
    }
    v8::Local<v8::Value> arguments[7] = {number(v8(), event.actor),
                                         to_name(v8(), event.class_name),
                                         props,
                                         to_string(v8(), event.id),
                                         event.name.empty() ? v8::Undefined(v8()).As<v8::Value>()
                                                            : to_string(v8(), event.name).As<v8::Value>(),
                                         v8::Boolean::New(v8(), event.is_facet),
                                         number(v8(), event.depth)};
    call_runtime("openActor", 7, arguments);
  });
}

void WorkerImpl::refuse(OpenActorEvent& event) {
  const std::string reason = load_error_.has_value() ? load_error_->message : std::string("lost");
  event.database.reset();
  event.log.reset();
  event.history.reset();
  host_.actor_closed(event.actor, reason, nullptr, true);
}

void WorkerImpl::call_actor(InvokeEvent& event) {
  WorkerContext::OpenActor* const actor = context_.find_actor(event.actor);
  if (actor == nullptr) {
    // It has ended meanwhile: the supervisor opens it again.
    return host_.send_again(std::move(event));
  }
  Invocation& invocation = start_invocation(event);
  invocation.actor = event.actor;
  ++actor->invocations;
  const std::uint32_t id = invocation.id;
  if (!std::holds_alternative<FetchCall>(event.call)) {
    context_.add_answer(invocation, std::holds_alternative<RpcCall>(event.call));
  }
  step(id, [&] {
    if (auto* fetch = std::get_if<FetchCall>(&event.call)) {
      dispatch_request(*fetch, event, id, event.actor, id);
    } else if (auto* rpc = std::get_if<RpcCall>(&event.call)) {
      dispatch_rpc(*rpc, event, id, event.actor, id);
    } else if (auto* runtime = std::get_if<RuntimeCall>(&event.call)) {
      dispatch_event(*runtime, event, id);
    }
  });
}

// ---- Turns

// A turn's writes are one transaction; what the actor has said in it waits until that is on the disk.
void WorkerImpl::commit_actors() {
  const auto used = std::exchange(context_.used_actors, {});
  for (const std::uint32_t id : used) {
    WorkerContext::OpenActor* const actor = context_.find_actor(id);
    if (actor == nullptr) continue;
    actor->is_used = false;
    const bool held = std::exchange(actor->holds_output, false);
    auto committed = actor->storage->commit();
    if (!committed) {
      break_actor(id, committed.error().message(),
                  committed.error().code() == ErrorCode::LimitExceeded ? Fault::DatabaseFull : Fault::None);
      continue;
    }
    if (held) actor->gate_sequence = std::max(actor->gate_sequence, committed->sequence);
    if (committed->alarm_changed) host_.actor_alarm(id, committed->alarm_ms);
    host_.actor_committed(id, committed->sequence, [storage = actor->storage]() -> HostCalls::SyncOutcome {
      auto durable = storage->sync();
      if (!durable) return {0, std::string(durable.error().message())};
      return {*durable, {}};
    });
    if (!actor->sync_waiters.empty()) {
      // A turn that has only read gets no number of its own.
      for (auto& waiter : actor->sync_waiters) waiter.first = std::min(waiter.first, committed->sequence);
      host_.actor_notify(id, actor->sync_waiters.back().first);
    }
  }
  // Those that were to end when nothing runs any more.
  if (context_.ending_actors == 0) return;
  std::vector<std::uint32_t> ending;
  for (const auto& [id, actor] : context_.actors()) {
    if (actor.ends_when_idle && actor.invocations == 0) ending.push_back(id);
  }
  for (const std::uint32_t id : ending) close_actor(id, {});
  context_.ending_actors = 0;
  for (const auto& [id, actor] : context_.actors()) context_.ending_actors += actor.ends_when_idle ? 1 : 0;
}

void WorkerImpl::handle(SyncedEvent& event) {
  WorkerContext::OpenActor* const actor = context_.find_actor(event.actor);
  if (actor == nullptr) return;
  std::vector<v8::Global<v8::Promise::Resolver>> ready;
  std::erase_if(actor->sync_waiters, [&](auto& one) {
    if (one.first > event.sequence) return false;
    ready.push_back(std::move(one.second));
    return true;
  });
  for (auto& one : ready) {
    step(0, [&] { one.Get(v8())->Resolve(isolate_.context(), v8::Undefined(v8())).FromMaybe(false); });
  }
  // What has answered now ends now: the promise does not say whose it was.
  std::vector<std::uint32_t> answered;
  for (const auto& [id, invocation] : context_.invocations()) {
    if (invocation.actor == event.actor && invocation.answered) answered.push_back(id);
  }
  for (const auto id : answered) settle(id);
}

// ---- The end

void WorkerImpl::release_objects(const std::vector<std::uint32_t>& objects) {
  for (const auto object : objects) {
    v8::Local<v8::Value> arguments[2] = {number(v8(), object), v8::True(v8())};
    invoke(release_export_.Get(v8()), 2, arguments);
  }
}

// Cleanly: nothing of it runs. False: it goes on.
bool WorkerImpl::close_actor(std::uint32_t id, std::string reason) {
  WorkerContext::OpenActor* actor = context_.find_actor(id);
  if (actor == nullptr) return true;
  if (actor->storage->in_explicit_transaction()) return false;
  step(0, [&] {
    v8::Local<v8::Value> arguments[2] = {number(v8(), id), v8::Undefined(v8())};
    call_runtime("closeActor", 2, arguments);
  });
  actor = context_.find_actor(id);
  if (actor == nullptr || condemned_) return true;
  std::shared_ptr<actors::ActorStorage> storage = std::move(actor->storage);
  release_objects(context_.forget_actor(id).exports);
  host_.actor_closed(id, std::move(reason), [storage = std::move(storage)]() mutable {
    static_cast<void>(storage->close());
    storage.reset();
  }, false);
  return true;
}

void WorkerImpl::handle(CloseActorEvent& event) {
  WorkerContext::OpenActor* const actor = context_.find_actor(event.actor);
  if (actor == nullptr) return;
  if (!event.reason.empty()) {
    // The reason of an abort: built-ins tell the instance's own callers, then it is gone.
    CallError error = broken(event.reason, Fault::None);
    WorkerContext::ActorLeftovers leftovers;
    step(0, [&] {
      v8::Local<v8::Value> arguments[2] = {number(v8(), event.actor), to_string(v8(), event.reason)};
      call_runtime("closeActor", 2, arguments);
    });
    if (condemned_) return;
    release_objects(context_.break_actor(event.actor, error, event.reason).exports);
    settle(0);
    return;
  }
  const bool is_busy = actor->invocations > 0 || actor->exports > 0 || actor->unsent_sockets > 0;
  if (event.is_idle) {
    if (is_busy || !close_actor(event.actor, {})) host_.actor_kept(event.actor);
  } else if (actor->invocations > 0 || !close_actor(event.actor, {})) {
    if (!std::exchange(actor->ends_when_idle, true)) ++context_.ending_actors;
  }
}

void WorkerImpl::handle(ActorBrokenEvent& event) { break_actor(event.actor, event.message, Fault::None); }

void WorkerImpl::break_actor(std::uint32_t id, const std::string& message, Fault fault) {
  if (context_.find_actor(id) == nullptr) return;
  host_.log(context_.spec().id, 0, "error", "The storage of an object failed, the object is reset: " + message, true);
  step(0, [&] {
    v8::Local<v8::Value> arguments[3] = {number(v8(), id), to_string(v8(), message),
                                         to_string(v8(), info_of(fault).code)};
    call_runtime("actorBroken", 3, arguments);
  });
  if (condemned_) return;
  release_objects(context_.break_actor(id, broken(message, fault), message).exports);
  settle(0);
}

void WorkerImpl::handle(FacetClosedEvent& event) {
  if (context_.find_actor(event.parent) == nullptr) return;
  step(0, [&] {
    v8::Local<v8::Value> arguments[2] = {number(v8(), event.parent), to_string(v8(), event.name)};
    call_runtime("facetClosed", 2, arguments);
  });
}

// ---- WebSockets that hibernate

void WorkerImpl::handle(SocketsEvent& event) {
  if (context_.find_actor(event.actor) == nullptr) return;
  step(0, [&] {
    v8::Local<v8::Uint8Array> entries;
    v8::Local<v8::Value> request = v8::Undefined(v8());
    if (!to_uint8_array(v8(), event.entries).ToLocal(&entries)) return;
    if (event.has_auto_response) request = to_string(v8(), event.auto_request);
    v8::Local<v8::Value> arguments[6] = {number(v8(), event.actor),
                                         entries,
                                         number(v8(), event.next),
                                         request,
                                         to_string(v8(), event.auto_response),
                                         number(v8(), event.event_timeout)};
    call_runtime("actorSockets", 6, arguments);
  });
}

void WorkerImpl::handle(SocketTellEvent& event) {
  if (context_.find_actor(event.actor) == nullptr) return;
  step(0, [&] {
    v8::Local<v8::Value> arguments[4] = {number(v8(), event.actor), number(v8(), event.socket), number(v8(), event.kind),
                                         v8::Number::New(v8(), static_cast<double>(event.number))};
    call_runtime("socketTold", 4, arguments);
  });
}

}  // namespace insula::runner
