// SPDX-License-Identifier: Apache-2.0
//
// ModuleGraph: the kinds that are not ES modules: CommonJS, text, data, JSON, Wasm, and the runtime's own.
#include "src/protocol/frames.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/modules/graph.h"
#include "src/runner/modules/specifier.h"

namespace insula::runner {
namespace {

using Kind = protocol::ModuleKind;

}  // namespace

// Bytes become code while a Worker starts, and where the runtime compiles its modules; not for requests.
void ModuleGraph::control_wasm_code() { isolate_->SetAllowWasmCodeGenerationCallback(may_make_wasm_code); }

bool ModuleGraph::may_make_wasm_code(v8::Local<v8::Context>, v8::Local<v8::String>) {
  return static_cast<const ModuleGraph*>(v8::Isolate::GetCurrent()->GetData(2))->is_starting_;
}

v8::MaybeLocal<v8::Module> ModuleGraph::compile(const std::string& name, Record& record) {
  v8::EscapableHandleScope handles(isolate_);
  v8::Local<v8::Module> module;
  if (static_cast<Kind>(record.source.kind) == Kind::EsModule) {
    if (!compile_es(name, record).ToLocal(&module)) return {};
  } else {
    const v8::Local<v8::String> exports[1] = {to_name(isolate_, "default")};
    module = v8::Module::CreateSyntheticModule(isolate_, to_string(isolate_, name),
                                               v8::MemorySpan<const v8::Local<v8::String>>(exports, 1),
                                               evaluate_synthetic);
  }
  record.module.Reset(isolate_, module);
  names_by_hash_.emplace(module->GetIdentityHash(), name);
  return handles.Escape(module);
}

v8::MaybeLocal<v8::Value> ModuleGraph::evaluate_synthetic(v8::Local<v8::Context> context,
                                                          v8::Local<v8::Module> module) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  auto& graph = *static_cast<ModuleGraph*>(isolate->GetData(2));
  const std::string name = graph.name_of(module);
  const auto found = graph.records_.find(name);
  if (found == graph.records_.end()) return {};
  v8::Local<v8::Value> value;
  if (!graph.value_of(name, found->second).ToLocal(&value)) return {};
  if (!module->SetSyntheticModuleExport(isolate, to_name(isolate, "default"), value).FromMaybe(false)) return {};
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  if (!resolver->Resolve(context, v8::Undefined(isolate)).FromMaybe(false)) return {};
  return resolver->GetPromise();
}

v8::MaybeLocal<v8::Value> ModuleGraph::value_of(const std::string& name, Record& record) {
  if (!record.value.IsEmpty()) return record.value.Get(isolate_);
  v8::EscapableHandleScope handles(isolate_);
  const auto context = isolate_->GetCurrentContext();
  v8::Local<v8::Value> value;
  switch (static_cast<Kind>(record.source.kind)) {
    case Kind::Text: value = to_string(isolate_, record.source.bytes); break;
    case Kind::Json:
      if (!v8::JSON::Parse(context, to_string(isolate_, record.source.bytes)).ToLocal(&value)) return {};
      break;
    case Kind::Data: {
      v8::Local<v8::Uint8Array> bytes;
      if (!to_uint8_array(isolate_, record.source.bytes).ToLocal(&bytes)) return {};
      value = bytes->Buffer();
      break;
    }
    case Kind::Wasm: {
      const auto& bytes = record.source.bytes;
      v8::Local<v8::WasmModuleObject> module;
      isolate_->SetAllowWasmCodeGenerationCallback(nullptr);
      const bool compiled = v8::WasmModuleObject::Compile(
                                isolate_, {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()})
                                .ToLocal(&module);
      control_wasm_code();
      if (!compiled) return {};
      value = module;
      break;
    }
    case Kind::CommonJs: {
      v8::Local<v8::Value> exports;
      if (!run_common_js(name, record).ToLocal(&exports)) return {};
      return handles.Escape(exports);
    }
    case Kind::EsModule: {
      // require() of an ES module: its default export, or the namespace when it has none.
      v8::Local<v8::Module> module;
      v8::Local<v8::Value> promise;
      if (!module_named(name).ToLocal(&module) ||
          !module->InstantiateModule(context, on_resolve, on_resolve_source).FromMaybe(false) ||
          !module->Evaluate(context).ToLocal(&promise)) {
        return {};
      }
      if (module->GetStatus() == v8::Module::kErrored) {
        isolate_->ThrowException(module->GetException());
        return {};
      }
      const auto exports = module->GetModuleNamespace().As<v8::Object>();
      const auto key = to_name(isolate_, "default");
      if (exports->Has(context, key).FromMaybe(false)) {
        if (!exports->Get(context, key).ToLocal(&value)) return {};
      } else {
        value = exports;
      }
      return handles.Escape(value);
    }
  }
  record.value.Reset(isolate_, value);
  return handles.Escape(value);
}

v8::MaybeLocal<v8::Value> ModuleGraph::run_common_js(const std::string& name, Record& record) {
  const auto context = isolate_->GetCurrentContext();
  const auto module = v8::Object::New(isolate_);
  const auto exports_key = to_name(isolate_, "exports");
  const auto exports = v8::Object::New(isolate_);
  module->Set(context, exports_key, exports).Check();
  // A cycle sees what is exported so far.
  record.value.Reset(isolate_, exports);
  v8::Local<v8::Function> require_function;
  if (!v8::Function::New(context, require, to_string(isolate_, name)).ToLocal(&require_function)) return {};
  v8::ScriptOrigin origin(to_string(isolate_, name));
  v8::ScriptCompiler::Source source(to_string(isolate_, record.source.bytes), origin);
  v8::Local<v8::String> parameters[3] = {exports_key, to_name(isolate_, "require"), to_name(isolate_, "module")};
  v8::Local<v8::Function> body;
  v8::Local<v8::Value> ignored;
  v8::Local<v8::Value> result;
  v8::Local<v8::Value> arguments[3] = {exports, require_function, module};
  if (!v8::ScriptCompiler::CompileFunction(context, &source, 3, parameters).ToLocal(&body) ||
      !body->Call(context, v8::Undefined(isolate_), 3, arguments).ToLocal(&ignored) ||
      !module->Get(context, exports_key).ToLocal(&result)) {
    record.value.Reset();
    return {};
  }
  record.value.Reset(isolate_, result);
  return result;
}

void ModuleGraph::require(const v8::FunctionCallbackInfo<v8::Value>& info) {
  v8::Isolate* isolate = info.GetIsolate();
  auto& graph = *static_cast<ModuleGraph*>(isolate->GetData(2));
  const std::string importer = to_utf8(isolate, info.Data());
  const auto resolved = graph.resolve(to_utf8(isolate, info[0]), importer);
  if (!resolved.has_value()) return;
  const std::string& name = *resolved;
  const auto found = graph.records_.find(name);
  v8::Local<v8::Value> value;
  if (found != graph.records_.end()) {
    if (graph.value_of(name, found->second).ToLocal(&value)) info.GetReturnValue().Set(value);
    return;
  }
  v8::Local<v8::Object> builtin;
  if (graph.builtins_(isolate, name).ToLocal(&builtin)) {
    info.GetReturnValue().Set(builtin);
    return;
  }
  if (!isolate->HasPendingException()) graph.throw_no_such_module(name, importer, false);
}

v8::MaybeLocal<v8::Module> ModuleGraph::builtin(const std::string& name) {
  v8::EscapableHandleScope handles(isolate_);
  const auto context = isolate_->GetCurrentContext();
  v8::Local<v8::Object> offered;
  if (!builtins_(isolate_, name).ToLocal(&offered)) return {};
  v8::Local<v8::Array> keys;
  if (!offered->GetOwnPropertyNames(context).ToLocal(&keys)) return {};
  std::vector<v8::Local<v8::String>> names;
  for (std::uint32_t index = 0; index < keys->Length(); ++index) {
    v8::Local<v8::Value> key;
    if (keys->Get(context, index).ToLocal(&key) && key->IsString()) names.push_back(key.As<v8::String>());
  }
  // Evaluated like the others: the record's value is the object, and its keys are the exports.
  Record& record = records_[name];
  record.source.kind = static_cast<std::uint8_t>(Kind::Json);
  record.value.Reset(isolate_, offered);
  const auto evaluate = [](v8::Local<v8::Context> in, v8::Local<v8::Module> self) -> v8::MaybeLocal<v8::Value> {
    v8::Isolate* isolate = v8::Isolate::GetCurrent();
    auto& graph = *static_cast<ModuleGraph*>(isolate->GetData(2));
    const auto found = graph.records_.find(graph.name_of(self));
    if (found == graph.records_.end()) return {};
    const auto object = found->second.value.Get(isolate).As<v8::Object>();
    v8::Local<v8::Array> own;
    if (!object->GetOwnPropertyNames(in).ToLocal(&own)) return {};
    for (std::uint32_t index = 0; index < own->Length(); ++index) {
      v8::Local<v8::Value> key;
      v8::Local<v8::Value> value;
      if (!own->Get(in, index).ToLocal(&key) || !object->Get(in, key).ToLocal(&value)) return {};
      if (!self->SetSyntheticModuleExport(isolate, key.As<v8::String>(), value).FromMaybe(false)) return {};
    }
    v8::Local<v8::Promise::Resolver> resolver;
    if (!v8::Promise::Resolver::New(in).ToLocal(&resolver)) return {};
    if (!resolver->Resolve(in, v8::Undefined(isolate)).FromMaybe(false)) return {};
    return resolver->GetPromise();
  };
  const auto module = v8::Module::CreateSyntheticModule(
      isolate_, to_string(isolate_, name),
      v8::MemorySpan<const v8::Local<v8::String>>(names.data(), names.size()), evaluate);
  record.module.Reset(isolate_, module);
  names_by_hash_.emplace(module->GetIdentityHash(), name);
  return handles.Escape(module);
}

}  // namespace insula::runner
