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
    usage @19 :Usage;         # runner
    drain @20 :Void;          # supervisor: finish what runs, then close
    release @21 :Release;     # both: drop references of an export
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

struct Target {
  entrypoint @0 :Text;     # empty: default
  props @1 :Data;          # serialised value, opaque to the supervisor; empty: {}
  union {
    worker @2 :UInt32;     # supervisor to runner: a loaded Worker
    capability @3 :UInt32; # runner to supervisor: an entry of its import table
    dynamic @4 :Dynamic;   # runner to supervisor: a Worker of a loader
  }
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
  path @0 :List(Text);
  arguments @1 :Data;      # serialised value
  isCall @2 :Bool;         # false: property read
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
    value @4 :Data;
    error @5 :ErrorInfo;
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
  env @4 :Data;            # serialised value of a dynamic Worker's env, opaque to the supervisor; empty: {}
  outbound @5 :Outbound;
  cpuMillis @6 :UInt32;    # 0: not limited by the code
  subrequests @7 :UInt32;  # 0: not limited by the code
  enum Outbound { inherit @0; blocked @1; }
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
  }
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

struct Usage {
  isolates @0 :UInt32;
  heapBytes @1 :UInt64;
  externalBytes @2 :UInt64;
}

struct Release {
  capability @0 :UInt32;
  count @1 :UInt32;
}
