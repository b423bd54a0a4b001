// SPDX-License-Identifier: Apache-2.0
//
// FrameReader: finds the frames in the bytes of a channel. The sizes in their headers are hostile too.
#include <algorithm>
#include <cstring>

#include "src/protocol/frames.h"

namespace insula::protocol {
namespace {

// What a large frame needed is given back when the next frames are small. While more large ones come it is kept, up to a
// bound: a mebibyte of fresh memory costs more than the copy into it.
constexpr std::size_t kKeptBytes = 1 * kMiB;
constexpr std::size_t kKeptForMoreBytes = 4 * kMiB;
constexpr unsigned kSmallRoundsMax = 16;

}  // namespace

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
  const auto base = [this] { return reinterpret_cast<char*>(words_.get()); };
  if (capacity_ - end_ < least && begin_ > 0) {
    std::memmove(base(), base() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // A large frame is announced by its header: make room for all of it at once.
  std::size_t wanted = end_ + least;
  if (end_ - begin_ >= kFrameHeaderBytes) {
    if (auto size = frame_size({base() + begin_, kFrameHeaderBytes}); size && begin_ + *size > wanted) {
      // Grow with what really arrives, at most doubling, so that a header alone cannot claim memory.
      wanted = std::min(begin_ + *size, std::max(wanted, 2 * (end_ + least)));
      small_rounds_ = 0;
    }
  } else if (end_ == 0 && capacity_ > kKeptBytes && (capacity_ > kKeptForMoreBytes || ++small_rounds_ > kSmallRoundsMax)) {
    words_.reset();
    capacity_ = 0;
  }
  if (capacity_ < wanted) grow(wanted);
  return {base() + end_, capacity_ - end_};
}

void FrameReader::grow(std::size_t bytes) {
  const std::size_t words = (bytes + 7) / 8;
  // Not zeroed: what nobody has read into it is never looked at.
  auto grown = std::make_unique_for_overwrite<std::uint64_t[]>(words);
  if (end_ > 0) std::memcpy(grown.get(), words_.get(), end_);
  words_ = std::move(grown);
  capacity_ = words * 8;
}

void FrameReader::commit(std::size_t bytes) { end_ += bytes; }

Result<BytesView> FrameReader::next() {
  if (end_ - begin_ < kFrameHeaderBytes) return BytesView();
  const char* start = reinterpret_cast<const char*>(words_.get()) + begin_;
  TRY(const std::size_t size, frame_size({start, kFrameHeaderBytes}));
  if (end_ - begin_ < size) return BytesView();
  begin_ += size;
  return BytesView(start, size);
}

}  // namespace insula::protocol
