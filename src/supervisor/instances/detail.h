// SPDX-License-Identifier: Apache-2.0
//
// Detail: the JSON words of engine calls on workflows and runs, and how they are answered. Who sends them is the
// built-ins of a Worker's isolate, which its own code may have taken over: nothing in them is trusted to be well-formed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/durable/words.h"
#include "src/supervisor/fleet/calls.h"

namespace insula::instances {

namespace json = boost::json;

// One engine call, without what it borrows from its frame.
struct Asked {
  std::string operation;
  json::object detail;
  Bytes payload;
  fleet::Answer answer;
};
// Errors: InvalidInput (the detail is no object).
Result<Asked> read_call(const fleet::IncomingCall& call);

// A field of another type is as good as none.
std::string text_of(const json::object& detail, std::string_view field);
double number_of(const json::object& detail, std::string_view field, double otherwise = 0);
std::uint64_t count_of(const json::object& detail, std::string_view field);  // 0: none, or not a whole number
bool flag_of(const json::object& detail, std::string_view field);
const json::object* object_of(const json::object& detail, std::string_view field);

durable::RawDuration duration_of(const json::object& detail, std::string_view field);
durable::RawConfig config_of(const json::object* config, std::string problem);
json::object to_json(const durable::StepConfig& config);
json::object to_json(const durable::Failure& failure);  // {name, message}

void answer(const fleet::Answer& to, const json::object& detail, std::vector<BytesView> payloads = {});
// A refusal that the caller's code may catch: {"error": {name, message}}.
void answer_refusal(const fleet::Answer& to, const Error& error);
json::object refusal_of(const Error& error);
// There is nobody to answer such a call: not for the caller's code.
void answer_lost(const fleet::Answer& to, std::string_view message);

}  // namespace insula::instances
