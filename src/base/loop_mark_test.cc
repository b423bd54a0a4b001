// SPDX-License-Identifier: Apache-2.0
//
// LoopMark: what is read, what is written, what is kept.
#include "src/base/loop_mark.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "src/base/header_block.h"

namespace insula {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

Bytes block(const Fields& fields) {
  Bytes out;
  for (const auto& [name, value] : fields) append_header(out, name, value);
  return out;
}

Fields fields_of(const Bytes& bytes) {
  Fields fields;
  for_each_header(bytes, [&](std::string_view name, std::string_view value) { fields.emplace_back(name, value); });
  return fields;
}

std::uint32_t hops(const std::string& value) { return LoopMark(0xab).hops_in(block({{"cdn-loop", value}}), 16); }

TEST(LoopMark, ReadsItsOwnEntryAmongOthers) {
  EXPECT_EQ(hops("insula-00000000000000ab; hops=3"), 3u);
  EXPECT_EQ(hops("other, insula-00000000000000ab;hops=4 , more; hops=9"), 4u);
  EXPECT_EQ(hops("insula-00000000000000ab; hops=2, insula-00000000000000ab; hops=5"), 5u);
  EXPECT_EQ(hops("insula-00000000000000ac; hops=3"), 0u);
  EXPECT_EQ(hops("other"), 0u);
  EXPECT_EQ(hops(""), 0u);
  EXPECT_EQ(LoopMark(0xab).hops_in(block({{"x-other", "insula-00000000000000ab; hops=3"}}), 16), 0u);
}

TEST(LoopMark, AnEntryWithoutAReadableNumberIsOneHop) {
  EXPECT_EQ(hops("insula-00000000000000ab"), 1u);
  EXPECT_EQ(hops("insula-00000000000000ab; hops="), 1u);
  EXPECT_EQ(hops("insula-00000000000000ab; hops=0"), 1u);
  EXPECT_EQ(hops("insula-00000000000000ab; hops=-4"), 1u);
}

TEST(LoopMark, NumbersAreBounded) {
  EXPECT_EQ(hops("insula-00000000000000ab; hops=17"), 16u);
  EXPECT_EQ(hops("insula-00000000000000ab; hops=99999999999999999999"), 16u);
}

TEST(LoopMark, WritesOneFieldAndKeepsTheEntriesOfOthers) {
  const LoopMark mark(0xab);
  EXPECT_EQ(fields_of(mark.marked(block({{"a", "1"}}), 1)),
            (Fields{{"a", "1"}, {"cdn-loop", "insula-00000000000000ab; hops=1"}}));
  EXPECT_EQ(fields_of(mark.marked(block({{"cdn-loop", "x; y=1,, insula-00000000000000ab; hops=1"}, {"a", "1"}, {"cdn-loop", "z"}}), 2)),
            (Fields{{"a", "1"}, {"cdn-loop", "x; y=1, z, insula-00000000000000ab; hops=2"}}));
}

TEST(LoopMark, WithoutANodeThereIsNoMark) {
  const Bytes headers = block({{"cdn-loop", "insula-; hops=3"}});
  EXPECT_EQ(LoopMark().hops_in(headers, 16), 0u);
  EXPECT_EQ(LoopMark().marked(headers, 2), headers);
}

}  // namespace
}  // namespace insula
