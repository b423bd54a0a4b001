// SPDX-License-Identifier: Apache-2.0
//
// Broker: what runners may ask of the supervisor beyond a call on a capability: Workers of loaders, and lines of log.
//
//   runner ──Invoke on a dynamic Worker, Preload, LogLine──► fleet: session ──► [broker] ──► loader | log
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/supervisor/actors/directory.h"
#include "src/supervisor/broker/loader.h"
#include "src/supervisor/fleet/session.h"

namespace insula::broker {

class Broker final : public fleet::SessionHandler {
 public:
  Broker(Log& log, const Clock& clock) : log_(log), clock_(clock) {}

  // Before the first runner is started.
  void serve(DynamicWorkers& dynamic) { dynamic_ = &dynamic; }
  void serve(actors::Directory& objects) { objects_ = &objects; }
  // What time causes; called often.
  void tick();

  // SessionHandler
  void on_dynamic_invoke(fleet::IncomingCall& call, const std::shared_ptr<fleet::Capability>& loader) override;
  void on_facet_invoke(fleet::IncomingCall& call, const std::shared_ptr<fleet::ActorOwner>& parent,
                       const std::shared_ptr<fleet::Capability>& loader,
                       const std::shared_ptr<fleet::WorkerOwner>& own) override;
  void on_preload(fleet::Session& session, const protocol::Dynamic& dynamic,
                  const std::shared_ptr<fleet::Capability>& loader) override;
  std::shared_ptr<fleet::Capability> make_entrypoint(fleet::WorkerOwner& owner, std::string_view name, BytesView props,
                                                     fleet::Carried carried) override;
  void on_log(fleet::Session& session, const std::shared_ptr<fleet::WorkerOwner>& owner,
              const protocol::LogLine& line) override;

 private:
  // How much one Worker may still log in this second.
  struct LogBudget {
    std::size_t bytes = 0;
    std::uint64_t dropped = 0;
  };
  void start_log_second();

  Log& log_;
  const Clock& clock_;
  DynamicWorkers* dynamic_ = nullptr;
  actors::Directory* objects_ = nullptr;
  Monotonic last_second_{};
  std::unordered_map<const fleet::WorkerOwner*, LogBudget> log_budgets_;  // of this second; the keys only compare
};

}  // namespace insula::broker
