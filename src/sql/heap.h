// SPDX-License-Identifier: Apache-2.0
//
// HeapBudget: how many bytes the SQLite calls of one database may hold.
//
// SQLite's own heap limit is one for the process and costs a lock in each allocation. This one is a number beside the
// database: a HeapScope names it to the thread for as long as calls on that database last, and our allocator under
// SQLite counts there. Past the limit SQLite reports SQLITE_NOMEM. Without a scope (the supervisor's store) nothing is
// counted. Every call that makes or frees memory of a database must be under the same budget, its closing included.
#pragma once

#include <cstddef>

namespace insula::sql {

class HeapBudget {
 public:
  explicit HeapBudget(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}
  HeapBudget(const HeapBudget&) = delete;
  HeapBudget& operator=(const HeapBudget&) = delete;

  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t bytes_max() const noexcept { return bytes_max_; }
  bool admits(std::size_t more) const noexcept { return more <= bytes_max_ && bytes_ <= bytes_max_ - more; }
  void add(std::size_t more) noexcept { bytes_ += more; }
  void subtract(std::size_t less) noexcept { bytes_ -= less < bytes_ ? less : bytes_; }

 private:
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;  // touched only by the thread that is inside the database
};

class HeapScope {
 public:
  explicit HeapScope(HeapBudget& budget) noexcept;
  ~HeapScope();
  HeapScope(const HeapScope&) = delete;
  HeapScope& operator=(const HeapScope&) = delete;

 private:
  HeapBudget* const before_;
};

// Configures and starts SQLite; every open() of this room calls it. Safe to call from any thread, any number of times.
void initialize();

}  // namespace insula::sql
