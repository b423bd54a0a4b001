// SPDX-License-Identifier: Apache-2.0
//
// Admission: how many instances may be made in a second, of a workflow and of each fairness key within it.
//
// A bucket of tokens each: a second's worth at first, refilled as time passes. A bucket that is full again is forgotten,
// so that a million tenants who create now and then cost nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "src/base/error.h"
#include "src/durable/words.h"

namespace insula::workflow {

struct CreationLimits {
  std::uint32_t per_second = 0;          // 0: any number
  std::uint32_t per_second_per_key = 0;
  std::uint64_t queued_max = 2'000'000;  // instances of the workflow that wait for a slot
};

class Admission {
 public:
  void set_limits(const std::string& workflow, CreationLimits limits) { limits_[workflow] = limits; }

  // Takes a token for one instance. Errors: LimitExceeded, which says which limit; then none is taken.
  Result<> admit(const std::string& workflow, const std::string& key, std::uint64_t queued, durable::TimeMs now);

  std::size_t bucket_count() const noexcept { return buckets_.size(); }

 private:
  struct Bucket {
    std::uint32_t per_second = 0;
    double tokens = 0;
    durable::TimeMs at = 0;
  };
  Bucket& bucket(const std::string& name, std::uint32_t per_second, durable::TimeMs now);
  static double tokens_at(const Bucket& bucket, durable::TimeMs now);
  void forget_full(durable::TimeMs now);

  std::unordered_map<std::string, CreationLimits> limits_;
  std::unordered_map<std::string, Bucket> buckets_;  // by workflow, and by workflow and key
  std::size_t prune_at_ = 4'096;
};

}  // namespace insula::workflow
