// SPDX-License-Identifier: Apache-2.0
//
// Values with what rides beside them: from V8 to a Payload and back.
#pragma once

#include <cstdint>
#include <vector>

#include <v8.h>

#include "src/runner/bindings/context.h"
#include "src/runner/isolate/serialize.h"

namespace insula::runner {

// What the payload_* ops add to while built-ins reduce an object.
struct PayloadWriter {
  Payload& payload;
  CloneMode mode = CloneMode::Rpc;
  std::uint32_t invocation = 0;  // on whose behalf
  bool holds = false;            // its objects keep the invocation: a result, or for somebody above
  std::uint32_t references = 0;  // on the wire, with those in props
  std::vector<std::uint32_t> exports;
};

// What they take from while built-ins revive one.
struct PayloadReader {
  Payload& payload;
  std::uint32_t invocation = 0;  // to whom it belongs
  bool is_of_caller = false;     // the arguments of the call that began it
};

// False with an exception pending; nothing of it is given away then.
bool write_payload(WorkerContext& context, v8::Local<v8::Value> value, PayloadWriter& writer);
// A value that was written is not sent after all.
void take_back(WorkerContext& context, PayloadWriter& writer);

// Empty with an exception pending. What nobody took is let go.
v8::MaybeLocal<v8::Value> read_payload(WorkerContext& context, Payload& payload, std::uint32_t invocation,
                                       bool is_of_caller = false);

// Env or props: bytes, or the number of a packed value. False with an exception pending.
bool take_packed(WorkerContext& context, v8::Local<v8::Value> value, Payload& out);

}  // namespace insula::runner
