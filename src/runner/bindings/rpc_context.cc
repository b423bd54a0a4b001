// SPDX-License-Identifier: Apache-2.0
//
// WorkerContext: answers to RPC calls, handles, exports, packed values.
#include <algorithm>

#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/context.h"

namespace insula::runner {
namespace {

std::uint64_t key_of(const ReplyTo& reply_to) {
  return reply_to.caller == 0 ? reply_to.question : std::uint64_t{1} << 32 | reply_to.call;
}

// Keeps a list of numbers, some of which may be gone, about as short as what is left of it.
template <class Map>
void remember(std::vector<std::uint32_t>& list, std::uint32_t number, const Map& live, std::uint32_t invocation) {
  if (list.size() >= 64 && (list.size() & (list.size() - 1)) == 0) {
    std::erase_if(list, [&](std::uint32_t one) {
      const auto found = live.find(one);
      return found == live.end() || found->second.invocation != invocation;
    });
  }
  list.push_back(number);
}

}  // namespace

// ---- Answers

void WorkerContext::add_answer(const Invocation& invocation, bool is_rpc) {
  Answer& answer = answers_[invocation.id];
  answer.id = invocation.id;
  answer.invocation = invocation.id;
  answer.reply_to = invocation.reply_to;
  answer.finished = !is_rpc;
  answer.is_event = !is_rpc;
  answers_by_caller_[key_of(invocation.reply_to)] = invocation.id;
}

Answer& WorkerContext::add_answer(const ReplyTo& reply_to, Invocation& invocation, std::uint32_t base) {
  const std::uint32_t id = next_invocation_++;
  Answer& answer = answers_[id];
  answer.id = id;
  answer.invocation = invocation.id;
  answer.base = base;
  answer.reply_to = reply_to;
  answers_by_caller_[key_of(reply_to)] = id;
  ++invocation.open_answers;
  return answer;
}

void WorkerContext::add_failed_answer(const ReplyTo& reply_to, const CallError& error) {
  const std::uint32_t id = next_invocation_++;
  Answer& answer = answers_[id];
  answer.id = id;
  answer.reply_to = reply_to;
  answer.answered = true;
  answer.failed = std::make_unique<CallError>(error);
  answers_by_caller_[key_of(reply_to)] = id;
}

Answer* WorkerContext::find_answer(std::uint32_t id) {
  const auto found = answers_.find(id);
  return found == answers_.end() ? nullptr : &found->second;
}

Answer* WorkerContext::find_answer(const ReplyTo& reply_to) {
  const auto found = answers_by_caller_.find(key_of(reply_to));
  return found == answers_by_caller_.end() ? nullptr : find_answer(found->second);
}

void WorkerContext::forget_answer(std::uint32_t id) {
  const auto found = answers_.find(id);
  if (found == answers_.end()) return;
  answers_by_caller_.erase(key_of(found->second.reply_to));
  answers_.erase(found);
}

void WorkerContext::answer_call(std::uint32_t id, Outcome outcome) {
  Answer* call = find_answer(id);
  if (call == nullptr || call->answered) return;
  Invocation* invocation = find_invocation(call->invocation);
  if (invocation != nullptr && invocation->id == id) {
    answer(*invocation, std::move(outcome));
    return;
  }
  call->answered = true;
  if (const auto* error = std::get_if<CallError>(&outcome)) call->failed = std::make_unique<CallError>(*error);
  // Its CPU time is part of what its invocation reports.
  host_.answer(call->reply_to, std::move(outcome), 0, false, invocation != nullptr ? gate_of(*invocation) : Gate{});
  if (invocation != nullptr && invocation->open_answers > 0) --invocation->open_answers;
  if (call->finished) forget_answer(id);
}

void WorkerContext::fail_call(std::uint32_t id, const CallError& error) {
  answer_call(id, error);
  std::vector<std::uint32_t> dependents;
  for (const auto& [number, one] : answers_) {
    if (one.base == id && !one.answered) dependents.push_back(number);
  }
  for (const auto dependent : dependents) fail_call(dependent, error);
}

void WorkerContext::fail(Invocation& invocation, const CallError& error) {
  if (invocation.answered) return;
  if (invocation.tail != nullptr) invocation.tail->set_fault(error.fault, error.message);
  if (find_answer(invocation.id) != nullptr) {
    fail_call(invocation.id, error);
  } else {
    answer(invocation, error);
  }
}

void WorkerContext::abort(Invocation& invocation, const CallError& error) {
  if (invocation.tail != nullptr) invocation.tail->set_fault(error.fault, error.message);
  fail(invocation, error);
  std::vector<std::uint32_t> open;
  for (const auto& [id, one] : answers_) {
    if (one.invocation == invocation.id && !one.answered) open.push_back(id);
  }
  for (const auto id : open) fail_call(id, error);
  invocation.holds = invocation.response_streams = 0;
  invocation.result_exports = 0;
  aborted.push_back(invocation.id);
}

bool WorkerContext::finish_answer(const ReplyTo& reply_to, std::uint32_t& id) {
  Answer* call = find_answer(reply_to);
  if (call == nullptr) return false;
  id = call->id;
  call->finished = true;
  if (call->answered) forget_answer(id);
  return true;
}

// ---- Handles

std::uint32_t WorkerContext::add_handle(CapabilityPtr capability, std::uint32_t invocation, bool is_of_caller) {
  // An object that comes home to its own invocation must not keep it alive.
  if (const CapabilityFacts facts = host_.facts_of(*capability); facts.worker == spec_.id) {
    const auto known = exports_.find(facts.export_id);
    if (known != exports_.end() && known->second.holds && known->second.invocation == invocation) {
      capability = add_export(known->second.object, invocation, false);
      if (capability == nullptr) return 0;
    }
  }
  const std::uint32_t number = next_handle_++;
  const std::uint32_t holder = owner_of(invocation);
  handles_[number] = {std::move(capability), holder, is_of_caller};
  if (Invocation* owner = find_invocation(invocation); owner != nullptr && holder == invocation) remember(owner->handles, number, handles_, invocation);
  return number;
}

CapabilityPtr WorkerContext::use_handle(std::uint32_t number) {
  const auto found = handles_.find(number);
  // One that nobody knows any more belonged to an invocation that has ended: built-ins do not ask for what they dropped.
  if (found != handles_.end() && may_use(found->second.invocation)) {
    return found->second.capability;
  }
  throw_cross_request(*this, "Client");
  return nullptr;
}

bool WorkerContext::is_of_caller(std::uint32_t handle) const {
  const auto found = handles_.find(handle);
  return found != handles_.end() && found->second.is_of_caller;
}

void WorkerContext::drop_handle(std::uint32_t number) { handles_.erase(number); }

// ---- Exports

CapabilityPtr WorkerContext::add_export(std::uint32_t object, std::uint32_t invocation, bool holds) {
  if (exports_.size() >= kExportsPerWorkerMax) {
    throw_fault(Fault::RpcLimit);
    return nullptr;
  }
  Invocation* owner = find_invocation(invocation);
  if (owner == nullptr) {
    throw_cross_request(*this, "Client");
    return nullptr;
  }
  const std::uint32_t id = next_export_++;
  ++object_references_[object];
  if (owner->actor != 0) {
    // It lives as long as its actor.
    exports_[id] = {object, kActorOwner | owner->actor, false};
    if (OpenActor* const actor = find_actor(owner->actor)) ++actor->exports;
    return host_.export_object(spec_.id, id);
  }
  exports_[id] = {object, invocation, holds};
  remember(owner->exports, id, exports_, invocation);
  if (holds) ++owner->result_exports;
  return host_.export_object(spec_.id, id);
}

const WorkerContext::Export* WorkerContext::find_export(std::uint32_t id) const {
  const auto found = exports_.find(id);
  return found == exports_.end() ? nullptr : &found->second;
}

bool WorkerContext::drop_export(std::uint32_t id) {
  const auto found = exports_.find(id);
  if (found == exports_.end()) return false;
  Invocation* owner = found->second.holds ? find_invocation(found->second.invocation) : nullptr;
  if (owner != nullptr && owner->result_exports > 0) --owner->result_exports;
  if ((found->second.invocation & kActorOwner) != 0) {
    OpenActor* const actor = find_actor(found->second.invocation & ~kActorOwner);
    if (actor != nullptr && actor->exports > 0) --actor->exports;
  }
  const auto references = object_references_.find(found->second.object);
  exports_.erase(found);
  if (references == object_references_.end() || --references->second > 0) return false;
  object_references_.erase(references);
  return true;
}

void WorkerContext::end_capabilities(Invocation& invocation, Leftovers& leftovers) {
  for (const auto number : invocation.handles) {
    const auto found = handles_.find(number);
    if (found != handles_.end() && found->second.invocation == invocation.id) handles_.erase(found);
  }
  for (const auto id : invocation.exports) {
    const auto found = exports_.find(id);
    if (found == exports_.end() || found->second.invocation != invocation.id) continue;
    const std::uint32_t object = found->second.object;
    if (drop_export(id)) leftovers.exports.push_back(object);
  }
  if (!packed_.empty()) {
    std::erase_if(packed_, [&](const auto& one) { return one.second.invocation == invocation.id; });
  }
}

void WorkerContext::abandon_call(std::uint32_t call, bool is_rpc) {
  host_.cancel_call(call);
  if (is_rpc) host_.finish_call(call);
}

// ---- Packed values

std::uint32_t WorkerContext::add_packed(Payload payload, std::uint32_t invocation) {
  const std::uint32_t number = next_packed_++;
  packed_[number] = {std::move(payload), owner_of(invocation)};
  return number;
}

const Payload* WorkerContext::find_packed(std::uint32_t number) const {
  const auto found = packed_.find(number);
  return found == packed_.end() ? nullptr : &found->second.payload;
}

}  // namespace insula::runner
