// SPDX-License-Identifier: Apache-2.0
//
// WorkerContext: bookkeeping of invocations and of what they have open.
#include "src/runner/bindings/context.h"

#include <algorithm>
#include <vector>

#include "src/runner/isolate/convert.h"

namespace insula::runner {

// Something goes on after the answer. An actor's timers and calls go on by themselves, without waitUntil().
bool WorkerContext::is_held(const Invocation& invocation) const {
  if (invocation.is_cut) return false;
  return invocation.holds > 0 || invocation.response_streams > 0 || invocation.sockets > 0 || invocation.result_exports > 0 ||
         invocation.open_answers > 0 ||
         (invocation.actor != 0 && (invocation.timers > 0 || waits_for_call(invocation.id)));
}

Invocation& WorkerContext::begin_invocation(ReplyTo reply_to, std::uint32_t depth) {
  const std::uint32_t id = next_invocation_++;
  Invocation& invocation = invocations_[id];
  ++unanswered_;
  invocation.id = id;
  invocation.reply_to = reply_to;
  invocation.depth = depth;
  if (reply_to.caller == spec_.id) {
    if (const auto call = calls_.find(reply_to.call); call != calls_.end()) {
      invocation.parent = call->second.invocation;
      ++own_invocations_;
    }
  }
  invocation.log_bytes_left = spec_.limits.log_bytes;
  return invocation;
}

Invocation* WorkerContext::find_invocation(std::uint32_t id) {
  const auto found = invocations_.find(id);
  return found == invocations_.end() ? nullptr : &found->second;
}

Invocation* WorkerContext::find_invocation(const ReplyTo& reply_to) {
  for (auto& [id, invocation] : invocations_) {
    if (invocation.reply_to.caller == reply_to.caller && invocation.reply_to.question == reply_to.question &&
        invocation.reply_to.call == reply_to.call) {
      return &invocation;
    }
  }
  return nullptr;
}

std::uint32_t WorkerContext::current_id() {
  const v8::Local<v8::Data> data = v8()->GetContinuationPreservedEmbedderDataV2();
  if (data.IsEmpty() || !data->IsValue()) return 0;
  v8::Local<v8::Value> value = data.As<v8::Value>();
  // A number, or an array whose first element is the number and whose rest belongs to AsyncLocalStorage.
  if (value->IsArray()) {
    if (!value.As<v8::Array>()->Get(isolate_.context(), 0).ToLocal(&value)) return 0;
  }
  return value->IsUint32() ? value.As<v8::Uint32>()->Value() : 0;
}

std::uint64_t WorkerContext::cpu_nanos_left(const Invocation& invocation) {
  std::uint64_t left = ~std::uint64_t{0};
  for (const Invocation* one = &invocation; one != nullptr; one = find_invocation(one->parent)) {
    left = std::min(left, one->cpu_nanos_max > one->cpu_nanos ? one->cpu_nanos_max - one->cpu_nanos : 1);
  }
  return left;
}

void WorkerContext::charge_cpu(Invocation& invocation, std::uint64_t nanos) {
  for (Invocation* one = &invocation; one != nullptr; one = find_invocation(one->parent)) one->cpu_nanos += nanos;
}

bool WorkerContext::take_subrequest(Invocation& invocation) {
  for (const Invocation* one = &invocation; one != nullptr; one = find_invocation(one->parent)) {
    if (one->subrequests_left == 0) return false;
  }
  for (Invocation* one = &invocation; one != nullptr; one = find_invocation(one->parent)) --one->subrequests_left;
  return true;
}

bool WorkerContext::is_quiescent() const {
  if (!timers_.empty() || pulls_pending != 0 || writes_pending != 0) return false;
  // What goes on behind an answer may be waiting for a call on an object, as long as somebody holds one.
  if (!exports_.empty() && unanswered_ == 0) return false;
  if (calls_.empty()) return true;
  if (own_invocations_ == 0) return false;
  std::size_t own = 0;
  for (const auto& [id, invocation] : invocations_) {
    if (invocation.parent != 0 && !invocation.answered && calls_.contains(invocation.reply_to.call)) ++own;
  }
  for (const auto& [id, answer] : answers_) {
    if (id != answer.invocation && !answer.answered && answer.reply_to.caller == spec_.id &&
        calls_.contains(answer.reply_to.call)) {
      ++own;
    }
  }
  return own == calls_.size();
}

bool WorkerContext::has_given_objects(const Invocation& invocation) const {
  if (invocation.result_exports > 0) return true;
  return std::any_of(invocation.exports.begin(), invocation.exports.end(), [&](std::uint32_t id) {
    const auto found = exports_.find(id);
    return found != exports_.end() && found->second.invocation == invocation.id;
  });
}

bool WorkerContext::waits_for_call(std::uint32_t invocation) const {
  return std::any_of(calls_.begin(), calls_.end(), [invocation](const auto& call) { return call.second.invocation == invocation; });
}

Invocation* WorkerContext::current() { return find_invocation(current_id()); }

void WorkerContext::set_current(std::uint32_t id) {
  if (id == 0) {
    v8()->SetContinuationPreservedEmbedderDataV2(v8::Undefined(v8()));
  } else {
    v8()->SetContinuationPreservedEmbedderDataV2(v8::Integer::NewFromUnsigned(v8(), id));
  }
}

void WorkerContext::answer(Invocation& invocation, Outcome outcome) {
  if (invocation.answered) return;
  invocation.answered = true;
  --unanswered_;
  invocation.continues = is_held(invocation);
  if (Answer* call = answers_.empty() ? nullptr : find_answer(invocation.id)) {
    call->answered = true;
    if (const auto* error = std::get_if<CallError>(&outcome)) call->failed = std::make_unique<CallError>(*error);
    if (call->finished) forget_answer(invocation.id);
  }
  if (invocation.tail != nullptr) invocation.tail->set_answer(outcome);
  host_.answer(invocation.reply_to, std::move(outcome), static_cast<std::uint32_t>(invocation.cpu_nanos / 1000),
               invocation.continues, gate_of(invocation));
  if (invocation.deadline_timer != 0) {
    host_.cancel_timer(invocation.deadline_timer);
    invocation.deadline_timer = 0;
  }
  expect_end(invocation);
}

void WorkerContext::expect_end(Invocation& invocation) {
  if (!invocation.answered || invocation.holds == 0 || invocation.response_streams > 0) return;
  if (spec_.limits.wait_until.count() == 0) return;
  invocation.deadline_timer = host_.start_timer(spec_.id, spec_.limits.wait_until, DeadlineEvent{invocation.id, true});
}

bool WorkerContext::end_if_done(Invocation& invocation, Leftovers& leftovers) {
  if (!invocation.answered || is_held(invocation)) return false;
  const std::uint32_t id = invocation.id;
  if (invocation.deadline_timer != 0) host_.cancel_timer(invocation.deadline_timer);
  if (invocation.continues) {
    host_.finished(invocation.reply_to, static_cast<std::uint32_t>(invocation.cpu_nanos / 1000),
                   Gate{invocation.actor, 0});
  }
  if (OpenActor* const actor = invocation.actor != 0 ? find_actor(invocation.actor) : nullptr) --actor->invocations;
  if (invocation.timers > 0) {
    for (auto timer = timers_.begin(); timer != timers_.end();) {
      if (timer->second.invocation == id) {
        host_.cancel_timer(timer->second.host_timer);
        leftovers.timers.push_back(timer->first);
        timer = timers_.erase(timer);
      } else {
        ++timer;
      }
    }
  }
  if (invocation.streams > 0) {
    std::vector<std::uint32_t> numbers;
    for (auto& [number, body] : bodies_) {
      if (body.invocation == id) numbers.push_back(number);
    }
    for (const auto number : numbers) drop_body(number);
    numbers.clear();
    for (auto& [number, writer] : writers_) {
      if (writer.invocation == id) numbers.push_back(number);
    }
    for (const auto number : numbers) {
      host_.end(*writers_[number].stream, "The invocation that wrote this stream has ended.");
      drop_writer(number);
    }
  }
  if (!calls_.empty()) {
    for (auto call = calls_.begin(); call != calls_.end();) {
      if (call->second.invocation == id) {
        abandon_call(call->first, call->second.is_rpc);
        leftovers.calls.push_back(call->first);
        call = forget_call(call);
      } else {
        ++call;
      }
    }
  }
  if (invocation.tail != nullptr) tell_tails(invocation);
  end_capabilities(invocation, leftovers);
  leftovers.is_kept = invocation.is_kept;
  if (invocation.parent != 0) --own_invocations_;
  invocations_.erase(id);
  return true;
}

void WorkerContext::tell_tails(Invocation& invocation) {
  const std::string detail = invocation.tail->finish(spec_.name, invocation.cpu_nanos);
  for (const CapabilityPtr& tail : spec_.tails) {
    if (tail == nullptr) continue;
    CallTarget target;
    target.capability = tail;
    // On nobody's behalf: the invocation is over.
    host_.start_call({spec_.id, 0, invocation.depth, {}}, std::move(target), RuntimeCall{"tail", detail, {}});
  }
  invocation.tail.reset();
}

void WorkerContext::abandon(std::uint32_t culprit, const CallError& culprit_error, const CallError& other_error) {
  // What actors have not committed is lost, and what they said of it is not said.
  std::vector<std::uint32_t> open;
  for (const auto& [number, actor] : actors_) open.push_back(number);
  for (const auto number : open) {
    for (auto& [id, invocation] : invocations_) {
      if (invocation.actor == number && id == culprit && !invocation.answered) answer(invocation, culprit_error);
    }
    break_actor(number, other_error, "lost", true);
  }
  for (auto& [id, invocation] : invocations_) {
    invocation.holds = invocation.response_streams = 0;
    close_sockets(invocation, invocation.sockets);
    invocation.result_exports = 0;
    invocation.open_answers = 0;
    const CallError& error = id == culprit ? culprit_error : other_error;
    if (invocation.tail != nullptr && (!invocation.answered || id == culprit)) {
      invocation.tail->set_fault(error.fault, error.message);
    }
    if (!invocation.answered) {
      answer(invocation, error);
    } else if (invocation.continues) {
      host_.finished(invocation.reply_to, static_cast<std::uint32_t>(invocation.cpu_nanos / 1000),
                     Gate{invocation.actor, 0});
    }
    if (invocation.deadline_timer != 0) host_.cancel_timer(invocation.deadline_timer);
    if (invocation.tail != nullptr) tell_tails(invocation);
  }
  for (auto& [number, timer] : timers_) host_.cancel_timer(timer.host_timer);
  for (auto& [id, one] : answers_) {
    if (!one.answered && id != one.invocation) {
      host_.answer(one.reply_to, one.invocation == culprit ? culprit_error : other_error, 0, false, {});
    }
  }
  for (auto& [call, one] : calls_) abandon_call(call, one.is_rpc);
  for (auto& [number, body] : bodies_) {
    if (body.body.stream != nullptr) host_.stop(*body.body.stream);
  }
  for (auto& [number, writer] : writers_) host_.end(*writer.stream, culprit_error.message);
  answers_.clear();
  answers_by_caller_.clear();
  handles_.clear();
  exports_.clear();
  object_references_.clear();
  packed_.clear();
  invocations_.clear();
  unanswered_ = 0;
  own_invocations_ = 0;
  timers_.clear();
  calls_.clear();
  engine_calls_ = 0;
  bodies_.clear();
  writers_.clear();
}

bool WorkerContext::open_socket(Invocation& invocation) {
  if (spec_.is_tenant && sockets_ >= kSocketsPerTenantMax) {
    throw_fault(Fault::Overloaded, "Too many WebSockets of this Worker are open.");
    return false;
  }
  ++invocation.sockets;
  ++sockets_;
  return true;
}

void WorkerContext::close_sockets(Invocation& invocation, std::uint32_t count) {
  count = std::min(count, invocation.sockets);
  invocation.sockets -= count;
  sockets_ -= count;
}

std::uint32_t WorkerContext::add_body(HostBody body, std::uint32_t invocation) {
  if (body.is_none()) return 0;
  const std::uint32_t number = next_body_++;
  Incoming& incoming = bodies_[number];
  incoming.body = std::move(body);
  incoming.invocation = invocation;
  if (Invocation* owner = find_invocation(invocation)) ++owner->streams;
  return number;
}

WorkerContext::Incoming* WorkerContext::find_body(std::uint32_t number) {
  const auto found = bodies_.find(number);
  return found == bodies_.end() ? nullptr : &found->second;
}

void WorkerContext::drop_body(std::uint32_t number) {
  const auto found = bodies_.find(number);
  if (found == bodies_.end()) return;
  if (!found->second.pull.IsEmpty()) --pulls_pending;
  if (found->second.body.stream != nullptr) host_.stop(*found->second.body.stream);
  if (Invocation* owner = find_invocation(found->second.invocation)) --owner->streams;
  bodies_.erase(found);
}

std::uint32_t WorkerContext::add_writer(std::uint32_t invocation) {
  const std::uint32_t number = next_writer_++;
  Outgoing& outgoing = writers_[number];
  outgoing.stream = host_.open_stream(spec_.id, number);
  outgoing.invocation = invocation;
  if (Invocation* owner = find_invocation(invocation)) ++owner->streams;
  return number;
}

WorkerContext::Outgoing* WorkerContext::find_writer(std::uint32_t number) {
  const auto found = writers_.find(number);
  return found == writers_.end() ? nullptr : &found->second;
}

void WorkerContext::drop_writer(std::uint32_t number) {
  const auto found = writers_.find(number);
  if (found == writers_.end()) return;
  if (!found->second.room.IsEmpty()) --writes_pending;
  if (Invocation* owner = find_invocation(found->second.invocation)) --owner->streams;
  writers_.erase(found);
}

v8::Local<v8::Function> WorkerContext::runtime_function(const char* name) {
  return isolate_.runtime()
      ->Get(isolate_.context(), to_name(v8(), name))
      .ToLocalChecked()
      .As<v8::Function>();
}

void WorkerContext::throw_fault(Fault fault, std::string_view message) {
  const FaultInfo& info = info_of(fault);
  v8::Local<v8::Value> arguments[2] = {to_name(v8(), info.code),
                                       to_string(v8(), message.empty() ? info.message : message)};
  v8::Local<v8::Value> error;
  if (runtime_function("faultError")->Call(isolate_.context(), v8::Undefined(v8()), 2, arguments).ToLocal(&error)) {
    v8()->ThrowException(error);
  }
}

}  // namespace insula::runner
