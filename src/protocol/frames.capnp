# SPDX-License-Identifier: Apache-2.0
#
# The contract between supervisor and runner: one Unix stream socket, one single-segment Cap'n Proto message a frame
# (standard stream framing: u32 0, u32 size in words, words). docs/design/protocol.md tells the story.
#
# Numbers named in a frame belong to tables of this one channel. A runner can name only what the supervisor put into
# its tables; who is calling is known from the channel and from the table entry, never from the message.

@0xd1c7b0a49f2e6a35;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("insula::protocol::wire");

struct Frame {
  union {
    hello @0 :Hello;          # runner: first frame
    invoke @1 :Invoke;        # both: a call
    return @2 :Return;        # both: its outcome, exactly one for each Invoke
    finished @3 :Finished;    # both: the invocation has no more work (only after a Return with continues)
    cancel @4 :Cancel;        # both: the caller wants no outcome any more; a Return still comes
    data @5 :StreamData;      # owner of the stream
    end @6 :StreamEnd;        # owner of the stream
    credit @7 :StreamCredit;  # reader of the stream
    stop @8 :StreamStop;      # reader of the stream
    load @9 :Load;            # supervisor
    unload @10 :Unload;       # supervisor
    evicted @11 :Evicted;     # runner
    preload @12 :Preload;     # runner
    needCode @13 :NeedCode;   # supervisor
    code @14 :Code;           # runner
    bind @15 :Bind;           # supervisor
    log @16 :LogLine;         # runner
    ping @17 :UInt32;         # supervisor
    pong @18 :UInt32;         # runner
    usage @19 :Usage;         # asked and answered
    drain @20 :Void;          # supervisor: finish what runs, then close
    release @21 :Release;     # both: the receiver's capability is held no more
    finish @22 :Finish;       # both: the result of an RPC question is not called upon any more
    local @23 :Local;         # supervisor: an import of the runner leads to a Worker of this same runner
    openActor @24 :OpenActor;      # supervisor; its descriptors ride with the frame's first byte
    actorClosed @25 :ActorClosed;  # runner: nothing of the actor runs, its files are closed
    closeActor @26 :CloseActor;    # supervisor: close it; ActorClosed follows
    facetClosed @27 :FacetClosed;  # supervisor: a facet below an actor of this runner is not open any more
    splice @28 :Splice;            # runner: what it would have written comes from a stream that it has not read
    socketSay @29 :SocketSay;      # runner: what an actor says to its hibernatable WebSockets, or about them
    socketTell @30 :SocketTell;    # supervisor: what an actor must know of one of them
    sockets @31 :Sockets;          # supervisor: those that an actor has when it is opened
  }
}

struct Hello {
  version @0 :UInt32;
  engine @1 :Text;
  layers @2 :List(Text);   # sandbox layers that are active
  startMicros @3 :UInt32;
}

struct Body {
  length @0 :Int64 = -1;   # of a stream, when declared
  union {
    none @1 :Void;
    inline @2 :Data;
    stream @3 :UInt32;     # new stream, owned by the sender of this frame
    handedBack @4 :UInt32; # a stream of the receiver, given back unread
  }
}

# A serialised value and what rides beside it. The bytes are opaque to the supervisor; they name the capabilities and
# streams by their place in the lists.
struct Payload {
  bytes @0 :Data;          # empty: undefined (props, env: {})
  capabilities @1 :List(CapabilityRef);
  streams @2 :List(Body);
}

# A capability on its way. Every reference is sent once and released once: the same object sent twice has two numbers.
struct CapabilityRef {
  union {
    senderHosted @0 :UInt32;    # new: the sender's export, the receiver's import; ends with the receiver's Release
    receiverHosted @1 :UInt32;  # a number of the receiver comes home; the reference stays where it is
    entrypoint @2 :Entrypoint;  # runner to supervisor: can be reached again at any time
  }
  isObject @3 :Bool;            # supervisor to runner, with senderHosted: calls run in an invocation that is there already
}

# An entrypoint of a Worker of the sending runner, with props: what ctx.exports gives.
struct Entrypoint {
  worker @0 :UInt32;
  name @1 :Text;
  props @2 :Payload;
}

struct Target {
  entrypoint @0 :Text;     # empty: default
  props @1 :Payload;
  union {
    worker @2 :UInt32;     # supervisor to runner: a loaded Worker
    capability @3 :UInt32; # an import of the sender (the receiver's export, or what the supervisor granted)
    dynamic @4 :Dynamic;   # runner to supervisor: a Worker of a loader
    promised @5 :UInt32;   # what an earlier question of the sender, not finished yet, will return (pipelining)
    own @10 :UInt32;       # runner to supervisor: a Worker of this channel. With facet: its class `entrypoint`; without:
                           # its entrypoint, of a static Worker whose isolate is gone
    ownActor @11 :Void;    # runner to supervisor, only engine calls: `actor` asks on its own behalf
  }
  actor @6 :UInt32;        # supervisor to runner, with worker: an open actor of that Worker. With ownActor: who asks
  object @7 :Text;         # runner to supervisor, with capability = a namespace: the id, 64 hexadecimal digits
  objectName @8 :Text;     # and id.name; empty: none
  facet @9 :Facet;         # runner to supervisor, with dynamic or own: a facet of the class `entrypoint` of that Worker
}

# An actor below another. It is asked to start with the class that the target names, unless it is open already.
struct Facet {
  parent @0 :UInt32;       # open actor of this channel
  name @1 :Text;
  idText @2 :Text;         # what ctx.id shows; empty: as the parent's
  idName @3 :Text;         # ctx.id.name; empty: none
  quotaBytes @4 :UInt64;   # of its database; 0: only the node's limit
}

struct Dynamic {
  loader @0 :UInt32;       # import of the loader
  id @1 :Text;             # cache key, or
  anonymous @2 :UInt32;    # != 0: number chosen by the runner for a Worker that has no id
  source @3 :UInt32;       # where NeedCode can ask for the code
}

struct Invoke {
  question @0 :UInt32;
  parent @1 :UInt32;       # runner to supervisor: the invocation (question of the supervisor) that makes this call; 0: none
  depth @2 :UInt32;
  target @3 :Target;
  cpuMillis @4 :UInt32;    # 0: as the Worker's limits
  subrequests @5 :UInt32;  # 0: as the Worker's limits
  union {
    fetch @6 :FetchRequest;
    rpc @7 :RpcCall;
    event @8 :EventCall;
    engine @9 :EngineCall;
  }
}

struct FetchRequest {
  method @0 :Text;
  url @1 :Text;
  headers @2 :Data;        # header block
  cf @3 :Data;             # JSON, or empty
  body @4 :Body;
}

struct RpcCall {
  path @0 :List(Text);     # from the target to the member; empty: the target itself
  arguments @1 :Payload;   # an array
  isCall @2 :Bool;         # false: property read
}

# An event that the runtime itself delivers: tail, alarm, ...
struct EventCall {
  name @0 :Text;
  detail @1 :Text;         # JSON
  payload @2 :Payload;     # a workflow's event, ...
}

# What built-ins ask of a part of the supervisor: typed, never a tenant's own words.
struct EngineCall {
  operation @0 :Text;
  detail @1 :Text;         # JSON
  payload @2 :Payload;     # opaque values
}

struct EngineResult {
  detail @0 :Text;         # JSON
  payloads @1 :List(Data); # opaque values
}

struct FetchResponse {
  status @0 :UInt16;
  statusText @1 :Text;
  headers @2 :Data;
  body @3 :Body;
}

struct ErrorInfo {
  fault @0 :Text;          # "ERR_..." for runtime-made failures, empty for the callee's own error
  name @1 :Text;
  message @2 :Text;
  stack @3 :Text;          # for the operator's log; never shown to the caller
  properties @4 :Data;     # serialised value: own properties and cause
  remote @5 :Bool;
  undelivered @6 :Bool;    # the target never saw the call: safe to send again
}

struct Return {
  question @0 :UInt32;
  cpuMicros @1 :UInt32;
  continues @2 :Bool;      # a Finished follows
  union {
    fetch @3 :FetchResponse;
    value @4 :Payload;
    error @5 :ErrorInfo;
    engine @6 :EngineResult;
  }
}

struct Finished {
  question @0 :UInt32;
  cpuMicros @1 :UInt32;
}

struct Cancel {
  question @0 :UInt32;
}

struct StreamData {
  stream @0 :UInt32;
  bytes @1 :Data;
}

struct StreamEnd {
  stream @0 :UInt32;
  error @1 :Text;          # empty: a clean end
}

struct StreamCredit {
  stream @0 :UInt32;
  bytes @1 :UInt32;
}

struct StreamStop {
  stream @0 :UInt32;
}

# The rest of a stream that the sender owns is what comes in a stream of the receiver, unread; both numbers end.
struct Splice {
  stream @0 :UInt32;       # of the sender
  source @1 :UInt32;       # of the receiver
}

struct Module {
  name @0 :Text;
  kind @1 :Kind;
  bytes @2 :Data;
  enum Kind { esModule @0; commonJs @1; text @2; data @3; json @4; wasm @5; }
}

struct WorkerCode {
  compatibilityDate @0 :Text;
  compatibilityFlags @1 :List(Text);
  mainModule @2 :Text;
  modules @3 :List(Module);
  env @4 :Payload;         # of a dynamic Worker; empty: {}
  outbound @5 :Outbound;
  cpuMillis @6 :UInt32;    # 0: not limited by the code
  subrequests @7 :UInt32;  # 0: not limited by the code
  outboundTo @8 :CapabilityRef;  # with outbound = capability
  tails @9 :List(CapabilityRef);
  enum Outbound { inherit @0; blocked @1; capability @2; }
}

struct Limits {
  cpuMillis @0 :UInt32;
  startupCpuMillis @1 :UInt32;
  wallMillis @2 :UInt32;
  waitUntilMillis @3 :UInt32;
  memoryBytes @4 :UInt64;
  bufferBytesMax @5 :UInt64;
  logBytes @6 :UInt32;
  subrequests @7 :UInt32;
  timersMax @8 :UInt32;
  streamsMax @9 :UInt32;
  backgroundPromisesMax @10 :UInt32;
}

struct Binding {
  name @0 :Text;
  union {
    text @1 :Text;
    json @2 :Text;
    loader @3 :UInt32;     # import number of a loader
    fetcher @4 :UInt32;    # import number of something with fetch(): a service, assets
    namespace @5 :Namespace;
    workflow @6 :UInt32;   # import number of a workflow
  }
}

# Durable Objects of one class. With an empty name of the binding: what ctx.exports shows for this Worker's own class.
struct Namespace {
  capability @0 :UInt32;   # import number
  key @1 :Data;            # 32 bytes, of its ids
  className @2 :Text;
}

struct Load {
  worker @0 :UInt32;
  name @1 :Text;           # of the static Worker, for logs
  dynamicId @2 :Text;      # of the dynamic Worker, for logs; empty: static
  isTenant @3 :Bool;
  isPinned @4 :Bool;       # never evicted (static Workers)
  frozenClock @5 :Bool;
  code @6 :WorkerCode;
  bindings @7 :List(Binding);
  outbound @8 :UInt32;     # import that global fetch() goes to; 0: blocked
  limits @9 :Limits;
  tails @10 :List(UInt32); # import numbers: who gets a tail event after each invocation
}

struct Unload {
  worker @0 :UInt32;
}

struct Evicted {
  worker @0 :UInt32;
  reason @1 :Text;         # "idle", "lru", "memory", "condemned", "load-failed"
}

struct Preload {
  dynamic @0 :Dynamic;
  parent @1 :UInt32;
}

struct NeedCode {
  request @0 :UInt32;
  source @1 :UInt32;
  loader @2 :UInt32;       # import of the loader: its Worker holds the source
}

struct Code {
  request @0 :UInt32;
  union {
    code @1 :WorkerCode;
    error @2 :ErrorInfo;
  }
}

struct Bind {
  loader @0 :UInt32;
  id @1 :Text;
  worker @2 :UInt32;       # lives in this same runner: calls need not pass the supervisor
}

struct LogLine {
  worker @0 :UInt32;
  question @1 :UInt32;
  level @2 :Text;          # debug, info, log, warn, error
  text @3 :Text;
  isException @4 :Bool;
}

# What the runner's tables hold: for an operator, and for tests that look for leaks. The supervisor sends an empty one to ask.
struct Usage {
  isolates @0 :UInt32;
  memoryBytes @1 :UInt64;  # of all isolates
  calls @2 :UInt32;        # of its Workers
  questions @3 :UInt32;    # of the supervisor
  imports @4 :UInt32;
  exports @5 :UInt32;
  streams @6 :UInt32;      # both directions
  timers @7 :UInt32;
  actors @8 :UInt32;
}

struct Release {
  capability @0 :UInt32;   # number of the receiver's export
}

struct Finish {
  question @0 :UInt32;
}

struct Local {
  capability @0 :UInt32;   # import of the runner
  worker @1 :UInt32;       # lives in this same runner: calls need not pass the supervisor
  entrypoint @2 :Text;
  props @3 :Payload;
}

# An actor of a loaded Worker, with its database. descriptors: database, write-ahead log, history, in this order.
struct OpenActor {
  actor @0 :UInt32;        # number on this channel, never reused
  worker @1 :UInt32;
  className @2 :Text;
  props @3 :Payload;
  id @4 :Text;             # what ctx.id shows
  name @5 :Text;           # ctx.id.name; empty: none
  namespaceUid @6 :Text;   # of the root; with `id` the key of the short way
  parent @7 :UInt32;       # of a facet: open actor of this channel; 0: a root, or the parent lives elsewhere
  facetName @8 :Text;
  isFacet @9 :Bool;
  quotaBytes @10 :UInt64;  # of the database; 0: only the node's limit
  depth @11 :UInt32;       # 1: a root
  descriptors @12 :UInt32; # how many file descriptors ride with this frame
}

struct ActorClosed {
  actor @0 :UInt32;
  reason @1 :Text;         # "" (idle, or as asked), else what its callers hear
  isLost @2 :Bool;         # its isolate has ended: nothing that the actor has done itself
}

struct CloseActor {
  actor @0 :UInt32;
  reason @1 :Text;         # what its callers hear; empty: a clean close
}

struct FacetClosed {
  parent @0 :UInt32;
  name @1 :Text;
}

# A WebSocket that its actor has accepted with acceptWebSocket() lives in the supervisor (docs/design/websockets.md).
struct SocketSay {
  actor @0 :UInt32;
  socket @1 :UInt32;       # of the actor; 0: all of them
  kind @2 :Kind;
  bytes @3 :Data;          # records, the attachment, or the request that is answered automatically
  more @4 :Data;           # the response to that
  number @5 :UInt32;       # milliseconds that an event may take; 0: any
  enum Kind { records @0; attachment @1; noAttachment @2; autoResponse @3; noAutoResponse @4; eventTimeout @5; }
}

struct SocketTell {
  actor @0 :UInt32;
  socket @1 :UInt32;
  kind @2 :Kind;
  number @3 :UInt64;       # bytes of records that it may say in addition; or when it was answered (Unix milliseconds)
  enum Kind { credit @0; answered @1; }
}

# In as many frames as it takes; the first ones of an actor.
struct Sockets {
  actor @0 :UInt32;
  entries @1 :Data;        # src/supervisor/actors/socket_list.h
  next @2 :UInt32;         # the number that the next socket gets
  hasAutoResponse @3 :Bool;
  autoRequest @4 :Data;
  autoResponse @5 :Data;
  eventTimeout @6 :UInt32;
}
