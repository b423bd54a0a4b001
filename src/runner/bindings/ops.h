// SPDX-License-Identifier: Apache-2.0
//
// The table of native calls: the C++ half of src/builtins/internal/ops.d.ts.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <v8.h>

namespace insula::runner {

struct Op {
  const char* name;
  v8::FunctionCallback callback;
};

std::span<const Op> url_ops();
std::span<const Op> text_ops();
std::span<const Op> host_ops();   // time, timers, random, console, invocation, values
std::span<const Op> body_ops();   // bodies and streams
std::span<const Op> call_ops();   // calls out, answers, code of dynamic Workers
std::span<const Op> rpc_ops();    // RPC calls, capabilities, packed values
std::span<const Op> actor_ops();
std::span<const Op> socket_ops();    // actors and engines
std::span<const Op> storage_ops();  // ctx.storage: keys and values, transactions, the alarm
std::span<const Op> sql_ops();      // ctx.storage.sql
std::span<const Op> lazy_ops();   // parts of the built-ins, and globals that are made when they are read

// The getter of lazy properties, which the snapshot names.
intptr_t lazy_reference();

// Every op, in a fixed order.
std::vector<Op> all_ops();
// For V8: addresses that the snapshot names, null-terminated; the same array in builder and runner.
const intptr_t* external_references();
// Changes when an op is added, removed or renamed: ties a snapshot to its build.
std::uint32_t ops_hash();

// The ops that a text of the built-ins names: the core's are in the snapshot, those that only a part uses come to life with
// the part.
std::vector<Op> ops_named_in(std::string_view text);
// False: an exception is pending.
bool add_ops(v8::Local<v8::Context> context, v8::Local<v8::Object> to, std::span<const Op> ops);
// Makes the core's `ops` object in a context that will be snapshotted.
v8::Local<v8::Object> make_ops(v8::Isolate* isolate, v8::Local<v8::Context> context);

// The source of the built-ins' core as a string outside the heap, shared by all isolates.
v8::Local<v8::String> builtins_source(v8::Isolate* isolate);

// The sources of their parts (tools/bundle_builtins.mjs). The texts live for ever.
struct PartSource {
  std::string_view name;
  std::string_view text;
};
std::vector<PartSource> part_sources();
// A function of the built-ins' runtime that has it answer a request.
std::string_view rehearsal_source();

}  // namespace insula::runner
