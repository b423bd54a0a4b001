// SPDX-License-Identifier: Apache-2.0
//
// Broker: routing of what is not a plain capability call.
#include "src/supervisor/broker/broker.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "src/supervisor/broker/entrypoint.h"
#include "src/supervisor/fleet/runner_export.h"

namespace insula::broker {
namespace {

constexpr std::size_t kLogBytesPerSecondMax = 1 * kMiB;  // of one Worker
constexpr std::size_t kLogTextBytesMax = 64 * kKiB;

LogLevel level_of(std::string_view name) {
  if (name == "error") return LogLevel::Error;
  if (name == "warn") return LogLevel::Warn;
  if (name == "debug") return LogLevel::Debug;
  return LogLevel::Info;
}

std::string_view known_level(std::string_view name) {
  constexpr std::array<std::string_view, 5> kLevels = {"debug", "info", "log", "warn", "error"};
  return std::find(kLevels.begin(), kLevels.end(), name) != kLevels.end() ? name : "log";
}

}  // namespace

void Broker::tick() {
  const Monotonic now = clock_.now();
  if (now - last_second_ < std::chrono::seconds(1)) return;
  last_second_ = now;
  start_log_second();
  if (dynamic_ != nullptr) dynamic_->expire();
  if (objects_ != nullptr) objects_->tick();
}

void Broker::on_dynamic_invoke(fleet::IncomingCall& call, const std::shared_ptr<fleet::Capability>& loader) {
  auto* const binding = dynamic_cast<LoaderCapability*>(loader.get());
  if (binding == nullptr) {
    call.session.answer_error(call.answer.question, fleet::error_of(Fault::Internal, "This binding is not a loader."));
    return;
  }
  dynamic_->invoke(call, *binding);
}

void Broker::on_facet_invoke(fleet::IncomingCall& call, const std::shared_ptr<fleet::ActorOwner>& parent,
                             const std::shared_ptr<fleet::Capability>& loader,
                             const std::shared_ptr<fleet::WorkerOwner>& own) {
  std::shared_ptr<actors::ClassHost> host;
  if (auto* const binding = dynamic_cast<LoaderCapability*>(loader.get())) {
    host = dynamic_->classes_of(call.session, call.invoke.target.dynamic, *binding);
  } else if (const auto dynamic = std::dynamic_pointer_cast<DynamicWorker>(own)) {
    // Without a source: it is loaded now, and when it is not any more, the facet's parent is gone too.
    host = std::make_shared<DynamicClasses>(dynamic, CodeSource{});
  } else {
    host = std::dynamic_pointer_cast<actors::ClassHost>(own);
  }
  if (host == nullptr || objects_ == nullptr) {
    return call.session.answer_error(call.answer.question, fleet::error_of(Fault::Internal));
  }
  objects_->call_facet(call, parent, std::move(host));
}

void Broker::on_preload(fleet::Session& session, const protocol::Dynamic& dynamic,
                        const std::shared_ptr<fleet::Capability>& loader) {
  if (auto* const binding = dynamic_cast<LoaderCapability*>(loader.get())) dynamic_->preload(session, dynamic, *binding);
}

std::shared_ptr<fleet::Capability> Broker::make_entrypoint(fleet::WorkerOwner& owner, std::string_view name,
                                                           BytesView props, fleet::Carried carried) {
  // A dynamic Worker could not be loaded again for whoever gets the stub: only those of the configuration travel.
  auto* const worker = dynamic_cast<StaticWorker*>(&owner);
  if (worker == nullptr) return nullptr;
  if (EntrypointCapability::depth_of(carried) >= kEntrypointDepthMax) {
    return std::make_shared<fleet::BrokenCapability>("The props of this entrypoint are nested too deeply.");
  }
  return std::make_shared<EntrypointCapability>(worker->shared_from_this(), std::string(name), Bytes(props),
                                                std::move(carried));
}

void Broker::start_log_second() {
  std::uint64_t dropped = 0;
  for (const auto& [owner, budget] : log_budgets_) dropped += budget.dropped;
  log_budgets_.clear();
  if (dropped > 0) log_.warn("worker.log_dropped", {{"lines", dropped}});
}

void Broker::on_log(fleet::Session& session, const std::shared_ptr<fleet::WorkerOwner>& owner, const protocol::LogLine& line) {
  const LogLevel level = line.is_exception ? LogLevel::Error : level_of(line.level);
  if (!log_.enabled(level)) return;
  LogBudget& budget = log_budgets_[owner.get()];
  budget.bytes += line.text.size() + 128;
  if (budget.bytes > kLogBytesPerSecondMax) {
    ++budget.dropped;
    return;
  }
  const std::string_view worker = owner == nullptr ? std::string_view() : owner->worker_name();
  const std::string_view dynamic_id = owner == nullptr ? std::string_view() : owner->dynamic_id();
  const std::string_view text = line.text.substr(0, kLogTextBytesMax);
  if (log_.format() == LogFormat::Human) {
    // In a terminal only who speaks, and what.
    const std::string speaker = fmt::format("[{}{}{}]", worker, dynamic_id.empty() ? "" : " ", dynamic_id);
    return log_.write(level, speaker, {{"text", text}});
  }
  const std::string_view event = line.is_exception ? "worker.threw" : "worker.logged";
  const std::string_view subject = session.subject_of(line.question);
  if (!subject.empty()) {
    return log_.write(level, event, {{"worker", worker}, {"dynamic_id", dynamic_id}, {"instance", subject},
                                     {"level", known_level(line.level)}, {"text", text}});
  }
  log_.write(level, event,
             {{"worker", worker}, {"dynamic_id", dynamic_id}, {"level", known_level(line.level)}, {"text", text}});
}

}  // namespace insula::broker
