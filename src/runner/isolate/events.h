// SPDX-License-Identifier: Apache-2.0
//
// What travels between the host and a Worker's isolate: events in, calls out. No V8 type is named here.
//
//   host ──Event──► mailbox ──► Worker (V8)          Worker ──HostCalls──► host
//
// Everything owns its bytes: the frame that carried them is gone when the isolate gets its turn.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/fault.h"
#include "src/base/fd.h"
#include "src/base/limits.h"

namespace insula::runner {

using WorkerId = std::uint32_t;

class Stream;  // src/runner/host/stream.h
using StreamPtr = std::shared_ptr<Stream>;
using SharedBytes = std::shared_ptr<const Bytes>;

// A request or response body outside V8: nothing, complete bytes, or a stream.
struct HostBody {
  SharedBytes bytes;
  StreamPtr stream;
  std::int64_t length = -1;  // of the stream, when declared
  bool is_none() const noexcept { return bytes == nullptr && stream == nullptr; }
};

// Something that can be called: an object or entrypoint of a Worker of this runner, or an import of the channel. When the
// last reference goes, on whatever thread, the host releases what is behind it.
class HostCapability;  // src/runner/host/capability.h
using CapabilityPtr = std::shared_ptr<HostCapability>;

// A serialised value and what rides beside it; the bytes name capabilities and streams by their place here.
struct Payload {
  Bytes bytes;
  std::vector<CapabilityPtr> capabilities;
  std::vector<HostBody> streams;
  bool is_plain() const noexcept { return capabilities.empty() && streams.empty(); }
};

struct FetchCall {
  std::string method;
  std::string url;
  Bytes headers;
  Bytes cf;
  HostBody body;
};

struct RpcCall {
  std::vector<std::string> path;  // from the target to the member; empty: the target itself
  Payload arguments;              // an array
  bool is_call = true;            // false: a property is read
};

// What the runtime itself delivers: "tail", later "alarm" and others.
struct RuntimeCall {
  std::string name;
  std::string detail;  // JSON
  Payload payload;     // bytes that an engine has kept, and a capability
};

// What built-ins ask of an engine of the supervisor.
struct EngineCall {
  std::string operation;
  std::string detail;  // JSON
  Bytes payload;
};

using Call = std::variant<FetchCall, RpcCall, RuntimeCall, EngineCall>;

struct FetchResult {
  std::uint16_t status = 200;
  std::string status_text;
  Bytes headers;
  HostBody body;
};

struct RpcResult {
  Payload value;
};

struct EngineResult {
  std::string detail;  // JSON
  std::vector<Bytes> payloads;
};

struct CallError {
  std::string fault;  // "ERR_..." or empty for the callee's own error
  std::string name;
  std::string message;
  std::string stack;
  Bytes properties;  // serialised: own properties and cause; plain data
  bool remote = false;
  bool undelivered = false;
};

using Outcome = std::variant<FetchResult, RpcResult, CallError, EngineResult>;

CallError error_of(Fault fault);
CallError error_of(Fault fault, std::string message);

// Who waits for an invocation: the supervisor, or an isolate of this same runner.
struct ReplyTo {
  std::uint32_t question = 0;  // of the supervisor, when caller is 0
  WorkerId caller = 0;
  std::uint32_t call = 0;      // number of the caller's call
  bool operator==(const ReplyTo&) const = default;
};

struct Module {
  std::string name;
  std::uint8_t kind = 0;  // protocol::ModuleKind
  Bytes bytes;
};

struct EnvEntry {
  enum class Kind : std::uint8_t { Text, Json, Loader, Fetcher, Namespace, Workflow };
  std::string name;           // empty: a Namespace for ctx.exports
  Kind kind = Kind::Text;
  std::string text;           // Namespace: the class
  std::uint32_t loader = 0;   // Loader: its import number
  CapabilityPtr capability;   // Fetcher, Namespace, Workflow
  Bytes key;                  // Namespace: of its ids
};

// A Worker to be: everything a blank isolate needs.
struct WorkerSpec {
  WorkerId id = 0;
  std::string name;
  std::string dynamic_id;
  bool is_tenant = false;
  bool is_pinned = false;
  bool frozen_clock = false;
  std::string compatibility_date;
  std::vector<std::string> compatibility_flags;
  std::string main_module;
  std::vector<Module> modules;
  Payload env;  // or empty
  std::vector<EnvEntry> bindings;
  CapabilityPtr outbound;  // null: blocked
  std::vector<CapabilityPtr> tails;
  WorkerLimits limits;
};

// Whom a Worker calls.
struct CallTarget {
  // Self: an entrypoint of the very Worker that calls (ctx.exports). Promised: what an earlier call of the same Worker
  // will return.
  // Object: an object of a namespace. Facet: an actor below another, of the class `entrypoint` of a Worker of a loader or of
  // this one. OwnActor: the engines, on behalf of an actor.
  enum class Kind : std::uint8_t { Capability, Dynamic, Outbound, Self, Promised, Object, Facet, OwnActor };
  Kind kind = Kind::Capability;
  CapabilityPtr capability;      // Capability, Outbound, Object
  std::uint32_t call = 0;        // Promised: the earlier call
  std::uint32_t loader = 0;      // Dynamic, and the next three
  std::string id;
  std::uint32_t anonymous = 0;
  std::uint32_t source = 0;
  std::string entrypoint;        // Dynamic, Self, Facet; Object: id.name, `id` is the id
  std::uint32_t actor = 0;       // Facet: its parent; OwnActor: who asks
  bool is_own_class = false;     // Facet: of this Worker, not of a loader's
  std::string facet_name;        // Facet
  std::string id_text;
  std::string id_name;
  std::uint64_t quota_bytes = 0;
  Payload props;
  std::uint32_t cpu_millis = 0;
  std::uint32_t subrequests = 0;
};

// ---- Events into a mailbox

struct LoadEvent {
  std::unique_ptr<WorkerSpec> spec;
};
struct InvokeEvent {
  // Entrypoint: a new invocation. Export: a call on an object, within the invocation that gave it away. Promised: a call
  // on what an earlier RPC call will return, or has returned and was not finished yet. Actor: a new invocation of it.
  enum class On : std::uint8_t { Entrypoint, Export, Promised, Actor };
  ReplyTo reply_to;
  std::uint32_t depth = 0;
  std::uint32_t cpu_millis = 0;   // 0: the Worker's limit
  std::uint32_t subrequests = 0;  // 0: the Worker's limit
  On on = On::Entrypoint;
  std::string entrypoint;
  Payload props;
  std::uint32_t export_id = 0;
  ReplyTo promised;
  std::uint32_t actor = 0;
  Call call;
  // Of a caller in this runner: how to send it again when the callee was gone before it saw it.
  std::unique_ptr<CallTarget> way;
  std::uint32_t parent = 0;  // the caller's question, in CallContext
};
// An actor of this Worker begins: a Durable Object or a facet (docs/design/actors.md).
struct OpenActorEvent {
  std::uint32_t actor = 0;
  std::string class_name;
  Payload props;
  std::string id;
  std::string name;  // empty: none
  bool is_facet = false;
  std::uint32_t depth = 1;  // the root's is 1
  std::uint64_t quota_bytes = 0;
  Fd database;
  Fd log;
  Fd history;
};
// It is to end: cleanly if nothing of it runs (no reason), or now. `is_idle`: the host's own wish, which the Worker may
// decline.
struct CloseActorEvent {
  std::uint32_t actor = 0;
  std::string reason;
  bool is_idle = false;
};
// What it has committed did not reach the disk.
struct ActorBrokenEvent {
  std::uint32_t actor = 0;
  std::string message;
};
// It asked to hear when this commit is on the disk.
struct SyncedEvent {
  std::uint32_t actor = 0;
  std::uint64_t sequence = 0;
};
// A facet has ended; its parent's next get() starts it anew.
struct FacetClosedEvent {
  std::uint32_t parent = 0;
  std::string name;
};
// The WebSockets that an actor has when it is opened (protocol::Sockets), and what it must know of one of them.
struct SocketsEvent {
  std::uint32_t actor = 0;
  Bytes entries;
  std::uint32_t next = 1;
  bool has_auto_response = false;
  Bytes auto_request;
  Bytes auto_response;
  std::uint32_t event_timeout = 0;
};
struct SocketTellEvent {
  std::uint32_t actor = 0;
  std::uint32_t socket = 0;
  std::uint8_t kind = 0;  // protocol::SocketTell::Kind
  std::uint64_t number = 0;
};
// Nobody holds an exported object any more.
struct ReleaseEvent {
  std::uint32_t export_id = 0;
};
// The caller of an RPC call has its result and will not call upon it as Promised any more. Wakes nobody: it waits in the
// mailbox for the next event.
struct FinishEvent {
  ReplyTo reply_to;
};
struct ReturnEvent {
  std::uint32_t call = 0;
  Outcome outcome;
};
struct CancelEvent {
  ReplyTo reply_to;
};
struct TimerEvent {
  std::uint32_t timer = 0;
};
struct NeedCodeEvent {
  std::uint32_t request = 0;
  std::uint32_t source = 0;
};
// Outcome of one pull on a body's stream.
struct ChunkEvent {
  std::uint32_t body = 0;
  Bytes bytes;
  bool ended = false;
  std::string error;
  bool is_own = false;  // this same Worker wrote it
};
// The reader of a stream that this isolate writes has room again, or wants no more.
struct WritableEvent {
  std::uint32_t writer = 0;
  bool stopped = false;
};
// An invocation's own deadline: wall time, or waitUntil after the response.
struct DeadlineEvent {
  std::uint32_t invocation = 0;
  bool after_response = false;
};

using Event = std::variant<LoadEvent, InvokeEvent, ReturnEvent, CancelEvent, TimerEvent, NeedCodeEvent, ChunkEvent,
                           WritableEvent, DeadlineEvent, ReleaseEvent, FinishEvent, OpenActorEvent, CloseActorEvent,
                           ActorBrokenEvent, SyncedEvent, FacetClosedEvent, SocketsEvent, SocketTellEvent>;

// ---- Calls out of an isolate

// On behalf of which actor something is said, and which of its commits must be on the disk before: what one actor says
// leaves in its order.
struct Gate {
  static constexpr std::uint64_t kThisTurn = ~std::uint64_t{0};  // the commit at the end of the turn
  std::uint32_t actor = 0;     // 0: nobody's
  std::uint64_t sequence = 0;  // 0: it waits only for what was said before
};

// What an actor says to its WebSockets, or about them: protocol::SocketSay.
struct SocketWord {
  std::uint32_t actor = 0;
  std::uint32_t socket = 0;
  std::uint8_t kind = 0;
  Bytes bytes;
  Bytes more;
  std::uint32_t number = 0;
};

// Who calls: identity and place in the call tree, as the host needs them.
struct CallContext {
  WorkerId worker = 0;
  std::uint32_t question = 0;  // of the supervisor; 0 when the caller is local
  std::uint32_t depth = 0;
  Gate gate;
};

struct WorkerCode {
  std::string compatibility_date;
  std::vector<std::string> compatibility_flags;
  std::string main_module;
  std::vector<Module> modules;
  Payload env;
  bool outbound_blocked = false;
  CapabilityPtr outbound;  // null: blocked, or the loading Worker's own
  std::vector<CapabilityPtr> tails;
  std::uint32_t cpu_millis = 0;
  std::uint32_t subrequests = 0;
};

struct CapabilityFacts {
  bool is_object = false;      // calls on it run in an invocation that is there already, and are no subrequests
  std::uint32_t references = 1;  // it is as heavy as so many: itself, and what its props carry
  WorkerId worker = 0;           // not 0: an object of this Worker, under this number
  std::uint32_t export_id = 0;
};

// What an isolate may ask of the host. Every method may be called from any executor thread; none blocks, none calls
// back into the isolate: answers come as events.
class HostCalls {
 public:
  virtual ~HostCalls() = default;

  virtual std::uint32_t start_call(const CallContext& context, CallTarget target, Call call) = 0;
  virtual void cancel_call(std::uint32_t call) = 0;
  // The result of an RPC call has been taken: nothing will be asked of it as Promised any more. Once for each RPC call,
  // also for one that failed or was cancelled.
  virtual void finish_call(std::uint32_t call) = 0;
  // An object of this Worker that others may call; a ReleaseEvent comes when nobody holds it any more.
  virtual CapabilityPtr export_object(WorkerId worker, std::uint32_t export_id) = 0;
  // An entrypoint of this Worker with props, to be given away. is_static: the Worker is one of the configuration. Null:
  // props in props are nested too deep.
  virtual CapabilityPtr entrypoint(WorkerId worker, bool is_static, std::string name, Payload props) = 0;
  virtual CapabilityFacts facts_of(const HostCapability& capability) const = 0;
  virtual void answer(const ReplyTo& to, Outcome outcome, std::uint32_t cpu_micros, bool continues, Gate gate) = 0;
  // Gives back a call that its target did not live to see: it finds its way anew, once.
  virtual void send_again(InvokeEvent event) = 0;

  // ---- Actors. The host syncs their storage on threads of its own, and holds back what they say until then.
  // Makes durable what was committed; returns the sequence that is durable, or nothing and the reason.
  struct SyncOutcome {
    std::uint64_t durable = 0;
    std::string error;
  };
  using Sync = std::function<SyncOutcome()>;
  // The end of a turn: what was held back since the last one waits for `sequence`. `sync` runs on another thread.
  virtual void actor_committed(std::uint32_t actor, std::uint64_t sequence, const Sync& sync) = 0;
  // What was held back in this turn is not said: its calls and answers fail with `error`.
  virtual void actor_failed(std::uint32_t actor, const CallError& error) = 0;
  // Tells the supervisor when it wants to be woken; output waits for that too.
  virtual void actor_alarm(std::uint32_t actor, std::optional<std::int64_t> unix_ms) = 0;
  // A SyncedEvent is wanted when `sequence` is durable.
  virtual void actor_notify(std::uint32_t actor, std::uint64_t sequence) = 0;
  // The Worker has ended it. `close` runs on another thread, then the supervisor hears of it. is_lost: with its isolate.
  virtual void actor_closed(std::uint32_t actor, std::string reason, std::function<void()> close, bool is_lost) = 0;
  // It declines to end for idleness.
  virtual void actor_kept(std::uint32_t actor) = 0;
  virtual void socket_say(SocketWord word, Gate gate) = 0;
  virtual void finished(const ReplyTo& to, std::uint32_t cpu_micros, Gate gate) = 0;
  virtual void preload(const CallContext& context, const CallTarget& target) = 0;
  virtual void provide_code(std::uint32_t request, std::variant<WorkerCode, CallError> code) = 0;

  // A timer or deadline event for this Worker after `delay`. Returns a number for cancel_timer().
  virtual std::uint64_t start_timer(WorkerId worker, milliseconds delay, Event event) = 0;
  virtual void cancel_timer(std::uint64_t timer) = 0;

  virtual StreamPtr open_stream(WorkerId writer_worker, std::uint32_t writer) = 0;
  // True: write on. False: a WritableEvent will come.
  virtual bool write(Stream& stream, Bytes bytes) = 0;
  virtual void end(Stream& stream, std::string error) = 0;
  virtual void pull(const StreamPtr& stream, WorkerId reader_worker, std::uint32_t body) = 0;
  virtual void stop(Stream& stream) = 0;
  // What `source` gives, which nobody has read, is what is written to `written`, to which nobody writes any more.
  virtual void splice(const StreamPtr& written, const StreamPtr& source) = 0;

  virtual void log(WorkerId worker, std::uint32_t question, std::string_view level, std::string_view text,
                   bool is_exception) = 0;
};

}  // namespace insula::runner
