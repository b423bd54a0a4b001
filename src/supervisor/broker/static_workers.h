// SPDX-License-Identifier: Apache-2.0
//
// StaticWorkers: the Workers of the configuration. They live in the platform's home, are loaded whenever it gets a
// runner, and hold the bindings that the configuration gives them.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/base/log.h"
#include "src/supervisor/actors/class_host.h"
#include "src/supervisor/actors/directory.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/egress/egress.h"
#include "src/supervisor/fleet/fleet.h"
#include "src/supervisor/fleet/routed_call.h"
#include "src/supervisor/instances/workflows.h"

namespace insula::broker {

class DynamicWorkers;
class StaticWorkers;

class StaticWorker final : public fleet::Destination,
                           public fleet::WorkerOwner,
                           public actors::ClassHost,
                           public std::enable_shared_from_this<StaticWorker> {
 public:
  StaticWorker(StaticWorkers& all, const config::Worker& code) : all_(all), config_(code) {}

  // Loads it into the runner that its home has now.
  void load(const std::shared_ptr<fleet::Session>& session);
  // Tells the runner which of its bindings lead to Workers that it hosts itself; when all of them are loaded.
  void tell_places();
  // Refuses who waits, at the end of everything: a call and its destination hold each other.
  void close();
  // Its number in that runner; 0: it is not there.
  protocol::WorkerId number_in(const fleet::Session& session) const noexcept {
    return session_.get() == &session ? worker_ : 0;
  }
  // Its way out to the network, used on behalf of `partition`.
  std::shared_ptr<fleet::Capability> outbound_for(const std::string& partition);

  // Destination
  void reach(const std::shared_ptr<fleet::RoutedCall>& call) override;
  void forget(fleet::Session& session, protocol::WorkerId worker) override;
  void leave(fleet::RoutedCall&) override {}
  void withdraw(fleet::RoutedCall& call) override;

  // WorkerOwner
  std::string_view worker_name() const override { return config_.name; }
  std::string_view dynamic_id() const override { return {}; }
  const std::string& tenant_key() const override { return no_tenant_; }
  void on_worker_gone(fleet::Session& session, protocol::WorkerId worker, std::string_view reason) override;

  // ClassHost
  void when_loaded(Ready ready, Failed failed) override;

 private:
  void wait_for_home();
  void bind_objects(fleet::Session& session, protocol::WorkerId worker, protocol::Load& load);
  void bind_all(fleet::Session& session, protocol::WorkerId worker, protocol::Load& load);

  StaticWorkers& all_;
  const config::Worker& config_;
  const std::string no_tenant_;
  std::shared_ptr<fleet::Session> session_;
  protocol::WorkerId worker_ = 0;
  std::vector<protocol::CapabilityId> services_;            // imports of the runner that it is loaded in
  std::deque<std::shared_ptr<fleet::RoutedCall>> waiting_;  // for the home to get a runner
  std::vector<Ready> watchers_;                             // the same
  bool is_awaited_ = false;
};

class StaticWorkers {
 public:
  ~StaticWorkers();
  // The configuration must outlive it. Errors: those of the assets' directories; InvalidInput for a service that does not exist.
  static Result<std::unique_ptr<StaticWorkers>> create(const config::Config& config, fleet::Fleet& fleet,
                                                       DynamicWorkers& dynamic, egress::Outbound& outbound,
                                                       actors::Directory& objects,
                                                       instances::Workflows* workflows = nullptr);

  // What always lives in the platform's home.
  void load_all(const std::shared_ptr<fleet::Session>& session);

  const std::shared_ptr<StaticWorker>& at(std::size_t index) const { return workers_.at(index); }
  std::size_t size() const noexcept { return workers_.size(); }
  std::shared_ptr<StaticWorker> find(std::string_view name) const;

 private:
  friend class StaticWorker;
  StaticWorkers(fleet::Fleet& fleet, DynamicWorkers& dynamic, egress::Outbound& outbound, actors::Directory& objects,
                instances::Workflows* workflows)
      : fleet_(fleet), dynamic_(dynamic), outbound_(outbound), objects_(objects), workflows_(workflows) {}

  fleet::Fleet& fleet_;
  DynamicWorkers& dynamic_;
  egress::Outbound& outbound_;
  actors::Directory& objects_;
  instances::Workflows* const workflows_;  // null: there are none
  std::vector<std::shared_ptr<StaticWorker>> workers_;
  std::map<std::string, std::shared_ptr<fleet::Capability>> assets_;  // by Worker
};

}  // namespace insula::broker
