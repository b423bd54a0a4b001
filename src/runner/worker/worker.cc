// SPDX-License-Identifier: Apache-2.0
//
// Worker: the turn of an isolate.
#include "src/runner/worker/worker.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/isolate/isolate.h"
#include "src/runner/isolate/serialize.h"
#include "src/runner/modules/graph.h"

namespace insula::runner {
namespace {

constexpr std::uint64_t kNanosPerMilli = 1000000;
// Rejected promises of one step that are told of.
constexpr std::size_t kRejectionsMax = 1000;

v8::MaybeLocal<v8::Object> runtime_module(v8::Isolate* isolate, std::string_view name) {
  auto& context = WorkerContext::of(isolate);
  const auto v8_context = isolate->GetCurrentContext();
  v8::Local<v8::Value> arguments[1] = {to_string(isolate, name)};
  v8::Local<v8::Value> module;
  if (!context.runtime_function("builtinModule")
           ->Call(v8_context, v8::Undefined(isolate), 1, arguments)
           .ToLocal(&module) ||
      !module->IsObject()) {
    return {};
  }
  return module.As<v8::Object>();
}

class WorkerImpl final : public Worker {
 public:
  WorkerImpl(const Isolate::Options& options, HostCalls& host, CodeCache& cache)
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
  }

  ~WorkerImpl() override {
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
  }

  Turn run(std::deque<Event>& events, ExecutorSlot& slot) override;
  std::size_t memory_bytes() const override { return memory_bytes_.load(std::memory_order_relaxed); }
  void shrink() override;

 private:
  v8::Isolate* v8() const noexcept { return isolate_.v8(); }

  void handle(LoadEvent& event);
  void handle(InvokeEvent& event);
  void handle(ReturnEvent& event);
  void handle(CancelEvent& event);
  void handle(TimerEvent& event);
  void handle(NeedCodeEvent& event);
  void handle(ChunkEvent& event);
  void handle(WritableEvent& event);
  void handle(DeadlineEvent& event);

  // Runs `body` and its microtasks on account of an invocation (0: nobody's), within its CPU limit.
  template <class Body>
  void step(std::uint32_t invocation, Body&& body);
  std::uint64_t cpu_left(std::uint32_t invocation);
  void condemn(Fault fault, std::uint32_t culprit);
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
  for (Event& event : events) {
    if (condemned_ || load_error_.has_value()) {
      refuse(event);
      continue;
    }
    const v8::HandleScope event_handles(v8());
    std::visit([this](auto& item) { handle(item); }, event);
  }
  events.clear();
  if (!condemned_) {
    isolate_.engine().run_foreground_tasks(v8());
    if ((turns_++ & 63) == 0) memory_bytes_ = isolate_.heap_bytes() + isolate_.allocator().bytes();
  }
  engine::set_thread_clock(nullptr);
  isolate_.set_slot(nullptr);
  slot_ = nullptr;
  return {condemned_, load_error_.has_value(), !context_.invocations().empty(), fault_};
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

template <class Body>
void WorkerImpl::step(std::uint32_t id, Body&& body) {
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
    return;
  }
  slot_->open({.target = &isolate_,
               .worker = context_.spec().id,
               .question = question,
               .cpu_left = allowed,
               .memory_max = context_.spec().limits.memory_bytes,
               .is_startup = is_startup});
  context_.set_current(id);
  {
    const v8::TryCatch caught(v8());
    body();
    if (!caught.HasTerminated()) {
      v8()->PerformMicrotaskCheckpoint();
      if (!rejections_.empty() || !handled_late_.empty()) report_rejections();
    }
  }
  const ExecutorSlot::Closed closed = slot_->close();
  if (Invocation* charged = context_.find_invocation(id)) context_.charge_cpu(*charged, closed.cpu_nanos);
  if (closed.stopped_by != Fault::None || isolate_.heap_exhausted()) {
    const Fault why = closed.stopped_by != Fault::None ? closed.stopped_by : Fault::MemoryLimit;
    condemn(why == Fault::CpuLimit && is_startup ? Fault::StartupCpuLimit : why, id);
    return;
  }
  context_.set_current(0);
  settle(id);
}

// After a step: ends what is done, and what can never be.
void WorkerImpl::settle(std::uint32_t id) {
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
    if (!context_.waits_for_call(id)) ids.push_back(id);
  }
  for (const auto id : ids) {
    Invocation* invocation = context_.find_invocation(id);
    if (invocation == nullptr) continue;
    if (!invocation->answered) context_.answer(*invocation, error_of(Fault::Hung));
    invocation->holds = 0;
    end(*invocation);
  }
}

void WorkerImpl::condemn(Fault fault, std::uint32_t culprit) {
  condemned_ = true;
  fault_ = fault;
  if (!loaded_) {
    load_error_ = error_of(fault);
    load_error_->fault = info_of(fault).code;
  }
  if (const Invocation* invocation = context_.find_invocation(culprit)) {
    host_.log(context_.spec().id, invocation->reply_to.question, "error",
              std::string(info_of(fault).code) + ": " + std::string(info_of(fault).message), true);
  }
  context_.abandon(culprit, error_of(fault), error_of(Fault::IsolateLost));
}

// An event for a Worker that cannot run it any more.
void WorkerImpl::refuse(Event& event) {
  auto* invoke = std::get_if<InvokeEvent>(&event);
  if (invoke == nullptr) {
    if (auto* need = std::get_if<NeedCodeEvent>(&event)) {
      host_.provide_code(need->request, error_of(Fault::Cancelled));
    }
    return;
  }
  if (load_error_.has_value()) {
    host_.answer(invoke->reply_to, *load_error_, 0, false);
    return;
  }
  CallError lost = error_of(Fault::IsolateLost);
  lost.undelivered = true;
  host_.answer(invoke->reply_to, std::move(lost), 0, false);
}

void WorkerImpl::invoke(v8::Local<v8::Function> function, int count, v8::Local<v8::Value>* arguments) {
  const auto result = function->Call(isolate_.context(), v8::Undefined(v8()), count, arguments);
  if (result.IsEmpty()) return;
}

void WorkerImpl::call_runtime(const char* name, int count, v8::Local<v8::Value>* arguments) {
  invoke(context_.runtime_function(name), count, arguments);
}

v8::Local<v8::Value> WorkerImpl::env_entries() {
  const auto context = isolate_.context();
  const auto& bindings = context_.spec().bindings;
  const auto list = v8::Array::New(v8(), static_cast<int>(bindings.size()));
  for (std::uint32_t index = 0; index < bindings.size(); ++index) {
    const EnvEntry& entry = bindings[index];
    v8::Local<v8::Value> parts[4] = {
        to_string(v8(), entry.name), v8::Integer::NewFromUnsigned(v8(), static_cast<std::uint32_t>(entry.kind)),
        to_string(v8(), entry.text), v8::Integer::NewFromUnsigned(v8(), entry.capability)};
    list->Set(context, index, v8::Array::New(v8(), parts, 4)).Check();
  }
  return list;
}

void WorkerImpl::handle(LoadEvent& event) {
  context_.spec() = std::move(*event.spec);
  WorkerSpec& spec = context_.spec();
  isolate_.allocator().set_limits(spec.limits.memory_bytes, spec.limits.buffer_bytes_max);
  context_.clock.wall_millis = 0;  // the clock stands at 0 in global scope
  engine::set_thread_clock(&context_.clock);
  std::string problem;
  step(0, [&] {
    const auto context = isolate_.context();
    v8::Local<v8::Value> env = v8::Undefined(v8());
    if (!spec.env.empty() && !deserialize_value(v8(), spec.env).ToLocal(&env)) {
      problem = "Uncaught Error: The env of this Worker cannot be read.";
      return;
    }
    const auto flags = v8::Array::New(v8(), static_cast<int>(spec.compatibility_flags.size()));
    for (std::uint32_t index = 0; index < spec.compatibility_flags.size(); ++index) {
      flags->Set(context, index, to_string(v8(), spec.compatibility_flags[index])).Check();
    }
    v8::Local<v8::Value> prepare[5] = {env_entries(), env, flags, v8::Boolean::New(v8(), spec.outbound != 0),
                                       to_string(v8(), spec.compatibility_date)};
    call_runtime("prepare", 5, prepare);
    graph_ = std::make_unique<ModuleGraph>(v8(), std::move(spec.modules), runtime_module, cache_);
    context->AllowCodeGenerationFromStrings(true);
    auto exports = graph_->start(spec.main_module);
    context->AllowCodeGenerationFromStrings(false);
    if (!exports) {
      problem = exports.error().message();
      return;
    }
    v8::Local<v8::Value> adopt[1] = {*exports};
    v8::Local<v8::Value> complaint;
    if (!context_.runtime_function("adopt")
             ->Call(context, v8::Undefined(v8()), 1, adopt)
             .ToLocal(&complaint)) {
      problem = "Uncaught Error: The exports of the main module cannot be read.";
    } else if (complaint->IsString()) {
      problem = to_utf8(v8(), complaint);
    }
  });
  context_.in_startup = false;
  engine::set_thread_clock(context_.is_clock_frozen() ? &context_.clock : nullptr);
  context_.clock.wall_millis = std::floor(engine::real_wall_millis());
  if (condemned_) return;
  if (!problem.empty()) {
    load_error_ = error_of(Fault::LoadFailed, "Failed to start Worker:\n" + problem);
    host_.log(context_.spec().id, 0, "error", load_error_->message, true);
    return;
  }
  loaded_ = true;
  graph_->settle();
  memory_bytes_ = isolate_.heap_bytes() + isolate_.allocator().bytes();
}

void WorkerImpl::handle(InvokeEvent& event) {
  Invocation& invocation = context_.begin_invocation(event.reply_to, event.depth);
  const WorkerLimits& limits = context_.spec().limits;
  auto cpu = limits.cpu.count();
  if (event.cpu_millis != 0) cpu = std::min<std::int64_t>(cpu, event.cpu_millis);
  invocation.cpu_nanos_max = static_cast<std::uint64_t>(cpu) * kNanosPerMilli;
  invocation.subrequests_left =
      event.subrequests != 0 ? std::min(limits.subrequests, event.subrequests) : limits.subrequests;
  const std::uint32_t id = invocation.id;
  if (limits.wall.count() > 0) {
    invocation.deadline_timer = host_.start_timer(context_.spec().id, limits.wall, DeadlineEvent{id, false});
  }
  auto* fetch = std::get_if<FetchCall>(&event.call);
  if (fetch == nullptr) {
    CallError error;
    error.name = "TypeError";
    error.message = "The receiver does not support RPC.";
    context_.answer(invocation, std::move(error));
    end(invocation);
    return;
  }
  const std::uint32_t body = context_.add_body(std::move(fetch->body), id);
  step(id, [&] {
    v8::Local<v8::Value> props = v8::Undefined(v8());
    if (!event.props.empty() && !deserialize_value(v8(), event.props).ToLocal(&props)) {
      props = v8::Undefined(v8());
    }
    v8::Local<v8::Value> arguments[8] = {v8::Integer::NewFromUnsigned(v8(), id),
                                         to_name(v8(), event.entrypoint),
                                         props,
                                         to_name(v8(), fetch->method),
                                         to_string(v8(), fetch->url),
                                         to_byte_string(v8(), fetch->headers),
                                         v8::Integer::NewFromUnsigned(v8(), body),
                                         to_string(v8(), fetch->cf)};
    invoke(dispatch_fetch_.Get(v8()), 8, arguments);
  });
}

void WorkerImpl::handle(ReturnEvent& event) {
  const auto found = context_.calls().find(event.call);
  if (found == context_.calls().end()) {
    // Nobody waits any more: close what came with it.
    if (auto* fetch = std::get_if<FetchResult>(&event.outcome); fetch != nullptr && fetch->body.stream != nullptr) {
      host_.stop(*fetch->body.stream);
    }
    return;
  }
  const std::uint32_t id = found->second;
  context_.calls().erase(found);
  step(id, [&] {
    const auto call = v8::Integer::NewFromUnsigned(v8(), event.call);
    if (auto* fetch = std::get_if<FetchResult>(&event.outcome)) {
      const std::uint32_t body = context_.add_body(std::move(fetch->body), id);
      v8::Local<v8::Value> arguments[5] = {call, v8::Integer::New(v8(), fetch->status),
                                           to_string(v8(), fetch->status_text),
                                           to_byte_string(v8(), fetch->headers),
                                           v8::Integer::NewFromUnsigned(v8(), body)};
      invoke(call_done_.Get(v8()), 5, arguments);
    } else if (auto* error = std::get_if<CallError>(&event.outcome)) {
      v8::Local<v8::Value> arguments[5] = {call, to_name(v8(), error->fault), to_string(v8(), error->name),
                                           to_string(v8(), error->message),
                                           v8::Boolean::New(v8(), error->remote)};
      invoke(call_failed_.Get(v8()), 5, arguments);
    }
  });
}

void WorkerImpl::handle(CancelEvent& event) {
  Invocation* invocation = context_.find_invocation(event.reply_to);
  if (invocation == nullptr) return;
  const std::uint32_t id = invocation->id;
  if (!invocation->answered) context_.answer(*invocation, error_of(Fault::Cancelled));
  step(id, [&] {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), id)};
    call_runtime("cancelInvocation", 1, arguments);
  });
}

void WorkerImpl::handle(TimerEvent& event) {
  const auto found = context_.timers().find(event.timer);
  if (found == context_.timers().end()) return;
  const std::uint32_t id = found->second.invocation;
  context_.timers().erase(found);
  if (Invocation* owner = context_.find_invocation(id)) --owner->timers;
  step(id, [&] {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), event.timer)};
    invoke(fire_timer_.Get(v8()), 1, arguments);
  });
}

void WorkerImpl::handle(NeedCodeEvent& event) {
  step(0, [&] {
    v8::Local<v8::Value> arguments[2] = {v8::Integer::NewFromUnsigned(v8(), event.request),
                                         v8::Integer::NewFromUnsigned(v8(), event.source)};
    call_runtime("needCode", 2, arguments);
  });
}

void WorkerImpl::handle(ChunkEvent& event) {
  auto* body = context_.find_body(event.body);
  if (body == nullptr || body->pull.IsEmpty()) return;
  const std::uint32_t id = body->invocation;
  step(id, [&] {
    const auto context = isolate_.context();
    const auto resolver = body->pull.Get(v8());
    body->pull.Reset();
    --context_.pulls_pending;
    if (!event.error.empty()) {
      context_.drop_body(event.body);
      resolver->Reject(context, v8::Exception::Error(to_string(v8(), event.error))).FromMaybe(false);
      return;
    }
    if (event.ended) {
      context_.drop_body(event.body);
      resolver->Resolve(context, v8::Undefined(v8())).FromMaybe(false);
      return;
    }
    v8::Local<v8::Uint8Array> bytes;
    const v8::TryCatch caught(v8());
    if (to_uint8_array(v8(), event.bytes).ToLocal(&bytes)) {
      resolver->Resolve(context, bytes).FromMaybe(false);
    } else {
      resolver->Reject(context, caught.Exception()).FromMaybe(false);
    }
  });
}

void WorkerImpl::handle(WritableEvent& event) {
  auto* writer = context_.find_writer(event.writer);
  if (writer == nullptr) return;
  const std::uint32_t id = writer->invocation;
  if (writer->room.IsEmpty()) return;
  step(id, [&] {
    const auto resolver = writer->room.Get(v8());
    writer->room.Reset();
    --context_.writes_pending;
    resolver->Resolve(isolate_.context(), v8::Boolean::New(v8(), !event.stopped)).FromMaybe(false);
  });
}

void WorkerImpl::handle(DeadlineEvent& event) {
  Invocation* invocation = context_.find_invocation(event.invocation);
  if (invocation == nullptr || invocation->answered != event.after_response) return;
  if (!invocation->answered) {
    host_.log(context_.spec().id, invocation->reply_to.question, "error",
              std::string(info_of(Fault::WallLimit).code) + ": " + std::string(info_of(Fault::WallLimit).message),
              true);
    invocation->deadline_timer = 0;
    context_.answer(*invocation, error_of(Fault::WallLimit));
  }
  const std::uint32_t id = invocation->id;
  step(id, [&] {
    v8::Local<v8::Value> arguments[1] = {v8::Integer::NewFromUnsigned(v8(), id)};
    call_runtime("cancelInvocation", 1, arguments);
  });
  if (Invocation* still = context_.find_invocation(id)) {
    still->holds = 0;
    end(*still);
  }
}

void WorkerImpl::on_promise_reject(v8::PromiseRejectMessage message) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  auto* owner = static_cast<WorkerImpl*>(isolate->GetData(3));
  if (owner == nullptr) return;
  const auto promise = message.GetPromise();
  if (message.GetEvent() == v8::kPromiseRejectWithNoHandler) {
    if (owner->rejections_.size() >= kRejectionsMax) return;
    Rejection rejection;
    rejection.promise.Reset(isolate, promise);
    rejection.reason.Reset(isolate, message.GetValue());
    owner->rejections_.push_back(std::move(rejection));
  } else if (message.GetEvent() == v8::kPromiseHandlerAddedAfterReject) {
    const auto erased = std::erase_if(owner->rejections_, [&](const Rejection& one) { return one.promise == promise; });
    if (erased > 0 || owner->handled_late_.size() >= kRejectionsMax) return;
    Rejection late;
    late.promise.Reset(isolate, promise);
    late.reason.Reset(isolate, promise->Result());
    owner->handled_late_.push_back(std::move(late));
  }
}

void WorkerImpl::report_rejections() {
  const auto tell = [this](std::vector<Rejection>& list, const char* function) {
    std::vector<Rejection> pending;
    pending.swap(list);
    for (const Rejection& rejection : pending) {
      v8::Local<v8::Value> arguments[2] = {rejection.reason.Get(v8()), rejection.promise.Get(v8())};
      call_runtime(function, 2, arguments);
    }
  };
  // Listeners may reject in their turn; the CPU limit ends what does so for ever.
  while ((!rejections_.empty() || !handled_late_.empty()) && !v8()->IsExecutionTerminating()) {
    tell(rejections_, "unhandledRejection");
    tell(handled_late_, "rejectionHandled");
    v8()->PerformMicrotaskCheckpoint();
  }
}

}  // namespace

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
