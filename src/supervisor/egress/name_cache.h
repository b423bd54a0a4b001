// SPDX-License-Identifier: Apache-2.0
//
// NameCache: remembers for a few seconds what a name resolved to, and lets everybody who asks for one name wait for
// one look-up. What it returns is not checked: the address policy judges every use.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/supervisor/egress/resolver.h"

namespace insula::egress {

class NameCache {
 public:
  // `resolver` must call back on this object's thread.
  NameCache(std::unique_ptr<Resolver> resolver, const Clock& clock);

  // Calls back once: inside this call when the answer is known, else later.
  void resolve(const std::string& name, Resolver::Callback callback);
  // Destroys the resolver and forgets who waits.
  void close();

 private:
  struct Entry {
    Addresses addresses;
    Monotonic known_until{};
    bool is_pending = false;
    std::vector<Resolver::Callback> waiters;
  };

  void on_answer(const std::string& name, Result<Addresses> answer);
  bool make_room();

  const Clock& clock_;
  std::unordered_map<std::string, Entry> entries_;
  std::size_t waiters_ = 0;
  // Last, so that it is destroyed first: its callbacks use the members above.
  std::unique_ptr<Resolver> resolver_;
};

}  // namespace insula::egress
