// SPDX-License-Identifier: Apache-2.0
//
// Value: what both parsers make of good and of broken files.
#include "src/supervisor/config/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string json_of(const Result<Value>& value) {
  if (!value) return value.error().message();
  return *to_json(*value);
}
std::string jsonc(std::string_view text) {
  return json_of(parse_jsonc(text, "f"));
}
std::string toml(std::string_view text) {
  return json_of(parse_toml(text, "f"));
}

TEST(Jsonc, CommentsTrailingCommasAndByteOrderMark) {
  EXPECT_EQ(
      jsonc("\xEF\xBB\xBF// first\n{\"a\": [1, 2.5, -3,], /* b\n * c */ \"d\": {\"e\": null, \"f\": true,},}\n// last"),
      R"({"a":[1,2.5,-3],"d":{"e":null,"f":true}})");
  EXPECT_EQ(jsonc("{}\n\n  // end\n\n"), "{}");
  EXPECT_EQ(jsonc("{ // one\n // two\n \"a\" // three\n : // four\n 1 // five\n , // six\n }"), R"({"a":1})");
}

TEST(Jsonc, TextKeepsItsBytes) {
  EXPECT_EQ(jsonc(R"({"a\n\"": "ü \u00fc \\ // not a comment /* nor this */"})"),
            "{\"a\\n\\\"\":\"ü ü \\\\ // not a comment /* nor this */\"}");
}

TEST(Jsonc, NumbersStayWhatTheyAre) {
  for (const auto* number : {"0", "-0", "0.1", "-1.25", "1e+300", "5e-324", "9007199254740993", "9223372036854775807",
                             "-9223372036854775808", "1.7976931348623157e+308", "0.30000000000000004"}) {
    EXPECT_EQ(jsonc(number), number);
  }
  EXPECT_EQ(jsonc("13333333233333333333233333"), "1.3333333233333333e+25");
  EXPECT_EQ(jsonc("18446744073709551615"), "18446744073709551616");
  EXPECT_EQ(jsonc("[1E2, 1.0]"), "[100,1]");
}

TEST(Jsonc, MembersKnowTheirLines) {
  const auto value = parse_jsonc("{\n  \"a\": 1\n  ,\n  \"b\": {\n    \"c\": 2\n  }\n}", "f");
  ASSERT_TRUE(value);
  const auto& members = *value->as<Value::Object>();
  EXPECT_EQ(value->line, 1);
  EXPECT_EQ(members[0].value.line, 2);
  EXPECT_EQ(members[1].value.line, 4);
  EXPECT_EQ((*members[1].value.as<Value::Object>())[0].value.line, 5);
}

TEST(Jsonc, ProblemsHaveAPlace) {
  EXPECT_THAT(jsonc("{\n  \"a\": tru\n}"), StartsWith("f:2:"));
  EXPECT_THAT(jsonc("{\n  \"a\": 1,\n  \"a\": 2\n}"), HasSubstr("f:3:5: \"a\" is already set in line 2"));
  EXPECT_THAT(jsonc("{\"a\": "), HasSubstr("ends in the middle"));
  EXPECT_THAT(jsonc("{} {}"), HasSubstr("f:1:4: there is text after the end"));
  EXPECT_THAT(jsonc("{}\n\nx"), HasSubstr("f:3:1: there is text after the end"));
  EXPECT_THAT(jsonc(""), HasSubstr("f:1:1: the file ends in the middle"));
  EXPECT_THAT(jsonc("/* open"), HasSubstr("ends in the middle"));
  EXPECT_THAT(jsonc("{\"a\": \"\xFF\"}"), StartsWith("f:1:"));
}

TEST(Jsonc, DepthIsBounded) {
  EXPECT_EQ(jsonc(std::string(kDepthMax, '[') + std::string(kDepthMax, ']')).size(), 2 * kDepthMax);
  EXPECT_THAT(jsonc(std::string(100'000, '[')), HasSubstr("deeper than 64 levels"));
}

TEST(Toml, BecomesTheSameTree) {
  EXPECT_EQ(toml("a = [1, 2.5]\nd = 2026-11-17\n[e]\nf = true\n[[g]]\nh = \"x\"\n"),
            R"({"a":[1,2.5],"d":"2026-11-17","e":{"f":true},"g":[{"h":"x"}]})");
  const auto value = parse_toml("\n\nname = 1\n[vars]\nx = 2\n", "f");
  ASSERT_TRUE(value);
  EXPECT_EQ((*value->as<Value::Object>())[0].value.line, 3);
}

TEST(Toml, ProblemsHaveAPlace) {
  EXPECT_THAT(toml("a = 1\nb = = 2\n"), StartsWith("f:2:"));
  EXPECT_THAT(toml("a = 1\na = 2\n"), StartsWith("f:2:"));
  EXPECT_THAT(toml("a = " + std::string(200, '[') + std::string(200, ']')), HasSubstr("deeper than 64 levels"));
  EXPECT_THAT(json_of(parse_toml("a = \"\xFF\"", "f")), StartsWith("f:1:"));
}

TEST(ToJson, RefusesWhatJsonCannotSay) {
  const auto value = parse_toml("a = nan", "f");
  ASSERT_TRUE(value);
  EXPECT_FALSE(to_json(*value));
}

}  // namespace
}  // namespace insula::config
