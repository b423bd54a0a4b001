// SPDX-License-Identifier: Apache-2.0
//
// BodyDecoder: lengths and chunks, whole and byte by byte.
#include "src/supervisor/http/body_decoder.h"

#include <string>

#include <gtest/gtest.h>

namespace insula::http {
namespace {

using Kind = BodyDecoder::Kind;

struct Decoded {
  Kind end = Kind::NeedInput;
  std::string data;
  std::string rest;
};

Decoded decode_chunks(std::string_view text, std::size_t piece_bytes, std::uint64_t bytes_max = 1000) {
  BodyDecoder decoder;
  decoder.expect_chunks(bytes_max);
  Decoded result;
  while (!text.empty()) {
    BytesView piece = text.substr(0, piece_bytes);
    const std::size_t size = piece.size();
    for (;;) {
      const BodyDecoder::Step step = decoder.next(piece, 4);
      if (step.kind == Kind::Data) {
        result.data.append(step.data);
        continue;
      }
      result.end = step.kind;
      break;
    }
    text.remove_prefix(size - piece.size());
    if (result.end != Kind::NeedInput) break;
  }
  result.rest = text;
  return result;
}

TEST(BodyDecoder, LengthEndsWhereItSays) {
  BodyDecoder decoder;
  decoder.expect_length(5);
  BytesView input = "helloGET";
  EXPECT_EQ(decoder.next(input, 0).kind, Kind::Blocked);
  EXPECT_EQ(decoder.next(input, 3).data, "hel");
  EXPECT_EQ(decoder.remaining_bytes(), 2U);
  EXPECT_EQ(decoder.next(input, 100).data, "lo");
  EXPECT_EQ(decoder.next(input, 100).kind, Kind::End);
  EXPECT_EQ(input, "GET");
}

TEST(BodyDecoder, ChunksWithExtensionsAndTrailersGiveTheirData) {
  const std::string_view text = "5;a=b;c\r\nhello\r\n00a\r\n, world!!!\r\n0\r\nX-T: 1\r\nY:\r\n\r\nGET";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, text.size()}) {
    const Decoded result = decode_chunks(text, piece);
    EXPECT_EQ(result.end, Kind::End);
    EXPECT_EQ(result.data, "hello, world!!!");
    EXPECT_EQ(result.rest, "GET");
  }
}

TEST(BodyDecoder, EverythingOddIsMalformed) {
  const std::string_view cases[] = {
      "\r\n", " 5\r\nhello\r\n", "5 \r\nhello\r\n", "5\nhello\r\n", "5\r\rhello", "+5\r\nhello\r\n", "-1\r\n",
      "0x5\r\nhello\r\n", "g\r\n", "5\r\nhelloX\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0", "5\r\nhello\r\n\r\n",
      "0000000000000005\r\nhello", "ffffffffffffffff\r\n", "5;\0x\r\n", "5;a\nb\r\n", "0\r\n X: folded\r\n\r\n",
      "0\r\nX : 1\r\n\r\n", "0\r\nX\r\n\r\n", "0\r\nX: 1\n\r\n", "0\r\nX: \x01\r\n\r\n", "0\r\n\rX", "0\r\n: v\r\n\r\n",
      "5,5\r\n", "\x05\r\n"};
  for (const std::string_view text : cases) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{100}}) {
      // The one case with a NUL in it ends there as a C string, and is completed here.
      const std::string input = text == "5;" ? std::string("5;\0x\r\n", 6) : std::string(text);
      EXPECT_EQ(decode_chunks(input, piece).end, Kind::Malformed) << input;
    }
  }
}

TEST(BodyDecoder, LimitsHold) {
  EXPECT_EQ(decode_chunks("5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n", 100, 10).end, Kind::End);
  EXPECT_EQ(decode_chunks("5\r\nhello\r\n6\r\nhello!\r\n0\r\n\r\n", 100, 10).end, Kind::TooLong);
  EXPECT_EQ(decode_chunks("fffffffffffffff\r\n", 100, UINT64_MAX >> 1).end, Kind::NeedInput);
  EXPECT_EQ(decode_chunks("1;" + std::string(5000, 'a'), 100).end, Kind::Malformed);
  std::string extensions;
  for (int i = 0; i < 500; ++i) extensions += "1;abcdefghij\r\nx\r\n";
  EXPECT_EQ(decode_chunks(extensions, 100).end, Kind::Malformed);
  EXPECT_EQ(decode_chunks("0\r\nX: " + std::string(9000, 'a'), 100).end, Kind::Malformed);
}

TEST(BodyDecoder, StaysFailed) {
  BodyDecoder decoder;
  decoder.expect_chunks(10);
  BytesView input = "x";
  EXPECT_EQ(decoder.next(input, 1).kind, Kind::Malformed);
  input = "0\r\n\r\n";
  EXPECT_EQ(decoder.next(input, 1).kind, Kind::Malformed);
}

}  // namespace
}  // namespace insula::http
