// SPDX-License-Identifier: Apache-2.0
//
// Pool: a list in order of use, and an index by origin.
#include "src/supervisor/egress/pool.h"

#include <utility>

namespace insula::egress {

std::shared_ptr<Connection> Pool::take(const Origin& origin, std::chrono::milliseconds used_within,
                                       const std::function<bool(const Connection::Endpoint&)>& is_checked) {
  const auto now = clock_.now();
  for (;;) {
    auto [first, last] = by_origin_.equal_range(origin);
    auto chosen = idle_.end();
    while (last != first && chosen == idle_.end()) {
      --last;
      const auto place = last->second;
      if (now - place->since > used_within) return nullptr;  // all before it are older
      if (is_checked(place->connection->endpoint())) chosen = place;
    }
    if (chosen == idle_.end()) return nullptr;
    auto connection = chosen->connection;
    remove(chosen, false);
    if (connection->unwatch()) return connection;
    connection->close();
  }
}

void Pool::put(std::shared_ptr<Connection> connection) {
  if (limits_.idle_max == 0 || limits_.idle_per_origin_max == 0) {
    connection->close();
    return;
  }
  const auto [first, last] = by_origin_.equal_range(connection->origin());
  if (static_cast<std::size_t>(std::distance(first, last)) >= limits_.idle_per_origin_max) {
    remove(first->second, true);
  }
  if (idle_.size() >= limits_.idle_max) remove(idle_.begin(), true);
  const auto place = idle_.insert(idle_.end(), Idle{connection, clock_.now()});
  by_origin_.emplace(connection->origin(), place);
  connection->watch([weak = weak_from_this(), raw = connection.get()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    for (auto entry = self->idle_.begin(); entry != self->idle_.end(); ++entry) {
      if (entry->connection.get() != raw) continue;
      self->remove(entry, true);
      return;
    }
  });
}

void Pool::sweep() {
  const auto now = clock_.now();
  while (!idle_.empty() && now - idle_.front().since > limits_.idle_for) remove(idle_.begin(), true);
}

bool Pool::close_one() {
  if (idle_.empty()) return false;
  remove(idle_.begin(), true);
  return true;
}

void Pool::clear() {
  while (close_one()) {
  }
}

void Pool::remove(Order::iterator place, bool closes) {
  const auto connection = place->connection;
  const auto [first, last] = by_origin_.equal_range(connection->origin());
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second != place) continue;
    by_origin_.erase(entry);
    break;
  }
  idle_.erase(place);
  if (closes) connection->close();
}

}  // namespace insula::egress
