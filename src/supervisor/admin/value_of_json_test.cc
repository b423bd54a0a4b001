// SPDX-License-Identifier: Apache-2.0
//
// value_of_json: the bytes, by the letter of the format.
#include "src/supervisor/admin/value_of_json.h"

#include <gtest/gtest.h>

namespace insula::admin {
namespace {

Bytes of(const char* text) { return value_of_json(boost::json::parse(text)); }
Bytes bytes(std::initializer_list<int> numbers) {
  Bytes out;
  for (const int number : numbers) out.push_back(static_cast<char>(number));
  return out;
}

TEST(ValueOfJson, Scalars) {
  EXPECT_EQ(of("null"), bytes({0xff, 13, '0'}));
  EXPECT_EQ(of("true"), bytes({0xff, 13, 'T'}));
  EXPECT_EQ(of("1"), bytes({0xff, 13, 'N', 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}));
}

TEST(ValueOfJson, TextsBeginAtEvenPlaces) {
  EXPECT_EQ(of("\"a\""), bytes({0xff, 13, 'c', 2, 'a', 0}));
  EXPECT_EQ(of("[\"\\u00e9\"]"), bytes({0xff, 13, 'A', 1, 'c', 2, 0xe9, 0, '$', 0, 1}));
  EXPECT_EQ(of("[null,\"a\"]"), bytes({0xff, 13, 'A', 2, '0', 0, 'c', 2, 'a', 0, '$', 0, 2}));
  EXPECT_EQ(of("\"\\ud83d\\ude00\""), bytes({0xff, 13, 'c', 4, 0x3d, 0xd8, 0x00, 0xde}));
}

TEST(ValueOfJson, Objects) {
  EXPECT_EQ(of(R"({"a":true})"), bytes({0xff, 13, 'o', 0, 'c', 2, 'a', 0, 'T', '{', 1}));
}

}  // namespace
}  // namespace insula::admin
