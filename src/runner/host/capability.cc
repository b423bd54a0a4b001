// SPDX-License-Identifier: Apache-2.0
//
// HostCapability: the end of a reference.
#include "src/runner/host/capability.h"

#include <unistd.h>

#include <algorithm>

namespace insula::runner {

void ReleaseList::add(Item item) {
  {
    const std::lock_guard lock(mutex_);
    items_.push_back(item);
  }
  has_items_.store(true);
  if (asleep_.load()) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
  }
}

bool ReleaseList::take(std::vector<Item>& items) {
  if (!has_items_.load(std::memory_order_relaxed)) return false;
  has_items_.store(false);
  const std::lock_guard lock(mutex_);
  items.swap(items_);
  return !items.empty();
}

HostCapability::~HostCapability() {
  if (kind != Kind::Entrypoint) releases_.add({kind == Kind::Import, worker, number});
}

unsigned depth_of(const Payload& payload) noexcept {
  unsigned depth = 0;
  for (const CapabilityPtr& one : payload.capabilities) {
    if (one != nullptr && one->kind == HostCapability::Kind::Entrypoint) depth = std::max(depth, one->depth);
  }
  return depth;
}

std::uint32_t references_of(const Payload& payload) noexcept {
  std::uint32_t sum = 0;
  for (const CapabilityPtr& one : payload.capabilities) sum += one != nullptr ? one->references : 1;
  return sum;
}

}  // namespace insula::runner
