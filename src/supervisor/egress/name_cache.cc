// SPDX-License-Identifier: Apache-2.0
//
// NameCache: one entry per name, dropped when it is stale and its place is needed.
#include "src/supervisor/egress/name_cache.h"

#include <utility>

namespace insula::egress {
namespace {

// Shorter than any sensible TTL, long enough that a busy host is not asked for at every request.
constexpr std::chrono::seconds kKnownFor{5};
constexpr std::size_t kNamesMax = 4096;
constexpr std::size_t kWaitersMax = 4096;

}  // namespace

NameCache::NameCache(std::unique_ptr<Resolver> resolver, const Clock& clock)
    : clock_(clock), resolver_(std::move(resolver)) {}

void NameCache::resolve(const std::string& name, Resolver::Callback callback) {
  auto found = entries_.find(name);
  if (found != entries_.end() && !found->second.is_pending && clock_.now() < found->second.known_until) {
    callback(found->second.addresses);
    return;
  }
  if (waiters_ >= kWaitersMax || (found == entries_.end() && entries_.size() >= kNamesMax && !make_room())) {
    callback(Error(ErrorCode::Overloaded, "egress: too many host names are being resolved"));
    return;
  }
  if (found == entries_.end()) found = entries_.try_emplace(name).first;
  found->second.waiters.push_back(std::move(callback));
  ++waiters_;
  if (std::exchange(found->second.is_pending, true)) return;
  resolver_->resolve(name, [this, name](Result<Addresses> answer) { on_answer(name, std::move(answer)); });
}

void NameCache::on_answer(const std::string& name, Result<Addresses> answer) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  auto waiters = std::exchange(found->second.waiters, {});
  waiters_ -= waiters.size();
  if (answer) {
    found->second.is_pending = false;
    found->second.addresses = *answer;
    found->second.known_until = clock_.now() + kKnownFor;
  } else {
    // Failures are not remembered: the next request asks again.
    entries_.erase(found);
  }
  for (auto& waiter : waiters) waiter(answer);
}

void NameCache::close() {
  resolver_.reset();
  entries_.clear();
  waiters_ = 0;
}

bool NameCache::make_room() {
  const auto now = clock_.now();
  std::erase_if(entries_, [now](const auto& item) {
    return !item.second.is_pending && item.second.known_until <= now;
  });
  return entries_.size() < kNamesMax;
}

}  // namespace insula::egress
