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

protocol::Target wire_target(const CallTarget& target) {
  protocol::Target wire;
  wire.entrypoint = target.entrypoint;
  wire.props = target.props;
  if (target.kind == CallTarget::Kind::Dynamic) {
    wire.kind = protocol::Target::Kind::Dynamic;
    wire.dynamic = {target.capability, target.id, target.anonymous, target.source};
  } else {
    wire.kind = protocol::Target::Kind::Capability;
    wire.number = target.capability;
  }
  return wire;
}

}  // namespace

Host::CellPtr Host::local_callee(const CallContext& context, const CallTarget& target) {
  if (target.kind == CallTarget::Kind::Self) return find(context.worker);
  if (target.kind != CallTarget::Kind::Dynamic || target.anonymous != 0) return nullptr;
  const auto ids = bound_.find(target.capability);
  if (ids == bound_.end()) return nullptr;
  const auto found = ids->second.find(target.id);
  return found == ids->second.end() ? nullptr : find(found->second);
}

std::uint32_t Host::start_call(const CallContext& context, CallTarget target, Call call) {
  const Lock lock(mutex_);
  std::uint32_t id = next_call_++;
  if (id == 0) id = next_call_++;
  if (context.depth + 1 > kCallDepthMax) {
    calls_[id] = {context.worker, 0};
    post(context.worker, ReturnEvent{id, error_of(Fault::DepthLimit)});
    calls_.erase(id);
    return id;
  }
  // The short way: the Worker is known to live in this runner.
  if (const CellPtr cell = local_callee(context, target)) {
    calls_[id] = {context.worker, cell->id};
    InvokeEvent event;
    event.reply_to = {0, context.worker, id};
    event.depth = context.depth + 1;
    event.cpu_millis = target.cpu_millis;
    event.subrequests = target.subrequests;
    event.entrypoint = std::move(target.entrypoint);
    event.props = std::move(target.props);
    event.call = std::move(call);
    cell->busy = true;
    post(cell, std::move(event));
    return id;
  }
  if (target.kind == CallTarget::Kind::Self) {
    // Its own cell is gone: the caller is about to end too, and nothing may leave through the channel instead.
    post(context.worker, ReturnEvent{id, error_of(Fault::IsolateLost)});
    return id;
  }
  calls_[id] = {context.worker, 0};
  protocol::Invoke invoke;
  invoke.question = id;
  invoke.parent = context.question;
  invoke.depth = context.depth + 1;
  invoke.target = wire_target(target);
  invoke.cpu_millis = target.cpu_millis;
  invoke.subrequests = target.subrequests;
  if (const auto* fetch = std::get_if<FetchCall>(&call)) {
    protocol::FetchRequest request;
    request.method = fetch->method;
    request.url = fetch->url;
    request.headers = fetch->headers;
    request.cf = fetch->cf;
    request.body = to_wire(fetch->body);
    invoke.call = request;
  } else {
    const auto& rpc = std::get<RpcCall>(call);
    protocol::RpcCall wire;
    for (const std::string& part : rpc.path) wire.path.push_back(part);
    wire.arguments = rpc.arguments;
    wire.is_call = rpc.is_call;
    invoke.call = std::move(wire);
  }
  send(invoke);
  return id;
}

void Host::cancel_call(std::uint32_t call) {
  const Lock lock(mutex_);
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  if (found->second.callee == 0) {
    send(protocol::Cancel{call});
  } else {
    post(found->second.callee, CancelEvent{{0, found->second.caller, call}});
  }
}

void Host::answer(const ReplyTo& to, Outcome outcome, std::uint32_t cpu_micros, bool continues) {
  const Lock lock(mutex_);
  if (to.caller != 0) {
    if (calls_.erase(to.call) > 0) post(to.caller, ReturnEvent{to.call, std::move(outcome)});
    return;
  }
  if (!continues) questions_.erase(to.question);
  protocol::Return result;
  result.question = to.question;
  result.cpu_micros = cpu_micros;
  result.continues = continues;
  if (const auto* fetch = std::get_if<FetchResult>(&outcome)) {
    protocol::FetchResponse response;
    response.status = fetch->status;
    response.status_text = fetch->status_text;
    response.headers = fetch->headers;
    response.body = to_wire(fetch->body);
    result.outcome = response;
  } else if (const auto* value = std::get_if<RpcResult>(&outcome)) {
    result.outcome = protocol::RpcValue{value->value};
  } else {
    result.outcome = wire_error(std::get<CallError>(outcome));
  }
  send(result);
}

void Host::finished(const ReplyTo& to, std::uint32_t cpu_micros) {
  const Lock lock(mutex_);
  if (to.caller != 0) return;
  questions_.erase(to.question);
  send(protocol::Finished{to.question, cpu_micros});
}

void Host::preload(const CallContext& context, const CallTarget& target) {
  const Lock lock(mutex_);
  if (target.anonymous == 0) {
    const auto ids = bound_.find(target.capability);
    if (ids != bound_.end() && ids->second.contains(target.id)) return;
  }
  protocol::Preload frame;
  frame.dynamic = {target.capability, target.id, target.anonymous, target.source};
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
    wire.env = worker->env;
    wire.outbound = worker->outbound_blocked ? protocol::OutboundRule::Blocked : protocol::OutboundRule::Inherit;
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
