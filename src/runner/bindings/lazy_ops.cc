// SPDX-License-Identifier: Apache-2.0
//
// What of the built-ins comes to life only when somebody asks for it: parts, and the globals that they bring.
//
// Lazy globals are data properties whose value is made when it is first read. To the Worker's code they look like any
// other, also to Object.getOwnPropertyDescriptor. The getter finds the built-ins through the isolate: data of an accessor
// belongs to the isolate's half of a snapshot, and a function there would bring a second copy of its whole context
// with it (220 KiB in every isolate).
//
// The code of a part is compiled once per process; other isolates take it from a cache.
#include <array>
#include <list>
#include <mutex>
#include <string>
#include <string_view>

#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;
using CachedData = v8::ScriptCompiler::CachedData;

class Part final : public v8::String::ExternalOneByteStringResource {
 public:
  Part(std::string_view name, std::string_view source) : name_(name), source_(source), ops_(ops_named_in(source)) {}
  std::string_view name() const noexcept { return name_; }
  std::span<const Op> ops() const noexcept { return ops_; }
  const char* data() const override { return source_.data(); }
  std::size_t length() const override { return source_.size(); }
  void Dispose() override {}

  // Null before set_code().
  std::shared_ptr<const CachedData> code() {
    const std::lock_guard lock(mutex_);
    return code_;
  }
  void set_code(std::unique_ptr<CachedData> code) {
    const std::lock_guard lock(mutex_);
    code_ = std::move(code);
  }

 private:
  const std::string_view name_;
  const std::string_view source_;
  const std::vector<Op> ops_;
  std::mutex mutex_;  // guards code_
  std::shared_ptr<const CachedData> code_;
};

Part* part_named(std::string_view name) {
  // For ever: isolates point to the sources.
  static auto* const parts = [] {
    auto* list = new std::list<Part>;
    for (const PartSource& one : part_sources()) list->emplace_back(one.name, one.text);
    return list;
  }();
  for (Part& part : *parts) {
    if (part.name() == name) return &part;
  }
  return nullptr;
}

// part(name, ops, parts, handed): the part's function, called with these; `ops` has all that it calls by then.
void part(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  const auto context = isolate->GetCurrentContext();
  Part* const wanted = part_named(to_utf8(isolate, info[0]));
  v8::Local<v8::String> text;
  if (wanted == nullptr || !v8::String::NewExternalOneByte(isolate, wanted).ToLocal(&text)) return;
  if (!info[1]->IsObject() || !add_ops(context, info[1].As<v8::Object>(), wanted->ops())) return;
  const auto cached = wanted->code();
  auto* const consumed =  // the source owns it
      cached == nullptr ? nullptr
                        : new CachedData(cached->data, cached->length, CachedData::BufferNotOwned);
  v8::ScriptCompiler::Source source(text, v8::ScriptOrigin(to_string(isolate, "insula:builtins")), consumed);
  v8::Local<v8::Script> script;
  v8::Local<v8::Value> function;
  v8::Local<v8::Value> made;
  v8::Local<v8::Value> arguments[4] = {info[1], info[2], info[3], info[4]};
  const auto option =
      consumed == nullptr ? v8::ScriptCompiler::kNoCompileOptions : v8::ScriptCompiler::kConsumeCodeCache;
  if (!v8::ScriptCompiler::Compile(context, &source, option).ToLocal(&script) ||
      !script->Run(context).ToLocal(&function) || !function->IsFunction() ||
      !function.As<v8::Function>()->Call(context, v8::Undefined(isolate), 4, arguments).ToLocal(&made)) {
    return;
  }
  if (consumed == nullptr || consumed->rejected) {
    wanted->set_code(std::unique_ptr<CachedData>(v8::ScriptCompiler::CreateCodeCache(script->GetUnboundScript())));
  }
  info.GetReturnValue().Set(made);
}

void make_value(v8::Local<v8::Name> name, const v8::PropertyCallbackInfo<v8::Value>& info) {
  v8::Isolate* isolate = info.GetIsolate();
  v8::Local<v8::Value> arguments[1] = {name};
  v8::Local<v8::Value> value;
  if (WorkerContext::of(isolate)
          .runtime_function("lazyGlobal")
          ->Call(isolate->GetCurrentContext(), v8::Undefined(isolate), 1, arguments)
          .ToLocal(&value)) {
    info.GetReturnValue().Set(value);
  }
}

// lazy_global(target, name, enumerable)
void lazy_global(const Info& info) {
  if (!info[0]->IsObject() || !info[1]->IsString()) return;
  const auto context = info.GetIsolate()->GetCurrentContext();
  info[0].As<v8::Object>()
      ->SetLazyDataProperty(context, info[1].As<v8::String>(), make_value, {},
                            info[2]->IsTrue() ? v8::None : v8::DontEnum)
      .FromMaybe(false);
}

constexpr std::array<Op, 2> kOps = {{
    {"part", part},
    {"lazy_global", lazy_global},
}};

}  // namespace

std::span<const Op> lazy_ops() { return kOps; }

intptr_t lazy_reference() { return reinterpret_cast<intptr_t>(make_value); }

}  // namespace insula::runner
