// SPDX-License-Identifier: Apache-2.0
//
// NameCache: remembers for a few seconds what a name resolved to, and lets all requests of one partition that ask for one
// name wait for one look-up. What it returns is not checked: the address policy judges every use.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
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
  // partition: on whose behalf. What is known is everybody's; who asks waits for nobody else's question.
  void resolve(const std::string& name, const std::string& partition, Resolver::Callback callback);
  // Destroys the resolver and forgets who waits.
  void close();

 private:
  struct Known {
    Addresses addresses;
    Monotonic until{};
  };
  using Question = std::pair<std::string, std::string>;  // name, partition

  void on_answer(const Question& question, Result<Addresses> answer);
  bool make_room();

  const Clock& clock_;
  std::unordered_map<std::string, Known> known_;
  std::map<Question, std::vector<Resolver::Callback>> pending_;  // and who waits for it
  std::size_t waiters_ = 0;
  // Last, so that it is destroyed first: its callbacks use the members above.
  std::unique_ptr<Resolver> resolver_;
};

}  // namespace insula::egress
