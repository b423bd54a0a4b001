// SPDX-License-Identifier: Apache-2.0
//
// FileSource: pread() while there is credit; the end is told as soon as the last byte was given.
#include "src/supervisor/assets/file_source.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "src/base/limits.h"

namespace insula::assets {

void FileSource::grant(std::size_t bytes) {
  if (sink_ == nullptr) return;
  credit_ = bytes > std::numeric_limits<std::size_t>::max() - credit_ ? std::numeric_limits<std::size_t>::max()
                                                                      : credit_ + bytes;
  if (is_pumping_) return;  // a grant from within on_data(): the loop below us goes on
  // The sink may drop its last reference to us while it is being called.
  const auto self = shared_from_this();
  is_pumping_ = true;
  pump();
  is_pumping_ = false;
}

void FileSource::pump() {
  while (sink_ != nullptr && offset_ < length_ && credit_ > 0) {
    if (!read_chunk()) return;
  }
  if (sink_ != nullptr && offset_ == length_) {
    file_.reset();
    std::exchange(sink_, nullptr)->on_end();
  }
}

bool FileSource::read_chunk() {
  // One thread and no nesting (is_pumping_), but several files: the buffer is on the stack.
  std::array<char, kStreamChunkBytesMax> chunk;
  const auto wanted = std::min<std::uint64_t>({chunk.size(), credit_, length_ - offset_});
  ssize_t count = -1;
  do {
    count = ::pread(file_.get(), chunk.data(), static_cast<std::size_t>(wanted), static_cast<off_t>(offset_));
  } while (count < 0 && errno == EINTR);
  if (count <= 0) {
    const std::string why = count == 0 ? "it became shorter" : std::strerror(errno);
    file_.reset();
    std::exchange(sink_, nullptr)->on_failure(Error(ErrorCode::Internal, "assets: a file cannot be read on: " + why));
    return false;
  }
  offset_ += static_cast<std::uint64_t>(count);
  credit_ -= static_cast<std::size_t>(count);
  sink_->on_data(BytesView(chunk.data(), static_cast<std::size_t>(count)));
  return true;
}

}  // namespace insula::assets
