// SPDX-License-Identifier: Apache-2.0
//
// SmallFileCache: identity and time stamps decide; when it is full, it starts anew.
#include "src/supervisor/assets/small_file_cache.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>

namespace insula::assets {
namespace {

// The coarsest clock of a local file system ticks every 10 ms; twice that and some more.
constexpr std::chrono::milliseconds kSettledAfter{50};
constexpr std::size_t kEntryOverheadBytes = 512;

bool same_moment(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size && a.st_mode == b.st_mode &&
         same_moment(a.st_mtim, b.st_mtim) && same_moment(a.st_ctim, b.st_ctim);
}

WallTime moment_of(const timespec& time) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::seconds(time.tv_sec) +
                                                                 std::chrono::nanoseconds(time.tv_nsec)));
}

}  // namespace

const SmallFileCache::Entry* SmallFileCache::find(int folder, const std::string& path) {
  const auto found = entries_.find(path);
  if (found == entries_.end()) return nullptr;
  struct stat now {};
  if (::fstatat(folder, path.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0 && same_file(now, found->second.facts)) {
    return &found->second;
  }
  bytes_ -= found->second.body.size() + kEntryOverheadBytes;
  entries_.erase(found);
  return nullptr;
}

void SmallFileCache::put(const std::string& path, const struct stat& facts, BytesView body, std::string_view etag,
                         WallTime now) {
  const auto changed = std::max(moment_of(facts.st_mtim), moment_of(facts.st_ctim));
  const auto cost = body.size() + kEntryOverheadBytes;
  if (now - changed < kSettledAfter || cost > bytes_max_) return;
  if (bytes_ + cost > bytes_max_) {
    entries_.clear();
    bytes_ = 0;
  }
  const auto [entry, is_new] = entries_.try_emplace(path, Entry{facts, Bytes(body), std::string(etag)});
  if (is_new) bytes_ += cost;
}

}  // namespace insula::assets
