// SPDX-License-Identifier: Apache-2.0
//
// CodeCache: V8's compiled form of module sources, by SHA-256 of the source, shared by the isolates of one runner.
//
// It never leaves the runner's memory and nothing comes in from outside: a code cache is machine code in effect.
// V8 checks only the length of the source against a cache, hence the strong hash. A source is worth caching when it
// is seen a second time: making the cache costs as much as compiling.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "src/base/limits.h"

namespace insula::runner {

class CodeCache {
 public:
  using Key = std::array<unsigned char, 32>;
  using Data = std::shared_ptr<const std::string>;

  static constexpr std::size_t kSourceBytesMin = 1 * kKiB;  // below, compiling is as fast as looking up

  explicit CodeCache(std::size_t bytes_max = 32 * kMiB) : bytes_max_(bytes_max) {}

  static Key key_of(std::string_view source);

  struct Found {
    Data data;                 // null: compile
    bool worth_making = false; // seen before, not cached yet
  };
  Found find(const Key& key);
  void put(const Key& key, std::string data);
  void forget(const Key& key);  // V8 rejected it

 private:
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Entry {
    Data data;  // null: seen once
    std::list<Key>::iterator place;
  };

  std::mutex mutex_;  // guards everything below
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::list<Key> order_;  // most recently used first
  std::unordered_map<Key, Entry, KeyHash> entries_;
};

}  // namespace insula::runner
