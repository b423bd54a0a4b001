// SPDX-License-Identifier: Apache-2.0
//
// Host: what isolates ask for: calls, answers, code, timers, log lines.
#include "src/runner/host/host.h"

namespace insula::runner {
namespace {

protocol::ErrorInfo wire_error(const CallError& error) {
  protocol::ErrorInfo info;
  info.fault = error.fault;
  info.name = error.name;
  info.message = error.message;
  info.stack = error.stack;
  info.properties = error.properties;
  info.remote = error.remote;
  info.undelivered = error.undelivered;
  return info;
}

}  // namespace

// The Worker that answers, when it lives in this runner and no call on its way there would be overtaken; `event` is told
// what of it is meant.
Host::CellPtr Host::local_callee(const CallContext& context, CallTarget& target, InvokeEvent& event) {
  event.cpu_millis = target.cpu_millis;
  event.subrequests = target.subrequests;
  switch (target.kind) {
    case CallTarget::Kind::Self:
      event.entrypoint = std::move(target.entrypoint);
      event.props = std::move(target.props);
      return find(context.worker);
    case CallTarget::Kind::Dynamic: {
      if (target.anonymous != 0) return nullptr;
      const auto ids = bound_.find(target.loader);
      if (ids == bound_.end()) return nullptr;
      const auto found = ids->second.find(target.id);
      if (found == ids->second.end() || found->second.long_ways != 0) return nullptr;
      const CellPtr cell = find(found->second.worker);
      if (cell == nullptr) return nullptr;
      event.entrypoint = std::move(target.entrypoint);
      event.props = std::move(target.props);
      return cell;
    }
    case CallTarget::Kind::Promised: {
      const auto base = calls_.find(target.call);
      if (base == calls_.end() || base->second.callee == 0) return nullptr;
      event.on = InvokeEvent::On::Promised;
      event.promised = {0, base->second.caller, target.call};
      return find(base->second.callee);
    }
    case CallTarget::Kind::Object:
    case CallTarget::Kind::Facet: {
      const auto found = actor_ways_.find(way_of(target));
      if (found == actor_ways_.end() || found->second.actor == 0 || found->second.long_ways != 0) return nullptr;
      Actor* const actor = find_actor(found->second.actor);
      if (actor == nullptr || actor->closing) return nullptr;
      touch_actor(found->second.actor, *actor);
      event.on = InvokeEvent::On::Actor;
      event.actor = found->second.actor;
      return find(actor->worker);
    }
    case CallTarget::Kind::OwnActor: return nullptr;
    case CallTarget::Kind::Capability:
    case CallTarget::Kind::Outbound: break;
  }
  if (target.capability == nullptr) return nullptr;
  const HostCapability& capability = *target.capability;
  switch (capability.kind) {
    case HostCapability::Kind::Import: {
      if (capability.local == nullptr) return nullptr;
      const CellPtr cell = find(capability.local->worker);
      if (cell == nullptr) return nullptr;
      event.entrypoint = capability.local->entrypoint;
      event.props = capability.local->props;
      return cell;
    }
    case HostCapability::Kind::Export:
      event.on = InvokeEvent::On::Export;
      event.export_id = capability.number;
      return find(capability.worker);
    case HostCapability::Kind::Entrypoint:
      event.entrypoint = capability.entrypoint;
      event.props = capability.props;
      return find(capability.worker);
  }
  return nullptr;
}

std::uint32_t Host::start_call(const CallContext& context, CallTarget target, Call call) {
  const Lock lock(mutex_);
  std::uint32_t id = next_call_++;
  if (id == 0) id = next_call_++;
  if (!is_held_back(context.gate)) {
    begin_call(id, context, std::move(target), std::move(call));
    return id;
  }
  OutCall& held = calls_[id];
  held.caller = context.worker;
  held.kind = std::holds_alternative<RpcCall>(call)      ? OutCall::Kind::Rpc
              : std::holds_alternative<FetchCall>(call)  ? OutCall::Kind::Fetch
              : std::holds_alternative<EngineCall>(call) ? OutCall::Kind::Engine
                                                         : OutCall::Kind::Runtime;
  held.is_held = true;
  // Whether it is still wanted is told by its entry.
  const auto is_wanted = [this, id] {
    const auto found = calls_.find(id);
    if (found == calls_.end() || found->second.returned) return false;
    found->second.is_held = false;
    return true;
  };
  auto say = [this, id, is_wanted, context, target, call]() mutable {
    if (!is_wanted()) return discard(call);
    begin_again(id, context, std::move(target), std::move(call));
  };
  hold_back(context.gate, std::move(say), [this, id, is_wanted](const CallError& error) {
    if (is_wanted()) fail_unsent(id, error);
  });
  return id;
}

void Host::begin_call(std::uint32_t id, const CallContext& context, CallTarget target, Call call) {
  OutCall out;
  out.caller = context.worker;
  out.kind = std::holds_alternative<RpcCall>(call)      ? OutCall::Kind::Rpc
             : std::holds_alternative<FetchCall>(call)  ? OutCall::Kind::Fetch
             : std::holds_alternative<EngineCall>(call) ? OutCall::Kind::Engine
                                                        : OutCall::Kind::Runtime;
  if (const auto* rpc = std::get_if<RpcCall>(&call)) make_reluctant(rpc->arguments);
  const HostCapability* capability = target.capability.get();
  const bool is_object = target.kind == CallTarget::Kind::Promised ||
                         (capability != nullptr && capability->kind == HostCapability::Kind::Export);
  if (!is_object && context.depth + 1 > kCallDepthMax) {
    discard(call);
    fail_at_once(id, std::move(out), error_of(Fault::DepthLimit));
    return;
  }
  InvokeEvent event;
  const std::string way = way_of(target);
  if (const CellPtr cell = local_callee(context, target, event)) {
    // The short way: the Worker is known to live in this runner.
    out.callee = cell->id;
    calls_.emplace(id, std::move(out));
    event.reply_to = {0, context.worker, id};
    event.depth = context.depth + 1;
    event.call = std::move(call);
    event.parent = context.question;
    event.way = std::make_unique<CallTarget>(std::move(target));
    cell->busy = true;
    post(cell, std::move(event));
    return;
  }
  std::unique_ptr<CallError> failed;
  if (target.kind == CallTarget::Kind::Promised) {
    const auto base = calls_.find(target.call);
    if (base != calls_.end() && base->second.failed != nullptr) {
      failed = std::make_unique<CallError>(*base->second.failed);
    } else if (base == calls_.end() || base->second.callee != 0) {
      failed = std::make_unique<CallError>(error_of(Fault::IsolateLost));
    }
  } else if (target.kind == CallTarget::Kind::Self ||
             (capability != nullptr && capability->kind != HostCapability::Kind::Import && !capability->is_static)) {
    // Its cell is gone, and nothing may leave through the channel instead: only a static Worker is loaded again.
    failed = std::make_unique<CallError>(error_of(Fault::IsolateLost));
  } else if (target.kind != CallTarget::Kind::Dynamic && target.kind != CallTarget::Kind::Facet &&
             target.kind != CallTarget::Kind::OwnActor && capability == nullptr) {
    failed = std::make_unique<CallError>(error_of(Fault::OutboundBlocked));
  }
  if (failed != nullptr) {
    discard(call);
    fail_at_once(id, std::move(out), std::move(*failed));
    return;
  }
  if (!way.empty()) {
    ++actor_ways_[way].long_ways;
    out.long_actor = way;
  }
  if (target.kind == CallTarget::Kind::Dynamic && target.anonymous == 0 && out.kind == OutCall::Kind::Rpc) {
    out.long_way = std::make_unique<std::pair<std::uint32_t, std::string>>(target.loader, target.id);
    ++bound_[target.loader][target.id].long_ways;
  }
  calls_.emplace(id, std::move(out));
  send_invoke(id, context, target, call);
}

// A call that is known already begins; what its caller has said of it meanwhile still holds.
void Host::begin_again(std::uint32_t id, const CallContext& context, CallTarget target, Call call) {
  const OutCall known = std::move(calls_[id]);
  calls_.erase(id);
  begin_call(id, context, std::move(target), std::move(call));
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  found->second.is_again = known.is_again;
  found->second.finished = known.finished;
  if (!known.finished || !found->second.returned) return;
  tell_finish(id, found->second);
  calls_.erase(found);
}

// The error arrives as any other outcome does; what is called on its result meanwhile gets the same one.
void Host::fail_at_once(std::uint32_t id, OutCall call, CallError error) {
  if (call.kind == OutCall::Kind::Rpc) call.failed = std::make_unique<CallError>(error);
  calls_.emplace(id, std::move(call));
  take_return(id, std::move(error));
}

void Host::send_invoke(std::uint32_t id, const CallContext& context, const CallTarget& target, const Call& call) {
  protocol::Invoke invoke;
  invoke.question = id;
  invoke.parent = context.question;
  invoke.depth = context.depth + 1;
  invoke.cpu_millis = target.cpu_millis;
  invoke.subrequests = target.subrequests;
  if (target.kind == CallTarget::Kind::Promised) {
    invoke.target.kind = protocol::Target::Kind::Promised;
    invoke.target.number = target.call;
  } else if (target.kind == CallTarget::Kind::Dynamic) {
    invoke.target.kind = protocol::Target::Kind::Dynamic;
    invoke.target.dynamic = {target.loader, target.id, target.anonymous, target.source};
    invoke.target.entrypoint = target.entrypoint;
    invoke.target.props = to_wire(target.props);
  } else if (target.kind == CallTarget::Kind::Facet) {
    if (target.is_own_class) {
      invoke.target.kind = protocol::Target::Kind::Own;
      invoke.target.number = context.worker;
    } else {
      invoke.target.kind = protocol::Target::Kind::Dynamic;
      invoke.target.dynamic = {target.loader, target.id, target.anonymous, target.source};
    }
    invoke.target.entrypoint = target.entrypoint;
    invoke.target.props = to_wire(target.props);
    invoke.target.facet = {target.actor, target.facet_name, target.id_text, target.id_name, target.quota_bytes};
  } else if (target.kind == CallTarget::Kind::OwnActor) {
    invoke.target.kind = protocol::Target::Kind::OwnActor;
    invoke.target.actor = target.actor;
  } else if (target.kind == CallTarget::Kind::Object) {
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = target.capability->number;
    invoke.target.object = target.id;
    invoke.target.object_name = target.entrypoint;
  } else if (target.capability->kind == HostCapability::Kind::Entrypoint) {
    invoke.target.kind = protocol::Target::Kind::Own;
    invoke.target.number = target.capability->worker;
    invoke.target.entrypoint = target.capability->entrypoint;
    invoke.target.props = to_wire(target.capability->props);
  } else {
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = target.capability->number;
  }
  if (const auto* fetch = std::get_if<FetchCall>(&call)) {
    protocol::FetchRequest request;
    request.method = fetch->method;
    request.url = fetch->url;
    request.headers = fetch->headers;
    request.cf = fetch->cf;
    request.body = to_wire(fetch->body);
    invoke.call = request;
  } else if (const auto* rpc = std::get_if<RpcCall>(&call)) {
    protocol::RpcCall wire;
    wire.path.assign(rpc->path.begin(), rpc->path.end());
    wire.arguments = to_wire(rpc->arguments);
    wire.is_call = rpc->is_call;
    invoke.call = std::move(wire);
  } else if (const auto* engine = std::get_if<EngineCall>(&call)) {
    protocol::EngineCall wire;
    wire.operation = engine->operation;
    wire.detail = engine->detail;
    wire.payload.bytes = engine->payload;
    invoke.call = std::move(wire);
  } else {
    const auto& event = std::get<RuntimeCall>(call);
    invoke.call = protocol::EventCall{event.name, event.detail, {}};
  }
  send(invoke);
}

// A call that is known to its caller and to nobody else.
void Host::fail_unsent(std::uint32_t id, const CallError& error) {
  calls_[id].failed = std::make_unique<CallError>(error);
  take_return(id, error);
}

// The outcome of a call of this runner, wherever it was answered.
void Host::take_return(std::uint32_t id, Outcome outcome) {
  const auto found = calls_.find(id);
  if (found == calls_.end() || found->second.returned) return discard(outcome);
  OutCall& call = found->second;
  if (call.long_way != nullptr) {
    const auto ids = bound_.find(call.long_way->first);
    if (ids != bound_.end()) {
      const auto bound = ids->second.find(call.long_way->second);
      if (bound != ids->second.end() && --bound->second.long_ways == 0 && bound->second.worker == 0) {
        ids->second.erase(bound);
      }
    }
    call.long_way.reset();
  }
  if (!call.long_actor.empty()) {
    const auto way = actor_ways_.find(call.long_actor);
    if (way != actor_ways_.end() && --way->second.long_ways == 0 && way->second.actor == 0) actor_ways_.erase(way);
    call.long_actor.clear();
  }
  if (call.kind == OutCall::Kind::Alarm) {
    const std::uint32_t actor = call.actor;
    calls_.erase(found);
    if (Actor* const asker = find_actor(actor); asker != nullptr && asker->acknowledgements > 0) {
      --asker->acknowledgements;
      release_held(actor);
    }
    return;
  }
  const bool is_rpc = call.kind == OutCall::Kind::Rpc;
  if (call.kind == OutCall::Kind::Runtime || call.finished) {
    discard(outcome);  // nobody waits for it
  } else {
    post(call.caller, ReturnEvent{id, std::move(outcome)});
  }
  call.returned = true;
  if (is_rpc && !call.finished) return;
  if (is_rpc) tell_finish(id, call);
  calls_.erase(found);
}

void Host::tell_finish(std::uint32_t id, const OutCall& call) {
  if (call.failed != nullptr) return;
  if (call.callee == 0) {
    send(protocol::Finish{id});
  } else if (const CellPtr cell = find(call.callee)) {
    cell->finishes.push_back({0, call.caller, id});
  }
}

void Host::finish_call(std::uint32_t id) {
  const Lock lock(mutex_);
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  found->second.finished = true;
  if (!found->second.returned) return;  // the callee hears of it when it has answered
  tell_finish(id, found->second);
  calls_.erase(found);
}

void Host::cancel_call(std::uint32_t call) {
  const Lock lock(mutex_);
  const auto found = calls_.find(call);
  if (found == calls_.end() || found->second.returned) return;
  if (found->second.is_held) {
    fail_unsent(call, error_of(Fault::Cancelled));
  } else if (found->second.callee == 0) {
    send(protocol::Cancel{call});
  } else {
    post(found->second.callee, CancelEvent{{0, found->second.caller, call}});
  }
}

void Host::answer(const ReplyTo& to, Outcome outcome, std::uint32_t cpu_micros, bool continues, Gate gate) {
  const Lock lock(mutex_);
  if (!is_held_back(gate)) return say_answer(to, std::move(outcome), cpu_micros, continues);
  hold_back(
      gate, [this, to, outcome, cpu_micros, continues]() mutable { say_answer(to, std::move(outcome), cpu_micros, continues); },
      [this, to, cpu_micros, continues](const CallError& error) { say_answer(to, error, cpu_micros, continues); });
}

void Host::say_answer(const ReplyTo& to, Outcome outcome, std::uint32_t cpu_micros, bool continues) {
  if (const auto* value = std::get_if<RpcResult>(&outcome)) make_reluctant(value->value);
  if (to.caller != 0) {
    take_return(to.call, std::move(outcome));
    return;
  }
  protocol::Return result;
  result.question = to.question;
  result.cpu_micros = cpu_micros;
  result.continues = continues;
  bool undelivered = false;
  if (const auto* fetch = std::get_if<FetchResult>(&outcome)) {
    protocol::FetchResponse response;
    response.status = fetch->status;
    response.status_text = fetch->status_text;
    response.headers = fetch->headers;
    response.body = to_wire(fetch->body);
    result.outcome = response;
  } else if (const auto* value = std::get_if<RpcResult>(&outcome)) {
    result.outcome = protocol::RpcValue{to_wire(value->value)};
    has_answered_rpc_ = true;
  } else {
    const auto& error = std::get<CallError>(outcome);
    undelivered = error.undelivered;
    result.outcome = wire_error(error);
  }
  send(result);
  if (!continues) end_question(to.question, undelivered);
}

void Host::finished(const ReplyTo& to, std::uint32_t cpu_micros, Gate gate) {
  const Lock lock(mutex_);
  if (to.caller != 0) return;
  if (!is_held_back(gate)) return say_finished(to, cpu_micros);
  hold_back(
      gate, [this, to, cpu_micros] { say_finished(to, cpu_micros); },
      [this, to, cpu_micros](const CallError&) { say_finished(to, cpu_micros); });
}

void Host::say_finished(const ReplyTo& to, std::uint32_t cpu_micros) {
  send(protocol::Finished{to.question, cpu_micros});
  end_question(to.question, false);
}

// Nothing more will be said of it. The result of an RPC call may still be called upon.
void Host::end_question(protocol::QuestionId question, bool undelivered) {
  const auto found = questions_.find(question);
  if (found == questions_.end()) return;
  found->second.is_over = true;
  if (!found->second.is_rpc || found->second.finished || undelivered) questions_.erase(found);
}

void Host::preload(const CallContext& context, const CallTarget& target) {
  const Lock lock(mutex_);
  if (target.anonymous == 0) {
    const auto ids = bound_.find(target.loader);
    if (ids != bound_.end() && ids->second.contains(target.id)) return;
  }
  protocol::Preload frame;
  frame.dynamic = {target.loader, target.id, target.anonymous, target.source};
  frame.parent = context.question;
  send(frame);
}

void Host::provide_code(std::uint32_t request, std::variant<WorkerCode, CallError> code) {
  const Lock lock(mutex_);
  protocol::Code frame;
  frame.request = request;
  if (const auto* worker = std::get_if<WorkerCode>(&code)) {
    protocol::WorkerCode wire;
    wire.compatibility_date = worker->compatibility_date;
    for (const std::string& flag : worker->compatibility_flags) wire.compatibility_flags.push_back(flag);
    wire.main_module = worker->main_module;
    for (const Module& module : worker->modules) {
      wire.modules.push_back({module.name, static_cast<protocol::ModuleKind>(module.kind), module.bytes});
    }
    wire.env = to_wire(worker->env);
    wire.outbound = worker->outbound_blocked ? protocol::OutboundRule::Blocked : protocol::OutboundRule::Inherit;
    if (worker->outbound != nullptr) {
      wire.outbound = protocol::OutboundRule::Capability;
      wire.outbound_to = to_wire(worker->outbound);
    }
    for (const CapabilityPtr& tail : worker->tails) wire.tails.push_back(to_wire(tail));
    wire.cpu_millis = worker->cpu_millis;
    wire.subrequests = worker->subrequests;
    frame.outcome = std::move(wire);
  } else {
    frame.outcome = wire_error(std::get<CallError>(code));
  }
  send(frame);
}

std::uint64_t Host::start_timer(WorkerId worker, milliseconds delay, Event event) {
  const Lock lock(mutex_);
  const std::uint64_t id = next_timer_++;
  const auto at = Clock::now() + delay;
  timers_.emplace(std::make_pair(at, id), TimerEntry{worker, std::move(event)});
  timer_times_[id] = at;
  if (blocked_in_poll_ && at < poll_until_) wake_poller();
  return id;
}

void Host::cancel_timer(std::uint64_t timer) {
  const Lock lock(mutex_);
  const auto found = timer_times_.find(timer);
  if (found == timer_times_.end()) return;
  timers_.erase({found->second, timer});
  timer_times_.erase(found);
}

void Host::log(WorkerId worker, std::uint32_t question, std::string_view level, std::string_view text,
               bool is_exception) {
  const Lock lock(mutex_);
  send(protocol::LogLine{worker, question, level, text, is_exception});
}

}  // namespace insula::runner
