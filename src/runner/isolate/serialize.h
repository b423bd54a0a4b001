// SPDX-License-Identifier: Apache-2.0
//
// Values to bytes and back (V8's structured clone format), and within one isolate.
//
// Every failure leaves an exception pending: a DataCloneError made by the runtime's own factory.
#pragma once

#include <v8.h>

#include "src/base/bytes.h"

namespace insula::runner {

bool serialize_value(v8::Isolate* isolate, v8::Local<v8::Value> value, Bytes& out);
v8::MaybeLocal<v8::Value> deserialize_value(v8::Isolate* isolate, BytesView bytes);
// transfer: array of ArrayBuffers that move instead of being copied, or undefined.
v8::MaybeLocal<v8::Value> clone_value(v8::Isolate* isolate, v8::Local<v8::Value> value,
                                      v8::Local<v8::Value> transfer);

}  // namespace insula::runner
