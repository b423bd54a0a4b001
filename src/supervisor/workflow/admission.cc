// SPDX-License-Identifier: Apache-2.0
//
// Admission: buckets.
#include "src/supervisor/workflow/admission.h"

#include <algorithm>

namespace insula::workflow {

Result<> Admission::admit(const std::string& workflow, const std::string& key, std::uint64_t queued,
                          durable::TimeMs now) {
  const auto found = limits_.find(workflow);
  const CreationLimits limits = found == limits_.end() ? CreationLimits{} : found->second;
  if (queued >= limits.queued_max) {
    return Error(ErrorCode::LimitExceeded, "(instance.queue_full) The workflow has " +
                                               std::to_string(limits.queued_max) +
                                               " instances that wait to run; create this one later");
  }
  // The bucket of the key first: who is above his own limit takes nothing from the others.
  Bucket* const own = limits.per_second_per_key == 0
                          ? nullptr
                          : &bucket(workflow + '\n' + key, limits.per_second_per_key, now);
  if (own != nullptr && own->tokens < 1) {
    return Error(ErrorCode::LimitExceeded, "(instance.rate_exceeded) More than " +
                                               std::to_string(limits.per_second_per_key) +
                                               " instances a second for one origin; create this one later");
  }
  if (limits.per_second != 0) {
    Bucket& all = bucket(workflow, limits.per_second, now);
    if (all.tokens < 1) {
      return Error(ErrorCode::LimitExceeded, "(instance.rate_exceeded) More than " + std::to_string(limits.per_second) +
                                                 " instances a second; create this one later");
    }
    all.tokens -= 1;
  }
  if (own != nullptr) own->tokens -= 1;
  if (buckets_.size() >= prune_at_) forget_full(now);
  return {};
}

Admission::Bucket& Admission::bucket(const std::string& name, std::uint32_t per_second, durable::TimeMs now) {
  auto [found, is_new] = buckets_.try_emplace(name);
  Bucket& bucket = found->second;
  if (is_new) bucket = Bucket{per_second, static_cast<double>(per_second), now};
  bucket.tokens = tokens_at(bucket, now);
  bucket.at = now;
  return bucket;
}

double Admission::tokens_at(const Bucket& bucket, durable::TimeMs now) {
  const double added = static_cast<double>(now - bucket.at) * bucket.per_second / 1'000;
  return std::min(bucket.tokens + added, static_cast<double>(bucket.per_second));
}

void Admission::forget_full(durable::TimeMs now) {
  std::erase_if(buckets_, [now](const auto& entry) {
    return tokens_at(entry.second, now) >= entry.second.per_second;
  });
  prune_at_ = std::max<std::size_t>(4'096, buckets_.size() * 2);
}

}  // namespace insula::workflow
