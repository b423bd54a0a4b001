// SPDX-License-Identifier: Apache-2.0
//
// FacetTable: which number, and so which database, each facet of one Durable Object has.
//
//   (number of the parent, name) → number        0 is the root; numbers are never used again
//
// A deleted facet loses its number at once and for good, so a new one of that name begins with files of its own, and the
// old files can go when there is time. The table only plans: it changes itself, and says what to write to the store.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/storage/store.h"

namespace insula::actors {

inline constexpr std::size_t kFacetsPerRootMax = 65535;

class FacetTable {
 public:
  using Number = std::uint32_t;

  // space: of the entries in the store; entries: what the store holds there. Errors: Corrupt.
  static Result<FacetTable> from(std::string space, const std::vector<storage::Entry>& entries);

  std::optional<Number> find(Number parent, std::string_view name) const;
  // The names from the root down to that facet; empty: there is none of that number.
  std::vector<std::string> path_of(Number number) const;
  // Gives the facet a number. Errors: LimitExceeded.
  Result<Number> add(Number parent, std::string_view name, storage::Batch& batch);
  // Takes the facet and all below it out; returns their numbers.
  std::vector<Number> remove(Number parent, std::string_view name, storage::Batch& batch);
  // The same for everything below `parent`.
  std::vector<Number> remove_below(Number parent, storage::Batch& batch);
  // Gives `to`, which must not exist, and all below it new numbers as copies of `from` and all below it: (old, new).
  // Errors: LimitExceeded.
  Result<std::vector<std::pair<Number, Number>>> clone(Number parent, std::string_view from, std::string_view to,
                                                       storage::Batch& batch);
  // That no number given so far is ever given again.
  storage::Write next_entry() const;
  std::size_t size() const noexcept { return numbers_.size(); }

 private:
  using Key = std::pair<Number, std::string>;

  explicit FacetTable(std::string space) : space_(std::move(space)) {}
  Number take(Number parent, std::string_view name, storage::Batch& batch);
  std::size_t count_below(Number parent) const;
  void clone_below(Number from, Number to, storage::Batch& batch, std::vector<std::pair<Number, Number>>& copies);

  std::string space_;
  std::map<Key, Number> numbers_;
  std::map<Number, Key> keys_;  // the other way
  Number next_ = 1;
};

}  // namespace insula::actors
