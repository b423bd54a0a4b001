// SPDX-License-Identifier: Apache-2.0
//
// Compatibility: dates, flags, the texts of the contract, and what follows from them.
#include "src/base/compatibility.h"

#include <set>

#include <gtest/gtest.h>

#include "src/base/compatibility_table.h"

namespace insula {
namespace {

std::string problem(std::string_view date, std::vector<std::string> flags = {}, bool allow_experimental = false) {
  const auto result = check_compatibility(date, flags, allow_experimental);
  return result ? "" : result.error().message();
}

TEST(Compatibility, AcceptsDatesUpToTheNewest) {
  for (const auto* date : {"2020-01-01", "2026-02-30", "2026-11-17", kNewestCompatibilityDate.data()}) {
    EXPECT_EQ(problem(date), "") << date;
  }
}

TEST(Compatibility, RefusesWhatIsNoDate) {
  for (const std::string date :
       {"", "x", "undefined", "2026-1-01", "2026-13-01", "2026-00-10", "2026-01-32", "2026-01-00", "9999-01-01",
        "1999-01-01", "0001-01-01", "10000-01-01", "2026-01-01 ", "2026/01/01"}) {
    EXPECT_EQ(problem(date), "Invalid compatibility date: " + date);
  }
}

TEST(Compatibility, RefusesADateOfTheFuture) {
  EXPECT_EQ(
      problem("2026-12-30", {"nope"}),
      "This Worker requires compatibility date \"2026-12-30\", but the newest date supported by this server binary "
      "is \"2026-11-24\".");
}

TEST(Compatibility, RefusesUnknownDoubledAndContradictoryFlags) {
  EXPECT_EQ(problem("2026-11-01", {"rpc", "nope1", "nope2"}), "No such compatibility flag: nope1");
  EXPECT_EQ(problem("2026-11-01", {""}), "No such compatibility flag: ");
  EXPECT_EQ(problem("2026-11-01", {"python_workers"}), "No such compatibility flag: python_workers");
  EXPECT_EQ(problem("2026-11-01", {"rpc", "rpc"}), "Compatibility flag specified multiple times: rpc");
  EXPECT_EQ(problem("2026-11-01", {"no_rpc", "rpc"}), "Compatibility flags are mutually contradictory: rpc vs no_rpc");
}

TEST(Compatibility, ExperimentalFlagsNeedPermission) {
  EXPECT_NE(problem("2026-11-01", {"experimental"}).find("flag experimental is experimental"), std::string::npos);
  EXPECT_EQ(problem("2026-11-01", {"experimental", "enable_abortsignal_rpc"}, true), "");
}

TEST(Compatibility, DefaultsFollowTheDate) {
  const std::vector<std::string> none;
  EXPECT_FALSE(is_compatibility_enabled("rpc", "2024-04-02", none));
  EXPECT_TRUE(is_compatibility_enabled("rpc", "2024-04-03", none));
  EXPECT_FALSE(is_compatibility_enabled("rpc", "2024-04-03", std::vector<std::string>{"no_rpc"}));
  EXPECT_TRUE(is_compatibility_enabled("rpc", "2021-01-01", std::vector<std::string>{"rpc"}));
  EXPECT_FALSE(is_compatibility_enabled("no_rpc", "2021-01-01", std::vector<std::string>{"no_rpc"}));
  EXPECT_FALSE(is_compatibility_enabled("experimental", kNewestCompatibilityDate, none));
}

TEST(Compatibility, NodejsCompatBringsOthersAlongFromTheirOwnDates) {
  const std::vector<std::string> node{"nodejs_compat"};
  EXPECT_FALSE(is_compatibility_enabled("nodejs_compat_v2", "2024-09-22", node));
  EXPECT_TRUE(is_compatibility_enabled("nodejs_compat_v2", "2024-09-23", node));
  EXPECT_FALSE(is_compatibility_enabled("nodejs_compat_v2", "2024-09-23", {}));
  EXPECT_TRUE(is_compatibility_enabled("nodejs_compat", "2026-08-04", {}));
  EXPECT_FALSE(is_compatibility_enabled("nodejs_compat", "2026-08-04", std::vector<std::string>{"no_nodejs_compat"}));
}

TEST(Compatibility, TableIsConsistent) {
  std::set<std::string_view> names;
  for (const auto& flag : kCompatibilityFlags) {
    EXPECT_TRUE(names.insert(flag.name).second) << flag.name;
    if (!flag.opt_out.empty()) {
      EXPECT_TRUE(names.insert(flag.opt_out).second) << flag.opt_out;
    }
    for (const auto date : {flag.default_from, flag.with_nodejs_from}) {
      if (!date.empty()) {
        EXPECT_EQ(problem(date), "") << flag.name;
      }
    }
    EXPECT_FALSE(flag.is_experimental && !flag.default_from.empty()) << flag.name;
  }
  EXPECT_EQ(compatibility_settings("2026-11-01", {}).size(), std::size(kCompatibilityFlags));
}

}  // namespace
}  // namespace insula
