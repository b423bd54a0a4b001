// SPDX-License-Identifier: Apache-2.0
//
// WorkflowCapability: the binding of a workflow: makes instances of it, and operates on them.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "src/supervisor/instances/detail.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::instances {

class Workflows;

class WorkflowCapability final : public fleet::Capability {
 public:
  WorkflowCapability(Workflows& all, std::string workflow) : all_(all), workflow_(std::move(workflow)) {}

  void invoke(fleet::IncomingCall& call) override;
  bool takes_engine_calls() const override { return true; }
  // Whoever is to have it gets an entrypoint of the Worker that is bound to it.
  bool is_transferable() const override { return false; }

 private:
  Workflows& all_;
  const std::string workflow_;
};

}  // namespace insula::instances
