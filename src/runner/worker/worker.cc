// SPDX-License-Identifier: Apache-2.0
//
// Worker: the turn of an isolate.
#include <algorithm>
#include <cmath>
#include <utility>

#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

constexpr std::uint64_t kNanosPerMilli = 1000000;

// Not the code of a loss: nobody tries this call again.
constexpr std::string_view kAborted = "The Worker has ended its isolate with abortIsolate().";

}  // namespace

WorkerImpl::WorkerImpl(const Isolate::Options& options, HostCalls& host, CodeCache& cache)
    : isolate_(options), context_(isolate_, host), host_(host), cache_(cache) {
  const v8::Locker locker(v8());
  const v8::Isolate::Scope isolate_scope(v8());
  const v8::HandleScope handles(v8());
  v8()->SetData(1, &isolate_);
  v8()->SetData(3, this);
  v8()->SetPromiseRejectCallback(on_promise_reject);
  const auto context = isolate_.context();
  context->AllowCodeGenerationFromStrings(false);
  const auto bind = [&](v8::Global<v8::Function>& to, const char* name) {
    to.Reset(v8(), isolate_.runtime()
                       ->Get(context, to_name(v8(), name))
                       .ToLocalChecked()
                       .As<v8::Function>());
  };
  bind(dispatch_fetch_, "dispatchFetch");
  bind(call_done_, "callDone");
  bind(call_failed_, "callFailed");
  bind(fire_timer_, "fireTimer");
  bind(dispatch_rpc_, "dispatchRpc");
  bind(rpc_done_, "rpcDone");
  bind(finish_answer_, "finishAnswer");
  bind(release_export_, "releaseExport");
}

WorkerImpl::~WorkerImpl() {
  const v8::Locker locker(v8());
  const v8::Isolate::Scope isolate_scope(v8());
  const v8::HandleScope handles(v8());
  context_.abandon(0, error_of(Fault::IsolateLost), error_of(Fault::IsolateLost));
  graph_.reset();
  rejections_.clear();
  handled_late_.clear();
  dispatch_fetch_.Reset();
  call_done_.Reset();
  call_failed_.Reset();
  fire_timer_.Reset();
  dispatch_rpc_.Reset();
  rpc_done_.Reset();
  finish_answer_.Reset();
  release_export_.Reset();
}

Worker::Turn WorkerImpl::run(std::deque<Event>& events, ExecutorSlot& slot) {
  const v8::Locker locker(v8());
  const v8::Isolate::Scope isolate_scope(v8());
  const v8::HandleScope handles(v8());
  const v8::Context::Scope context_scope(isolate_.context());
  slot_ = &slot;
  isolate_.set_slot(&slot);
  // The clock moves here and only here when it is frozen: an event is I/O.
  context_.clock.wall_millis = std::floor(engine::real_wall_millis());
  engine::set_thread_clock(context_.is_clock_frozen() ? &context_.clock : nullptr);
  while (!events.empty()) {
    if (condemned_ && !load_error_.has_value()) break;  // the rest is the host's
    Event event = std::move(events.front());
    events.pop_front();
    if (load_error_.has_value()) {
      refuse(event);
      continue;
    }
    const v8::HandleScope event_handles(v8());
    std::visit([this](auto& item) { handle(item); }, event);
  }
  if (!condemned_) {
    isolate_.engine().run_foreground_tasks(v8());
    if (!context_.actors().empty()) commit_actors();
    if ((turns_++ & 63) == 0) memory_bytes_ = isolate_.heap_bytes() + isolate_.allocator().bytes();
  }
  engine::set_thread_clock(nullptr);
  isolate_.set_slot(nullptr);
  slot_ = nullptr;
  return {condemned_, load_error_.has_value(), !context_.invocations().empty() || !context_.actors().empty(), fault_};
}

void WorkerImpl::shrink() {
  if (condemned_) return;
  const v8::Locker locker(v8());
  const v8::Isolate::Scope isolate_scope(v8());
  const v8::HandleScope handles(v8());
  // Critical pressure collects here and now. Moderate pressure only starts incremental marking, which then makes the
  // next request pay for it: 2.8 ms and more memory, where this takes 1 ms and gives 100 KiB back.
  v8()->MemoryPressureNotification(v8::MemoryPressureLevel::kCritical);
  v8()->MemoryPressureNotification(v8::MemoryPressureLevel::kNone);
  memory_bytes_ = isolate_.heap_bytes() + isolate_.allocator().bytes();
}

std::uint64_t WorkerImpl::cpu_left(std::uint32_t id) {
  const Invocation* invocation = context_.find_invocation(id);
  if (invocation != nullptr) return context_.cpu_nanos_left(*invocation);
  return static_cast<std::uint64_t>(context_.spec().limits.cpu.count()) * kNanosPerMilli;
}

bool WorkerImpl::open_step(std::uint32_t id) {
  const bool is_startup = context_.in_startup;
  const Invocation* invocation = context_.find_invocation(id);
  const std::uint32_t question =
      invocation != nullptr && invocation->reply_to.caller == 0 ? invocation->reply_to.question : 0;
  const std::uint64_t allowed =
      is_startup ? static_cast<std::uint64_t>(context_.spec().limits.startup_cpu.count()) * kNanosPerMilli
                 : cpu_left(id);
  // The monitor stops events that run long; many short ones end here, when nothing is left for the next.
  if (!is_startup && invocation != nullptr && allowed <= 1) {
    condemn(Fault::CpuLimit, id);
    return false;
  }
  slot_->open({.target = &isolate_,
               .worker = context_.spec().id,
               .question = question,
               .cpu_left = allowed,
               .memory_max = context_.spec().limits.memory_bytes,
               .is_startup = is_startup});
  context_.set_current(id);
  return true;
}

void WorkerImpl::run_microtasks() {
  v8()->PerformMicrotaskCheckpoint();
  if (!rejections_.empty() || !handled_late_.empty()) report_rejections();
}

void WorkerImpl::close_step(std::uint32_t id) {
  const bool is_startup = context_.in_startup;
  const ExecutorSlot::Closed closed = slot_->close();
  if (Invocation* charged = context_.find_invocation(id)) context_.charge_cpu(*charged, closed.cpu_nanos);
  if (closed.stopped_by != Fault::None || isolate_.heap_exhausted()) {
    const Fault why = closed.stopped_by != Fault::None ? closed.stopped_by : Fault::MemoryLimit;
    condemn(why == Fault::CpuLimit && is_startup ? Fault::StartupCpuLimit : why, id);
    return;
  }
  if (isolate_.is_terminated()) return condemn(Fault::Exception, id, kAborted);
  context_.set_current(0);
  settle(id);
}

// After a step: ends what is done, and what can never be.
void WorkerImpl::settle(std::uint32_t id) {
  if (!context_.orphans.empty()) release_objects(std::exchange(context_.orphans, {}));
  while (!context_.aborted.empty()) {
    const std::uint32_t aborted = context_.aborted.back();
    context_.aborted.pop_back();
    if (Invocation* invocation = context_.find_invocation(aborted)) {
      invocation->holds = invocation->response_streams = 0;
      end(*invocation);
    }
  }
  if (Invocation* invocation = context_.find_invocation(id); invocation != nullptr && invocation->answered) {
    end(*invocation);
  }
  if (!context_.invocations().empty() && context_.is_quiescent()) fail_hung();
}

void WorkerImpl::end(Invocation& invocation) {
  const std::uint32_t id = invocation.id;
  WorkerContext::Leftovers leftovers;
  if (!context_.end_if_done(invocation, leftovers)) return;
  if (leftovers.is_kept) {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), id)};
    call_runtime("endInvocation", 1, arguments);
  }
  for (const auto object : leftovers.exports) {
    v8::Local<v8::Value> arguments[2] = {v8::Integer::NewFromUnsigned(v8(), object), v8::True(v8())};
    invoke(release_export_.Get(v8()), 2, arguments);
  }
  for (const auto call : leftovers.calls) {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), call)};
    call_runtime("dropCall", 1, arguments);
  }
  for (const auto timer : leftovers.timers) {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), timer)};
    call_runtime("dropTimer", 1, arguments);
  }
}

// Nothing is under way that could resume the code: unanswered invocations never will be answered, and background
// promises never settle.
void WorkerImpl::fail_hung() {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, invocation] : context_.invocations()) {
    // Who waits for an entrypoint of its own hears of that one's failure, and may handle it.
    // A call of an actor may wait for a later event of that actor, and who has given objects away for a call on one.
    if (context_.has_given_objects(invocation) || (invocation.answered && context_.has_exports())) continue;
    if (invocation.actor == 0 && !context_.waits_for_call(id)) ids.push_back(id);
  }
  for (const auto id : ids) {
    Invocation* invocation = context_.find_invocation(id);
    if (invocation == nullptr) continue;
    context_.fail(*invocation, error_of(Fault::Hung));
    invocation->holds = invocation->response_streams = 0;
    context_.close_sockets(*invocation, invocation->sockets);
    end(*invocation);
  }
  ids.clear();
  for (const auto& [id, answer] : context_.answers()) {
    const Invocation* const host = context_.find_invocation(answer.invocation);
    if (host != nullptr && (host->actor != 0 || context_.has_given_objects(*host))) continue;
    if (!answer.answered && id != answer.invocation && !context_.waits_for_call(answer.invocation)) ids.push_back(id);
  }
  for (const auto id : ids) {
    const Answer* answer = context_.find_answer(id);
    if (answer == nullptr) continue;
    const std::uint32_t invocation_id = answer->invocation;
    context_.fail_call(id, error_of(Fault::Hung));
    Invocation* invocation = context_.find_invocation(invocation_id);
    if (invocation != nullptr && invocation->answered) end(*invocation);
  }
}

void WorkerImpl::condemn(Fault fault, std::uint32_t culprit, std::string_view text) {
  CallError error = text.empty() ? error_of(fault) : error_of(fault, std::string(text));
  condemned_ = true;
  fault_ = fault;
  if (!loaded_) {
    load_error_ = error;
    load_error_->fault = info_of(fault).code;
  }
  if (const Invocation* invocation = context_.find_invocation(culprit)) {
    host_.log(context_.spec().id, invocation->reply_to.question, "error",
              std::string(info_of(fault).code) + ": " + error.message, true);
  }
  context_.abandon(culprit, error, error_of(Fault::IsolateLost));
}

// An event for a Worker that could not be loaded.
void WorkerImpl::refuse(Event& event) {
  if (auto* invoke = std::get_if<InvokeEvent>(&event)) {
    host_.answer(invoke->reply_to, *load_error_, 0, false, {});
  } else if (auto* open = std::get_if<OpenActorEvent>(&event)) {
    refuse(*open);
  } else if (auto* need = std::get_if<NeedCodeEvent>(&event)) {
    host_.provide_code(need->request, error_of(Fault::Cancelled));
  }
}

void WorkerImpl::invoke(v8::Local<v8::Function> function, int count, v8::Local<v8::Value>* arguments) {
  const auto result = function->Call(isolate_.context(), v8::Undefined(v8()), count, arguments);
  if (result.IsEmpty()) return;
}

void WorkerImpl::call_runtime(const char* name, int count, v8::Local<v8::Value>* arguments) {
  const auto function = context_.runtime_function(name);
  if (function->IsFunction()) invoke(function, count, arguments);
}

IsolateFactory::IsolateFactory(engine::Engine& engine, const engine::Snapshot& snapshot, std::size_t heap_bytes_max)
    : engine_(engine), snapshot_(snapshot), heap_bytes_max_(heap_bytes_max), cache_(std::make_unique<CodeCache>()) {}

IsolateFactory::~IsolateFactory() = default;

std::unique_ptr<Worker> IsolateFactory::make_blank(HostCalls& host, std::size_t heap_bytes_max) {
  Isolate::Options options;
  options.engine = &engine_;
  options.snapshot = &snapshot_;
  options.references = external_references();
  options.heap_bytes_max = heap_bytes_max;
  return std::make_unique<WorkerImpl>(options, host, *cache_);
}

}  // namespace insula::runner
