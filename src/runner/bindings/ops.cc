// SPDX-License-Identifier: Apache-2.0
//
// Ops: the table, its references for the snapshot, and the built-ins' source.
#include "src/runner/bindings/ops.h"

#include <cctype>
#include <cstring>
#include <unordered_set>

#include "src/base/error.h"

#include "src/runner/isolate/convert.h"

// The bundled built-ins, made by tools/build_builtins (ASCII only).
extern "C" const char insula_builtins_source[];
extern "C" const std::size_t insula_builtins_source_bytes;

namespace insula::runner {
namespace {

// The source is a constant of this library; V8 keeps only a pointer to the resource, so that a thousand isolates share
// one copy.
// Core, then for each part a mark and its text.
constexpr std::string_view kPartMark = "\n//part ";

std::string_view whole_source() noexcept { return {insula_builtins_source, insula_builtins_source_bytes}; }

std::string_view core_source() noexcept {
  static const std::string_view core = whole_source().substr(0, whole_source().find(kPartMark));
  return core;
}

class BuiltinsSource final : public v8::String::ExternalOneByteStringResource {
 public:
  const char* data() const override { return insula_builtins_source; }
  std::size_t length() const override { return core_source().size(); }
  void Dispose() override {}
};

BuiltinsSource the_source;

std::vector<intptr_t> make_references() {
  std::vector<intptr_t> references;
  for (const Op& op : all_ops()) references.push_back(reinterpret_cast<intptr_t>(op.callback));
  references.push_back(lazy_reference());
  references.push_back(reinterpret_cast<intptr_t>(&the_source));
  references.push_back(0);
  return references;
}

}  // namespace

std::vector<Op> all_ops() {
  std::vector<Op> ops;
  for (const auto part : {url_ops(), text_ops(), host_ops(), body_ops(), call_ops(), rpc_ops(), actor_ops(), socket_ops(), storage_ops(), sql_ops(),
                          lazy_ops()}) {
    ops.insert(ops.end(), part.begin(), part.end());
  }
  return ops;
}

const intptr_t* external_references() {
  static const std::vector<intptr_t> references = make_references();
  return references.data();
}

std::uint32_t ops_hash() {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  const auto mix = [&hash](const char* text, std::size_t size) {
    for (std::size_t index = 0; index < size; ++index) {
      hash = (hash ^ static_cast<unsigned char>(text[index])) * 16777619u;
    }
  };
  for (const Op& op : all_ops()) mix(op.name, std::strlen(op.name) + 1);
  mix(insula_builtins_source, insula_builtins_source_bytes);
  return hash;
}

std::vector<PartSource> part_sources() {
  std::vector<PartSource> sources;
  std::string_view rest = whole_source().substr(core_source().size());
  while (!rest.empty()) {
    rest.remove_prefix(kPartMark.size());
    const std::size_t line = rest.find('\n');
    const std::size_t next = rest.find(kPartMark, line);
    sources.push_back({rest.substr(0, line), rest.substr(line + 1, next == rest.npos ? next : next - line - 1)});
    rest.remove_prefix(next == rest.npos ? rest.size() : next);
  }
  return sources;
}

std::vector<Op> ops_named_in(std::string_view text) {
  const auto is_of_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::unordered_set<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && is_of_word(text[end])) ++end;
    if (end > at) words.insert(text.substr(at, end - at));
    at = end + 1;
  }
  std::vector<Op> named = all_ops();
  std::erase_if(named, [&](const Op& op) { return !words.contains(op.name); });
  return named;
}

bool add_ops(v8::Local<v8::Context> context, v8::Local<v8::Object> to, std::span<const Op> ops) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  for (const Op& op : ops) {
    const auto name = to_name(isolate, op.name);
    if (to->HasOwnProperty(context, name).FromMaybe(true)) continue;
    v8::Local<v8::Function> function;
    if (!v8::FunctionTemplate::New(isolate, op.callback, {}, {}, 0, v8::ConstructorBehavior::kThrow)
             ->GetFunction(context)
             .ToLocal(&function) ||
        !to->Set(context, name, function).FromMaybe(false)) {
      return false;
    }
  }
  return true;
}

v8::Local<v8::Object> make_ops(v8::Isolate* isolate, v8::Local<v8::Context> context) {
  const auto ops = v8::Object::New(isolate);
  INSULA_CHECK(add_ops(context, ops, ops_named_in(core_source())));
  return ops;
}

std::string_view rehearsal_source() {
  for (const PartSource& one : part_sources()) {
    if (one.name == "rehearsal") return one.text;
  }
  return {};
}

v8::Local<v8::String> builtins_source(v8::Isolate* isolate) {
  return v8::String::NewExternalOneByte(isolate, &the_source).ToLocalChecked();
}

}  // namespace insula::runner
