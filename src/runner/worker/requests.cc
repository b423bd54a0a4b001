// SPDX-License-Identifier: Apache-2.0
//
// Worker: requests, responses, streams, timers, and what ends them.
#include <algorithm>

#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

constexpr std::uint64_t kNanosPerMilli = 1000000;

}  // namespace

std::uint64_t WorkerImpl::cpu_limit_of(const InvokeEvent& event) const {
  auto cpu = context_.spec().limits.cpu.count();
  if (event.cpu_millis != 0) cpu = std::min<std::int64_t>(cpu, event.cpu_millis);
  return static_cast<std::uint64_t>(cpu) * kNanosPerMilli;
}

Invocation& WorkerImpl::start_invocation(const InvokeEvent& event) {
  Invocation& invocation = context_.begin_invocation(event.reply_to, event.depth);
  const WorkerLimits& limits = context_.spec().limits;
  invocation.cpu_nanos_max = invocation.cpu_nanos_each = cpu_limit_of(event);
  invocation.subrequests_left =
      event.subrequests != 0 ? std::min(limits.subrequests, event.subrequests) : limits.subrequests;
  invocation.subrequests_each = invocation.subrequests_left;
  if (!context_.spec().tails.empty()) {
    invocation.tail = std::make_unique<TailRecord>(event.call, event.entrypoint, limits.log_bytes);
  }
  if (limits.wall.count() > 0) {
    invocation.deadline_timer =
        host_.start_timer(context_.spec().id, limits.wall, DeadlineEvent{invocation.id, false});
  }
  return invocation;
}

// The limits of a fresh invocation, for one that lives on messages.
void WorkerImpl::refresh(std::uint32_t id) {
  Invocation* const invocation = context_.find_invocation(id);
  if (invocation == nullptr) return;
  invocation->cpu_nanos_max = invocation->cpu_nanos + invocation->cpu_nanos_each;
  invocation->subrequests_left = invocation->subrequests_each;
}

void WorkerImpl::handle(InvokeEvent& event) {
  if (event.on == InvokeEvent::On::Actor) return call_actor(event);
  if (event.on != InvokeEvent::On::Entrypoint) return call_object(event);
  Invocation& invocation = start_invocation(event);
  const std::uint32_t id = invocation.id;
  if (!std::holds_alternative<FetchCall>(event.call)) {
    context_.add_answer(invocation, std::holds_alternative<RpcCall>(event.call));
  }
  step(id, [&] {
    if (auto* fetch = std::get_if<FetchCall>(&event.call)) {
      dispatch_request(*fetch, event, id, 0, id);
    } else if (auto* rpc = std::get_if<RpcCall>(&event.call)) {
      dispatch_rpc(*rpc, event, id, 0, id);
    } else {
      dispatch_event(std::get<RuntimeCall>(event.call), event, id);
    }
  });
}

void WorkerImpl::dispatch_request(FetchCall& fetch, InvokeEvent& event, std::uint32_t answer, std::uint32_t target,
                                  std::uint32_t invocation) {
  const std::uint32_t body = context_.add_body(std::move(fetch.body), invocation);
  const auto method = to_name(v8(), fetch.method);
  const auto url = to_string(v8(), fetch.url);
  const auto headers = to_byte_string(v8(), fetch.headers);
  const auto body_number = v8::Integer::NewFromUnsigned(v8(), body);
  const auto cf = to_string(v8(), fetch.cf);
  const auto number = v8::Integer::NewFromUnsigned(v8(), answer);
  if (event.on == InvokeEvent::On::Entrypoint) {
    v8::Local<v8::Value> arguments[8] = {number, to_name(v8(), event.entrypoint), read_props(event, invocation), method,
                                         url, headers, body_number, cf};
    invoke(dispatch_fetch_.Get(v8()), 8, arguments);
    return;
  }
  v8::Local<v8::Value> arguments[8] = {number,
                                       v8::Integer::New(v8(), static_cast<int>(event.on)),
                                       v8::Integer::NewFromUnsigned(v8(), target),
                                       method,
                                       url,
                                       headers,
                                       body_number,
                                       cf};
  call_runtime("dispatchFetchOn", 8, arguments);
}

void WorkerImpl::handle(ReturnEvent& event) {
  const auto found = context_.calls().find(event.call);
  if (found == context_.calls().end()) {
    // Nobody waits any more: close what came with it.
    if (auto* fetch = std::get_if<FetchResult>(&event.outcome); fetch != nullptr && fetch->body.stream != nullptr) {
      host_.stop(*fetch->body.stream);
    } else if (auto* value = std::get_if<RpcResult>(&event.outcome)) {
      for (const HostBody& body : value->value.streams) {
        if (body.stream != nullptr) host_.stop(*body.stream);
      }
    }
    return;
  }
  const std::uint32_t id = found->second.invocation;
  // Nothing more will be called on its result: the built-ins have it from now on.
  if (found->second.is_rpc) host_.finish_call(event.call);
  context_.forget_call(found);
  step(id, [&] {
    if (auto* fetch = std::get_if<FetchResult>(&event.outcome)) {
      const std::uint32_t body = context_.add_body(std::move(fetch->body), id);
      v8::Local<v8::Value> arguments[5] = {v8::Integer::NewFromUnsigned(v8(), event.call),
                                           v8::Integer::New(v8(), fetch->status),
                                           to_string(v8(), fetch->status_text),
                                           to_byte_string(v8(), fetch->headers),
                                           v8::Integer::NewFromUnsigned(v8(), body)};
      invoke(call_done_.Get(v8()), 5, arguments);
    } else if (auto* value = std::get_if<RpcResult>(&event.outcome)) {
      finish_rpc(event.call, *value, id);
    } else if (auto* engine = std::get_if<EngineResult>(&event.outcome)) {
      finish_engine(event.call, *engine);
    } else {
      tell_failure(event.call, std::get<CallError>(event.outcome));
    }
  });
}

void WorkerImpl::handle(CancelEvent& event) {
  const Answer* answer = context_.find_answer(event.reply_to);
  if (answer != nullptr && answer->id != answer->invocation) {
    // A call on an object: its code may go on, nobody hears of it.
    const std::uint32_t id = answer->invocation;
    Invocation* const host = context_.find_invocation(id);
    if (host != nullptr && host->tail != nullptr && !answer->answered) {
      host->tail->set_fault(info_of(Fault::Cancelled).code, {});
    }
    context_.fail_call(answer->id, error_of(Fault::Cancelled));
    return settle(id);
  }
  Invocation* invocation = answer != nullptr ? context_.find_invocation(answer->invocation)
                                             : context_.find_invocation(event.reply_to);
  if (invocation == nullptr) return;
  const std::uint32_t id = invocation->id;
  const bool is_event = answer != nullptr && answer->is_event;
  context_.fail(*invocation, error_of(Fault::Cancelled));
  // An event has no caller that could have gone: it has taken too long, and goes on no more.
  invocation->is_cut = is_event;
  step(id, [&] {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), id)};
    call_runtime("cancelInvocation", 1, arguments);
  });
}

void WorkerImpl::handle(TimerEvent& event) {
  const auto found = context_.timers().find(event.timer);
  if (found == context_.timers().end()) return;
  const std::uint32_t id = found->second.invocation;
  context_.timers().erase(found);
  if (Invocation* owner = context_.find_invocation(id)) --owner->timers;
  step(id, [&] {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), event.timer)};
    invoke(fire_timer_.Get(v8()), 1, arguments);
  });
}

void WorkerImpl::handle(NeedCodeEvent& event) {
  step(0, [&] {
    v8::Local<v8::Value> arguments[2] = {v8::Integer::NewFromUnsigned(v8(), event.request),
                                         v8::Integer::NewFromUnsigned(v8(), event.source)};
    call_runtime("needCode", 2, arguments);
  });
}

void WorkerImpl::handle(ChunkEvent& event) {
  auto* body = context_.find_body(event.body);
  if (body == nullptr || body->pull.IsEmpty()) return;
  const std::uint32_t id = body->invocation;
  // A message from elsewhere is worth as much as a request.
  if (body->is_socket && !event.is_own) refresh(id);
  step(id, [&] {
    const auto context = isolate_.context();
    const auto resolver = body->pull.Get(v8());
    body->pull.Reset();
    --context_.pulls_pending;
    if (!event.error.empty()) {
      context_.drop_body(event.body);
      resolver->Reject(context, v8::Exception::Error(to_string(v8(), event.error))).FromMaybe(false);
      return;
    }
    if (event.ended) {
      context_.drop_body(event.body);
      resolver->Resolve(context, v8::Undefined(v8())).FromMaybe(false);
      return;
    }
    v8::Local<v8::Uint8Array> bytes;
    const v8::TryCatch caught(v8());
    if (to_uint8_array(v8(), event.bytes).ToLocal(&bytes)) {
      resolver->Resolve(context, bytes).FromMaybe(false);
    } else {
      resolver->Reject(context, caught.Exception()).FromMaybe(false);
    }
  });
}

void WorkerImpl::handle(WritableEvent& event) {
  auto* writer = context_.find_writer(event.writer);
  if (writer == nullptr) return;
  const std::uint32_t id = writer->invocation;
  if (writer->room.IsEmpty() && !event.stopped) return;
  step(id, [&] {
    if (writer->room.IsEmpty()) {
      v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), event.writer)};
      call_runtime("writerStopped", 1, arguments);
      return;
    }
    const auto resolver = writer->room.Get(v8());
    writer->room.Reset();
    --context_.writes_pending;
    resolver->Resolve(isolate_.context(), v8::Boolean::New(v8(), !event.stopped)).FromMaybe(false);
  });
}

void WorkerImpl::handle(DeadlineEvent& event) {
  Invocation* invocation = context_.find_invocation(event.invocation);
  if (invocation == nullptr || invocation->answered != event.after_response) return;
  if (!invocation->answered) {
    host_.log(context_.spec().id, invocation->reply_to.question, "error",
              std::string(info_of(Fault::WallLimit).code) + ": " + std::string(info_of(Fault::WallLimit).message),
              true);
    invocation->deadline_timer = 0;
    context_.fail(*invocation, error_of(Fault::WallLimit));
    invocation->result_exports = 0;
  }
  const std::uint32_t id = invocation->id;
  step(id, [&] {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), id)};
    call_runtime("cancelInvocation", 1, arguments);
  });
  if (Invocation* still = context_.find_invocation(id)) {
    still->holds = still->response_streams = 0;
    end(*still);
  }
}

}  // namespace insula::runner
