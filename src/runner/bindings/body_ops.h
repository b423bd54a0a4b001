// SPDX-License-Identifier: Apache-2.0
//
// Bodies as arguments of other native calls.
#pragma once

#include <cstdint>
#include <string_view>

#include <v8.h>

#include "src/runner/bindings/context.h"

namespace insula::runner {

// How built-ins hand over a body: a kind and a value.
enum class BodyKind : std::uint32_t { None = 0, Text = 1, Bytes = 2, Native = 3, Writer = 4 };

// Takes the body out of the isolate. A native body of another invocation leaves an exception pending.
HostBody take_body(WorkerContext& context, std::uint32_t kind, v8::Local<v8::Value> value);

// True, with the contract's error pending, while the top level of modules runs.
bool refuse_in_startup(WorkerContext& context);

// The contract's error for I/O objects of another request (spec/rpc.md section 7).
void throw_cross_request(WorkerContext& context, std::string_view type);

}  // namespace insula::runner
