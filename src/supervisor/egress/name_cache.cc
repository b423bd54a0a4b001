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

void NameCache::resolve(const std::string& name, const std::string& partition, Resolver::Callback callback) {
  if (const auto found = known_.find(name); found != known_.end() && clock_.now() < found->second.until) {
    callback(found->second.addresses);
    return;
  }
  const Question question(name, partition);
  const auto pending = pending_.find(question);
  const bool is_new = pending == pending_.end();
  if (waiters_ >= kWaitersMax || (is_new && pending_.size() + known_.size() >= kNamesMax && !make_room())) {
    callback(Error(ErrorCode::Overloaded, "egress: too many host names are being resolved"));
    return;
  }
  ++waiters_;
  if (!is_new) {
    pending->second.push_back(std::move(callback));
    return;
  }
  pending_[question].push_back(std::move(callback));
  resolver_->resolve(name, partition, [this, question](Result<Addresses> answer) { on_answer(question, std::move(answer)); });
}

void NameCache::on_answer(const Question& question, Result<Addresses> answer) {
  auto pending = pending_.extract(question);
  if (pending.empty()) return;
  waiters_ -= pending.mapped().size();
  // Failures are not remembered: the next request asks again.
  if (answer) known_[question.first] = {*answer, clock_.now() + kKnownFor};
  for (auto& waiter : pending.mapped()) waiter(answer);
}

void NameCache::close() {
  resolver_.reset();
  known_.clear();
  pending_.clear();
  waiters_ = 0;
}

bool NameCache::make_room() {
  const auto now = clock_.now();
  std::erase_if(known_, [now](const auto& item) { return item.second.until <= now; });
  return pending_.size() + known_.size() < kNamesMax;
}

}  // namespace insula::egress
