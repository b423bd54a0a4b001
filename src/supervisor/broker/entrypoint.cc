// SPDX-License-Identifier: Apache-2.0
//
// EntrypointCapability: a call with another address.
#include "src/supervisor/broker/entrypoint.h"

#include <algorithm>

#include "src/supervisor/fleet/forwarded_call.h"

namespace insula::broker {

void EntrypointCapability::invoke(fleet::IncomingCall& call) {
  const fleet::ForwardedCall::Fixed fixed{shared_from_this(), entrypoint_, props_, &carried_};
  std::make_shared<fleet::ForwardedCall>(call.answer, fixed)->start(call, worker_);
}

fleet::Capability::Place EntrypointCapability::place_in(const fleet::Session& holder) const {
  return {worker_->number_in(holder), entrypoint_, props_, &carried_};
}

std::size_t EntrypointCapability::depth_of(const fleet::Carried& carried) {
  std::size_t depth = 0;
  for (const auto& capability : carried.capabilities) {
    const auto* const inner = dynamic_cast<const EntrypointCapability*>(capability.get());
    if (inner != nullptr) depth = std::max(depth, inner->depth_);
  }
  return depth;
}

}  // namespace insula::broker
