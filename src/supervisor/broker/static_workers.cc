// SPDX-License-Identifier: Apache-2.0
//
// StaticWorkers: from configuration to Load frames.
#include "src/supervisor/broker/static_workers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "src/supervisor/actors/namespace_capability.h"
#include "src/supervisor/broker/entrypoint.h"
#include "src/supervisor/broker/files.h"
#include "src/supervisor/broker/loader.h"
#include "src/supervisor/broker/outbound.h"

namespace insula::broker {
namespace {

// The words of configuration and protocol have the same order; a new kind must be added to both.
protocol::ModuleKind kind_of(config::ModuleKind kind) {
  static_assert(static_cast<int>(config::ModuleKind::Wasm) == static_cast<int>(protocol::ModuleKind::Wasm));
  return static_cast<protocol::ModuleKind>(kind);
}

protocol::WorkerCode code_of(const config::Worker& worker) {
  protocol::WorkerCode code;
  code.compatibility_date = worker.compatibility_date;
  code.compatibility_flags.assign(worker.compatibility_flags.begin(), worker.compatibility_flags.end());
  code.main_module = worker.main_module;
  for (const config::Module& module : worker.modules) {
    code.modules.push_back({module.name, kind_of(module.kind), module.bytes});
  }
  return code;
}

}  // namespace

// ---- StaticWorker

void StaticWorker::load(const std::shared_ptr<fleet::Session>& session) {
  worker_ = session->add_worker(shared_from_this());
  session_ = session;
  protocol::Load load;
  load.worker = worker_;
  load.name = config_.name;
  load.is_pinned = true;
  load.code = code_of(config_);
  load.limits = config_.limits;
  load.outbound = session->mint(worker_, outbound_for(config_.name));
  services_.clear();
  bind_all(*session, worker_, load);
  session->send_load(load);
}

void StaticWorker::tell_places() {
  if (session_ == nullptr) return;
  for (const protocol::CapabilityId service : services_) session_->tell_place(service);
}

void StaticWorker::bind_all(fleet::Session& session, protocol::WorkerId worker, protocol::Load& load) {
  for (const auto& [name, text] : config_.text_vars) {
    load.bindings.push_back({name, protocol::Binding::Kind::Text, text, 0, {}});
  }
  for (const auto& [name, json] : config_.json_vars) {
    load.bindings.push_back({name, protocol::Binding::Kind::Json, json, 0, {}});
  }
  for (const config::LoaderBinding& loader : config_.loaders) {
    // Bindings with equal ids share their Workers; without one, a binding is a world of its own.
    const std::string space =
        loader.id.empty() ? fmt::format("binding:{}/{}", config_.name, loader.name) : "id:" + loader.id;
    auto capability =
        std::make_shared<LoaderCapability>(all_.dynamic_.open_namespace(space), shared_from_this());
    load.bindings.push_back(
        {loader.name, protocol::Binding::Kind::Loader, {}, session.mint(worker, std::move(capability)), {}});
  }
  for (const config::ServiceBinding& service : config_.services) {
    const protocol::CapabilityId number = session.mint(
        worker, std::make_shared<EntrypointCapability>(all_.find(service.service), service.entrypoint, service.props));
    services_.push_back(number);
    load.bindings.push_back({service.name, protocol::Binding::Kind::Fetcher, {}, number, {}});
  }
  bind_objects(session, worker, load);
  for (const config::WorkflowBinding& binding : config_.workflows) {
    if (all_.workflows_ == nullptr) break;
    load.bindings.push_back({binding.name, protocol::Binding::Kind::Workflow, {},
                             session.mint(worker, all_.workflows_->bind(binding.workflow)), {}});
  }
  const auto assets = all_.assets_.find(config_.name);
  if (config_.assets && !config_.assets->name.empty() && assets != all_.assets_.end()) {
    load.bindings.push_back(
        {config_.assets->name, protocol::Binding::Kind::Fetcher, {}, session.mint(worker, assets->second), {}});
  }
}

void StaticWorker::bind_objects(fleet::Session& session, protocol::WorkerId worker, protocol::Load& load) {
  const auto bind = [&](std::string_view name, const std::shared_ptr<const actors::Namespace>& objects) {
    if (objects == nullptr) return;
    const auto capability = std::make_shared<actors::NamespaceCapability>(all_.objects_, objects);
    load.bindings.push_back({name, protocol::Binding::Kind::Namespace, objects->class_name,
                             session.mint(worker, capability), objects->key});
  };
  for (const config::DurableObjectBinding& binding : config_.durable_objects) {
    bind(binding.name, all_.objects_.find(binding.script.empty() ? config_.name : binding.script, binding.class_name));
  }
  // Without a name: what ctx.exports shows for the Worker's own classes.
  for (const auto& objects : all_.objects_.all_of(config_.name)) bind({}, objects);
}

std::shared_ptr<fleet::Capability> StaticWorker::outbound_for(const std::string& partition) {
  return std::make_shared<OutboundCapability>(all_.outbound_, partition);
}

void StaticWorker::reach(const std::shared_ptr<fleet::RoutedCall>& call) {
  if (session_ != nullptr && worker_ != 0) {
    call->deliver(session_, worker_);
    return;
  }
  waiting_.push_back(call);
  wait_for_home();
}

void StaticWorker::when_loaded(Ready ready, Failed) {
  if (session_ != nullptr && worker_ != 0) return ready(session_, worker_);
  watchers_.push_back(std::move(ready));
  wait_for_home();
}

void StaticWorker::wait_for_home() {
  if (std::exchange(is_awaited_, true)) return;
  all_.fleet_.when_ready(all_.fleet_.platform(), [self = shared_from_this()](const auto& session) {
    self->is_awaited_ = false;
    // A home that was just filled has it; one whose runner gave it up has not.
    if (self->worker_ == 0) {
      self->load(session);
      self->tell_places();
    }
    for (const auto& waiting : std::exchange(self->waiting_, {})) waiting->deliver(self->session_, self->worker_);
    for (const auto& ready : std::exchange(self->watchers_, {})) ready(self->session_, self->worker_);
  });
}

void StaticWorker::close() {
  for (const auto& waiting : std::exchange(waiting_, {})) waiting->refuse(fleet::error_of(Fault::Cancelled));
  watchers_.clear();
}

void StaticWorker::withdraw(fleet::RoutedCall& call) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&call](const auto& waiting) { return waiting.get() == &call; });
  if (found != waiting_.end()) waiting_.erase(found);
}

void StaticWorker::forget(fleet::Session& session, protocol::WorkerId worker) {
  if (session_.get() != &session || worker_ != worker) return;
  session.forget_worker(worker);
  on_worker_gone(session, worker, {});
}

void StaticWorker::on_worker_gone(fleet::Session& session, protocol::WorkerId worker, std::string_view) {
  if (session_.get() != &session || worker_ != worker) return;
  session_.reset();
  worker_ = 0;
}

// ---- StaticWorkers

Result<std::unique_ptr<StaticWorkers>> StaticWorkers::create(const config::Config& config, fleet::Fleet& fleet,
                                                             DynamicWorkers& dynamic, egress::Outbound& outbound,
                                                             actors::Directory& objects,
                                                             instances::Workflows* workflows) {
  auto all = std::unique_ptr<StaticWorkers>(new StaticWorkers(fleet, dynamic, outbound, objects, workflows));
  for (const config::Worker& worker : config.workers) {
    all->workers_.push_back(std::make_shared<StaticWorker>(*all, worker));
    objects.set_host(worker.name, all->workers_.back());
    if (workflows != nullptr) workflows->set_host(worker.name, all->workers_.back());
    if (worker.assets) {
      TRY(auto files, open_files(worker.assets->directory));
      all->assets_.emplace(worker.name, std::move(files));
    }
  }
  for (const config::Worker& worker : config.workers) {
    for (const config::ServiceBinding& service : worker.services) {
      if (all->find(service.service) != nullptr) continue;
      return Error(ErrorCode::InvalidInput, fmt::format("{}: services: \"{}\" names the Worker \"{}\", which is not "
                                                        "part of this configuration",
                                                        worker.name, service.name, service.service));
    }
  }
  return all;
}

StaticWorkers::~StaticWorkers() {
  for (const auto& worker : workers_) worker->close();
}

void StaticWorkers::load_all(const std::shared_ptr<fleet::Session>& session) {
  for (const auto& worker : workers_) worker->load(session);
  for (const auto& worker : workers_) worker->tell_places();
}

std::shared_ptr<StaticWorker> StaticWorkers::find(std::string_view name) const {
  const auto found = std::find_if(workers_.begin(), workers_.end(),
                                  [name](const auto& worker) { return worker->worker_name() == name; });
  return found == workers_.end() ? nullptr : *found;
}

}  // namespace insula::broker
