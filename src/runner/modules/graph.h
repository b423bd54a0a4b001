// SPDX-License-Identifier: Apache-2.0
//
// ModuleGraph: the modules of one Worker inside its isolate: compiled on demand, linked, evaluated once.
//
// Kinds and texts: spec/loader.md sections 3 and 7. The failure of a load is told by text ("Uncaught SyntaxError: ...
// at m.js:1:16"), never by an exception that leaves this room.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <v8.h>

#include "src/base/error.h"
#include "src/runner/isolate/events.h"
#include "src/runner/modules/code_cache.h"

namespace insula::runner {

class ModuleGraph {
 public:
  // What the runtime offers under names such as "cloudflare:workers": an object whose own keys become the exports.
  using Builtins = v8::MaybeLocal<v8::Object> (*)(v8::Isolate* isolate, std::string_view name);

  ModuleGraph(v8::Isolate* isolate, std::vector<Module> modules, Builtins builtins, CodeCache& cache);
  ~ModuleGraph();
  ModuleGraph(const ModuleGraph&) = delete;
  ModuleGraph& operator=(const ModuleGraph&) = delete;

  // Compiles, links and evaluates. The isolate's microtasks are run. The value is the main module's namespace.
  // Errors: InvalidInput with the text that follows "Failed to start Worker:\n"; Cancelled when execution was
  // terminated.
  Result<v8::Local<v8::Object>> start(const std::string& main_module);

  // After a start: makes what the code cache lacked, and drops sources that are not needed any more.
  void settle();

  // import() of a name that is in the Worker. The graph is found through isolate data slot 2.
  static v8::MaybeLocal<v8::Promise> import_dynamically(v8::Local<v8::Context> context,
                                                        v8::Local<v8::Data> host_defined_options,
                                                        v8::Local<v8::Value> resource_name,
                                                        v8::Local<v8::String> specifier,
                                                        v8::Local<v8::FixedArray> import_attributes);

 private:
  struct Record {
    Module source;
    v8::Global<v8::Module> module;
    v8::Global<v8::Value> value;  // default export of everything that is not an ES module
    CodeCache::Key key{};
    bool worth_caching = false;
    bool cjs_started = false;
  };

  static v8::MaybeLocal<v8::Module> on_resolve(v8::Local<v8::Context> context, v8::Local<v8::String> specifier,
                                               v8::Local<v8::FixedArray> attributes,
                                               v8::Local<v8::Module> referrer);
  static v8::MaybeLocal<v8::Object> on_resolve_source(v8::Local<v8::Context> context,
                                                      v8::Local<v8::String> specifier,
                                                      v8::Local<v8::FixedArray> attributes,
                                                      v8::Local<v8::Module> referrer);
  static v8::MaybeLocal<v8::Value> evaluate_synthetic(v8::Local<v8::Context> context, v8::Local<v8::Module> module);
  static void require(const v8::FunctionCallbackInfo<v8::Value>& info);

  v8::MaybeLocal<v8::Module> module_named(const std::string& name);
  v8::MaybeLocal<v8::Module> compile(const std::string& name, Record& record);
  v8::MaybeLocal<v8::Module> compile_es(const std::string& name, Record& record);
  v8::MaybeLocal<v8::Value> value_of(const std::string& name, Record& record);
  v8::MaybeLocal<v8::Value> run_common_js(const std::string& name, Record& record);
  v8::MaybeLocal<v8::Module> builtin(const std::string& name);
  void control_wasm_code();
  static bool may_make_wasm_code(v8::Local<v8::Context> context, v8::Local<v8::String> source);
  // Nothing, with a TypeError pending, when the specifier leads out of the Worker.
  std::optional<std::string> resolve(const std::string& specifier, const std::string& importer);
  std::string name_of(v8::Local<v8::Module> module) const;
  void throw_no_such_module(std::string_view specifier, std::string_view importer, bool dynamic);
  Error failure(const v8::TryCatch& caught, int first_column);

  v8::Isolate* isolate_;
  Builtins builtins_;
  CodeCache& cache_;
  bool is_starting_ = false;
  std::unordered_map<std::string, Record> records_;
  std::unordered_multimap<int, std::string> names_by_hash_;  // module identity hash -> name
};

}  // namespace insula::runner
