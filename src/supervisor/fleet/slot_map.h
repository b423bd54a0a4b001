// SPDX-License-Identifier: Apache-2.0
//
// SlotMap: a table that names its entries with 32-bit numbers: an index that is reused and a generation that is not.
//
//   number = generation (12 bits, never 0) << 20 | index (20 bits)
//
// Finding an entry is one array access. A number that was given back is told apart from the one that took its place,
// and one that was never given out from both, which is what a hostile peer's numbers are checked against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace insula::fleet {

template <class T>
class SlotMap {
 public:
  static constexpr std::uint32_t kIndexBits = 20;
  static constexpr std::uint32_t kIndexMax = (1u << kIndexBits) - 1;
  static constexpr std::uint32_t kGenerationMax = (1u << (32 - kIndexBits)) - 1;

  // The number of a new, empty entry; 0 when the table is full.
  std::uint32_t insert() {
    std::uint32_t index = 0;
    if (!free_.empty()) {
      index = free_.back();
      free_.pop_back();
    } else {
      if (slots_.size() > kIndexMax) return 0;
      index = static_cast<std::uint32_t>(slots_.size());
      slots_.emplace_back();
    }
    Slot& slot = slots_[index];
    slot.is_live = true;
    if (slot.generation == kGenerationMax) {
      slot.generation = 0;
      slot.has_wrapped = true;
    }
    ++slot.generation;
    ++size_;
    return slot.generation << kIndexBits | index;
  }

  T* find(std::uint32_t number) {
    const std::uint32_t index = number & kIndexMax;
    if (index >= slots_.size()) return nullptr;
    Slot& slot = slots_[index];
    return slot.is_live && slot.generation == number >> kIndexBits ? &slot.value : nullptr;
  }

  // True for every number that insert() ever gave out, live or not.
  bool was_issued(std::uint32_t number) const {
    const std::uint32_t index = number & kIndexMax;
    const std::uint32_t generation = number >> kIndexBits;
    if (index >= slots_.size() || generation == 0) return false;
    return slots_[index].has_wrapped || generation <= slots_[index].generation;
  }

  void erase(std::uint32_t number) {
    T* const value = find(number);
    if (value == nullptr) return;
    const std::uint32_t index = number & kIndexMax;
    const auto free = [&] {
      slots_[index].is_live = false;
      free_.push_back(index);
      --size_;
    };
    // A type may keep the capacity of its parts for the next use. Else it ends when the table is whole again: what its
    // destructor does may come back here.
    if constexpr (requires { value->clear(); }) {
      value->clear();
      free();
    } else {
      [[maybe_unused]] const T gone = std::exchange(*value, T{});
      free();
    }
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Calls visit(number, value) for each live entry. The table must not change meanwhile.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::size_t index = 0; index < slots_.size(); ++index) {
      Slot& slot = slots_[index];
      if (slot.is_live) visit(slot.generation << kIndexBits | static_cast<std::uint32_t>(index), slot.value);
    }
  }

 private:
  struct Slot {
    T value{};
    std::uint32_t generation = 0;
    bool is_live = false;
    bool has_wrapped = false;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace insula::fleet
