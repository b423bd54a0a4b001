// SPDX-License-Identifier: Apache-2.0
//
// DirectoryTest: a directory over a real store and real files, with scripted runners: number 0 has the callers, the
// actors' Workers are where the test puts them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "src/storage/sqlite_store.h"
#include "src/supervisor/actors/directory.h"
#include "src/supervisor/actors/namespace_capability.h"
#include "tests/support/fake_runner.h"

namespace insula::actors {

// A Worker that is loaded in a session, or that fails.
class FakeHost final : public ClassHost {
 public:
  void when_loaded(Ready ready, Failed failed) override {
    ++asked;
    if (session != nullptr) return ready(session, worker);
    if (is_broken) return failed(fleet::error_of(Fault::LoadFailed));
    ready_ = std::move(ready);
  }
  void become_loaded(const std::shared_ptr<fleet::Session>& where, protocol::WorkerId number) {
    session = where;
    worker = number;
    if (const auto ready = std::exchange(ready_, nullptr)) ready(session, worker);
  }
  std::shared_ptr<fleet::Session> session;
  protocol::WorkerId worker = 0;
  bool is_broken = false;
  int asked = 0;

 private:
  Ready ready_;
};

struct FakeOwner final : fleet::WorkerOwner {
  std::string_view worker_name() const override { return "w"; }
  std::string_view dynamic_id() const override { return ""; }
  const std::string& tenant_key() const override { return key; }
  void on_worker_gone(fleet::Session&, protocol::WorkerId, std::string_view) override {}
  std::string key;
};

class DirectoryTest : public ::testing::Test, public fleet::SessionEvents, public fleet::SessionHandler {
 public:
  struct Runner {
    testing::FakeRunner* peer = nullptr;
    std::shared_ptr<fleet::Session> session;
    protocol::WorkerId worker = 0;
  };

  DirectoryTest() {
    char name[] = "/tmp/insula-directory-XXXXXX";
    data = ::mkdtemp(name);
    config::Worker worker;
    worker.name = "platform";
    worker.migrations = {{"v1", {"Counter", "Other"}, {}, {}}};
    workers = {worker};
    make();
    caller = start_runner();
    home = caller;
    host->become_loaded(home.session, home.worker);
    bind();
  }
  ~DirectoryTest() override {
    for (const auto& runner : runners) runner.session->close({});
    all.reset();
    store.reset();
    std::filesystem::remove_all(data);
  }

  // The directory and its store, as after a start of the process.
  void make() {
    store = *storage::SqliteStore::open((data / "store.sqlite").string(), [this](std::function<void()> what) {
      boost::asio::post(io, std::move(what));
    });
    auto made = Directory::create({io, *store, log, clock}, data, workers, 1);
    ASSERT_TRUE(made) << made.error().message();
    all = *std::move(made);
    all->set_host("platform", host);
  }
  void restart() {
    for (const auto& runner : runners) {
      runner.session->close({});
      runner.peer->descriptors.clear();  // as a process that has ended
    }
    all.reset();
    store.reset();
    make();
    caller = start_runner();
    home = caller;
    host->become_loaded(home.session, home.worker);
    bind();
  }
  Runner start_runner() {
    auto started = starter.start();
    Runner runner;
    runner.peer = &starter.runner(starter.started() - 1);
    runner.session = std::make_shared<fleet::Session>(io, std::move(started->socket), *this, *this);
    runner.session->start();
    runner.worker = runner.session->add_worker(owner);
    runner.peer->hello();
    runners.push_back(runner);
    settle();
    return runner;
  }
  void bind() {
    counters = caller.session->mint(
        caller.worker, std::make_shared<NamespaceCapability>(*all, all->find("platform", "Counter")));
    others = caller.session->mint(caller.worker,
                                  std::make_shared<NamespaceCapability>(*all, all->find("platform", "Other")));
  }

  void settle() {
    do {
      io.restart();
      while (io.poll() > 0) io.restart();
    } while (caller.peer != nullptr && caller.peer->flush());
  }
  // Turns the loop until that is true, also while threads work on it.
  template <class Condition>
  bool until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds(5));
    }
    settle();
    return true;
  }
  template <class Frame>
  const Frame* wait_for(const Runner& runner) {
    const Frame* found = nullptr;
    until([&] { return (found = runner.peer->next_of<Frame>()) != nullptr; });
    return found;
  }

  protocol::Invoke rpc(protocol::QuestionId question, std::string_view argument) const {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = counters;
    protocol::RpcCall call;
    call.path = {"increment"};
    call.arguments.bytes = argument;
    invoke.call = call;
    return invoke;
  }
  void call_object(std::string_view object, protocol::QuestionId question, std::string_view argument = "1",
                   std::string_view name = {}) {
    auto invoke = rpc(question, argument);
    invoke.target.object = object;
    invoke.target.object_name = name;
    caller.peer->send(invoke);
    settle();
  }
  void call_facet(const Runner& from, protocol::ActorId parent, std::string_view name, protocol::QuestionId question,
                  std::string_view id_text = {}) {
    auto invoke = rpc(question, "f");
    invoke.target.kind = protocol::Target::Kind::Own;
    invoke.target.number = from.worker;
    invoke.target.entrypoint = "Facet";
    invoke.target.props.bytes = "props";
    invoke.target.facet = {parent, name, id_text, {}, 4096};
    from.peer->send(invoke);
    settle();
  }
  void engine(const Runner& from, protocol::ActorId actor, protocol::QuestionId question, std::string_view operation,
              std::string_view detail) {
    protocol::Invoke invoke;
    invoke.question = question;
    invoke.target.kind = protocol::Target::Kind::OwnActor;
    invoke.target.actor = actor;
    invoke.call = protocol::EngineCall{operation, detail, {}};
    from.peer->send(invoke);
    settle();
  }
  static protocol::Return value(protocol::QuestionId question, std::string_view bytes = "v") {
    protocol::Return outcome;
    outcome.question = question;
    protocol::RpcValue answer;
    answer.payload.bytes = bytes;
    outcome.outcome = answer;
    return outcome;
  }

  // SessionEvents
  void on_hello(fleet::Session&, const protocol::Hello&) override {}
  void on_pong(fleet::Session&, std::uint32_t) override {}
  void on_usage(fleet::Session&, const protocol::Usage&) override {}
  void on_session_end(fleet::Session& session, const Error& error) override {
    end_text = error.message();
    session.close({{Fault::RunnerLost, true}, 0, Fault::RunnerLost});
  }
  // SessionHandler
  void on_dynamic_invoke(fleet::IncomingCall&, const std::shared_ptr<fleet::Capability>&) override {}
  void on_preload(fleet::Session&, const protocol::Dynamic&, const std::shared_ptr<fleet::Capability>&) override {}
  std::shared_ptr<fleet::Capability> make_entrypoint(fleet::WorkerOwner&, std::string_view, BytesView,
                                                     fleet::Carried) override {
    return nullptr;
  }
  void on_log(fleet::Session&, const std::shared_ptr<fleet::WorkerOwner>&, const protocol::LogLine&) override {}
  void on_facet_invoke(fleet::IncomingCall& call, const std::shared_ptr<fleet::ActorOwner>& parent,
                       const std::shared_ptr<fleet::Capability>&, const std::shared_ptr<fleet::WorkerOwner>&) override {
    all->call_facet(call, parent, facet_host);
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  const Fd null_log{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null_log.get(), LogFormat::Json, LogLevel::Info, clock};
  std::filesystem::path data;
  std::vector<config::Worker> workers;
  testing::FakeStarter starter;
  std::shared_ptr<FakeHost> host = std::make_shared<FakeHost>();
  std::shared_ptr<FakeHost> facet_host = std::make_shared<FakeHost>();
  std::shared_ptr<FakeOwner> owner = std::make_shared<FakeOwner>();
  std::unique_ptr<storage::SqliteStore> store;
  std::unique_ptr<Directory> all;
  std::vector<Runner> runners;
  Runner caller;
  Runner home;  // where Counter is
  protocol::CapabilityId counters = 0;
  protocol::CapabilityId others = 0;
  std::string end_text;
  const std::string id = std::string(62, 'a') + "01";
};

}  // namespace insula::actors
