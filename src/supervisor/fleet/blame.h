// SPDX-License-Identifier: Apache-2.0
//
// Blame: who is to be kept apart, and who is to be kept out, after runners have died. Pure: a clock and a history.
//
//   one suspect                      a strike; several: half a strike each
//   two strikes                      a runner of its own for one hour
//   three deaths within 60 s         suspended for 10 s, doubling with each further time up to 10 min
//
// Source: threat-model.md section 5, "runner death is cheap and attributed".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/base/clock.h"

namespace insula::fleet {

enum class Standing : std::uint8_t { Normal, Alone, Suspended };

struct Verdict {
  Standing standing = Standing::Normal;
  std::chrono::seconds retry_after{0};  // of a suspension, at least 1
};

class Blame {
 public:
  explicit Blame(const Clock& clock) : clock_(clock) {}

  // A runner died while these tenants' code was running in it.
  void record_death(const std::vector<std::string>& suspects);
  Verdict verdict(const std::string& tenant) const;

  std::size_t size() const noexcept { return records_.size(); }

 private:
  struct Death {
    Monotonic at;
    unsigned halves = 0;  // 2: the only suspect, 1: one of several
  };
  struct Record {
    std::deque<Death> deaths;
    unsigned strike_halves = 0;  // since the last hour alone
    Monotonic alone_until{};
    Monotonic suspended_until{};
    std::chrono::seconds next_suspension{10};
    Monotonic touched{};
  };
  void add(Record& record, unsigned halves);
  void forget_old();

  const Clock& clock_;
  std::unordered_map<std::string, Record> records_;
};

}  // namespace insula::fleet
