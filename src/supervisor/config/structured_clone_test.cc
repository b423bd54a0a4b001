// SPDX-License-Identifier: Apache-2.0
//
// to_structured_clone: the bytes are those that the engine writes for the same value (v8.serialize() of Node).
#include "src/supervisor/config/structured_clone.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace insula::config {
namespace {

std::string hex_of_clone(std::string_view json) {
  const auto value = parse_jsonc(json, "f");
  if (!value) return value.error().message();
  std::string hex;
  for (const char byte : to_structured_clone(*value)) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    hex += digits;
  }
  return hex;
}

TEST(StructuredClone, IsWhatTheEngineWrites) {
  EXPECT_EQ(hex_of_clone(R"({"7": 5000000000, "a": 1, "b": -2, "c": 2.5, "d": "text", "e": "ü€😀",
                             "f": [1, "x", null, true, false], "g": {}, "01": "k", "h": []})"),
            "ff0f6f490e4e000000205fa0f241220161490222016249032201634e0000000000000440220164220474657874220165"
            "6308fc00ac203dd800de220166410549022201783054462400052201676f7b002202303122016b22016841002400007b0a");
}

TEST(StructuredClone, WideTextBeginsAtAnEvenPlace) {
  EXPECT_EQ(hex_of_clone(R"({"a": "€"})"), "ff0f6f2201616302ac207b01");
  EXPECT_EQ(hex_of_clone(R"({"ab": "€"})"), "ff0f6f22026162006302ac207b01");
}

TEST(StructuredClone, LongTextsAndListsHaveLongCounts) {
  const std::string text(300, 'x');
  const std::string hex = hex_of_clone("{\"t\": \"" + text + "\"}");
  EXPECT_EQ(hex.substr(0, 18), "ff0f6f22017422ac02");
}

}  // namespace
}  // namespace insula::config
