// SPDX-License-Identifier: Apache-2.0
//
// Loader: which entry a call is for. The life of one entry is in dynamic_worker.cc.
#include "src/supervisor/broker/loader.h"

#include <utility>

#include "src/supervisor/broker/call_budget.h"
#include "src/supervisor/broker/static_workers.h"

namespace insula::broker {

LoaderCapability::~LoaderCapability() {
  for (const auto& [number, worker] : std::exchange(anonymous_, {})) worker->discard();
}

void LoaderCapability::invoke(fleet::IncomingCall& call) {
  call.session.answer_error(call.answer.question,
                            fleet::error_of(Fault::Internal, "A loader is not something that can be called."));
}

std::shared_ptr<DynamicWorker> LoaderCapability::find(DynamicWorkers& all, const protocol::Dynamic& dynamic) {
  if (dynamic.anonymous != 0) {
    auto& worker = anonymous_[dynamic.anonymous];
    if (worker == nullptr) {
      worker = std::make_shared<DynamicWorker>(all, namespace_, host_, *this, dynamic.anonymous);
    }
    return worker;
  }
  const auto found = namespace_->workers.find(dynamic.id);
  if (found != namespace_->workers.end()) return found->second;
  auto worker = std::make_shared<DynamicWorker>(all, namespace_, host_, std::string(dynamic.id));
  namespace_->workers.emplace(std::string(dynamic.id), worker);
  return worker;
}

DynamicWorkers::~DynamicWorkers() {
  // Entries and their namespaces hold each other, and so do entries and the calls that wait for them.
  for (const auto& [name, names] : namespaces_) {
    const auto workers = std::exchange(names->workers, {});
    for (const auto& [id, worker] : workers) worker->close();
    names->workers.clear();
  }
}

std::shared_ptr<LoaderNamespace> DynamicWorkers::open_namespace(const std::string& name) {
  auto& found = namespaces_[name];
  if (found == nullptr) {
    found = std::make_shared<LoaderNamespace>();
    found->name = name;
  }
  return found;
}

void DynamicWorkers::invoke(fleet::IncomingCall& call, LoaderCapability& loader) {
  const protocol::Dynamic& dynamic = call.invoke.target.dynamic;
  const auto worker = loader.find(*this, dynamic);
  if (call.parent != 0) {
    CallBudget* const budget = CallBudget::of(call.session, call.parent);
    if (budget != nullptr && !budget->add(worker.get())) {
      call.session.answer_error(
          call.answer.question,
          fleet::error_of(Fault::LoadFailed, "Too many different dynamic Workers are in use by one invocation; at "
                                             "most 64 may be."));
      return;
    }
  }
  const auto forwarded = std::make_shared<DynamicCall>(
      call.answer, CodeSource{call.session.weak_from_this(), dynamic.loader, dynamic.source});
  if (call.parent != 0) forwarded->hold(call.parent, worker.get());
  // Copied first: sending the call takes its frame apart.
  const protocol::CapabilityId loader_number = dynamic.loader;
  forwarded->start(call, worker);
  worker->bind_for(call.session, loader_number);
}

void DynamicWorkers::preload(fleet::Session& session, const protocol::Dynamic& dynamic, LoaderCapability& loader) {
  loader.find(*this, dynamic)->preload({session.weak_from_this(), dynamic.loader, dynamic.source});
}

std::shared_ptr<actors::ClassHost> DynamicWorkers::classes_of(fleet::Session& session, const protocol::Dynamic& dynamic,
                                                              LoaderCapability& loader) {
  return std::make_shared<DynamicClasses>(loader.find(*this, dynamic),
                                          CodeSource{session.weak_from_this(), dynamic.loader, dynamic.source});
}

void DynamicWorkers::expire() {
  for (const auto& [name, names] : namespaces_) {
    // Refusals can take entries out of the table.
    std::vector<std::shared_ptr<DynamicWorker>> workers;
    for (const auto& [id, worker] : names->workers) {
      if (worker->has_queue()) workers.push_back(worker);
    }
    for (const auto& worker : workers) worker->expire();
  }
}

}  // namespace insula::broker
