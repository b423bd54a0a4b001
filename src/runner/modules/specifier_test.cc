// SPDX-License-Identifier: Apache-2.0
#include "src/runner/modules/specifier.h"

#include <gtest/gtest.h>

namespace insula::runner {
namespace {

TEST(Specifier, IsRelativeToTheImportersFolder) {
  EXPECT_EQ(resolve_specifier("./b.js", "src/main.js"), "src/b.js");
  EXPECT_EQ(resolve_specifier("b.js", "src/main.js"), "src/b.js");
  EXPECT_EQ(resolve_specifier("lib/b.js", "src/main.js"), "src/lib/b.js");
  EXPECT_EQ(resolve_specifier("b.js", "main.js"), "b.js");
  EXPECT_EQ(resolve_specifier("../b.js", "src/deep/main.js"), "src/b.js");
}

TEST(Specifier, StartsAtTheRootAfterASlash) {
  EXPECT_EQ(resolve_specifier("/b.js", "src/main.js"), "b.js");
  EXPECT_EQ(resolve_specifier("/src/../b.js", "src/main.js"), "b.js");
}

TEST(Specifier, CannotLeaveTheRoot) {
  EXPECT_EQ(resolve_specifier("../b.js", "src/main.js"), "b.js");
  EXPECT_EQ(resolve_specifier("../../b.js", "src/main.js"), std::nullopt);
  EXPECT_EQ(resolve_specifier("/../b.js", "src/main.js"), std::nullopt);
  EXPECT_EQ(resolve_specifier("a/../../../b.js", "src/main.js"), std::nullopt);
}

TEST(Specifier, NamesOfTheRuntimeStandAsTheyAre) {
  EXPECT_EQ(resolve_specifier("cloudflare:workers", "src/main.js"), "cloudflare:workers");
  EXPECT_EQ(resolve_specifier("node:fs/promises", "src/main.js"), "node:fs/promises");
  EXPECT_TRUE(is_runtime_name("node:fs"));
  EXPECT_FALSE(is_runtime_name("nodes/x.js"));
  EXPECT_FALSE(is_runtime_name("./node:fs"));
}

TEST(Specifier, OtherSchemesAreNoSchemes) {
  EXPECT_EQ(resolve_specifier("http://x/y.js", "src/main.js"), "src/http:/x/y.js");
  EXPECT_EQ(resolve_specifier("src:x", "src/main.js"), "src/src:x");
}

TEST(Specifier, SkipsEmptyPartsAndKeepsOddCharacters) {
  EXPECT_EQ(resolve_specifier("a//b.js", "src/main.js"), "src/a/b.js");
  EXPECT_EQ(resolve_specifier("././b.js", "src/main.js"), "src/b.js");
  EXPECT_EQ(resolve_specifier("", "src/main.js"), "src");
  EXPECT_EQ(resolve_specifier("./x y.js?z#w", "main.js"), "x y.js?z#w");
  EXPECT_EQ(resolve_specifier("./x%2e%2e/y.js", "main.js"), "x%2e%2e/y.js");
}

TEST(Specifier, ANameHasOneForm) {
  EXPECT_EQ(canonical_name("./a//b.js"), "a/b.js");
  EXPECT_EQ(canonical_name("a/../b.js"), "b.js");
  EXPECT_EQ(canonical_name("../b.js"), "../b.js");
  EXPECT_EQ(canonical_name("cloudflare:workers"), "cloudflare:workers");
}

}  // namespace
}  // namespace insula::runner
