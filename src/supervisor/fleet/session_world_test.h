// SPDX-License-Identifier: Apache-2.0
//
// SessionTest: a session whose other end is a FakeRunner, with one Worker and one capability in its tables.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "src/supervisor/fleet/session.h"
#include "tests/support/byte_ends.h"
#include "tests/support/fake_runner.h"

namespace insula::fleet {

using protocol::Body;
using protocol::QuestionId;
using testing::Collector;
using testing::FedSource;

struct Outcome final : ReplySink {
  void on_return(const protocol::Return& outcome, io::ByteSourcePtr stream, Carried with) override {
    ++returns;
    if (const auto* fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome)) status = fetch->status;
    if (const auto* value = std::get_if<protocol::RpcValue>(&outcome.outcome)) bytes = Bytes(value->payload.bytes);
    if (const auto* error = std::get_if<protocol::ErrorInfo>(&outcome.outcome)) error_code = std::string(error->fault);
    body = std::move(stream);
    carried = std::move(with);
  }
  void on_undelivered(const protocol::ErrorInfo&, io::ByteSourcePtr stream,
                      std::vector<io::ByteSourcePtr> argument_streams) override {
    ++undelivered;
    body = std::move(stream);
    streams = std::move(argument_streams);
  }
  void on_lost(const Loss& loss) override {
    ++lost;
    fault = loss.fault;
  }
  void on_finished() override { ++finished; }
  int returns = 0;
  int undelivered = 0;
  int lost = 0;
  int finished = 0;
  int status = 0;
  Fault fault = Fault::None;
  std::string error_code;
  Bytes bytes;
  io::ByteSourcePtr body;
  std::vector<io::ByteSourcePtr> streams;
  Carried carried;
};

struct Owner final : WorkerOwner {
  std::string_view worker_name() const override { return "w"; }
  std::string_view dynamic_id() const override { return id; }
  const std::string& tenant_key() const override { return key; }
  void on_worker_gone(Session&, protocol::WorkerId, std::string_view why) override { reason = std::string(why); }
  std::string key = "tenant";
  std::string id = "d";  // empty: a static Worker
  std::string reason;
};

// Keeps calls open until the test answers them.
struct Holder final : Capability {
  void invoke(IncomingCall& call) override {
    questions.push_back(call.answer.question);
    bodies.push_back(call.body);
    depths.push_back(call.depth);
    arguments.push_back(std::move(call.arguments));
  }
  std::vector<QuestionId> questions;
  std::vector<io::ByteSourcePtr> bodies;
  std::vector<std::uint32_t> depths;
  std::vector<Carried> arguments;
};

class SessionTest : public ::testing::Test, public SessionEvents, public SessionHandler {
 public:
  SessionTest() {
    auto started = starter.start();
    session = std::make_shared<Session>(io, std::move(started->socket), *this, *this);
    session->start();
    worker = session->add_worker(owner);
    capability = session->mint(worker, holder);
  }
  ~SessionTest() override {
    session->close({});
    if (holder != nullptr) holder->arguments.clear();  // which may hold the holder itself
  }

  testing::FakeRunner& runner() { return starter.runner(0); }
  void settle() {
    do {
      io.restart();
      while (io.poll() > 0) io.restart();
    } while (runner().flush());
  }
  void say(const protocol::Frame& frame) {
    runner().send(frame);
    settle();
  }
  void greet() {
    runner().hello();
    settle();
  }
  QuestionId ask(io::ByteSourcePtr body = nullptr) {
    protocol::Invoke invoke;
    invoke.target.number = worker;
    invoke.call = protocol::FetchRequest{"GET", "http://a/", {}, {}, {}};
    const QuestionId question = session->ask(invoke, body, outcome);
    settle();
    return question;
  }
  protocol::Return answer_with(QuestionId question, Body body = {}) {
    protocol::Return result;
    result.question = question;
    protocol::FetchResponse response;
    response.body = body;
    result.outcome = response;
    return result;
  }
  protocol::Invoke call_of_runner(QuestionId question, QuestionId parent, Body body = {}) {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.parent = parent;
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = capability;
    protocol::FetchRequest fetch{"POST", "http://b/", {}, {}, {}};
    fetch.body = body;
    invoke.call = fetch;
    return invoke;
  }

  // SessionEvents
  void on_hello(Session&, const protocol::Hello&) override { ++hellos; }
  void on_pong(Session&, std::uint32_t) override {}
  void on_usage(Session&, const protocol::Usage&) override {}
  void on_session_end(Session& ended, const Error& error) override {
    end_code = error.code();
    end_text = error.message();
    ++ends;
    ended.close({{Fault::Protocol, true}, 0, Fault::RunnerLost});
  }
  // SessionHandler
  void on_dynamic_invoke(IncomingCall& call, const std::shared_ptr<Capability>&) override {
    session->answer_error(call.answer.question, error_of(Fault::Internal));
  }
  std::shared_ptr<Capability> make_entrypoint(WorkerOwner& of, std::string_view name, BytesView, Carried) override {
    if (&of != owner.get() || is_owner_dynamic) return nullptr;
    entrypoints.emplace_back(name);
    return holder;
  }
  void on_preload(Session&, const protocol::Dynamic&, const std::shared_ptr<Capability>&) override {}
  void on_log(Session&, const std::shared_ptr<WorkerOwner>&, const protocol::LogLine&) override { ++lines; }

  boost::asio::io_context io{1};
  testing::FakeStarter starter;
  std::shared_ptr<Owner> owner = std::make_shared<Owner>();
  std::shared_ptr<Holder> holder = std::make_shared<Holder>();
  std::shared_ptr<Outcome> outcome = std::make_shared<Outcome>();
  std::shared_ptr<Session> session;
  protocol::WorkerId worker = 0;
  protocol::CapabilityId capability = 0;
  int hellos = 0;
  int ends = 0;
  int lines = 0;
  ErrorCode end_code = ErrorCode::Internal;
  std::string end_text;
  std::vector<std::string> entrypoints;  // that were given away
  bool is_owner_dynamic = false;
};

// What a hostile runner does; the session must end at once, and its callers hear of it.
struct Attack {
  const char* name;
  std::function<void(SessionTest&)> perform;
};

class HostileRunner : public SessionTest, public ::testing::WithParamInterface<Attack> {
 public:
  void expect_cut_off() {
    if (std::string_view(GetParam().name) != "FrameBeforeHello") greet();
    ask();
    GetParam().perform(*this);
    settle();
    EXPECT_EQ(ends, 1) << GetParam().name;
    EXPECT_TRUE(end_code == ErrorCode::Corrupt) << end_text;
    EXPECT_EQ(outcome->lost, 1) << GetParam().name;
    EXPECT_EQ(outcome->fault, Fault::Protocol);
    EXPECT_TRUE(runner().is_cut());
  }
};

}  // namespace insula::fleet
