// SPDX-License-Identifier: Apache-2.0
//
// Large frames: they are built in place and read into memory that is kept for a while; nothing of that is seen.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <variant>
#include <vector>

#include "src/protocol/frames.h"

namespace insula::protocol {
namespace {

const std::string kMany(1 * kMiB, 'x');

Frame large() { return StreamData{7, kMany}; }

// Reads as a channel does: as much as has room, at most `piece` at once. Returns the sizes of all data frames.
std::vector<std::size_t> sizes_read(FrameReader& reader, BytesView bytes, std::size_t piece) {
  std::vector<std::size_t> sizes;
  while (!bytes.empty()) {
    const auto space = reader.space();
    const std::size_t count = std::min({bytes.size(), space.size, piece});
    std::memcpy(space.data, bytes.data(), count);
    bytes.remove_prefix(count);
    reader.commit(count);
    for (;;) {
      const auto raw = reader.next();
      EXPECT_TRUE(raw.has_value());
      if (!raw || raw->empty()) break;
      const auto frame = decode_frame(*raw);
      EXPECT_TRUE(frame.has_value());
      if (!frame) return sizes;
      const auto* const data = std::get_if<StreamData>(&*frame);
      EXPECT_TRUE(data != nullptr && std::all_of(data->bytes.begin(), data->bytes.end(), [](char c) { return c == 'x'; }));
      sizes.push_back(data == nullptr ? 0 : data->bytes.size());
    }
  }
  return sizes;
}

TEST(LargeFrames, FollowAndPrecedeOthers) {
  Bytes bytes;
  append_frame(bytes, StreamData{7, "x"});
  append_frame(bytes, large());
  append_frame(bytes, large());
  append_frame(bytes, StreamData{7, "xx"});
  for (const std::size_t piece : {std::size_t{1000}, std::size_t{65536}, bytes.size()}) {
    FrameReader reader;
    EXPECT_EQ(sizes_read(reader, bytes, piece), (std::vector<std::size_t>{1, kMany.size(), kMany.size(), 2}));
  }
}

TEST(LargeFrames, GoBehindBytesThatAreNotAligned) {
  Bytes bytes = "odd";
  append_frame(bytes, large());
  FrameReader reader;
  EXPECT_EQ(sizes_read(reader, BytesView(bytes).substr(3), bytes.size()), std::vector<std::size_t>{kMany.size()});
}

TEST(LargeFrames, MemoryIsGivenBackAfterSmallOnes) {
  Bytes large_one;
  append_frame(large_one, large());
  Bytes small_one;
  append_frame(small_one, StreamData{7, "x"});
  FrameReader reader;
  sizes_read(reader, large_one, large_one.size());
  const std::size_t room = reader.space().size;
  EXPECT_GT(room, kMany.size());
  for (int count = 0; count < 100; ++count) EXPECT_EQ(sizes_read(reader, small_one, 4096), std::vector<std::size_t>{1});
  EXPECT_LT(reader.space().size, room);
}

}  // namespace
}  // namespace insula::protocol
