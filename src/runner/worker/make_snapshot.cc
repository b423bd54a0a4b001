// SPDX-License-Identifier: Apache-2.0
//
// The making of the start-up snapshot: the built-ins have run once, and what nearly every Worker calls is compiled.
//
// What is compiled is in every isolate's memory; what is not is parsed by every isolate that calls it. So nothing stays
// compiled of what has run to make the built-ins, and then a second instance of them, in a context that is thrown away,
// answers a request (src/builtins/rehearsal.ts): what that compiles belongs to the text that both instances share.
#include <algorithm>
#include <memory>
#include <vector>

#include "src/engine/engine.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/worker/start.h"

namespace insula::runner {
namespace {

bool rehearsal_was_answered = false;

void do_nothing(const v8::FunctionCallbackInfo<v8::Value>&) {}
void take_answer(const v8::FunctionCallbackInfo<v8::Value>&) { rehearsal_was_answered = true; }

// The calls that need no Worker are real, the others do nothing.
v8::Local<v8::Object> make_rehearsal_ops(v8::Isolate* isolate, v8::Local<v8::Context> context) {
  const auto ops = make_ops(isolate, context);
  std::vector<Op> real;
  for (const auto part : {url_ops(), text_ops(), lazy_ops()}) real.insert(real.end(), part.begin(), part.end());
  for (const Op& op : all_ops()) {
    const auto is_this = [&op](const Op& one) { return one.callback == op.callback; };
    if (std::any_of(real.begin(), real.end(), is_this)) continue;
    const auto callback = std::string_view(op.name) == "respond" ? take_answer : do_nothing;
    ops->Set(context, to_name(isolate, op.name), v8::Function::New(context, callback).ToLocalChecked()).Check();
  }
  return ops;
}

// Runs the function that `script` evaluates to in `context`. Empty: an exception is pending.
v8::MaybeLocal<v8::Value> call_script(v8::Local<v8::Context> context, v8::Local<v8::UnboundScript> script, int count,
                                      v8::Local<v8::Value>* arguments) {
  v8::Local<v8::Value> function;
  if (!script->BindToCurrentContext()->Run(context).ToLocal(&function) || !function->IsFunction()) return {};
  return function.As<v8::Function>()->Call(context, v8::Undefined(v8::Isolate::GetCurrent()), count, arguments);
}

v8::MaybeLocal<v8::UnboundScript> compile(v8::Isolate* isolate, v8::Local<v8::String> text) {
  v8::ScriptCompiler::Source source(text, v8::ScriptOrigin(to_string(isolate, "insula:builtins")));
  return v8::ScriptCompiler::CompileUnboundScript(isolate, &source);
}

class Maker {
 public:
  explicit Maker(v8::Isolate* isolate) : isolate_(isolate) {}

  // False: `problem` says why.
  bool make(v8::SnapshotCreator& creator) {
    const v8::HandleScope handles(isolate_);
    creator.SetDefaultContext(v8::Context::New(isolate_));
    const auto context = v8::Context::New(isolate_);
    const auto other = v8::Context::New(isolate_);
    v8::Local<v8::Object> runtime;
    v8::Local<v8::Object> rehearsed;
    if (!boot(context, make_ops, runtime) || !boot(other, make_rehearsal_ops, rehearsed)) return false;
    // Nothing stays compiled.
    engine::Engine::set_flag("--stress-flush-code");
    isolate_->LowMemoryNotification();
    engine::Engine::set_flag("--no-stress-flush-code");
    if (!rehearse(other, rehearsed)) return false;
    creator.AddData(context, runtime);
    creator.AddContext(context);
    return true;
  }

  std::string problem;

 private:
  using MakeOps = v8::Local<v8::Object> (*)(v8::Isolate*, v8::Local<v8::Context>);

  bool boot(v8::Local<v8::Context> context, MakeOps ops, v8::Local<v8::Object>& runtime) {
    const v8::Context::Scope scope(context);
    const v8::TryCatch caught(isolate_);
    v8::Local<v8::Value> result;
    v8::Local<v8::Value> arguments[1] = {ops(isolate_, context)};
    if (script_.IsEmpty() && !compile(isolate_, builtins_source(isolate_)).ToLocal(&script_)) return fail(context, caught);
    if (!call_script(context, script_, 1, arguments).ToLocal(&result) || !result->IsObject()) {
      return fail(context, caught);
    }
    isolate_->PerformMicrotaskCheckpoint();
    runtime = result.As<v8::Object>();
    return true;
  }

  bool rehearse(v8::Local<v8::Context> context, v8::Local<v8::Object> runtime) {
    const v8::Context::Scope scope(context);
    const v8::TryCatch caught(isolate_);
    v8::Local<v8::Value> result;
    v8::Local<v8::UnboundScript> script;
    v8::Local<v8::Value> arguments[1] = {runtime};
    if (!compile(isolate_, to_string(isolate_, rehearsal_source())).ToLocal(&script) ||
        !call_script(context, script, 1, arguments).ToLocal(&result)) {
      return fail(context, caught);
    }
    isolate_->PerformMicrotaskCheckpoint();
    if (!rehearsal_was_answered) problem = "snapshot: the rehearsal's request is not answered";
    return rehearsal_was_answered;
  }

  bool fail(v8::Local<v8::Context> context, const v8::TryCatch& caught) {
    problem = "snapshot: the built-ins do not run";
    if (!caught.HasCaught()) return false;
    v8::Local<v8::Value> stack;
    problem += ": " + to_utf8(isolate_, caught.Message()->Get());
    if (caught.StackTrace(context).ToLocal(&stack)) problem += "\n" + to_utf8(isolate_, stack);
    return false;
  }

  v8::Isolate* const isolate_;
  v8::Local<v8::UnboundScript> script_;
};

}  // namespace

Result<void> make_snapshot(const std::string& path) {
  engine::Engine::Options engine_options;
  engine_options.background_threads = 1;
  engine_options.changes_flags = true;
  const engine::Engine engine(engine_options);
  v8::StartupData blob{nullptr, 0};
  std::string problem;
  {
    v8::Isolate::CreateParams params;
    params.external_references = external_references();
    const std::unique_ptr<v8::ArrayBuffer::Allocator> allocator(v8::ArrayBuffer::Allocator::NewDefaultAllocator());
    params.array_buffer_allocator = allocator.get();
    v8::SnapshotCreator creator(params);
    Maker maker(creator.GetIsolate());
    if (maker.make(creator)) {
      blob = creator.CreateBlob(v8::SnapshotCreator::FunctionCodeHandling::kKeep);
    } else {
      problem = maker.problem;
      creator.CreateBlob(v8::SnapshotCreator::FunctionCodeHandling::kClear);
    }
  }
  if (!problem.empty()) return Error(ErrorCode::InvalidInput, problem);
  const std::unique_ptr<const char[]> owned(blob.data);
  return engine::Snapshot::write(path, blob, ops_hash());
}

}  // namespace insula::runner
