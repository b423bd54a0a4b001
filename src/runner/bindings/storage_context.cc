// SPDX-License-Identifier: Apache-2.0
//
// WorkerContext: the actors that are open in this isolate, and their storage.
#include <algorithm>

#include "src/runner/actors/actor_storage.h"
#include "src/runner/bindings/context.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {

WorkerContext::OpenActor* WorkerContext::find_actor(std::uint32_t number) {
  const auto found = actors_.find(number);
  return found == actors_.end() ? nullptr : &found->second;
}

actors::ActorStorage* WorkerContext::use_storage(std::uint32_t actor, StorageUse use) {
  OpenActor* const open = find_actor(actor);
  if (open == nullptr || open->storage == nullptr) {
    v8()->ThrowException(v8::Exception::Error(to_string(v8(), "The storage of this object is closed.")));
    return nullptr;
  }
  if (!open->is_used) {
    open->is_used = true;
    used_actors.push_back(actor);
    open->storage->set_now(static_cast<std::int64_t>(is_clock_frozen() ? clock.wall_millis : engine::real_wall_millis()));
  }
  if (use == StorageUse::Write) open->holds_output = true;
  return open->storage.get();
}

Gate WorkerContext::gate_of(const Invocation& invocation) { return gate_of_actor(invocation.actor); }

Gate WorkerContext::gate_of_actor(std::uint32_t actor) {
  if (actor == 0) return {};
  const OpenActor* const open = find_actor(actor);
  if (open == nullptr || open->storage == nullptr) return {actor, 0};
  if (open->holds_output) return {actor, Gate::kThisTurn};
  return {actor, open->gate_sequence > open->storage->durable_sequence() ? open->gate_sequence : 0};
}

std::uint32_t WorkerContext::owner_of(std::uint32_t invocation) {
  const Invocation* const found = find_invocation(invocation);
  return found != nullptr && found->actor != 0 ? kActorOwner | found->actor : invocation;
}

bool WorkerContext::may_use(std::uint32_t owner) {
  return owner == 0 || owner == current_id() || owner == owner_of(current_id());
}

WorkerContext::ActorLeftovers WorkerContext::forget_actor(std::uint32_t actor) {
  ActorLeftovers leftovers;
  const std::uint32_t owner = kActorOwner | actor;
  std::erase_if(handles_, [owner](const auto& one) { return one.second.invocation == owner; });
  std::vector<std::uint32_t> numbers;
  for (const auto& [id, one] : exports_) {
    if (one.invocation == owner) numbers.push_back(id);
  }
  for (const auto id : numbers) {
    const std::uint32_t object = exports_[id].object;
    if (drop_export(id)) leftovers.exports.push_back(object);
  }
  std::erase_if(packed_, [owner](const auto& one) { return one.second.invocation == owner; });
  std::erase_if(facets_, [actor](const auto& one) { return one.second.actor == actor; });
  actors_.erase(actor);
  return leftovers;
}

WorkerContext::ActorLeftovers WorkerContext::break_actor(std::uint32_t actor, const CallError& error,
                                                         std::string reason, bool is_lost) {
  OpenActor* const open = find_actor(actor);
  if (open == nullptr) return {};
  if (open->storage != nullptr) open->storage->abandon();
  host_.actor_failed(actor, error);
  std::vector<std::uint32_t> running;
  for (const auto& [id, invocation] : invocations_) {
    if (invocation.actor == actor) running.push_back(id);
  }
  for (const auto id : running) {
    if (Invocation* invocation = find_invocation(id)) {
      invocation->actor = 0;  // nothing holds back its failure
      abort(*invocation, error);
    }
  }
  // The log may hold commits that are not synced yet: others wait for those.
  std::shared_ptr<actors::ActorStorage> storage = std::move(open->storage);
  ActorLeftovers leftovers = forget_actor(actor);
  host_.actor_closed(actor, std::move(reason), [storage = std::move(storage)]() mutable {
    if (storage != nullptr && storage->needs_sync()) static_cast<void>(storage->sync());
    storage.reset();
  }, is_lost);
  return leftovers;
}

}  // namespace insula::runner
