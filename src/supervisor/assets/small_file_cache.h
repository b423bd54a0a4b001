// SPDX-License-Identifier: Apache-2.0
//
// SmallFileCache: small files that were served before, as long as one stat() says that nothing has changed.
//
// A hit costs one system call instead of four. What it serves was read below the folder by the strict look-up, so a
// path that has meanwhile been replaced by a link can only lead to a miss, or to the very same bytes.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

#include "src/base/bytes.h"
#include "src/base/clock.h"

namespace insula::assets {

class SmallFileCache {
 public:
  struct Entry {
    struct stat facts {};
    Bytes body;
    std::string etag;
  };

  explicit SmallFileCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // The entry of this path, or null when there is none or the file is no longer the one that was read.
  const Entry* find(int folder, const std::string& path);

  // Keeps a file, unless it changed so recently that its next change could have the same time stamp.
  void put(const std::string& path, const struct stat& facts, BytesView body, std::string_view etag, WallTime now);

 private:
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace insula::assets
