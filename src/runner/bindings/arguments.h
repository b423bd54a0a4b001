// SPDX-License-Identifier: Apache-2.0
//
// Arguments of native calls, as C++ wants them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <v8.h>

#include "src/runner/bindings/context.h"

namespace insula::runner {

using Info = v8::FunctionCallbackInfo<v8::Value>;

std::uint32_t number_at(const Info& info, int index);
std::string text_at(const Info& info, int index);
Bytes byte_text_at(const Info& info, int index);
// The error in the second to seventh arguments: fault, name, message, stack, remote, properties.
CallError error_of(const Info& info);
std::vector<std::string> texts_of(v8::Isolate* isolate, v8::Local<v8::Value> list);

// The target that call_fetch, rpc_call and preload name by their first nine arguments. False with an exception pending.
bool target_of(const Info& info, CallTarget& target);
CallContext context_of(WorkerContext& context, const Invocation& invocation);
// A stream's declared length, when the caller knows it better than the stream.
void promise_length(HostBody& body, v8::Local<v8::Value> length);

// The invocation that may make a call now. Null with an exception pending.
Invocation* calling_invocation(WorkerContext& context, std::string_view type);

}  // namespace insula::runner
