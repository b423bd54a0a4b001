// SPDX-License-Identifier: Apache-2.0
//
// CodeCache: least recently used out first.
#include "src/runner/modules/code_cache.h"

#include <openssl/sha.h>

#include <cstring>

namespace insula::runner {
namespace {

constexpr std::size_t kEntriesMax = 16384;

}  // namespace

CodeCache::Key CodeCache::key_of(std::string_view source) {
  Key key;
  SHA256(reinterpret_cast<const unsigned char*>(source.data()), source.size(), key.data());
  return key;
}

std::size_t CodeCache::KeyHash::operator()(const Key& key) const noexcept {
  std::size_t hash = 0;
  std::memcpy(&hash, key.data(), sizeof hash);
  return hash;
}

CodeCache::Found CodeCache::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found != entries_.end()) {
    order_.splice(order_.begin(), order_, found->second.place);
    return {found->second.data, found->second.data == nullptr};
  }
  order_.push_front(key);
  entries_[key] = {nullptr, order_.begin()};
  if (entries_.size() > kEntriesMax) {
    const Key last = order_.back();
    if (const auto& data = entries_[last].data) bytes_ -= data->size();
    entries_.erase(last);
    order_.pop_back();
  }
  return {};
}

void CodeCache::put(const Key& key, std::string data) {
  const std::lock_guard lock(mutex_);
  if (data.size() > bytes_max_ / 4) return;
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.data != nullptr) return;
  bytes_ += data.size();
  found->second.data = std::make_shared<const std::string>(std::move(data));
  while (bytes_ > bytes_max_ && !order_.empty()) {
    const Key last = order_.back();
    if (const auto& old = entries_[last].data) bytes_ -= old->size();
    entries_.erase(last);
    order_.pop_back();
  }
}

void CodeCache::forget(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  if (found->second.data != nullptr) bytes_ -= found->second.data->size();
  order_.erase(found->second.place);
  entries_.erase(found);
}

}  // namespace insula::runner
