// SPDX-License-Identifier: Apache-2.0
//
// Session: what a runner says, looked up in the tables before anything is believed. The frames of streams and what rides
// with values are in session_carried.cc.
#include <utility>
#include <variant>

#include "src/base/limits.h"
#include "src/supervisor/fleet/runner_export.h"
#include "src/supervisor/fleet/session.h"
#include "src/supervisor/fleet/session_bounds.h"

namespace insula::fleet {
namespace {

// Calls of one runner that wait for their outcome, or whose result is kept. Beyond the first number its Workers get
// errors; the second one is reached only by a runner that never finishes its calls.
constexpr std::size_t kAnswersPerRunnerMax = 65536;
constexpr std::size_t kAnswersPerHonestRunnerMax = 4 * kAnswersPerRunnerMax;

}  // namespace

void Session::on_frame(BytesView bytes) {
  if (!is_open_) return;
  const auto self = shared_from_this();
  auto frame = protocol::decode_frame(bytes);
  if (!frame) {
    violate(frame.error().message());
    return;
  }
  receive(bytes, *frame);
}

void Session::receive(BytesView raw, protocol::Frame& frame) {
  if (auto* const hello = std::get_if<protocol::Hello>(&frame)) {
    if (has_hello_) return violate("a second Hello");
    has_hello_ = true;
    events_.on_hello(*this, *hello);
    return;
  }
  if (!has_hello_) return violate("a frame before Hello");
  std::visit(
      [&](auto& item) {
        using Item = std::decay_t<decltype(item)>;
        if constexpr (std::is_same_v<Item, protocol::Invoke> || std::is_same_v<Item, protocol::Code>) {
          receive(raw, item);
        } else if constexpr (std::is_same_v<Item, protocol::Pong>) {
          events_.on_pong(*this, item.number);
        } else if constexpr (std::is_same_v<Item, protocol::Usage>) {
          events_.on_usage(*this, item);
        } else if constexpr (requires { receive(item); }) {
          receive(item);
        } else {
          violate("a frame that only the supervisor may send");
        }
      },
      frame);
}

std::shared_ptr<Capability> Session::import_for(protocol::CapabilityId number, protocol::QuestionId question) {
  if (const Import* const import = imports_.find(number)) return import->capability;
  if (!imports_.was_issued(number)) {
    violate("a capability that was never granted");
  } else if (question != 0) {
    answer_error(question, error_of(Fault::Internal, kGone));
  }
  return nullptr;
}

// ---- Calls

void Session::receive(BytesView raw, protocol::Invoke& invoke) {
  if (invoke.question == 0 || answers_.contains(invoke.question)) return violate("question is in use");
  if (answers_.size() >= kAnswersPerHonestRunnerMax) return violate("too many open calls");
  if (invoke.target.entrypoint.size() > kTextBytesMax || invoke.target.props.bytes.size() > kEnvBytesMax) {
    return violate("target is too large");
  }
  if (!is_sane(invoke.target.dynamic)) return violate("id of a dynamic Worker is too long");
  if (!std::visit([](const auto& call) { return is_sane(call); }, invoke.call)) return violate("malformed call");
  Question* parent = questions_.find(invoke.parent);
  if (parent == nullptr && invoke.parent != 0 && !questions_.was_issued(invoke.parent)) {
    return violate("parent was never asked");
  }
  if (parent != nullptr && parent->is_over) parent = nullptr;
  const protocol::WorkerId worker = parent == nullptr ? 0 : parent->worker;
  const protocol::QuestionId question = invoke.question;
  IncomingCall call{*this, raw, invoke, nullptr, {}, {}, {weak_from_this(), question}, 0, 1};
  if (const auto props = adopt(invoke.target.props, call.props, worker); !props) {
    return violate(props.error().message());
  }
  if (const auto* const fetch = std::get_if<protocol::FetchRequest>(&invoke.call)) {
    auto adopted = adopt(fetch->body);
    if (!adopted) return violate(adopted.error().message());
    call.body = *std::move(adopted);
  } else if (const auto* const rpc = std::get_if<protocol::RpcCall>(&invoke.call)) {
    if (const auto arguments = adopt(rpc->arguments, call.arguments, worker); !arguments) {
      return violate(arguments.error().message());
    }
  } else if (const auto* const engine = std::get_if<protocol::EngineCall>(&invoke.call)) {
    if (invoke.target.kind != protocol::Target::Kind::Capability &&
        invoke.target.kind != protocol::Target::Kind::OwnActor && invoke.target.facet.parent == 0) {
      return violate("an engine call on a Worker");
    }
    if (const auto payload = adopt(engine->payload, call.arguments, worker); !payload) {
      return violate(payload.error().message());
    }
  }
  OpenAnswer& open = answers_[question];
  open.kind = static_cast<Kind>(invoke.call.index());
  if (parent != nullptr) {
    open.parent = invoke.parent;
    parent->children.push_back(question);
    call.parent = invoke.parent;
    call.depth = parent->depth + 1;
  } else if (invoke.parent != 0) {
    // The invocation ended while this call was on its way.
    return answer_error(question, error_of(Fault::Cancelled));
  }
  if (answers_.size() > kAnswersPerRunnerMax || runner_exports_.size() > kImportsPerRunnerMax) {
    return answer_error(question, error_of(Fault::RpcLimit, "Too many calls or live stubs in this process."));
  }
  switch (invoke.target.kind) {
    case protocol::Target::Kind::Worker: return violate("a runner may not name Workers");
    case protocol::Target::Kind::Capability:
      if (const auto capability = import_for(invoke.target.number, question)) {
        if (std::holds_alternative<protocol::EngineCall>(invoke.call) && !capability->takes_engine_calls()) {
          return answer_error(question, error_of(Fault::Internal, "This binding does not answer such calls."));
        }
        capability->invoke(call);
      }
      return;
    case protocol::Target::Kind::Dynamic:
      if (invoke.target.facet.parent != 0) return receive_facet(call);
      if (const auto loader = import_for(invoke.target.dynamic.loader, question)) {
        handler_.on_dynamic_invoke(call, loader);
      }
      return;
    case protocol::Target::Kind::Promised: return receive_promised(call);
    case protocol::Target::Kind::Own:
      return invoke.target.facet.parent != 0 ? receive_facet(call) : receive_own(call);
    case protocol::Target::Kind::OwnActor:
      if (std::holds_alternative<protocol::FetchRequest>(invoke.call)) {
        if (const auto actor = actor_for(invoke.target.actor, question)) actor->on_socket_call(call);
        return;
      }
      if (!std::holds_alternative<protocol::EngineCall>(invoke.call)) return violate("a call on the caller itself");
      if (const auto actor = actor_for(invoke.target.actor, question)) actor->on_engine_call(call);
      return;
  }
}

std::shared_ptr<ActorOwner> Session::actor_for(protocol::ActorId actor, protocol::QuestionId question) {
  if (const ActorRecord* const record = actors_.find(actor)) return record->owner;
  if (!actors_.was_issued(actor)) {
    violate("an actor that was never opened");
  } else {
    answer_error(question, error_of(Fault::IsolateLost));
  }
  return nullptr;
}

void Session::receive_facet(IncomingCall& call) {
  const protocol::Target& target = call.invoke.target;
  if (!is_sane(target.facet)) return violate("names of a facet are too long");
  const auto parent = actor_for(target.facet.parent, call.answer.question);
  if (parent == nullptr) return;
  std::shared_ptr<Capability> loader;
  std::shared_ptr<WorkerOwner> own;
  if (target.kind == protocol::Target::Kind::Dynamic) {
    loader = import_for(target.dynamic.loader, call.answer.question);
    if (loader == nullptr) return;
  } else {
    own = owner_of(target.number);
    if (own == nullptr) {
      if (!workers_.was_issued(target.number)) return violate("a Worker that was never loaded");
      return answer_error(call.answer.question, error_of(Fault::IsolateLost));
    }
  }
  handler_.on_facet_invoke(call, parent, loader, own);
}

// An entrypoint of a static Worker that was here when the caller got it.
void Session::receive_own(IncomingCall& call) {
  const protocol::Target& target = call.invoke.target;
  const auto owner = owner_of_entrypoint(target.number);
  if (owner == nullptr) {
    if (!workers_.was_issued(target.number)) return violate("a Worker that was never loaded");
    return answer_error(call.answer.question, error_of(Fault::IsolateLost));
  }
  const auto entrypoint =
      handler_.make_entrypoint(*owner, target.entrypoint, target.props.bytes, std::move(call.props));
  if (entrypoint == nullptr) return violate("an entrypoint that is not given away");
  entrypoint->invoke(call);
}

void Session::receive(const protocol::ActorClosed& closed) {
  ActorRecord* const record = actors_.find(closed.actor);
  if (record == nullptr) {
    if (!actors_.was_issued(closed.actor)) violate("an actor that was never opened");
    return;
  }
  const auto owner = record->owner;
  actors_.erase(closed.actor);
  owner->on_actor_closed(*this, closed.actor, closed.reason.substr(0, 4 * kKiB), closed.is_lost);
}

void Session::receive(const protocol::SocketSay& said) {
  ActorRecord* const record = actors_.find(said.actor);
  if (record == nullptr) {
    if (!actors_.was_issued(said.actor)) violate("an actor that was never opened");
    return;
  }
  const auto owner = record->owner;
  if (!owner->on_socket_said(said)) violate("a word on a WebSocket that no actor says");
}

void SessionHandler::on_facet_invoke(IncomingCall& call, const std::shared_ptr<ActorOwner>&,
                                     const std::shared_ptr<Capability>&, const std::shared_ptr<WorkerOwner>&) {
  call.session.answer_error(call.answer.question, error_of(Fault::Internal));
}

void Session::receive_promised(IncomingCall& call) {
  const protocol::QuestionId number = call.invoke.target.number;
  const auto base = answers_.find(number);
  if (base == answers_.end() || base->second.kind != Kind::Rpc || number == call.answer.question) {
    return violate("a call on the result of no call");
  }
  const auto job = base->second.job;
  if (job == nullptr) return answer_error(call.answer.question, error_of(Fault::Internal));
  job->promised(call);
}

bool Session::fits(Kind kind, const protocol::Return& outcome) {
  switch (kind) {
    case Kind::Fetch: return std::holds_alternative<protocol::FetchResponse>(outcome.outcome);
    case Kind::Rpc:
    case Kind::Event: return std::holds_alternative<protocol::RpcValue>(outcome.outcome);
    case Kind::Engine: return std::holds_alternative<protocol::EngineResult>(outcome.outcome);
  }
  return false;
}

void Session::receive(protocol::Return& outcome) {
  Question* const question = questions_.find(outcome.question);
  if (question == nullptr || question->is_returned) return violate("an answer to no question");
  if (!std::visit([](const auto& item) { return is_sane(item); }, outcome.outcome)) return violate("malformed answer");
  const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome);
  const auto* const value = std::get_if<protocol::RpcValue>(&outcome.outcome);
  if (error == nullptr && !fits(question->kind, outcome)) {
    return violate("an answer of another kind than its question");
  }
  io::ByteSourcePtr body;
  Carried carried;
  if (value != nullptr) {
    if (const auto adopted = adopt(value->payload, carried, question->worker); !adopted) {
      return violate(adopted.error().message());
    }
  } else if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome)) {
    auto adopted = adopt(fetch->body);
    if (!adopted) return violate(adopted.error().message());
    body = *std::move(adopted);
  }
  const bool is_rpc = question->kind == Kind::Rpc;
  question->is_returned = true;
  note_spent(question->actor, outcome.cpu_micros);
  if (is_rpc && question->is_finished) send_frame(protocol::Finish{outcome.question});
  if (error != nullptr && error->undelivered && !outcome.continues) {
    const auto sink = std::move(question->sink);
    io::ByteSourcePtr request_body;
    std::vector<io::ByteSourcePtr> argument_streams;
    for (const protocol::StreamId stream : question->streams) {
      auto source = take_back(stream);
      if (question->kind != Kind::Fetch) {
        argument_streams.push_back(std::move(source));
      } else {
        request_body = std::move(source);
      }
    }
    question->streams.clear();
    end_question(outcome.question, *question);
    if (sink != nullptr) sink->on_undelivered(*error, std::move(request_body), std::move(argument_streams));
    return;
  }
  // The sink of an RPC call has no more to hear, and says itself when it wants no more of the result.
  const auto sink = outcome.continues && !is_rpc ? question->sink : std::move(question->sink);
  if (!outcome.continues) end_question(outcome.question, *question);
  if (sink == nullptr) return;
  if (runner_exports_.size() > kImportsPerRunnerMax) {
    protocol::Return refused = outcome;
    refused.outcome = error_of(Fault::RpcLimit, "Too many live stubs in this process.");
    return sink->on_return(refused, nullptr, {});
  }
  sink->on_return(outcome, std::move(body), std::move(carried));
}

void Session::receive(const protocol::Finished& finished) {
  Question* const question = questions_.find(finished.question);
  if (question == nullptr || !question->is_returned || question->is_over) return violate("the end of no invocation");
  const auto sink = std::move(question->sink);
  note_spent(question->actor, finished.cpu_micros);
  end_question(finished.question, *question);
  if (sink != nullptr) sink->on_finished();
}

void Session::receive(const protocol::Cancel& cancel) {
  const auto found = answers_.find(cancel.question);
  if (found == answers_.end() || found->second.is_returned) return;  // its answer is on its way
  if (const auto job = std::move(found->second.job)) job->cancel();
  answer_error(cancel.question, error_of(Fault::Cancelled));
}

void Session::receive(const protocol::Finish& finish) {
  const auto found = answers_.find(finish.question);
  if (found == answers_.end() || !found->second.is_returned) return violate("the finish of no call");
  const auto job = std::move(found->second.job);
  answers_.erase(found);
}

void Session::receive(const protocol::Evicted& evicted) {
  WorkerRecord* const record = workers_.find(evicted.worker);
  if (record == nullptr) {
    if (!workers_.was_issued(evicted.worker)) violate("a Worker that was never loaded");
    return;
  }
  const auto owner = record->owner;
  forget_worker(evicted.worker);
  if (owner != nullptr) owner->on_worker_gone(*this, evicted.worker, evicted.reason.substr(0, 64));
}

void Session::receive(const protocol::Preload& preload) {
  if (!is_sane(preload.dynamic)) return violate("id of a dynamic Worker is too long");
  if (preload.parent != 0 && !questions_.was_issued(preload.parent)) return violate("parent was never asked");
  if (const auto loader = import_for(preload.dynamic.loader, 0)) handler_.on_preload(*this, preload.dynamic, loader);
}

void Session::receive(BytesView raw, const protocol::Code& code) {
  auto* const slot = code_requests_.find(code.request);
  if (slot == nullptr) return violate("code that nobody asked for");
  const auto* const failure = std::get_if<protocol::ErrorInfo>(&code.outcome);
  if (failure != nullptr && !is_sane(*failure)) return violate("malformed error");
  CodeGrants grants;
  const auto* const worker = std::get_if<protocol::WorkerCode>(&code.outcome);
  if (worker != nullptr) {
    auto adopted = adopt(*worker);
    if (!adopted) return violate(adopted.error().message());
    grants = *std::move(adopted);
  }
  const auto sink = std::move(*slot);
  code_requests_.erase(code.request);
  if (worker == nullptr) {
    sink->on_code_error(*failure);
  } else {
    sink->on_code(*this, raw, *worker, std::move(grants));
  }
}

void Session::receive(const protocol::LogLine& line) {
  if (line.worker != 0 && !workers_.was_issued(line.worker)) return violate("a line of no Worker");
  if (line.text.size() > kTextBytesMax || line.level.size() > 16) return violate("a log line is too long");
  handler_.on_log(*this, owner_of(line.worker), line);
}

}  // namespace insula::fleet
