// SPDX-License-Identifier: Apache-2.0
//
// Workflows: all workflows of the node: which class each one is, the engine that leads their instances, and the runs at
// hand.
//
//   workflow binding ──► [WorkflowCapability] ──► Engine ◄──► [Workflows: Runs] ──► Run ──► the class's Worker
//   operators ─────────────────────────────────► Engine
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/base/moved_clock.h"
#include "src/storage/store.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/instances/run.h"
#include "src/supervisor/instances/schedules.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::instances {

class Workflows final : public workflow::Runs, public workflow::Wakeup {
 public:
  // What has to outlive it.
  struct World {
    boost::asio::io_context& io;
    storage::Store& store;
    Log& log;
    const Clock& clock;
    MovedClock* moved = nullptr;  // the same one, when operators may move it
  };
  // The configuration must outlive it.
  Workflows(World world, const std::vector<config::Worker>& workers, workflow::EngineOptions options = {});
  ~Workflows() override;

  // The Worker behind the classes of `script`.
  void set_host(const std::string& script, std::shared_ptr<fleet::Destination> host) { hosts_[script] = std::move(host); }
  // Takes up the instances that the store knows. Nothing runs before.
  void start();
  // No new runs, and nothing of the ones at hand is heard any more: the next process takes them up.
  void stop();

  // The binding of a workflow of the configuration.
  std::shared_ptr<fleet::Capability> bind(const std::string& workflow);

  // Calls `use` once the engine has started: now, or later.
  void when_ready(std::function<void(workflow::Engine&)> use);

  // Moves the time of all deadlines; `is_set`: as if the machine's clock were set, else as if so much time passed. Returns
  // the time that it is then. Errors: Denied (the server was not started for that), InvalidInput (time cannot pass back).
  Result<durable::TimeMs> move_clock(std::chrono::milliseconds by, bool is_set);
  std::size_t run_count() const noexcept { return runs_.size(); }

  // Runs
  std::string code_version(const std::string& workflow) override;
  void start(workflow::RunStart start) override;
  void release(workflow::InstanceRef ref, std::uint64_t epoch) override;
  void answer(workflow::InstanceRef ref, durable::AnswerStep answer) override;
  void invoke(workflow::InstanceRef ref, durable::InvokeStep invoke) override;
  void compute_delay(workflow::InstanceRef ref, durable::ComputeDelay compute) override;
  void invoke_rollback(workflow::InstanceRef ref, durable::InvokeRollback invoke) override;
  void notice(workflow::InstanceRef ref, const std::string& text) override;

  // Wakeup
  void wake_in(std::chrono::milliseconds delay) override;

 private:
  struct Definition {
    std::string script;
    std::string class_name;
  };
  void tick_schedules();
  std::shared_ptr<Run> find(workflow::InstanceRef ref, std::uint64_t epoch) const;

  const World world_;
  std::map<std::string, Definition> definitions_;
  std::map<std::string, std::shared_ptr<fleet::Destination>> hosts_;  // by script
  std::string code_version_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer schedule_timer_;
  workflow::Engine engine_;
  Schedules schedules_;
  bool is_ready_ = false;
  bool is_stopped_ = false;
  std::vector<std::function<void(workflow::Engine&)>> waiting_;
  std::unordered_map<workflow::InstanceRef, std::shared_ptr<Run>> runs_;
  const std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace insula::instances
