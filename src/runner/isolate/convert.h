// SPDX-License-Identifier: Apache-2.0
//
// Strings and bytes between C++ and V8. All calls need the isolate entered and a HandleScope.
#pragma once

#include <string>
#include <string_view>

#include <v8.h>

#include "src/base/bytes.h"

namespace insula::runner {

// UTF-8 in, string out; plain ASCII takes the short way.
v8::Local<v8::String> to_string(v8::Isolate* isolate, std::string_view utf8);
// A name that many isolates share and that is looked up often.
v8::Local<v8::String> to_name(v8::Isolate* isolate, std::string_view ascii);
// Each byte is one code unit: header blocks.
v8::Local<v8::String> to_byte_string(v8::Isolate* isolate, BytesView bytes);

// UTF-8 of a string; lone surrogates become U+FFFD.
std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value);
// Low byte of each code unit: header blocks, which have none above 0xff.
Bytes to_bytes(v8::Isolate* isolate, v8::Local<v8::String> byte_string);

// A view of a Uint8Array, DataView or ArrayBuffer, valid while the buffer is neither detached nor resized.
BytesView view_of(v8::Local<v8::Value> value);
// A fresh Uint8Array with these bytes. Empty when the memory limit refuses it: an exception is pending then.
v8::MaybeLocal<v8::Uint8Array> to_uint8_array(v8::Isolate* isolate, BytesView bytes);

}  // namespace insula::runner
