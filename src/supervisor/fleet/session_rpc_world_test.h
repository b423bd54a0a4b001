// SPDX-License-Identifier: Apache-2.0
//
// What the tests of references and kept results say, as the runner and as the supervisor.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "src/supervisor/fleet/session_world_test.h"
#include "tests/support/references.h"

namespace insula::fleet {

using protocol::CapabilityRef;
using protocol::Payload;
using testing::entrypoint;
using testing::receiver_hosted;
using testing::sender_hosted;

// ---- Frames of the runner

inline protocol::Invoke rpc_of_runner(SessionTest& test, QuestionId question, QuestionId parent,
                               std::vector<CapabilityRef> references = {}) {
  protocol::Invoke invoke;
  invoke.question = question;
  invoke.parent = parent;
  invoke.target.kind = protocol::Target::Kind::Capability;
  invoke.target.number = test.capability;
  protocol::RpcCall call;
  call.path = {"method"};
  call.arguments.bytes = "args";
  call.arguments.capabilities = std::move(references);
  invoke.call = std::move(call);
  return invoke;
}

inline protocol::Return value_of_runner(QuestionId question, std::vector<CapabilityRef> references = {}) {
  protocol::Return result;
  result.question = question;
  protocol::RpcValue value;
  value.payload.bytes = "value";
  value.payload.capabilities = std::move(references);
  result.outcome = std::move(value);
  return result;
}

inline protocol::Return error_of_runner(QuestionId question, bool undelivered = false) {
  protocol::Return result;
  result.question = question;
  protocol::ErrorInfo error;
  error.name = "Error";
  error.message = "no";
  error.remote = true;
  error.undelivered = undelivered;
  result.outcome = error;
  return result;
}

// ---- Calls of the supervisor

inline QuestionId ask_rpc(SessionTest& test, const Carried& arguments = {}, std::vector<Body> streams = {}) {
  protocol::Invoke invoke;
  invoke.target.number = test.worker;
  protocol::RpcCall call;
  call.path = {"method"};
  call.arguments.streams = std::move(streams);
  invoke.call = std::move(call);
  const QuestionId question = test.session->ask(invoke, nullptr, test.outcome, arguments);
  test.settle();
  return question;
}

// With an outcome that nobody looks at.
inline QuestionId ask_aside(SessionTest& test) {
  const auto other = std::exchange(test.outcome, std::make_shared<Outcome>());
  const QuestionId question = ask_rpc(test);
  test.outcome = other;
  return question;
}

inline const protocol::Invoke* next_invoke(SessionTest& test) { return test.runner().next_of<protocol::Invoke>(); }
inline const protocol::Payload& arguments_of(const protocol::Invoke& invoke) {
  return std::get<protocol::RpcCall>(invoke.call).arguments;
}

}  // namespace insula::fleet
