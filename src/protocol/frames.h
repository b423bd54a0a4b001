// SPDX-License-Identifier: Apache-2.0
//
// Frames: the messages between supervisor and runner as plain structs, and their bounds-checked encoding.
//
// frames.capnp is the contract; this header is how the rest of the code sees it. A decoded frame borrows from the
// received bytes: every view is valid only as long as those bytes stay where they are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/limits.h"

namespace insula::protocol {

inline constexpr std::uint32_t kProtocolVersion = 3;

using QuestionId = std::uint32_t;
using StreamId = std::uint32_t;
using WorkerId = std::uint32_t;
using CapabilityId = std::uint32_t;
using ActorId = std::uint32_t;

struct Hello {
  std::uint32_t version = kProtocolVersion;
  std::string_view engine;
  std::vector<std::string_view> layers;
  std::uint32_t start_micros = 0;
};

struct Body {
  enum class Kind : std::uint8_t { None, Inline, Stream, HandedBack };
  Kind kind = Kind::None;
  BytesView bytes;       // Inline
  StreamId stream = 0;   // Stream: a number of the sender; HandedBack: a number of the receiver
  std::int64_t length = -1;
};

struct Dynamic {
  CapabilityId loader = 0;
  std::string_view id;
  std::uint32_t anonymous = 0;
  std::uint32_t source = 0;
};

struct Entrypoint;

// A capability on its way (frames.capnp).
struct CapabilityRef {
  enum class Kind : std::uint8_t { SenderHosted, ReceiverHosted, Entrypoint };
  Kind kind = Kind::SenderHosted;
  CapabilityId number = 0;                       // SenderHosted, ReceiverHosted
  std::shared_ptr<const Entrypoint> entrypoint;  // Entrypoint; never null then
  bool is_object = false;                        // SenderHosted, to a runner: no call on it is a subrequest
};

// A serialised value and what rides beside it.
struct Payload {
  BytesView bytes;
  std::vector<CapabilityRef> capabilities;  // at most kPayloadCapabilitiesMax
  std::vector<Body> streams;                // at most kPayloadStreamsMax
  bool is_plain() const noexcept { return capabilities.empty() && streams.empty(); }
};

struct Entrypoint {
  WorkerId worker = 0;
  std::string_view name;
  Payload props;  // nested at most kPropsDepthMax deep
};

// An actor below another actor.
struct Facet {
  ActorId parent = 0;  // 0: the target is no facet
  std::string_view name;
  std::string_view id_text;  // empty: as the parent's
  std::string_view id_name;
  std::uint64_t quota_bytes = 0;  // 0: only the node's limit
};

struct Target {
  // Worker: supervisor to runner. Dynamic: runner to supervisor. Promised: an earlier question of the sender.
  // Own: runner to supervisor, a Worker of this channel: its class with a facet, else its entrypoint.
  // OwnActor: runner to supervisor, an actor that asks on its own behalf.
  enum class Kind : std::uint8_t { Worker, Capability, Dynamic, Promised, Own, OwnActor };
  Kind kind = Kind::Worker;
  std::uint32_t number = 0;  // Worker, Capability, Promised, Own
  Dynamic dynamic;
  std::string_view entrypoint;
  Payload props;
  ActorId actor = 0;             // with Worker: an open actor of it; OwnActor: who asks
  std::string_view object;       // with Capability, a namespace: id of an object, 64 hexadecimal digits
  std::string_view object_name;  // and its id.name
  Facet facet;                   // with Dynamic and Own
};

struct FetchRequest {
  std::string_view method;
  std::string_view url;
  BytesView headers;
  BytesView cf;
  Body body;
};

struct RpcCall {
  std::vector<std::string_view> path;
  Payload arguments;
  bool is_call = true;
};

struct EventCall {
  std::string_view name;
  std::string_view detail;  // JSON
  Payload payload;
};

// What built-ins ask of a part of the supervisor.
struct EngineCall {
  std::string_view operation;
  std::string_view detail;  // JSON
  Payload payload;
};

struct Invoke {
  QuestionId question = 0;
  QuestionId parent = 0;
  std::uint32_t depth = 0;
  Target target;
  std::uint32_t cpu_millis = 0;
  std::uint32_t subrequests = 0;
  std::variant<FetchRequest, RpcCall, EventCall, EngineCall> call;
};

struct FetchResponse {
  std::uint16_t status = 200;
  std::string_view status_text;
  BytesView headers;
  Body body;
};

struct ErrorInfo {
  std::string_view fault;  // "ERR_...", or empty for the callee's own error
  std::string_view name;
  std::string_view message;
  std::string_view stack;
  BytesView properties;
  bool remote = false;
  bool undelivered = false;
};

struct RpcValue {
  Payload payload;
};

struct EngineResult {
  std::string_view detail;  // JSON
  std::vector<BytesView> payloads;
};

struct Return {
  QuestionId question = 0;
  std::uint32_t cpu_micros = 0;
  bool continues = false;
  std::variant<FetchResponse, RpcValue, ErrorInfo, EngineResult> outcome;
};

struct Finished {
  QuestionId question = 0;
  std::uint32_t cpu_micros = 0;
};

struct Cancel {
  QuestionId question = 0;
};

struct StreamData {
  StreamId stream = 0;
  BytesView bytes;
};

struct StreamEnd {
  StreamId stream = 0;
  std::string_view error;
};

struct StreamCredit {
  StreamId stream = 0;
  std::uint32_t bytes = 0;
};

struct StreamStop {
  StreamId stream = 0;
};

enum class ModuleKind : std::uint8_t { EsModule, CommonJs, Text, Data, Json, Wasm };

struct Module {
  std::string_view name;
  ModuleKind kind = ModuleKind::EsModule;
  BytesView bytes;
};

enum class OutboundRule : std::uint8_t { Inherit, Blocked, Capability };

struct WorkerCode {
  std::string_view compatibility_date;
  std::vector<std::string_view> compatibility_flags;
  std::string_view main_module;
  std::vector<Module> modules;
  Payload env;
  OutboundRule outbound = OutboundRule::Inherit;
  CapabilityRef outbound_to;  // with OutboundRule::Capability
  std::vector<CapabilityRef> tails;
  std::uint32_t cpu_millis = 0;
  std::uint32_t subrequests = 0;
};

struct Binding {
  enum class Kind : std::uint8_t { Text, Json, Loader, Fetcher, Namespace, Workflow };
  std::string_view name;        // empty: not in env (a Namespace for ctx.exports)
  Kind kind = Kind::Text;
  std::string_view text;        // Text, Json; Namespace: name of the class
  CapabilityId capability = 0;  // all others
  BytesView key = {};           // Namespace: 32 bytes
};

struct Load {
  WorkerId worker = 0;
  std::string_view name;
  std::string_view dynamic_id;
  bool is_tenant = false;
  bool is_pinned = false;
  bool frozen_clock = false;
  WorkerCode code;
  std::vector<Binding> bindings;
  CapabilityId outbound = 0;
  WorkerLimits limits;
  std::vector<CapabilityId> tails;
};

struct Unload {
  WorkerId worker = 0;
};

struct Evicted {
  WorkerId worker = 0;
  std::string_view reason;
};

struct Preload {
  Dynamic dynamic;
  QuestionId parent = 0;
};

struct NeedCode {
  std::uint32_t request = 0;
  std::uint32_t source = 0;
  CapabilityId loader = 0;  // its Worker holds the source
};

struct Code {
  std::uint32_t request = 0;
  std::variant<WorkerCode, ErrorInfo> outcome;
};

struct Bind {
  CapabilityId loader = 0;
  std::string_view id;
  WorkerId worker = 0;
};

struct LogLine {
  WorkerId worker = 0;
  QuestionId question = 0;
  std::string_view level;
  std::string_view text;
  bool is_exception = false;
};

struct Ping {
  std::uint32_t number = 0;
};

struct Pong {
  std::uint32_t number = 0;
};

struct Usage {
  std::uint32_t isolates = 0;
  std::uint64_t memory_bytes = 0;
  std::uint32_t calls = 0;
  std::uint32_t questions = 0;
  std::uint32_t imports = 0;
  std::uint32_t exports = 0;
  std::uint32_t streams = 0;
  std::uint32_t timers = 0;
  std::uint32_t actors = 0;
};

struct Drain {};

struct Release {
  CapabilityId capability = 0;  // number of the receiver's export
};

struct Finish {
  QuestionId question = 0;
};

struct Local {
  CapabilityId capability = 0;
  WorkerId worker = 0;
  std::string_view entrypoint;
  Payload props;
};

// frames.capnp says what each means. As many descriptors as stated ride with the frame (Channel::send).
struct OpenActor {
  ActorId actor = 0;
  WorkerId worker = 0;
  std::string_view class_name;
  Payload props;
  std::string_view id;
  std::string_view name;
  std::string_view namespace_uid;
  ActorId parent = 0;
  std::string_view facet_name;
  bool is_facet = false;
  std::uint64_t quota_bytes = 0;
  std::uint32_t depth = 1;
  std::uint32_t descriptors = 0;
};

struct ActorClosed {
  ActorId actor = 0;
  std::string_view reason;
  bool is_lost = false;
};

struct CloseActor {
  ActorId actor = 0;
  std::string_view reason;
};

struct FacetClosed {
  ActorId parent = 0;
  std::string_view name;
};

// The rest of the sender's stream is what comes in a stream of the receiver.
struct Splice {
  StreamId stream = 0;
  StreamId source = 0;
};

struct SocketSay {
  enum class Kind : std::uint8_t { Records, Attachment, NoAttachment, AutoResponse, NoAutoResponse, EventTimeout };
  ActorId actor = 0;
  std::uint32_t socket = 0;
  Kind kind = Kind::Records;
  BytesView bytes;
  BytesView more;
  std::uint32_t number = 0;
};

struct SocketTell {
  enum class Kind : std::uint8_t { Credit, Answered };
  ActorId actor = 0;
  std::uint32_t socket = 0;
  Kind kind = Kind::Credit;
  std::uint64_t number = 0;
};

struct Sockets {
  ActorId actor = 0;
  BytesView entries;
  std::uint32_t next = 1;
  bool has_auto_response = false;
  BytesView auto_request;
  BytesView auto_response;
  std::uint32_t event_timeout = 0;
};

inline constexpr std::uint32_t kActorDescriptors = 3;  // database, write-ahead log, history

using Frame = std::variant<Hello, Invoke, Return, Finished, Cancel, StreamData, StreamEnd, StreamCredit, StreamStop,
                           Load, Unload, Evicted, Preload, NeedCode, Code, Bind, LogLine, Ping, Pong, Usage, Drain,
                           Release, Finish, Local, OpenActor, ActorClosed, CloseActor, FacetClosed,
                           Splice, SocketSay, SocketTell, Sockets>;

// Appends the frame's wire form to `out`.
void append_frame(Bytes& out, const Frame& frame);

inline constexpr std::size_t kFrameHeaderBytes = 8;

// Size in bytes of the frame that starts with these kFrameHeaderBytes, header included.
// Errors: Corrupt (not a single segment, empty, or above kFrameBytesMax).
Result<std::size_t> frame_size(BytesView header);

// Decodes one whole frame. `bytes` must be 8-byte aligned and exactly frame_size() long.
// Errors: Corrupt (bad pointer, unknown kind, text that is not UTF-8, counts above the limits).
Result<Frame> decode_frame(BytesView bytes);

// Splits a growing byte stream into frames. Feed it with what was read; take frames until it says none.
class FrameReader {
 public:
  // Where the next read may put bytes, at least `least` of them. Views of frames taken before become invalid.
  struct Space {
    char* data;
    std::size_t size;
  };
  Space space(std::size_t least = 64 * kKiB);
  void commit(std::size_t bytes);

  // The next whole frame's bytes, or an empty view when more must be read. Valid until the next space() call.
  Result<BytesView> next();

 private:
  void grow(std::size_t bytes);

  std::unique_ptr<std::uint64_t[]> words_;  // keeps frames 8-byte aligned
  std::size_t capacity_ = 0;                // in bytes, as the next two
  std::size_t begin_ = 0;                   // always a multiple of 8
  std::size_t end_ = 0;
  unsigned small_rounds_ = 0;               // since the last large frame
};

}  // namespace insula::protocol
