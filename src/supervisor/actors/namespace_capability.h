// SPDX-License-Identifier: Apache-2.0
//
// NamespaceCapability: the binding of a class of Durable Objects: reaches any object of it.
#pragma once

#include <memory>
#include <utility>

#include "src/supervisor/actors/directory.h"

namespace insula::actors {

class NamespaceCapability final : public fleet::Capability, public std::enable_shared_from_this<NamespaceCapability> {
 public:
  NamespaceCapability(Directory& all, std::shared_ptr<const Namespace> name_space)
      : all_(all), namespace_(std::move(name_space)) {}

  void invoke(fleet::IncomingCall& call) override { all_.call_object(call, *namespace_, shared_from_this()); }
  // Its objects are, each by itself; the whole class stays with the Worker that is bound to it.
  bool is_transferable() const override { return false; }

 private:
  Directory& all_;
  const std::shared_ptr<const Namespace> namespace_;
};

}  // namespace insula::actors
