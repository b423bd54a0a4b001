// SPDX-License-Identifier: Apache-2.0
//
// What the native calls on an actor's storage share: text in SQLite's form, and failures as exceptions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <v8.h>

#include "src/base/error.h"
#include "src/runner/bindings/arguments.h"

namespace insula::runner {

namespace actors {
class SqlMonitor;
}

// Appends the text as UTF-8. Lone surrogates are kept as three bytes each, so that two texts that differ stay different.
void append_text(v8::Isolate* isolate, v8::Local<v8::Value> text, std::string& out);
std::string storage_text_at(const Info& info, int index);

// Throws an Error with the message, which is the contract's text.
void throw_storage_error(v8::Isolate* isolate, const Error& error);

// Ends SQL of the isolate that runs on the asking thread when that is terminated: the CPU limit. For all storages.
actors::SqlMonitor& sql_monitor() noexcept;

// Where a call leaves numbers: a Uint32Array of the built-ins with at least `count` elements. Null if it is none.
std::uint32_t* counters_at(const Info& info, int index, std::size_t count);

}  // namespace insula::runner
