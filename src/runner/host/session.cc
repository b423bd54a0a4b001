// SPDX-License-Identifier: Apache-2.0
//
// Host: frames from the supervisor become events; the other way, frames are queued for the next write.
#include <unistd.h>

#include "src/protocol/runner_options.h"
#include "src/runner/host/host.h"

namespace insula::runner {

void Host::send(const protocol::Frame& frame) { protocol::append_frame(out_, frame); }

void Host::receive(BytesView bytes) {
  const auto frame = protocol::decode_frame(bytes);
  if (!frame) _exit(protocol::kExitSupervisorGone);
  struct Visitor {
    Host& host;
    void operator()(const protocol::Invoke& item) { host.on_invoke(item); }
    void operator()(const protocol::Return& item) { host.on_return(item); }
    void operator()(const protocol::Cancel& item) { host.on_cancel(item); }
    void operator()(const protocol::StreamData& item) { host.on_data(item); }
    void operator()(const protocol::StreamEnd& item) { host.on_end(item); }
    void operator()(const protocol::StreamCredit& item) { host.on_credit(item); }
    void operator()(const protocol::StreamStop& item) { host.on_stop(item); }
    void operator()(const protocol::Load& item) { host.on_load(item); }
    void operator()(const protocol::Unload& item) { host.on_unload(item); }
    void operator()(const protocol::NeedCode& item) { host.on_need_code(item); }
    void operator()(const protocol::Bind& item) { host.on_bind(item); }
    void operator()(const protocol::Ping& item) { host.send(protocol::Pong{item.number}); }
    void operator()(const protocol::Release& item) { host.on_release(item); }
    void operator()(const protocol::Finish& item) { host.on_finish(item); }
    void operator()(const protocol::Local& item) { host.on_local(item); }
    // The supervisor stops giving it work, and closes the channel when the last call has returned.
    void operator()(const protocol::Drain&) {}
    void operator()(const protocol::Hello&) {}
    void operator()(const protocol::Finished&) {}
    void operator()(const protocol::Evicted&) {}
    void operator()(const protocol::OpenActor& item) { host.on_open_actor(item); }
    void operator()(const protocol::CloseActor& item) { host.on_close_actor(item); }
    void operator()(const protocol::FacetClosed& item) { host.on_facet_closed(item); }
    void operator()(const protocol::ActorClosed&) {}
    void operator()(const protocol::Splice&) {}
    void operator()(const protocol::SocketSay&) {}
    void operator()(const protocol::SocketTell& item) { host.on_socket_tell(item); }
    void operator()(const protocol::Sockets& item) { host.on_sockets(item); }
    void operator()(const protocol::Preload&) {}
    void operator()(const protocol::Code&) {}
    void operator()(const protocol::LogLine&) {}
    void operator()(const protocol::Pong&) {}
    void operator()(const protocol::Usage&) { host.tell_usage(); }
  };
  std::visit(Visitor{*this}, *frame);
}

void Host::tell_usage() {
  const auto size = [](const auto& table) { return static_cast<std::uint32_t>(table.size()); };
  drain_releases();
  send(protocol::Usage{size(cells_), memory_bytes_, size(calls_), size(questions_), size(imports_), size(exports_),
                       size(in_streams_) + size(out_streams_), size(timers_), size(actors_)});
}

void Host::on_load(const protocol::Load& load) {
  auto spec = std::make_unique<WorkerSpec>();
  spec->id = load.worker;
  spec->name = load.name;
  spec->dynamic_id = load.dynamic_id;
  spec->is_tenant = load.is_tenant;
  spec->is_pinned = load.is_pinned;
  spec->frozen_clock = load.frozen_clock;
  spec->compatibility_date = load.code.compatibility_date;
  for (const auto flag : load.code.compatibility_flags) spec->compatibility_flags.emplace_back(flag);
  spec->main_module = load.code.main_module;
  for (const protocol::Module& module : load.code.modules) {
    spec->modules.push_back(
        {std::string(module.name), static_cast<std::uint8_t>(module.kind), Bytes(module.bytes)});
  }
  spec->env = from_wire(load.code.env);
  // Objects never get into an env: what is there leads to entrypoints, and a call on it is a subrequest.
  for (const CapabilityPtr& one : spec->env.capabilities) {
    if (one != nullptr) one->is_granted = true;
  }
  for (const protocol::Binding& binding : load.bindings) {
    EnvEntry entry;
    entry.name = binding.name;
    entry.kind = static_cast<EnvEntry::Kind>(binding.kind);
    entry.text = binding.text;
    if (binding.kind == protocol::Binding::Kind::Loader) {
      entry.loader = binding.capability;
      loader_owners_[binding.capability] = load.worker;
    } else if (binding.capability != 0) {
      entry.capability = import(binding.capability, true);
    }
    if (binding.kind == protocol::Binding::Kind::Namespace) {
      entry.key = binding.key;
      if (entry.capability != nullptr) entry.capability->namespace_key = binding.key;
    }
    spec->bindings.push_back(std::move(entry));
  }
  spec->outbound = import(load.outbound, true);
  for (const protocol::CapabilityId tail : load.tails) spec->tails.push_back(import(tail, true));
  spec->limits = load.limits;

  auto cell = std::make_shared<Cell>();
  cell->id = load.worker;
  cell->pinned = load.is_pinned;
  cell->heap_bytes_max = load.limits.memory_bytes;
  adopt(cell);
  if (!cell->pinned) {
    ++dynamic_cells_;
    make_room();
  }
  post(cell, LoadEvent{std::move(spec)});
  maintainer_wait_.notify_one();
}

void Host::on_invoke(const protocol::Invoke& invoke) {
  InvokeEvent event;
  event.reply_to.question = invoke.question;
  event.depth = invoke.depth;
  event.cpu_millis = invoke.cpu_millis;
  event.subrequests = invoke.subrequests;
  event.entrypoint = invoke.target.entrypoint;
  event.props = from_wire(invoke.target.props);
  if (const auto* fetch = std::get_if<protocol::FetchRequest>(&invoke.call)) {
    FetchCall call;
    call.method = fetch->method;
    call.url = fetch->url;
    call.headers = fetch->headers;
    call.cf = fetch->cf;
    call.body = from_wire(fetch->body);
    event.call = std::move(call);
  } else if (const auto* rpc = std::get_if<protocol::RpcCall>(&invoke.call)) {
    RpcCall call;
    for (const auto part : rpc->path) call.path.emplace_back(part);
    call.arguments = from_wire(rpc->arguments);
    call.is_call = rpc->is_call;
    event.call = std::move(call);
  } else if (const auto* runtime = std::get_if<protocol::EventCall>(&invoke.call)) {
    event.call = RuntimeCall{std::string(runtime->name), std::string(runtime->detail), from_wire(runtime->payload)};
  }
  CellPtr cell;
  bool undelivered = false;
  switch (invoke.target.kind) {
    case protocol::Target::Kind::Worker:
      cell = find(invoke.target.number);
      undelivered = true;
      if (invoke.target.actor != 0) {
        event.on = InvokeEvent::On::Actor;
        event.actor = invoke.target.actor;
        Actor* const actor = find_actor(event.actor);
        if (actor == nullptr) cell = nullptr;
        if (actor != nullptr) touch_actor(event.actor, *actor);
      }
      break;
    case protocol::Target::Kind::Capability: {
      const auto found = exports_.find(invoke.target.number);
      if (found == exports_.end()) break;
      event.on = InvokeEvent::On::Export;
      event.export_id = found->second->number;
      cell = find(found->second->worker);
      break;
    }
    case protocol::Target::Kind::Promised: {
      const auto found = questions_.find(invoke.target.number);
      // Only what was answered "undelivered" is forgotten before its Finish: send both again.
      undelivered = found == questions_.end();
      if (undelivered) break;
      event.on = InvokeEvent::On::Promised;
      event.promised.question = invoke.target.number;
      cell = find(found->second.worker);
      break;
    }
    case protocol::Target::Kind::Dynamic:  // only a runner says these
    case protocol::Target::Kind::Own:
    case protocol::Target::Kind::OwnActor: break;
  }
  if (cell == nullptr) {
    discard(event.call);
    answer_lost(event.reply_to, undelivered);
    return;
  }
  questions_[invoke.question] = {.worker = cell->id,
                                 .is_rpc = std::holds_alternative<protocol::RpcCall>(invoke.call)};
  cell->busy = true;
  post(cell, std::move(event));
}

void Host::on_return(const protocol::Return& result) {
  Outcome outcome;
  if (const auto* fetch = std::get_if<protocol::FetchResponse>(&result.outcome)) {
    FetchResult response;
    response.status = fetch->status;
    response.status_text = fetch->status_text;
    response.headers = fetch->headers;
    response.body = from_wire(fetch->body);
    outcome = std::move(response);
  } else if (const auto* value = std::get_if<protocol::RpcValue>(&result.outcome)) {
    outcome = RpcResult{from_wire(value->payload)};
  } else if (const auto* engine = std::get_if<protocol::EngineResult>(&result.outcome)) {
    EngineResult answer;
    answer.detail = engine->detail;
    for (const BytesView payload : engine->payloads) answer.payloads.emplace_back(payload);
    outcome = std::move(answer);
  } else {
    const auto& info = std::get<protocol::ErrorInfo>(result.outcome);
    CallError error;
    error.fault = info.fault;
    error.name = info.name;
    error.message = info.message;
    error.properties = info.properties;
    error.remote = info.remote;
    outcome = std::move(error);
  }
  take_return(result.question, std::move(outcome));
}

void Host::on_cancel(const protocol::Cancel& cancel) {
  const auto found = questions_.find(cancel.question);
  if (found == questions_.end()) return;
  ReplyTo reply_to;
  reply_to.question = cancel.question;
  post(found->second.worker, CancelEvent{reply_to});
}

void Host::on_finish(const protocol::Finish& finish) {
  const auto found = questions_.find(finish.question);
  if (found == questions_.end()) return;
  ReplyTo reply_to;
  reply_to.question = finish.question;
  if (const CellPtr cell = find(found->second.worker)) cell->finishes.push_back(reply_to);
  found->second.finished = true;
  if (found->second.is_over) questions_.erase(found);
}

void Host::on_need_code(const protocol::NeedCode& need) {
  const auto owner = loader_owners_.find(need.loader);
  if (const CellPtr cell = owner == loader_owners_.end() ? nullptr : find(owner->second)) {
    post(cell, NeedCodeEvent{need.request, need.source});
    return;
  }
  refuse_code(need.request);
}

void Host::refuse_code(std::uint32_t request) {
  protocol::Code code;
  code.request = request;
  const FaultInfo& cancelled = info_of(Fault::Cancelled);
  protocol::ErrorInfo info;
  info.fault = cancelled.code;
  info.name = "Error";
  info.message = cancelled.message;
  code.outcome = info;
  send(code);
}

void Host::on_unload(const protocol::Unload& unload) {
  const CellPtr cell = find(unload.worker);
  if (cell == nullptr) return;
  if (cell->state == Cell::State::Idle && !cell->busy) {
    bury(cell, "unloaded");
  } else {
    cell->doomed = true;
  }
}

void Host::on_bind(const protocol::Bind& bind) {
  const CellPtr cell = find(bind.worker);
  if (cell == nullptr) return;
  bound_[bind.loader][std::string(bind.id)].worker = bind.worker;
  cell->bound.emplace_back(bind.loader, std::string(bind.id));
}

}  // namespace insula::runner
