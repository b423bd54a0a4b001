// SPDX-License-Identifier: Apache-2.0
//
// Worker: from a blank isolate to a Worker: its env, its modules, its exports.
#include <cmath>

#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

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

}  // namespace

v8::Local<v8::Value> WorkerImpl::env_entries() {
  const auto context = isolate_.context();
  const auto& bindings = context_.spec().bindings;
  const auto list = v8::Array::New(v8(), static_cast<int>(bindings.size()));
  for (std::uint32_t index = 0; index < bindings.size(); ++index) {
    const EnvEntry& entry = bindings[index];
    const std::uint32_t number = entry.capability != nullptr ? context_.add_handle(entry.capability, 0) : entry.loader;
    v8::Local<v8::Value> key = v8::Undefined(v8());
    v8::Local<v8::Uint8Array> bytes;
    if (!entry.key.empty() && to_uint8_array(v8(), entry.key).ToLocal(&bytes)) key = bytes;
    v8::Local<v8::Value> parts[5] = {
        to_string(v8(), entry.name), v8::Integer::NewFromUnsigned(v8(), static_cast<std::uint32_t>(entry.kind)),
        to_string(v8(), entry.text), v8::Integer::NewFromUnsigned(v8(), number), key};
    list->Set(context, index, v8::Array::New(v8(), parts, 5)).Check();
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
    if (!spec.env.bytes.empty() && !read_payload(context_, spec.env, 0).ToLocal(&env)) {
      problem = "Uncaught Error: The env of this Worker cannot be read.";
      return;
    }
    const auto flags = v8::Array::New(v8(), static_cast<int>(spec.compatibility_flags.size()));
    for (std::uint32_t index = 0; index < spec.compatibility_flags.size(); ++index) {
      flags->Set(context, index, to_string(v8(), spec.compatibility_flags[index])).Check();
    }
    v8::Local<v8::Value> prepare[6] = {env_entries(),
                                       env,
                                       flags,
                                       v8::Boolean::New(v8(), spec.outbound != nullptr),
                                       to_string(v8(), spec.compatibility_date),
                                       v8::Boolean::New(v8(), !spec.tails.empty())};
    call_runtime("prepare", 6, prepare);
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

}  // namespace insula::runner
