// SPDX-License-Identifier: Apache-2.0
//
// WorkerImpl: the Worker behind the interface.
//
//   worker.cc       the turn, limits, the end of invocations
//   load.cc         from a blank isolate to a Worker
//   requests.cc     requests, responses, streams, timers
//   rpc.cc          RPC calls and runtime events, their outcomes, objects that others hold
//   actors.cc       Durable Objects and facets: their beginning, commits, end
//   rejections.cc   promises that nobody handles
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <v8.h>

#include "src/runner/bindings/context.h"
#include "src/runner/isolate/isolate.h"
#include "src/runner/modules/graph.h"
#include "src/runner/worker/worker.h"

namespace insula::runner {

class WorkerImpl final : public Worker {
 public:
  WorkerImpl(const Isolate::Options& options, HostCalls& host, CodeCache& cache);
  ~WorkerImpl() override;

  Turn run(std::deque<Event>& events, ExecutorSlot& slot) override;
  std::size_t memory_bytes() const override { return memory_bytes_.load(std::memory_order_relaxed); }
  void shrink() override;

  v8::Isolate* v8() const noexcept { return isolate_.v8(); }

 private:

  void handle(LoadEvent& event);
  void handle(InvokeEvent& event);
  void handle(ReturnEvent& event);
  void handle(CancelEvent& event);
  void handle(TimerEvent& event);
  void handle(NeedCodeEvent& event);
  void handle(ChunkEvent& event);
  void handle(WritableEvent& event);
  void handle(DeadlineEvent& event);
  void handle(ReleaseEvent& event);
  void handle(FinishEvent& event);
  void handle(OpenActorEvent& event);
  void handle(CloseActorEvent& event);
  void handle(ActorBrokenEvent& event);
  void handle(SyncedEvent& event);
  void handle(FacetClosedEvent& event);
  void handle(SocketsEvent& event);
  void handle(SocketTellEvent& event);
  // actors.cc
  void call_actor(InvokeEvent& event);
  void commit_actors();
  bool close_actor(std::uint32_t actor, std::string reason);
  void break_actor(std::uint32_t actor, const std::string& message, Fault fault);
  void release_objects(const std::vector<std::uint32_t>& objects);
  void refuse(OpenActorEvent& event);
  // A new invocation, with its limits; calls on objects run in one that is there already.
  Invocation& start_invocation(const InvokeEvent& event);
  std::uint64_t cpu_limit_of(const InvokeEvent& event) const;
  void refresh(std::uint32_t id);
  void call_object(InvokeEvent& event);
  void dispatch_request(FetchCall& fetch, InvokeEvent& event, std::uint32_t answer, std::uint32_t target,
                        std::uint32_t invocation);
  void dispatch_rpc(RpcCall& call, InvokeEvent& event, std::uint32_t answer, std::uint32_t target,
                    std::uint32_t invocation);
  void dispatch_event(RuntimeCall& call, InvokeEvent& event, std::uint32_t answer);
  void finish_engine(std::uint32_t call, EngineResult& result);
  v8::Local<v8::Value> read_props(InvokeEvent& event, std::uint32_t invocation);
  void finish_rpc(std::uint32_t call, RpcResult& result, std::uint32_t invocation);
  void tell_failure(std::uint32_t call, const CallError& error);

  // Runs `body` and its microtasks on account of an invocation (0: nobody's), within its CPU limit.
  template <class Body>
  void step(std::uint32_t invocation, Body&& body) {
    if (!open_step(invocation)) return;
    {
      const v8::TryCatch caught(v8());
      body();
      if (!caught.HasTerminated()) run_microtasks();
    }
    close_step(invocation);
  }
  bool open_step(std::uint32_t invocation);
  void run_microtasks();
  void close_step(std::uint32_t invocation);
  std::uint64_t cpu_left(std::uint32_t invocation);
  // text: instead of the fault's own.
  void condemn(Fault fault, std::uint32_t culprit, std::string_view text = {});
  void refuse(Event& event);
  void settle(std::uint32_t invocation);
  void end(Invocation& invocation);
  void fail_hung();
  void report_rejections();
  // Calls into the built-ins, which handle their own errors: an exception here is a termination.
  void invoke(v8::Local<v8::Function> function, int count, v8::Local<v8::Value>* arguments);
  void call_runtime(const char* name, int count, v8::Local<v8::Value>* arguments);
  v8::Local<v8::Value> env_entries();
  static void on_promise_reject(v8::PromiseRejectMessage message);

  Isolate isolate_;
  WorkerContext context_;
  HostCalls& host_;
  CodeCache& cache_;
  std::unique_ptr<ModuleGraph> graph_;
  v8::Global<v8::Function> dispatch_fetch_;
  v8::Global<v8::Function> call_done_;
  v8::Global<v8::Function> call_failed_;
  v8::Global<v8::Function> fire_timer_;
  v8::Global<v8::Function> dispatch_rpc_;
  v8::Global<v8::Function> rpc_done_;
  v8::Global<v8::Function> finish_answer_;
  v8::Global<v8::Function> release_export_;
  struct Rejection {
    v8::Global<v8::Promise> promise;
    v8::Global<v8::Value> reason;
  };
  std::vector<Rejection> rejections_;
  std::vector<Rejection> handled_late_;  // reported before, and then somebody did handle them
  ExecutorSlot* slot_ = nullptr;
  std::optional<CallError> load_error_;
  bool loaded_ = false;
  bool condemned_ = false;
  Fault fault_ = Fault::None;
  std::atomic<std::size_t> memory_bytes_{0};
  std::uint32_t turns_ = 0;
};

}  // namespace insula::runner
