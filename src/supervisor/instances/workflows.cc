// SPDX-License-Identifier: Apache-2.0
//
// Workflows: what the engine wants of isolates.
#include "src/supervisor/instances/workflows.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "src/base/checksum.h"
#include "src/supervisor/instances/binding.h"

namespace insula::instances {
namespace {

// What code the runs have: that of all static Workers, for one may hand its work to another. Empty when some of them
// load code that nobody here can know beforehand.
std::string version_of(const std::vector<config::Worker>& workers) {
  std::uint32_t checksum = 0;
  std::size_t bytes = 0;
  const auto add = [&](std::string_view text) {
    checksum = crc32c(fmt::format("{:08x}{:08x}", checksum, crc32c(text)));
    bytes += text.size();
  };
  for (const config::Worker& worker : workers) {
    if (!worker.loaders.empty()) return {};
    add(worker.name);
    add(worker.compatibility_date);
    for (const std::string& flag : worker.compatibility_flags) add(flag);
    for (const config::Module& module : worker.modules) {
      add(module.name);
      add(module.bytes);
    }
  }
  return fmt::format("{:08x}-{:x}", checksum, bytes);
}

}  // namespace

Workflows::Workflows(World world, const std::vector<config::Worker>& workers, workflow::EngineOptions options)
    : world_(world),
      code_version_(version_of(workers)),
      timer_(world.io),
      schedule_timer_(world.io),
      engine_(world.store, *this, *this, world.clock, options),
      schedules_(engine_, world.log) {
  for (const config::Worker& worker : workers) {
    for (const config::WorkflowBinding& binding : worker.workflows) {
      const auto& script = binding.script.empty() ? worker.name : binding.script;
      definitions_[binding.workflow] = {script, binding.class_name};
      engine_.set_steps_max(binding.workflow, binding.steps_max);
      engine_.set_slots(binding.workflow, {binding.concurrency_max, binding.concurrency_per_origin});
      engine_.set_creation_limits(binding.workflow, {binding.creations_per_second,
                                                     binding.creations_per_second_per_origin, binding.queued_max});
      schedules_.add(binding.workflow, binding.schedules);
    }
  }
}

Workflows::~Workflows() { *is_alive_ = false; }

void Workflows::start() {
  engine_.start([this](Result<> started) {
    if (!started) {
      world_.log.error("workflow.failed", {{"text", started.error().message()}});
      return;
    }
    is_ready_ = true;
    for (const auto& use : std::exchange(waiting_, {})) use(engine_);
    schedules_.start(engine_.now_ms());
    tick_schedules();
  });
}

void Workflows::stop() {
  is_stopped_ = true;
  timer_.cancel();
  schedule_timer_.cancel();
  runs_.clear();
}

void Workflows::when_ready(std::function<void(workflow::Engine&)> use) {
  if (is_ready_) return use(engine_);
  waiting_.push_back(std::move(use));
}

std::shared_ptr<fleet::Capability> Workflows::bind(const std::string& workflow) {
  return std::make_shared<WorkflowCapability>(*this, workflow);
}

void Workflows::wake_in(std::chrono::milliseconds delay) {
  timer_.expires_after(delay);
  timer_.async_wait([this, alive = is_alive_](boost::system::error_code error) {
    if (!error && *alive && !is_stopped_) engine_.tick();
  });
}

Result<durable::TimeMs> Workflows::move_clock(std::chrono::milliseconds by, bool is_set) {
  if (world_.moved == nullptr) {
    return Error(ErrorCode::Denied, "the clock of this server is the machine's; for tests, start one with --test-clock");
  }
  if (is_set) {
    world_.moved->set_wall(by);
  } else if (by.count() < 0) {
    return Error(ErrorCode::InvalidInput, "time does not pass backwards; --set sets the machine's clock back");
  } else {
    world_.moved->pass(by);
  }
  if (is_ready_) {
    engine_.tick();
    tick_schedules();
  }
  return engine_.now_ms();
}

void Workflows::tick_schedules() {
  const auto now = engine_.now_ms();
  const auto next = schedules_.tick(now);
  if (next == durable::kNever) return;
  // The clock of record may be slower than the timer: look again, then.
  schedule_timer_.expires_after(std::chrono::milliseconds(std::max<durable::TimeMs>(1, next - now)));
  schedule_timer_.async_wait([this, alive = is_alive_](boost::system::error_code error) {
    if (!error && *alive && !is_stopped_) tick_schedules();
  });
}

// ---- Runs

std::string Workflows::code_version(const std::string&) { return code_version_; }

std::shared_ptr<Run> Workflows::find(workflow::InstanceRef ref, std::uint64_t epoch) const {
  const auto found = runs_.find(ref);
  return found != runs_.end() && found->second->epoch() == epoch ? found->second : nullptr;
}

void Workflows::start(workflow::RunStart start) {
  if (is_stopped_) return;
  const auto definition = definitions_.find(start.workflow);
  const auto host = definition == definitions_.end() ? hosts_.end() : hosts_.find(definition->second.script);
  if (host == hosts_.end()) {
    // It is in the data directory and not in the configuration any more.
    engine_.report(start.ref, durable::RunThrew{start.epoch,
                                                {"WorkflowFatalError",
                                                 fmt::format("The workflow \"{}\" is not part of the configuration",
                                                             start.workflow),
                                                 {}}});
    return;
  }
  auto& run = runs_[start.ref];
  if (run != nullptr) run->release();
  run = std::make_shared<Run>(engine_, world_.log, start);
  const auto started = run;
  started->start(std::move(start), definition->second.class_name, host->second);
}

void Workflows::release(workflow::InstanceRef ref, std::uint64_t epoch) {
  const auto run = find(ref, epoch);
  if (run == nullptr) return;
  runs_.erase(ref);
  run->release();
}

void Workflows::answer(workflow::InstanceRef ref, durable::AnswerStep answer) {
  if (const auto run = find(ref, answer.epoch)) run->answer(std::move(answer));
}

void Workflows::invoke(workflow::InstanceRef ref, durable::InvokeStep invoke) {
  if (const auto run = find(ref, invoke.epoch)) run->invoke(invoke);
}

void Workflows::compute_delay(workflow::InstanceRef ref, durable::ComputeDelay compute) {
  if (const auto run = find(ref, compute.epoch)) run->compute_delay(compute);
}

void Workflows::invoke_rollback(workflow::InstanceRef ref, durable::InvokeRollback invoke) {
  if (const auto run = find(ref, invoke.epoch)) run->invoke_rollback(invoke);
}

void Workflows::notice(workflow::InstanceRef ref, const std::string& text) {
  if (const auto found = runs_.find(ref); found != runs_.end()) found->second->notice(text);
}

}  // namespace insula::instances
