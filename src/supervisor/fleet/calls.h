// SPDX-License-Identifier: Apache-2.0
//
// Who talks to a Session: the interfaces through which calls, answers and Workers meet the rooms above.
//
//   ReplySink     waits for the outcome of a call that the supervisor made to a runner
//   Job           works on the answer to a call that a runner made
//   Capability    what an import number of a runner stands for
//   WorkerOwner   who had a Worker loaded, and wants to know when it is gone
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/fault.h"
#include "src/io/byte_stream.h"
#include "src/protocol/frames.h"

namespace insula::fleet {

class Capability;
class RunnerExport;
class Session;

// What rides beside the bytes of a payload, in the payload's order.
struct Carried {
  std::vector<std::shared_ptr<Capability>> capabilities;
  std::vector<io::ByteSourcePtr> streams;  // null: none, or its bytes are in the payload
};

// Why a call has no outcome.
struct Loss {
  Fault fault = Fault::RunnerLost;
  bool may_replay = true;  // false for the one call that took the runner down
};

class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // The outcome; exactly one of these three is called, once. The frame is borrowed for the call. `body` is the stream
  // of a fetch response, null when it has none or the bytes are inline; `carried` belongs to the value of an RPC call.
  virtual void on_return(const protocol::Return& outcome, io::ByteSourcePtr body, Carried carried) = 0;
  // The target was gone before it saw the call. The request's streams come back when nothing was read from them: that
  // of a fetch, and those of RPC arguments in their order (null: it was read from, or there was none).
  virtual void on_undelivered(const protocol::ErrorInfo& error, io::ByteSourcePtr request_body,
                              std::vector<io::ByteSourcePtr> argument_streams) = 0;
  virtual void on_lost(const Loss& loss) = 0;
  // The invocation has no more work. After on_return() of a fetch or event only, and not when the runner is lost in
  // between.
  virtual void on_finished() {}
  // What the call is about, for the log: "WORKFLOW/INSTANCE"; empty: nothing in particular. Calls that are made on its
  // behalf are about the same.
  virtual std::string_view subject() const { return {}; }
};

struct IncomingCall;

class Job {
 public:
  virtual ~Job() = default;
  // The caller wants no answer any more. The job must not answer afterwards.
  virtual void cancel() = 0;
  // The answer to an RPC call is kept somewhere, and promised() leads there. The session asks when the call is answered.
  virtual bool has_result() const { return false; }
  // A call on what this RPC call will return, or has returned, as long as its caller has not finished it.
  virtual void promised(IncomingCall& call);
};

// The right to answer one call of a runner, once. Harmless when the runner is gone.
struct Answer {
  std::weak_ptr<Session> session;
  protocol::QuestionId question = 0;  // the runner's number
};

// One call of a runner on a capability. References are borrowed for the duration of the call.
struct IncomingCall {
  Session& session;
  BytesView raw;               // the frame as it arrived, for those who must keep it
  protocol::Invoke& invoke;
  io::ByteSourcePtr body;      // when a fetch has a stream
  Carried arguments;           // of an RPC, event or engine call
  Carried props;               // of the target
  Answer answer;
  protocol::QuestionId parent = 0;  // our question on whose behalf the runner calls; 0: none
  std::uint32_t depth = 0;          // of this call: the parent's plus one
};

class Capability {
 public:
  virtual ~Capability() = default;
  // Answers now or later through session.answer(), and registers what can be cancelled with session.set_job().
  virtual void invoke(IncomingCall& call) = 0;

  // Where calls end up, when that is a Worker of the very runner that holds the import. worker 0: somewhere else.
  struct Place {
    protocol::WorkerId worker = 0;
    std::string_view entrypoint;
    BytesView props;
    const Carried* carried = nullptr;  // with the props
  };
  virtual Place place_in(const Session& holder) const;
  // True: a part of the supervisor that built-ins may ask something (Invoke.engine).
  virtual bool takes_engine_calls() const { return false; }
  // False: it is the holder's own, to be used by nobody else.
  virtual bool is_transferable() const { return true; }
  virtual RunnerExport* as_runner_export() { return nullptr; }
};

// What is behind an actor that is open in a runner: an entry of the directory of actors.
class ActorOwner {
 public:
  virtual ~ActorOwner() = default;
  // Nothing of it runs any more. reason: what its callers were told, empty after a clean end; is_lost: its Worker, or the
  // runner, has ended. The number means nothing any more.
  virtual void on_actor_closed(Session& session, protocol::ActorId actor, std::string_view reason, bool is_lost) = 0;
  // What the actor asks on its own behalf.
  virtual void on_engine_call(IncomingCall& call) = 0;
  // An upgraded request whose WebSocket the actor has accepted, to be kept here: fetch.cf says which.
  virtual void on_socket_call(IncomingCall& call) = 0;
  // What it says to its WebSockets or about them. False: no honest runner says that.
  virtual bool on_socket_said(const protocol::SocketSay& said) = 0;
  // CPU time that an invocation of it has used.
  virtual void on_spent(std::uint32_t cpu_micros) = 0;
};

class WorkerOwner {
 public:
  virtual ~WorkerOwner() = default;
  virtual std::string_view worker_name() const = 0;  // of the static Worker that it is, or that loaded it
  virtual std::string_view dynamic_id() const = 0;   // empty: static
  virtual const std::string& tenant_key() const = 0;  // for blame and placement; empty: the platform's own
  // The runner gave it up (reason as in Evicted), or has ended ("lost"). The number means nothing any more.
  virtual void on_worker_gone(Session& session, protocol::WorkerId worker, std::string_view reason) = 0;
};

// What comes with the code of a dynamic Worker.
struct CodeGrants {
  Carried env;
  std::shared_ptr<Capability> outbound;  // with OutboundRule::Capability
  std::vector<std::shared_ptr<Capability>> tails;
};

// What a runner answers to NeedCode.
class CodeSink {
 public:
  virtual ~CodeSink() = default;
  virtual void on_code(Session& from, BytesView raw, const protocol::WorkerCode& code, CodeGrants grants) = 0;
  virtual void on_code_error(const protocol::ErrorInfo& error) = 0;
  virtual void on_code_lost() = 0;  // the runner ended
};

// What the broker remembers of one invocation, kept by the session for as long as the invocation lives.
class InvocationState {
 public:
  virtual ~InvocationState() = default;
};

// A runtime-made error as it travels to a caller. `message` empty: the text of the fault's table.
inline protocol::ErrorInfo error_of(Fault fault, std::string_view message = {}) {
  const FaultInfo& info = info_of(fault);
  protocol::ErrorInfo error;
  error.fault = info.code;
  error.name = "Error";
  error.message = message.empty() ? info.message : message;
  return error;
}

// HTTP methods that may be sent once more when nobody can say whether the first attempt arrived.
inline bool is_idempotent(std::string_view method) noexcept {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" || method == "PUT" ||
         method == "DELETE";
}

}  // namespace insula::fleet
