// SPDX-License-Identifier: Apache-2.0
//
// World: a whole supervisor below HTTP, with fake runners, a clock that moves by hand and a scripted outside.
#pragma once

#include <fcntl.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/supervisor/broker/broker.h"
#include "src/supervisor/broker/loader.h"
#include "src/supervisor/broker/static_workers.h"
#include "src/supervisor/egress/egress.h"
#include "src/supervisor/fleet/fleet.h"
#include "tests/support/fake_runner.h"
#include "tests/support/flow_store.h"
#include "tests/support/memory_store.h"

namespace insula::testing {

class FakeOutbound final : public egress::Outbound {
 public:
  std::unique_ptr<Handle> fetch(egress::OutboundRequest request, egress::FetchCallback callback) override {
    requests.push_back(std::move(request));
    callbacks.push_back(std::move(callback));
    return std::make_unique<Handle>();
  }
  std::vector<egress::OutboundRequest> requests;
  std::vector<egress::FetchCallback> callbacks;
};

// An event from outside: GET or POST on the dispatcher.
class TestEvent final : public fleet::RoutedCall {
 public:
  explicit TestEvent(std::string verb, io::ByteSourcePtr source = nullptr) : method(std::move(verb)) {
    has_stream = source != nullptr;
    request_body_ = std::move(source);
  }
  std::string method;
  bool has_stream = false;
  int outcomes = 0;
  int status = 0;
  Bytes inline_body;
  io::ByteSourcePtr body;
  std::string fault;
  std::string message;

 private:
  protocol::Invoke* invoke() override {
    protocol::FetchRequest fetch;
    fetch.method = method;
    fetch.url = "http://host/";
    frame_ = {};
    frame_.call = fetch;
    return &frame_;
  }
  bool may_replay() const override { return !has_stream && fleet::is_idempotent(method); }
  void on_outcome(const protocol::Return& outcome, io::ByteSourcePtr stream, fleet::Carried) override {
    ++outcomes;
    if (const auto* fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome)) {
      status = fetch->status;
      inline_body = Bytes(fetch->body.bytes);
      body = std::move(stream);
    } else if (const auto* error = std::get_if<protocol::ErrorInfo>(&outcome.outcome)) {
      fault = std::string(error->fault);
      message = std::string(error->message);
    }
  }
  void on_refused(const protocol::ErrorInfo& error) override {
    ++outcomes;
    fault = std::string(error.fault);
    message = std::string(error.message);
  }
  protocol::Invoke frame_;
};

class World {
 public:
  // With workflows, the dispatcher has the class "Flow" of the workflow "flow", and its binding "FLOW".
  explicit World(fleet::Isolation isolation = fleet::Isolation::Cordon, std::uint32_t tenant_homes = 1,
                 bool has_workflows = false)
      : broker(log, clock),
        fleet(io, {isolation, tenant_homes, 64 * kMiB, 2}, starter, broker, log, clock),
        dynamic(fleet, {}, clock) {
    broker.serve(dynamic);
    config::Worker worker;
    worker.name = "dispatcher";
    worker.main_module = "index.js";
    worker.modules = {{"index.js", config::ModuleKind::EsModule, "export default {}"}};
    worker.loaders = {{"LOADER", ""}, {"SECOND", "shared-id"}, {"THIRD", "shared-id"}};
    worker.services = {{"SELF", "dispatcher", "Named", ""}};
    worker.durable_objects = {{"OBJECTS", "Counter", ""}};
    worker.migrations = {{"v1", {"Counter"}, {}, {}}};
    if (has_workflows) {
      config::WorkflowBinding binding;
      binding.name = "FLOW";
      binding.workflow = "flow";
      binding.class_name = "Flow";
      worker.workflows = {binding};
    }
    config.workers = {worker};
    char data_name[] = "/tmp/insula-world-XXXXXX";
    data = ::mkdtemp(data_name);
    objects = *actors::Directory::create({io, store, log, clock, true}, data, config.workers, 1);
    broker.serve(*objects);
    if (has_workflows) {
      workflows = std::make_unique<instances::Workflows>(instances::Workflows::World{io, flow_store, log, clock}, config.workers);
    }
    statics = *broker::StaticWorkers::create(config, fleet, dynamic, outbound, *objects, workflows.get());
    fleet.on_home_filled([this](fleet::Home& home, const std::shared_ptr<fleet::Session>& session) {
      if (home.name().kind == fleet::HomeKind::Platform) statics->load_all(session);
    });
    fleet.start([](Result<> first) { INSULA_CHECK(first.has_value()); });
    starter.runner(0).hello();
    settle();
    // The spare.
    greet_all();
    platform_load = starter.runner(0).next_of<protocol::Load>();
    INSULA_CHECK(platform_load != nullptr);
    for (const auto& binding : platform_load->bindings) {
      if (binding.name == "LOADER") loader = binding.capability;
      if (binding.name == "SECOND") second_loader = binding.capability;
      if (binding.name == "THIRD") third_loader = binding.capability;
      if (binding.name == "SELF") service = binding.capability;
      if (binding.name == "FLOW") flow = binding.capability;
    }
    if (workflows) workflows->start();
    settle();
  }
  ~World() {
    if (workflows) workflows->stop();
    fleet.shut_down();
    settle();
    std::filesystem::remove_all(data);
  }

  void settle() {
    io.restart();
    while (io.poll() > 0) io.restart();
  }
  // Each runner that was started and has not spoken says hello.
  void greet_all() {
    while (greeted_ < starter.started()) {
      starter.runner(greeted_++).hello();
      settle();
    }
  }
  FakeRunner& runner(std::size_t index) { return starter.runner(index); }

  std::shared_ptr<TestEvent> submit(std::string method = "GET", io::ByteSourcePtr body = nullptr) {
    auto event = std::make_shared<TestEvent>(std::move(method), std::move(body));
    event->route(statics->at(0));
    settle();
    return event;
  }
  // A question of the supervisor that is open in the platform's runner.
  protocol::QuestionId open_event() {
    last_event = submit();
    const auto* const invoke = runner(0).next_of<protocol::Invoke>();
    INSULA_CHECK(invoke != nullptr);
    return invoke->question;
  }
  // The platform's runner calls a dynamic Worker.
  void call_tenant(std::string_view id, protocol::QuestionId question, protocol::QuestionId parent,
                   std::uint32_t source = 1, std::string_view method = "GET") {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.parent = parent;
    invoke.target.kind = protocol::Target::Kind::Dynamic;
    invoke.target.dynamic = {loader, id, 0, source};
    protocol::FetchRequest fetch;
    fetch.method = method;
    fetch.url = "http://tenant/";
    invoke.call = fetch;
    runner(0).send(invoke);
    settle();
  }
  void send_code(std::uint32_t request, std::string_view env = {}) {
    protocol::WorkerCode code;
    code.main_module = "a.js";
    code.modules = {{"a.js", protocol::ModuleKind::EsModule, "export default {}"}};
    code.env.bytes = env;
    code.cpu_millis = 10;
    protocol::Code frame;
    frame.request = request;
    frame.outcome = code;
    runner(0).send(frame);
    settle();
    greet_all();
    settle();
  }
  static protocol::Return ok(protocol::QuestionId question, BytesView body = {}) {
    protocol::Return outcome;
    outcome.question = question;
    protocol::FetchResponse response;
    if (!body.empty()) response.body = {protocol::Body::Kind::Inline, body, 0, -1};
    outcome.outcome = response;
    return outcome;
  }
  static protocol::Return error(protocol::QuestionId question, std::string_view fault, std::string_view message,
                                bool undelivered = false) {
    protocol::Return outcome;
    outcome.question = question;
    protocol::ErrorInfo info;
    info.fault = fault;
    info.name = "Error";
    info.message = message;
    info.undelivered = undelivered;
    outcome.outcome = info;
    return outcome;
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  const Fd null_log{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null_log.get(), LogFormat::Json, LogLevel::Info, clock};
  config::Config config;
  FakeStarter starter;
  FakeOutbound outbound;
  std::filesystem::path data;
  MemoryStore store;
  FlowStore flow_store{[this](std::function<void()> what) { boost::asio::post(io, std::move(what)); }};
  std::unique_ptr<actors::Directory> objects;
  broker::Broker broker;
  fleet::Fleet fleet;
  broker::DynamicWorkers dynamic;
  std::unique_ptr<instances::Workflows> workflows;  // null: there are none
  std::unique_ptr<broker::StaticWorkers> statics;
  std::shared_ptr<TestEvent> last_event;

  const protocol::Load* platform_load = nullptr;
  protocol::CapabilityId loader = 0;
  protocol::CapabilityId second_loader = 0;
  protocol::CapabilityId third_loader = 0;
  protocol::CapabilityId service = 0;
  protocol::CapabilityId flow = 0;

 private:
  std::size_t greeted_ = 1;
};

}  // namespace insula::testing
