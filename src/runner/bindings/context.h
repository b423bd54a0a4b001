// SPDX-License-Identifier: Apache-2.0
//
// WorkerContext: what native calls find behind their isolate: the Worker's invocations, and the bodies, streams, timers
// and calls that they have open. One a Worker; only the thread that holds the isolate's lock touches it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <v8.h>

#include "src/runner/isolate/events.h"
#include "src/runner/isolate/isolate.h"

namespace insula::runner {

struct Invocation {
  std::uint32_t id = 0;
  ReplyTo reply_to;
  std::uint32_t depth = 0;
  std::uint32_t parent = 0;  // the invocation of this same Worker that called (ctx.exports); 0: called from elsewhere
  std::uint64_t cpu_nanos = 0;
  std::uint64_t cpu_nanos_max = 0;
  std::uint32_t subrequests_left = 0;
  std::size_t log_bytes_left = 0;
  std::uint32_t holds = 0;    // waitUntil promises and response streams that still run
  std::uint32_t streams = 0;  // open bodies and writers
  std::uint32_t timers = 0;
  std::uint64_t deadline_timer = 0;
  bool answered = false;
  bool continues = false;  // the answer said so: the caller waits for the end
  bool log_truncated = false;
  bool is_kept = false;  // JavaScript wants to hear of its end
};

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
  // What JavaScript still keeps for an invocation that has ended.
  struct Leftovers {
    std::vector<std::uint32_t> calls;
    std::vector<std::uint32_t> timers;
    bool is_kept = false;
  };
  // Ends the invocation when it is answered and nothing holds it. True when it is gone.
  bool end_if_done(Invocation& invocation, Leftovers& leftovers);
  // Ends everything at once, with nothing more run: the isolate is condemned.
  void abandon(std::uint32_t culprit, const CallError& culprit_error, const CallError& other_error);

  // ---- Bodies: complete bytes or streams that came in, named by numbers.
  struct Incoming {
    HostBody body;
    std::uint32_t invocation = 0;
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
  std::unordered_map<std::uint32_t, std::uint32_t>& calls() noexcept { return calls_; }  // call -> invocation

  // Nothing that could ever resume this Worker's code is under way.
  // Calls to itself count only when what they wait for is not the same Worker's own silence.
  bool is_quiescent() const;
  bool waits_for_call(std::uint32_t invocation) const;
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
  std::unordered_map<std::uint32_t, Timer> timers_;
  std::unordered_map<std::uint32_t, std::uint32_t> calls_;
  std::size_t own_invocations_ = 0;  // those with a parent
  std::uint32_t next_invocation_ = 1;
  std::uint32_t next_body_ = 1;
  std::uint32_t next_writer_ = 1;
};

}  // namespace insula::runner
