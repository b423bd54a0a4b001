// SPDX-License-Identifier: Apache-2.0
//
// WorkerContext: what native calls find behind their isolate: the Worker's invocations, and the bodies, streams, timers
// and calls that they have open. One a Worker; only the thread that holds the isolate's lock touches it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <v8.h>

#include "src/runner/isolate/events.h"
#include "src/runner/bindings/tail.h"
#include "src/runner/isolate/isolate.h"

namespace insula::runner {

namespace actors {
class ActorStorage;
}
class SqlRows;  // sql_rows.h

// What a native call wants of an actor's storage. UnconfirmedWrite: what the actor says need not wait for it.
enum class StorageUse : std::uint8_t { Read, Write, UnconfirmedWrite };

struct Invocation {
  std::uint32_t id = 0;
  ReplyTo reply_to;
  std::uint32_t depth = 0;
  std::uint32_t parent = 0;  // the invocation of this same Worker that called (ctx.exports); 0: called from elsewhere
  std::uint64_t cpu_nanos = 0;
  std::uint64_t cpu_nanos_max = 0;
  std::uint32_t subrequests_left = 0;
  std::uint64_t cpu_nanos_each = 0;    // with these limits it began; each message of a WebSocket brings them afresh
  std::uint32_t subrequests_each = 0;
  std::size_t log_bytes_left = 0;
  std::uint32_t holds = 0;    // waitUntil promises that still run
  std::uint32_t response_streams = 0;  // that are still written: as long as somebody reads, no deadline ends them
  std::uint32_t sockets = 0;  // open WebSockets: they hold it too, but no deadline ends them
  std::uint32_t streams = 0;  // open bodies and writers
  std::uint32_t timers = 0;
  std::uint32_t open_answers = 0;    // calls on its objects that are not answered yet
  std::uint32_t result_exports = 0;  // objects that it has returned and that somebody still holds
  std::vector<std::uint32_t> handles;  // and exports: those that it still has, and perhaps some that are gone
  std::vector<std::uint32_t> exports;
  std::uint64_t deadline_timer = 0;
  std::unique_ptr<TailRecord> tail;  // when the Worker has tails
  bool answered = false;
  bool continues = false;  // the answer said so: the caller waits for the end
  bool log_truncated = false;
  bool is_kept = false;  // JavaScript wants to hear of its end
  bool is_cut = false;   // nothing holds it any more
  std::uint32_t actor = 0;  // whose it is; its I/O may be used in all of that actor's
};

// A call that others made and that built-ins answer by number: an RPC call or an event. That of an entrypoint call is its
// invocation's number; calls on objects have one of their own and run in an invocation that is there already.
struct Answer {
  std::uint32_t id = 0;
  std::uint32_t invocation = 0;
  std::uint32_t base = 0;  // Promised: the answer that it was called on
  ReplyTo reply_to;
  bool answered = false;
  bool finished = false;  // the caller will call nothing on its result
  bool is_event = false;  // of the runtime's own
  std::unique_ptr<CallError> failed;  // answered so: what is called on it fails alike
};

struct PayloadWriter;  // payload.h
struct PayloadReader;

class WorkerContext {
 public:
  WorkerContext(Isolate& isolate, HostCalls& host) : isolate_(isolate), host_(host) {
    isolate.v8()->SetData(0, this);
  }

  static WorkerContext& of(v8::Isolate* isolate) { return *static_cast<WorkerContext*>(isolate->GetData(0)); }

  Isolate& isolate() noexcept { return isolate_; }
  v8::Isolate* v8() noexcept { return isolate_.v8(); }
  HostCalls& host() noexcept { return host_; }
  WorkerSpec& spec() noexcept { return spec_; }
  const WorkerSpec& spec() const noexcept { return spec_; }

  // ---- Invocations
  Invocation& begin_invocation(ReplyTo reply_to, std::uint32_t depth);
  Invocation* find_invocation(std::uint32_t id);
  Invocation* find_invocation(const ReplyTo& reply_to);
  // The one that the running code belongs to (continuation-preserved data); null at the top level of modules.
  Invocation* current();
  std::uint32_t current_id();
  void set_current(std::uint32_t id);
  // An invocation of the Worker's own spends what its caller has left, so that calling oneself multiplies no limit.
  std::uint64_t cpu_nanos_left(const Invocation& invocation);
  void charge_cpu(Invocation& invocation, std::uint64_t nanos);
  // False when nothing is left.
  bool take_subrequest(Invocation& invocation);
  std::unordered_map<std::uint32_t, Invocation>& invocations() noexcept { return invocations_; }
  void answer(Invocation& invocation, Outcome outcome);
  // The response is complete: what goes on in the background has its time from now on.
  void expect_end(Invocation& invocation);
  // Answers without asking JavaScript, unless it is answered: also what has been called on its result.
  void fail(Invocation& invocation, const CallError& error);
  // ctx.abort(): all that is unanswered fails with this error, nothing is kept; settle() ends it.
  void abort(Invocation& invocation, const CallError& error);
  std::vector<std::uint32_t> aborted;
  // What JavaScript still keeps for an invocation that has ended.
  struct Leftovers {
    std::vector<std::uint32_t> calls;
    std::vector<std::uint32_t> timers;
    std::vector<std::uint32_t> exports;
    bool is_kept = false;
  };
  // Ends the invocation when it is answered and nothing holds it. True when it is gone.
  bool end_if_done(Invocation& invocation, Leftovers& leftovers);
  // Ends everything at once, with nothing more run: the isolate is condemned.
  void abandon(std::uint32_t culprit, const CallError& culprit_error, const CallError& other_error);

  // ---- Answers to RPC calls and events (rpc_context.cc)
  // Of the entrypoint call that began this invocation.
  void add_answer(const Invocation& invocation, bool is_rpc);
  // Of a call on an object, within `invocation`.
  Answer& add_answer(const ReplyTo& reply_to, Invocation& invocation, std::uint32_t base);
  // Of a call that was refused: what is called on its result fails alike.
  void add_failed_answer(const ReplyTo& reply_to, const CallError& error);
  Answer* find_answer(std::uint32_t id);
  Answer* find_answer(const ReplyTo& reply_to);
  // Nothing happens when it is answered already, or unknown.
  void answer_call(std::uint32_t id, Outcome outcome);
  // Answers without asking JavaScript, which goes on in vain: also what has been called on this one.
  void fail_call(std::uint32_t id, const CallError& error);
  // The caller's Finish. True when built-ins may forget the result.
  bool finish_answer(const ReplyTo& reply_to, std::uint32_t& id);
  std::unordered_map<std::uint32_t, Answer>& answers() noexcept { return answers_; }

  // ---- Handles: what JavaScript holds of capabilities. Those of an invocation end with it; of 0, with the Worker.
  // is_of_caller: it came with the call that began the invocation. What is given to its calls keeps the invocation, like
  // what is returned: it is the caller, or somebody above, who holds that then, so no two can hold each other.
  std::uint32_t add_handle(CapabilityPtr capability, std::uint32_t invocation, bool is_of_caller = false);
  bool is_of_caller(std::uint32_t handle) const;
  // Null, with the cross-request error pending, unless the running invocation may use it.
  CapabilityPtr use_handle(std::uint32_t number);
  void drop_handle(std::uint32_t number);

  // ---- Exports: objects of this Worker that others may hold. Each reference given away has a number of its own, which
  // leads to the number that the built-ins have given the object.
  struct Export {
    std::uint32_t object = 0;
    std::uint32_t invocation = 0;
    bool holds = false;  // given away in a result: its invocation goes on until it is released
  };
  // Null, with ERR_RPC_LIMIT pending, when there are too many.
  CapabilityPtr add_export(std::uint32_t object, std::uint32_t invocation, bool holds);
  const Export* find_export(std::uint32_t id) const;
  // True when that was the last reference to its object.
  bool drop_export(std::uint32_t id);

  // ---- Packed values that carry capabilities, under numbers.
  std::uint32_t add_packed(Payload payload, std::uint32_t invocation);
  const Payload* find_packed(std::uint32_t number) const;
  void drop_packed(std::uint32_t number) { packed_.erase(number); }

  // What payload_* ops speak of: the value that is being written or read now.
  PayloadWriter* payload_writer = nullptr;
  PayloadReader* payload_reader = nullptr;

  // ---- Storage of the actors that are open here, by their numbers
  struct OpenActor {
    std::shared_ptr<actors::ActorStorage> storage;
    bool is_used = false;       // in this turn: it is committed at its end
    bool holds_output = false;  // ... and what the actor says waits for that
    bool ends_when_idle = false;  // the supervisor wants it to
    std::uint64_t gate_sequence = 0;  // what the actor says waits until this is on the disk
    std::uint32_t invocations = 0;
    std::uint32_t exports = 0;  // objects that others hold
    std::uint32_t unsent_sockets = 0;  // WebSockets with something to say that wait for their clients
    std::vector<std::pair<std::uint64_t, v8::Global<v8::Promise::Resolver>>> sync_waiters;
  };
  std::unordered_map<std::uint32_t, OpenActor>& actors() noexcept { return actors_; }
  OpenActor* find_actor(std::uint32_t number);
  // Null with an exception pending when it is not open.
  actors::ActorStorage* use_storage(std::uint32_t actor, StorageUse use);
  Gate gate_of(const Invocation& invocation);
  Gate gate_of_actor(std::uint32_t actor);
  // Ends the actor without a clean close: all its calls fail with `error`, what it has not committed is lost. Returns what
  // built-ins must forget.
  struct ActorLeftovers {
    std::vector<std::uint32_t> exports;
  };
  ActorLeftovers break_actor(std::uint32_t actor, const CallError& error, std::string reason, bool is_lost = false);
  // Forgets an actor: handles and exports of it.
  ActorLeftovers forget_actor(std::uint32_t actor);
  std::vector<std::uint32_t> used_actors;  // in this turn: to be committed
  std::size_t ending_actors = 0;           // that are to end when nothing of them runs
  std::vector<std::uint32_t> orphans;  // exported objects whose actor has ended: for settle()
  // Handles and exports of an actor belong to this instead of an invocation.
  static constexpr std::uint32_t kActorOwner = 0x80000000u;
  std::uint32_t owner_of(std::uint32_t invocation);
  bool may_use(std::uint32_t owner);
  std::unordered_map<std::uint32_t, CallTarget>& facets() noexcept { return facets_; }
  std::uint32_t next_facet = 1;
  std::shared_ptr<SqlRows> sql_rows;  // made by the first query

  // ---- Bodies: complete bytes or streams that came in, named by numbers.
  struct Incoming {
    HostBody body;
    std::uint32_t invocation = 0;
    bool is_socket = false;  // the messages of a WebSocket
    v8::Global<v8::Promise::Resolver> pull;
  };
  std::uint32_t add_body(HostBody body, std::uint32_t invocation);
  Incoming* find_body(std::uint32_t number);
  void drop_body(std::uint32_t number);

  // ---- Writers: streams that this Worker produces.
  struct Outgoing {
    StreamPtr stream;
    std::uint32_t invocation = 0;
    v8::Global<v8::Promise::Resolver> room;
  };
  std::uint32_t add_writer(std::uint32_t invocation);
  Outgoing* find_writer(std::uint32_t number);
  void drop_writer(std::uint32_t number);

  // ---- Timers
  struct Timer {
    std::uint64_t host_timer = 0;
    std::uint32_t invocation = 0;
  };
  std::unordered_map<std::uint32_t, Timer>& timers() noexcept { return timers_; }

  // ---- Calls in flight
  struct Call {
    std::uint32_t invocation = 0;
    bool is_rpc = false;
    bool is_engine = false;
  };
  using Calls = std::unordered_map<std::uint32_t, Call>;
  Calls& calls() noexcept { return calls_; }
  // Those that ask an engine may wait for long, and do not count among the others.
  std::size_t engine_call_count() const noexcept { return engine_calls_; }
  std::size_t other_call_count() const noexcept { return calls_.size() - engine_calls_; }
  void add_engine_call(std::uint32_t call, std::uint32_t invocation) {
    calls_[call] = {invocation, false, true};
    ++engine_calls_;
  }
  Calls::iterator forget_call(Calls::iterator call) {
    if (call->second.is_engine) --engine_calls_;
    return calls_.erase(call);
  }
  // Nobody waits for it any more.
  void abandon_call(std::uint32_t call, bool is_rpc);

  // Nothing that could ever resume this Worker's code is under way.
  // Calls to itself count only when what they wait for is not the same Worker's own silence.
  bool is_quiescent() const;
  bool waits_for_call(std::uint32_t invocation) const;
  // Others hold objects of it: whoever calls one may resume it.
  bool has_given_objects(const Invocation& invocation) const;
  bool has_exports() const noexcept { return !exports_.empty(); }
  // Opens a WebSocket of an invocation; false, with ERR_OVERLOADED pending: the tenant has too many.
  bool open_socket(Invocation& invocation);
  void close_sockets(Invocation& invocation, std::uint32_t count);

  std::size_t pulls_pending = 0;
  std::size_t writes_pending = 0;

  // Global scope: the top level of modules runs.
  bool in_startup = true;
  // What this Worker's clock shows; moves at each event when frozen.
  engine::ClockOverride clock{};
  bool is_clock_frozen() const noexcept { return spec_.frozen_clock || in_startup; }
  std::uint32_t url_components[8] = {};

  // An Error made by the runtime's own factory, with its code, thrown in the isolate.
  void throw_fault(Fault fault, std::string_view message = {});
  v8::Local<v8::Function> runtime_function(const char* name);

 private:
  Isolate& isolate_;
  HostCalls& host_;
  WorkerSpec spec_;
  std::unordered_map<std::uint32_t, Invocation> invocations_;
  std::unordered_map<std::uint32_t, Incoming> bodies_;
  std::unordered_map<std::uint32_t, Outgoing> writers_;
  std::size_t sockets_ = 0;  // of all invocations
  std::unordered_map<std::uint32_t, Timer> timers_;
  Calls calls_;
  std::size_t engine_calls_ = 0;
  std::unordered_map<std::uint32_t, Answer> answers_;
  std::unordered_map<std::uint64_t, std::uint32_t> answers_by_caller_;
  struct Handle {
    CapabilityPtr capability;
    std::uint32_t invocation = 0;
    bool is_of_caller = false;
  };
  std::unordered_map<std::uint32_t, Handle> handles_;
  std::unordered_map<std::uint32_t, Export> exports_;
  std::unordered_map<std::uint32_t, std::uint32_t> object_references_;
  struct Packed {
    Payload payload;
    std::uint32_t invocation = 0;
  };
  std::unordered_map<std::uint32_t, Packed> packed_;
  std::unordered_map<std::uint32_t, CallTarget> facets_;
  std::unordered_map<std::uint32_t, OpenActor> actors_;
  bool is_held(const Invocation& invocation) const;
  void forget_answer(std::uint32_t id);
  void tell_tails(Invocation& invocation);
  void end_capabilities(Invocation& invocation, Leftovers& leftovers);
  std::size_t own_invocations_ = 0;  // those with a parent
  std::size_t unanswered_ = 0;       // invocations
  std::uint32_t next_invocation_ = 1;  // answers take numbers from here too
  std::uint32_t next_handle_ = 1;
  std::uint32_t next_export_ = 1;
  std::uint32_t next_packed_ = 1;
  std::uint32_t next_body_ = 1;
  std::uint32_t next_writer_ = 1;
};

}  // namespace insula::runner
