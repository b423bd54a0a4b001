// SPDX-License-Identifier: Apache-2.0
//
// Values to bytes and back (V8's structured clone format), and within one isolate.
//
// What V8 has no format for goes through the built-ins' reduce(object, mode) and revive(tag, data). Every failure leaves
// an exception pending: a DataCloneError made by the runtime's own factory, or what reduce() threw.
#pragma once

#include <cstdint>

#include <v8.h>

#include "src/base/bytes.h"

namespace insula::runner {

// Kept: plain data only. Rpc: arguments and results, at most kRpcBytesMax. Env: env and props. Stored: plain data and errors,
// and instances of the Worker's own classes as plain objects.
enum class CloneMode : std::uint8_t { Kept = 0, Rpc = 1, Env = 2, Stored = 3 };

bool serialize_value(v8::Isolate* isolate, v8::Local<v8::Value> value, CloneMode mode, Bytes& out);
// Any bytes may come, also a liar's: what they cannot mean is an exception.
v8::MaybeLocal<v8::Value> deserialize_value(v8::Isolate* isolate, BytesView bytes);
void throw_data_clone_error(v8::Isolate* isolate, v8::Local<v8::String> message);
// transfer: array of ArrayBuffers that move instead of being copied, or undefined.
v8::MaybeLocal<v8::Value> clone_value(v8::Isolate* isolate, v8::Local<v8::Value> value,
                                      v8::Local<v8::Value> transfer);

}  // namespace insula::runner
