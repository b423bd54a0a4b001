// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/actors/facet_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace insula::actors {
namespace {

// What the store would hold after these batches.
class Rows {
 public:
  void apply(const storage::Batch& batch) {
    for (const auto& write : batch) {
      if (const auto* put = std::get_if<storage::PutEntry>(&write)) rows_[put->entry.key] = put->entry.value;
      if (const auto* gone = std::get_if<storage::DeleteEntry>(&write)) rows_.erase(gone->key);
    }
  }
  std::vector<storage::Entry> entries() const {
    std::vector<storage::Entry> all;
    for (const auto& [key, value] : rows_) all.push_back({"s", key, value});
    return all;
  }
  std::map<std::string, std::string> rows_;
};

TEST(FacetTable, NumbersStayAndAreNeverUsedAgain) {
  Rows rows;
  storage::Batch batch;
  auto table = *FacetTable::from("s", {});
  EXPECT_EQ(*table.add(0, "a", batch), 1u);
  EXPECT_EQ(*table.add(0, "b", batch), 2u);
  EXPECT_EQ(*table.add(1, "a", batch), 3u);
  EXPECT_EQ(table.remove(0, "a", batch), (std::vector<FacetTable::Number>{3, 1}));
  EXPECT_EQ(table.find(1, "a"), std::nullopt);
  rows.apply(batch);

  auto again = *FacetTable::from("s", rows.entries());
  EXPECT_EQ(again.find(0, "b"), 2u);
  EXPECT_EQ(again.find(0, "a"), std::nullopt);
  batch.clear();
  EXPECT_EQ(*again.add(0, "a", batch), 4u);
}

TEST(FacetTable, NamesMayHoldAnything) {
  Rows rows;
  storage::Batch batch;
  auto table = *FacetTable::from("s", {});
  const std::string name("x/../\0y/\xc3\xa4", 10);
  ASSERT_TRUE(table.add(0, name, batch));
  rows.apply(batch);
  EXPECT_EQ(FacetTable::from("s", rows.entries())->find(0, name), 1u);
}

TEST(FacetTable, CloneCopiesTheTree) {
  storage::Batch batch;
  auto table = *FacetTable::from("s", {});
  ASSERT_TRUE(table.add(0, "a", batch));   // 1
  ASSERT_TRUE(table.add(1, "x", batch));   // 2
  ASSERT_TRUE(table.add(2, "y", batch));   // 3
  const auto copies = *table.clone(0, "a", "b", batch);
  EXPECT_EQ(copies, (std::vector<std::pair<FacetTable::Number, FacetTable::Number>>{{1, 4}, {2, 5}, {3, 6}}));
  EXPECT_EQ(table.find(4, "x"), 5u);
  EXPECT_EQ(table.find(5, "y"), 6u);
  EXPECT_EQ(table.path_of(6), (std::vector<std::string>{"b", "x", "y"}));
  EXPECT_TRUE(table.path_of(7).empty());
  EXPECT_EQ(table.remove_below(0, batch).size(), 6u);
  EXPECT_EQ(table.size(), 0u);
  EXPECT_TRUE(table.path_of(6).empty());
  EXPECT_TRUE(table.clone(0, "gone", "b", batch)->empty());
}

TEST(FacetTable, LimitsTheNumberOfFacets) {
  storage::Batch batch;
  auto table = *FacetTable::from("s", {});
  for (std::size_t index = 0; index < kFacetsPerRootMax; ++index) {
    ASSERT_TRUE(table.add(0, std::to_string(index), batch));
  }
  EXPECT_EQ(table.add(0, "one more", batch).error().code(), ErrorCode::LimitExceeded);
  EXPECT_EQ(table.clone(0, "1", "copy", batch).error().code(), ErrorCode::LimitExceeded);
  ASSERT_EQ(table.remove(0, "7", batch).size(), 1u);
  EXPECT_TRUE(table.add(0, "one more", batch));
}

TEST(FacetTable, RefusesDamagedRows) {
  for (const storage::Entry& bad : std::vector<storage::Entry>{{"s", "1", "noslash"},
                                                              {"s", "x", "0/a"},
                                                              {"s", "0", "0/a"},
                                                              {"s", "1", "/a"},
                                                              {"s", "1", "1/a"},
                                                              {"s", "1", "2/a"},
                                                              {"s", "next", "-1"}}) {
    EXPECT_EQ(FacetTable::from("s", {bad}).error().code(), ErrorCode::Corrupt) << bad.key << bad.value;
  }
  EXPECT_FALSE(FacetTable::from("s", {{"s", "1", "0/a"}, {"s", "2", "0/a"}})) << "one name, two numbers";
}

// Whatever was done, a table made from the rows is the table, and no number is given twice.
TEST(FacetTable, RowsAndTableAgree) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Rows rows;
    auto table = *FacetTable::from("s", {});
    std::set<FacetTable::Number> given;
    for (int step = 0; step < 40; ++step) {
      storage::Batch batch;
      const std::vector<FacetTable::Number> parents{0, table.find(0, "a").value_or(0), table.find(0, "copy").value_or(0)};
      const FacetTable::Number parent = parents[random() % parents.size()];
      const std::string name(1, static_cast<char>('a' + random() % 3));
      switch (random() % 3) {
        case 0:
          if (!table.find(parent, name)) {
            const auto number = table.add(parent, name, batch);
            ASSERT_TRUE(number);
            EXPECT_TRUE(given.insert(*number).second);
          }
          break;
        case 1: table.remove(parent, name, batch); break;
        case 2: {
          const std::string to = "copy";
          table.remove(parent, to, batch);
          const auto copies = table.clone(parent, name, to, batch);
          ASSERT_TRUE(copies);
          for (const auto& [from, number] : *copies) EXPECT_TRUE(given.insert(number).second);
          break;
        }
      }
      rows.apply(batch);
    }
    auto again = FacetTable::from("s", rows.entries());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->size(), table.size());
    for (FacetTable::Number parent = 0; parent < 200; ++parent) {
      for (const auto* name : {"a", "b", "c", "copy"}) EXPECT_EQ(again->find(parent, name), table.find(parent, name));
    }
  }
}

}  // namespace
}  // namespace insula::actors
