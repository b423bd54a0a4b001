// SPDX-License-Identifier: Apache-2.0
//
// FacetTable: entries of the store are "NUMBER" → "PARENT/NAME", and "next" → the next number.
#include "src/supervisor/actors/facet_table.h"

#include <charconv>

namespace insula::actors {
namespace {

constexpr std::string_view kNext = "next";

std::optional<FacetTable::Number> number_of(std::string_view text) {
  FacetTable::Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Error damaged() { return Error(ErrorCode::Corrupt, "store: the list of an object's facets is damaged"); }

}  // namespace

Result<FacetTable> FacetTable::from(std::string space, const std::vector<storage::Entry>& entries) {
  FacetTable table(std::move(space));
  for (const storage::Entry& entry : entries) {
    if (entry.key == kNext) {
      const auto next = number_of(entry.value);
      if (!next || *next < table.next_) return damaged();
      table.next_ = *next;
      continue;
    }
    const auto slash = entry.value.find('/');
    if (slash == std::string::npos) return damaged();
    const auto number = number_of(entry.key);
    const auto parent = number_of(std::string_view(entry.value).substr(0, slash));
    // A facet is younger than its parent: so the rows are a tree.
    if (!number || !parent || *number <= *parent) return damaged();
    const Key key(*parent, entry.value.substr(slash + 1));
    if (!table.numbers_.emplace(key, *number).second || !table.keys_.emplace(*number, key).second) return damaged();
    if (*number >= table.next_) table.next_ = *number + 1;
  }
  return table;
}

std::optional<FacetTable::Number> FacetTable::find(Number parent, std::string_view name) const {
  const auto found = numbers_.find(Key(parent, name));
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> FacetTable::path_of(Number number) const {
  std::vector<std::string> names;
  while (number != 0) {
    const auto found = keys_.find(number);
    if (found == keys_.end()) return {};
    names.insert(names.begin(), found->second.second);
    number = found->second.first;
  }
  return names;
}

FacetTable::Number FacetTable::take(Number parent, std::string_view name, storage::Batch& batch) {
  const Number number = next_++;
  numbers_.emplace(Key(parent, name), number);
  keys_.emplace(number, Key(parent, name));
  batch.push_back(storage::PutEntry{{space_, std::to_string(number), std::to_string(parent) + "/" + std::string(name)}});
  batch.push_back(next_entry());
  return number;
}

storage::Write FacetTable::next_entry() const {
  return storage::PutEntry{{space_, std::string(kNext), std::to_string(next_)}};
}

Result<FacetTable::Number> FacetTable::add(Number parent, std::string_view name, storage::Batch& batch) {
  if (numbers_.size() >= kFacetsPerRootMax) {
    return Error(ErrorCode::LimitExceeded, "A Durable Object can have at most 65535 facets.");
  }
  return take(parent, name, batch);
}

std::vector<FacetTable::Number> FacetTable::remove(Number parent, std::string_view name, storage::Batch& batch) {
  const auto found = numbers_.find(Key(parent, name));
  if (found == numbers_.end()) return {};
  const Number number = found->second;
  numbers_.erase(found);
  keys_.erase(number);
  batch.push_back(storage::DeleteEntry{space_, std::to_string(number)});
  std::vector<Number> gone = remove_below(number, batch);
  gone.push_back(number);
  return gone;
}

std::vector<FacetTable::Number> FacetTable::remove_below(Number parent, storage::Batch& batch) {
  std::vector<Number> gone;
  for (auto row = numbers_.lower_bound(Key(parent, "")); row != numbers_.end() && row->first.first == parent;) {
    gone.push_back(row->second);
    batch.push_back(storage::DeleteEntry{space_, std::to_string(row->second)});
    keys_.erase(row->second);
    row = numbers_.erase(row);
  }
  // The tree is at most four deep.
  for (std::size_t index = 0, direct = gone.size(); index < direct; ++index) {
    const auto below = remove_below(gone[index], batch);
    gone.insert(gone.end(), below.begin(), below.end());
  }
  return gone;
}

std::size_t FacetTable::count_below(Number parent) const {
  std::size_t count = 0;
  for (auto row = numbers_.lower_bound(Key(parent, "")); row != numbers_.end() && row->first.first == parent; ++row) {
    count += 1 + count_below(row->second);
  }
  return count;
}

Result<std::vector<std::pair<FacetTable::Number, FacetTable::Number>>> FacetTable::clone(
    Number parent, std::string_view from, std::string_view to, storage::Batch& batch) {
  std::vector<std::pair<Number, Number>> copies;
  const auto source = find(parent, from);
  if (!source) return copies;
  if (numbers_.size() + 1 + count_below(*source) > kFacetsPerRootMax) {
    return Error(ErrorCode::LimitExceeded, "A Durable Object can have at most 65535 facets.");
  }
  const Number target = take(parent, to, batch);
  copies.emplace_back(*source, target);
  clone_below(*source, target, batch, copies);
  return copies;
}

void FacetTable::clone_below(Number from, Number to, storage::Batch& batch,
                             std::vector<std::pair<Number, Number>>& copies) {
  std::vector<std::pair<std::string, Number>> children;
  for (auto row = numbers_.lower_bound(Key(from, "")); row != numbers_.end() && row->first.first == from; ++row) {
    children.emplace_back(row->first.second, row->second);
  }
  for (const auto& [name, number] : children) {
    const Number copy = take(to, name, batch);
    copies.emplace_back(number, copy);
    clone_below(number, copy, batch, copies);
  }
}

}  // namespace insula::actors
