// SPDX-License-Identifier: Apache-2.0
//
// Start: V8, the snapshot, and the making of one.
#include "src/runner/worker/start.h"

#include <malloc.h>

#include "src/engine/engine.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/modules/code_cache.h"

namespace insula::runner {
namespace {

// One Wasm memory may not pass what a Worker may have at most.
constexpr std::size_t kWasmMemoryBytesMax = 128 * kMiB;

}  // namespace

Result<std::unique_ptr<IsolateFactory>> start_engine(int snapshot_fd, std::size_t heap_bytes_max) {
  // Isolates are made, used and disposed of by different threads. With an arena for each thread, what one has freed is of
  // no use to the others: tenants that came and went made a runner of 200 isolates grow from 300 to 600 MiB.
  mallopt(M_ARENA_MAX, 1);
  engine::Engine::Options options;
  options.wasm_memory_bytes_max = kWasmMemoryBytesMax;
  // Both live as long as the process: isolates point into them.
  auto* engine = new engine::Engine(options);
  TRY(auto mapped, engine::Snapshot::map(snapshot_fd, ops_hash()));
  auto* snapshot = new engine::Snapshot(mapped);
  return std::make_unique<IsolateFactory>(*engine, *snapshot, heap_bytes_max);
}

Result<void> make_snapshot(const std::string& path) {
  engine::Engine::Options engine_options;
  engine_options.background_threads = 1;
  const engine::Engine engine(engine_options);
  v8::StartupData blob{nullptr, 0};
  std::string problem;
  {
    v8::Isolate::CreateParams params;
    params.external_references = external_references();
    const std::unique_ptr<v8::ArrayBuffer::Allocator> allocator(v8::ArrayBuffer::Allocator::NewDefaultAllocator());
    params.array_buffer_allocator = allocator.get();
    v8::SnapshotCreator creator(params);
    v8::Isolate* isolate = creator.GetIsolate();
    {
      const v8::HandleScope handles(isolate);
      creator.SetDefaultContext(v8::Context::New(isolate));
      const auto context = v8::Context::New(isolate);
      const v8::Context::Scope scope(context);
      const v8::TryCatch caught(isolate);
      v8::ScriptOrigin origin(to_string(isolate, "insula:builtins"));
      v8::ScriptCompiler::Source source(builtins_source(isolate), origin);
      v8::Local<v8::Script> script;
      v8::Local<v8::Value> factory;
      v8::Local<v8::Value> runtime;
      v8::Local<v8::Value> arguments[1] = {make_ops(isolate, context)};
      if (v8::ScriptCompiler::Compile(context, &source).ToLocal(&script) && script->Run(context).ToLocal(&factory) &&
          factory->IsFunction() &&
          factory.As<v8::Function>()->Call(context, v8::Undefined(isolate), 1, arguments).ToLocal(&runtime) &&
          runtime->IsObject()) {
        isolate->PerformMicrotaskCheckpoint();
        creator.AddData(context, runtime.As<v8::Object>());
        creator.AddContext(context);
      } else {
        problem = "snapshot: the built-ins do not run";
        if (caught.HasCaught()) {
          v8::Local<v8::Value> stack;
          problem += ": " + to_utf8(isolate, caught.Message()->Get());
          if (caught.StackTrace(context).ToLocal(&stack)) problem += "\n" + to_utf8(isolate, stack);
        }
      }
    }
    if (problem.empty()) blob = creator.CreateBlob(v8::SnapshotCreator::FunctionCodeHandling::kClear);
  }
  if (!problem.empty()) return Error(ErrorCode::InvalidInput, problem);
  const std::unique_ptr<const char[]> owned(blob.data);
  return engine::Snapshot::write(path, blob, ops_hash());
}

std::string engine_version() { return engine::Engine::version(); }

}  // namespace insula::runner
