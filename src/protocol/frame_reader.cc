// SPDX-License-Identifier: Apache-2.0
//
// FrameReader: finds the frames in the bytes of a channel. The sizes in their headers are hostile too.
#include <algorithm>
#include <cstring>

#include "src/protocol/frames.h"

namespace insula::protocol {

Result<std::size_t> frame_size(BytesView header) {
  INSULA_CHECK(header.size() >= kFrameHeaderBytes);
  std::uint32_t parts[2];
  std::memcpy(parts, header.data(), sizeof parts);
  if (parts[0] != 0) return Error(ErrorCode::Corrupt, "frame: more than one segment");
  const std::size_t size = kFrameHeaderBytes + std::size_t{parts[1]} * 8;
  if (parts[1] == 0) return Error(ErrorCode::Corrupt, "frame: empty");
  if (size > kFrameBytesMax) return Error(ErrorCode::Corrupt, "frame: too large");
  return size;
}

FrameReader::Space FrameReader::space(std::size_t least) {
  if (begin_ == end_) begin_ = end_ = 0;
  const auto base = [this] { return reinterpret_cast<char*>(words_.data()); };
  if (words_.size() * 8 - end_ < least && begin_ > 0) {
    std::memmove(base(), base() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // A large frame is announced by its header: make room for all of it at once. What one large frame needed is given
  // back when the buffer is empty again.
  std::size_t wanted = end_ + least;
  if (end_ - begin_ >= kFrameHeaderBytes) {
    if (auto size = frame_size({base() + begin_, kFrameHeaderBytes}); size && begin_ + *size > wanted) {
      // Grow with what really arrives, at most doubling, so that a header alone cannot claim memory.
      wanted = std::min(begin_ + *size, std::max(wanted, 2 * (end_ + least)));
    }
  } else if (end_ == 0 && words_.size() * 8 > 1 * kMiB) {
    words_ = {};
  }
  if (words_.size() * 8 < wanted) words_.resize((wanted + 7) / 8);
  return {base() + end_, words_.size() * 8 - end_};
}

void FrameReader::commit(std::size_t bytes) { end_ += bytes; }

Result<BytesView> FrameReader::next() {
  if (end_ - begin_ < kFrameHeaderBytes) return BytesView();
  const char* start = reinterpret_cast<const char*>(words_.data()) + begin_;
  TRY(const std::size_t size, frame_size({start, kFrameHeaderBytes}));
  if (end_ - begin_ < size) return BytesView();
  begin_ += size;
  return BytesView(start, size);
}

}  // namespace insula::protocol
