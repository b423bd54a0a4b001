// SPDX-License-Identifier: Apache-2.0
//
// Loader: dynamic Workers, from the first call that needs one to the runner that evicts it.
//
//   Absent ──call or preload──► Asking (NeedCode to the caller) ──Code──► Placing (a home's session) ──► Loaded
//      ▲                             │ error: every waiter gets it                                          │
//      └─────────────────────────────┴───────────────── evicted, lost, not found by a call ─────────────────┘
//
// One entry for each (namespace, id); calls that find it on its way wait in the order in which they came. After a
// failure the entry is gone, so that the next use asks again.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/base/clock.h"
#include "src/supervisor/actors/class_host.h"
#include "src/supervisor/broker/dynamic_call.h"
#include "src/supervisor/fleet/admission.h"
#include "src/supervisor/fleet/fleet.h"
#include "src/supervisor/fleet/held_frame.h"

namespace insula::broker {

class DynamicWorker;
class DynamicWorkers;
class LoaderCapability;
class StaticWorker;

// What every dynamic Worker gets from its node.
struct TenantSettings {
  WorkerLimits limits = kTenantLimits;
  bool is_clock_frozen = true;
};

// Workers by id; shared by loader bindings with equal configured ids.
struct LoaderNamespace {
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  std::string name;
  std::unordered_map<std::string, std::shared_ptr<DynamicWorker>, Hash, std::equal_to<>> workers;
};

class DynamicWorker final : public fleet::Destination,
                            public fleet::WorkerOwner,
                            public fleet::CodeSink,
                            public std::enable_shared_from_this<DynamicWorker> {
 public:
  // host: the static Worker whose loader this is. It gives the name for logs and the way out to the network.
  DynamicWorker(DynamicWorkers& all, std::shared_ptr<LoaderNamespace> owner, std::shared_ptr<StaticWorker> host,
                std::string id);
  // One without an id, known to `holder` alone and by its number there.
  DynamicWorker(DynamicWorkers& all, std::shared_ptr<LoaderNamespace> owner, std::shared_ptr<StaticWorker> host,
                LoaderCapability& holder, std::uint32_t number);

  void preload(CodeSource source);
  // Has it loaded, from `source` if it must be; calls one of the two, now or later.
  void when_loaded(const CodeSource& source, actors::ClassHost::Ready ready, actors::ClassHost::Failed failed);
  // Tells a runner that hosts both the caller and this Worker, so that calls need not come here.
  void bind_for(fleet::Session& caller, protocol::CapabilityId loader);
  void expire() { admission_.expire(); }
  bool has_queue() const noexcept { return admission_.waiting() > 0; }
  // The host is gone: nobody can reach an anonymous Worker any more.
  void discard();
  // The end of everything: refuses who waits.
  void close();

  // Destination
  void reach(const std::shared_ptr<fleet::RoutedCall>& call) override;
  void forget(fleet::Session& session, protocol::WorkerId worker) override;
  void leave(fleet::RoutedCall& call) override;
  void withdraw(fleet::RoutedCall& call) override;

  // WorkerOwner
  std::string_view worker_name() const override;
  std::string_view dynamic_id() const override { return id_; }
  const std::string& tenant_key() const override { return tenant_key_; }
  void on_worker_gone(fleet::Session& session, protocol::WorkerId worker, std::string_view reason) override;

  // CodeSink
  void on_code(fleet::Session& from, BytesView raw, const protocol::WorkerCode& code,
               fleet::CodeGrants grants) override;
  void on_code_error(const protocol::ErrorInfo& error) override;
  void on_code_lost() override;

 private:
  enum class State : std::uint8_t { Absent, Asking, Placing, Loaded };

  void proceed(const std::shared_ptr<fleet::RoutedCall>& call);
  void add_source(const CodeSource& source);
  void ask_next_source();
  void load(const std::shared_ptr<fleet::Session>& session, const protocol::WorkerCode& code,
            const fleet::CodeGrants& grants);
  void fail(const protocol::ErrorInfo& error);
  void become_absent();
  void drop_if_unused();

  DynamicWorkers& all_;
  const std::shared_ptr<LoaderNamespace> namespace_;
  const std::shared_ptr<StaticWorker> host_;
  const std::string id_;
  const bool is_anonymous_;
  LoaderCapability* holder_ = nullptr;  // of an anonymous one, as long as it knows it
  const std::uint32_t anonymous_ = 0;
  const std::string tenant_key_;

  State state_ = State::Absent;
  std::shared_ptr<fleet::Session> session_;
  protocol::WorkerId worker_ = 0;
  fleet::Admission admission_;
  std::size_t rpc_running_ = 0;
  std::deque<std::shared_ptr<fleet::RoutedCall>> waiting_;  // admitted, until it is loaded
  struct Watcher {
    actors::ClassHost::Ready ready;
    actors::ClassHost::Failed failed;
  };
  std::vector<Watcher> watchers_;                           // for the same
  std::vector<CodeSource> sources_;                         // not asked yet
  std::vector<CodeSource> bound_;                           // who knows that it lives next door
  fleet::HeldFrame code_;                                   // while it is placed
  fleet::CodeGrants grants_;                                // with the code
};

// The binding, as one static Worker in one runner holds it.
class LoaderCapability final : public fleet::Capability {
 public:
  LoaderCapability(std::shared_ptr<LoaderNamespace> names, std::shared_ptr<StaticWorker> host)
      : namespace_(std::move(names)), host_(std::move(host)) {}
  ~LoaderCapability() override;

  // A loader cannot be called, only its Workers can.
  void invoke(fleet::IncomingCall& call) override;
  bool is_transferable() const override { return false; }
  // The entry that a runner names; made when it is new.
  std::shared_ptr<DynamicWorker> find(DynamicWorkers& all, const protocol::Dynamic& dynamic);
  void drop(std::uint32_t anonymous) { anonymous_.erase(anonymous); }

 private:
  const std::shared_ptr<LoaderNamespace> namespace_;
  const std::shared_ptr<StaticWorker> host_;
  std::unordered_map<std::uint32_t, std::shared_ptr<DynamicWorker>> anonymous_;
};

// Classes of a dynamic Worker, for facets: the Worker is loaded from where the facet's parent found it.
class DynamicClasses final : public actors::ClassHost {
 public:
  DynamicClasses(std::shared_ptr<DynamicWorker> worker, CodeSource source)
      : worker_(std::move(worker)), source_(std::move(source)) {}
  void when_loaded(Ready ready, Failed failed) override {
    worker_->when_loaded(source_, std::move(ready), std::move(failed));
  }

 private:
  const std::shared_ptr<DynamicWorker> worker_;
  const CodeSource source_;
};

// All dynamic Workers of the node.
class DynamicWorkers {
 public:
  DynamicWorkers(fleet::Fleet& fleet, TenantSettings settings, const Clock& clock)
      : fleet_(fleet), settings_(settings), clock_(clock) {}
  ~DynamicWorkers();

  std::shared_ptr<LoaderNamespace> open_namespace(const std::string& name);
  void invoke(fleet::IncomingCall& call, LoaderCapability& loader);
  void preload(fleet::Session& session, const protocol::Dynamic& dynamic, LoaderCapability& loader);
  // What has the classes of the Worker that `dynamic` names.
  std::shared_ptr<actors::ClassHost> classes_of(fleet::Session& session, const protocol::Dynamic& dynamic,
                                                LoaderCapability& loader);
  // Refuses calls that waited too long for their turn.
  void expire();

  fleet::Fleet& fleet() noexcept { return fleet_; }
  const TenantSettings& settings() const noexcept { return settings_; }
  const Clock& clock() const noexcept { return clock_; }

 private:
  fleet::Fleet& fleet_;
  const TenantSettings settings_;
  const Clock& clock_;
  std::unordered_map<std::string, std::shared_ptr<LoaderNamespace>> namespaces_;
};

}  // namespace insula::broker
