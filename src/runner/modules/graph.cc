// SPDX-License-Identifier: Apache-2.0
//
// ModuleGraph: ES modules, their linking and evaluation. Other kinds are in kinds.cc.
#include "src/runner/modules/graph.h"

#include <memory>

#include "src/runner/isolate/convert.h"
#include "src/runner/modules/specifier.h"
#include "src/protocol/frames.h"

namespace insula::runner {

ModuleGraph::ModuleGraph(v8::Isolate* isolate, std::vector<Module> modules, Builtins builtins, CodeCache& cache)
    : isolate_(isolate), builtins_(builtins), cache_(cache) {
  for (Module& module : modules) {
    Record& record = records_[canonical_name(module.name)];
    record.source = std::move(module);
  }
  isolate_->SetData(2, this);
  control_wasm_code();
  isolate_->SetHostImportModuleDynamicallyCallback(import_dynamically);
}

ModuleGraph::~ModuleGraph() = default;

Result<v8::Local<v8::Object>> ModuleGraph::start(const std::string& main_module) {
  v8::EscapableHandleScope handles(isolate_);
  const auto context = isolate_->GetCurrentContext();
  v8::TryCatch caught(isolate_);
  const std::string main_name = canonical_name(main_module);
  if (!records_.contains(main_name)) {
    return Error(ErrorCode::InvalidInput, "Uncaught Error: No such module: " + main_module);
  }
  is_starting_ = true;
  const auto started = std::unique_ptr<bool, void (*)(bool*)>(&is_starting_, [](bool* flag) { *flag = false; });
  v8::Local<v8::Module> main;
  v8::Local<v8::Value> promise;
  if (!module_named(main_name).ToLocal(&main) ||
      !main->InstantiateModule(context, on_resolve, on_resolve_source).FromMaybe(false)) {
    return failure(caught, 0);
  }
  // Columns of code that ran count from 1, those of code that does not compile from 0, as the contract has them.
  if (!main->Evaluate(context).ToLocal(&promise)) return failure(caught, 1);
  isolate_->PerformMicrotaskCheckpoint();
  if (isolate_->IsExecutionTerminating() || caught.HasTerminated()) {
    return Error(ErrorCode::Cancelled, "terminated");
  }
  if (main->GetStatus() == v8::Module::kErrored) {
    isolate_->ThrowException(main->GetException());
    return failure(caught, 1);
  }
  if (promise->IsPromise()) {
    const auto settled = promise.As<v8::Promise>();
    settled->MarkAsHandled();
    if (settled->State() == v8::Promise::kRejected) {
      isolate_->ThrowException(settled->Result());
      return failure(caught, 1);
    }
    if (settled->State() == v8::Promise::kPending) {
      return Error(ErrorCode::InvalidInput, "Uncaught Error: Top-level await in module is unsettled.");
    }
  }
  v8::Local<v8::Object> exports;
  if (!main->GetModuleNamespace()->ToObject(context).ToLocal(&exports)) return failure(caught, 1);
  return handles.Escape(exports);
}

void ModuleGraph::settle() {
  const v8::HandleScope handles(isolate_);
  for (auto& [name, record] : records_) {
    if (record.worth_caching && !record.module.IsEmpty()) {
      const auto module = record.module.Get(isolate_);
      if (module->GetStatus() == v8::Module::kEvaluated) {
        const std::unique_ptr<v8::ScriptCompiler::CachedData> data(
            v8::ScriptCompiler::CreateCodeCache(module->GetUnboundModuleScript()));
        if (data != nullptr) {
          cache_.put(record.key, std::string(reinterpret_cast<const char*>(data->data),
                                             static_cast<std::size_t>(data->length)));
        }
      }
      record.worth_caching = false;
    }
    if (!record.module.IsEmpty()) record.source.bytes = {};
  }
}

// "Uncaught TypeError: text" and where, as the contract shows it.
Error ModuleGraph::failure(const v8::TryCatch& caught, int first_column) {
  if (caught.HasTerminated() || !caught.HasCaught()) return Error(ErrorCode::Cancelled, "terminated");
  const v8::HandleScope handles(isolate_);
  const auto context = isolate_->GetCurrentContext();
  const auto message = caught.Message();
  const auto exception = caught.Exception();
  std::string text;
  if (!exception->IsNativeError()) {
    // Thrown values that are no errors know no place.
    v8::Local<v8::String> detail;
    text = "Uncaught Error: ";
    if (exception->ToDetailString(context).ToLocal(&detail)) text += to_utf8(isolate_, detail);
  } else if (!message.IsEmpty()) {
    text = to_utf8(isolate_, message->Get());
    const std::string resource = to_utf8(isolate_, message->GetScriptResourceName());
    const int line = message->GetLineNumber(context).FromMaybe(0);
    if (!resource.empty() && line > 0 && !resource.starts_with("insula:")) {
      text += "\n  at " + resource + ":" + std::to_string(line) + ":" +
              std::to_string(message->GetStartColumn(context).FromMaybe(0) + first_column);
    }
  }
  return Error(ErrorCode::InvalidInput, std::move(text));
}

v8::MaybeLocal<v8::Module> ModuleGraph::module_named(const std::string& name) {
  const auto found = records_.find(name);
  if (found == records_.end()) return builtin(name);
  if (!found->second.module.IsEmpty()) return found->second.module.Get(isolate_);
  return compile(name, found->second);
}

v8::MaybeLocal<v8::Module> ModuleGraph::compile_es(const std::string& name, Record& record) {
  v8::ScriptOrigin origin(to_string(isolate_, name), 0, 0, false, -1, {}, false, false, true);
  const auto source_text = to_string(isolate_, record.source.bytes);
  CodeCache::Found cached;
  if (record.source.bytes.size() >= CodeCache::kSourceBytesMin) {
    record.key = CodeCache::key_of(record.source.bytes);
    cached = cache_.find(record.key);
    record.worth_caching = cached.worth_making;
  }
  v8::MaybeLocal<v8::Module> module;
  if (cached.data != nullptr) {
    auto* data = new v8::ScriptCompiler::CachedData(  // the Source below owns it
        reinterpret_cast<const std::uint8_t*>(cached.data->data()), static_cast<int>(cached.data->size()),
        v8::ScriptCompiler::CachedData::BufferNotOwned);
    v8::ScriptCompiler::Source source(source_text, origin, data);
    module = v8::ScriptCompiler::CompileModule(isolate_, &source, v8::ScriptCompiler::kConsumeCodeCache);
    if (data->rejected) cache_.forget(record.key);
  } else {
    v8::ScriptCompiler::Source source(source_text, origin);
    module = v8::ScriptCompiler::CompileModule(isolate_, &source);
  }
  return module;
}

std::string ModuleGraph::name_of(v8::Local<v8::Module> module) const {
  const auto [begin, end] = names_by_hash_.equal_range(module->GetIdentityHash());
  for (auto it = begin; it != end; ++it) {
    const auto record = records_.find(it->second);
    if (record != records_.end() && record->second.module == module) return it->second;
  }
  return {};
}

std::optional<std::string> ModuleGraph::resolve(const std::string& specifier, const std::string& importer) {
  auto name = resolve_specifier(specifier, importer);
  if (!name.has_value()) {
    isolate_->ThrowException(v8::Exception::TypeError(to_string(
        isolate_, "Invalid module specifier \"" + specifier + "\".\n  imported from \"" + importer + "\".")));
  }
  return name;
}

void ModuleGraph::throw_no_such_module(std::string_view specifier, std::string_view importer, bool dynamic) {
  std::string text = "No such module \"" + std::string(specifier) + "\".";
  if (!dynamic) text += "\n  imported from \"" + std::string(importer) + "\"";
  isolate_->ThrowException(v8::Exception::Error(to_string(isolate_, text)));
}

v8::MaybeLocal<v8::Module> ModuleGraph::on_resolve(v8::Local<v8::Context> context, v8::Local<v8::String> specifier,
                                                   v8::Local<v8::FixedArray>, v8::Local<v8::Module> referrer) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  auto& graph = *static_cast<ModuleGraph*>(isolate->GetData(2));
  (void)context;
  const std::string importer = graph.name_of(referrer);
  const auto name = graph.resolve(to_utf8(isolate, specifier), importer);
  if (!name.has_value()) return {};
  v8::Local<v8::Module> module;
  if (graph.module_named(*name).ToLocal(&module)) return module;
  // The contract names what was looked for, resolved against the importer.
  if (!isolate->HasPendingException()) graph.throw_no_such_module(*name, importer, false);
  return {};
}

v8::MaybeLocal<v8::Object> ModuleGraph::on_resolve_source(v8::Local<v8::Context>, v8::Local<v8::String> specifier,
                                                          v8::Local<v8::FixedArray>,
                                                          v8::Local<v8::Module> referrer) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  auto& graph = *static_cast<ModuleGraph*>(isolate->GetData(2));
  const std::string importer = graph.name_of(referrer);
  const auto name = graph.resolve(to_utf8(isolate, specifier), importer);
  if (!name.has_value()) return {};
  const auto found = graph.records_.find(*name);
  if (found == graph.records_.end()) {
    graph.throw_no_such_module(*name, importer, false);
    return {};
  }
  v8::Local<v8::Value> value;
  if (!graph.value_of(*name, found->second).ToLocal(&value)) return {};
  if (!value->IsWasmModuleObject()) {
    isolate->ThrowException(v8::Exception::SyntaxError(
        to_string(isolate, "Source phase import is not available for module \"" + *name + "\".")));
    return {};
  }
  return value.As<v8::Object>();
}

v8::MaybeLocal<v8::Promise> ModuleGraph::import_dynamically(v8::Local<v8::Context> context, v8::Local<v8::Data>,
                                                            v8::Local<v8::Value> resource_name,
                                                            v8::Local<v8::String> specifier,
                                                            v8::Local<v8::FixedArray>) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  v8::EscapableHandleScope handles(isolate);
  auto& graph = *static_cast<ModuleGraph*>(isolate->GetData(2));
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
  v8::TryCatch caught(isolate);
  const auto name = graph.resolve(to_utf8(isolate, specifier), to_utf8(isolate, resource_name));
  v8::Local<v8::Module> module;
  v8::Local<v8::Value> evaluated;
  if (!name.has_value() || !graph.module_named(*name).ToLocal(&module)) {
    if (!caught.HasCaught()) graph.throw_no_such_module(*name, {}, true);
  } else if (module->InstantiateModule(context, on_resolve, on_resolve_source).FromMaybe(false) &&
             module->Evaluate(context).ToLocal(&evaluated)) {
    // The namespace, once the evaluation has settled.
    const auto give = [](const v8::FunctionCallbackInfo<v8::Value>& info) { info.GetReturnValue().Set(info.Data()); };
    v8::Local<v8::Function> then;
    v8::Local<v8::Promise> chained;
    if (v8::Function::New(context, give, module->GetModuleNamespace()).ToLocal(&then) &&
        evaluated.As<v8::Promise>()->Then(context, then).ToLocal(&chained)) {
      return handles.Escape(chained);
    }
  }
  if (caught.HasTerminated()) {
    caught.ReThrow();
    return {};
  }
  const auto reason = caught.HasCaught() ? caught.Exception() : v8::Undefined(isolate).As<v8::Value>();
  caught.Reset();
  if (!resolver->Reject(context, reason).FromMaybe(false)) return {};
  return handles.Escape(resolver->GetPromise());
}

}  // namespace insula::runner
