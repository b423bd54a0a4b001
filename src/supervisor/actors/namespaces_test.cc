// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/actors/namespaces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/supervisor/actors/files.h"

namespace insula::actors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

config::Migration adds(std::string tag, std::vector<std::string> classes) { return {std::move(tag), std::move(classes), {}, {}}; }

std::vector<config::Worker> worker_with(std::vector<config::Migration> migrations) {
  config::Worker worker;
  worker.name = "w";
  worker.migrations = std::move(migrations);
  return {worker};
}

Result<MigrationPlan> plan(const std::vector<config::Worker>& workers, const std::vector<storage::Entry>& classes = {},
                           const std::vector<storage::Entry>& migrated = {}) {
  int number = 0;
  return plan_migrations(workers, classes, migrated, [&number] { return "uid" + std::to_string(++number); });
}

TEST(Migrations, NewClassesGetIds) {
  const auto first = plan(worker_with({adds("v1", {"A", "B"})}));
  ASSERT_TRUE(first);
  EXPECT_THAT(first->classes, ElementsAre(Pair("w/A", "uid1"), Pair("w/B", "uid2")));
  EXPECT_FALSE(first->batch.empty());
}

TEST(Migrations, AreAppliedOnce) {
  const auto workers = worker_with({adds("v1", {"A"}), adds("v2", {"B"})});
  const auto next = plan(workers, {{"classes", "w/A", "old"}}, {{"migrated", "w", "v1"}});
  ASSERT_TRUE(next);
  EXPECT_THAT(next->classes, ElementsAre(Pair("w/A", "old"), Pair("w/B", "uid1")));
  EXPECT_THAT(next->notes, ElementsAre(HasSubstr("\"v2\" is applied")));
  const auto none = plan(workers, {{"classes", "w/A", "old"}, {"classes", "w/B", "old2"}}, {{"migrated", "w", "v2"}});
  EXPECT_THAT(none->batch, IsEmpty());
}

TEST(Migrations, RenamedClassesKeepTheirObjects) {
  config::Migration rename{"v2", {}, {{"A", "Z"}}, {}};
  const auto next = plan(worker_with({adds("v1", {"A"}), rename}), {{"classes", "w/A", "old"}}, {{"migrated", "w", "v1"}});
  ASSERT_TRUE(next);
  EXPECT_THAT(next->classes, ElementsAre(Pair("w/Z", "old")));
}

TEST(Migrations, DeletedClassesLoseTheirObjects) {
  config::Migration gone{"v2", {}, {}, {"A"}};
  const auto next = plan(worker_with({adds("v1", {"A"}), gone}), {{"classes", "w/A", "old"}}, {{"migrated", "w", "v1"}});
  ASSERT_TRUE(next);
  EXPECT_THAT(next->classes, IsEmpty());
  bool is_dropped = false;
  for (const auto& write : next->batch) {
    if (const auto* drop = std::get_if<storage::DropNamespace>(&write)) is_dropped = drop->space == "old";
  }
  EXPECT_TRUE(is_dropped);
}

TEST(Migrations, AHistoryThatLostItsPastIsRefused) {
  const auto lost = plan(worker_with({adds("v9", {"A"})}), {{"classes", "w/A", "old"}}, {{"migrated", "w", "v1"}});
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message(), HasSubstr("\"v1\""));
  // Without any migration the Worker has just no objects now.
  EXPECT_TRUE(plan(worker_with({}), {{"classes", "w/A", "old"}}, {{"migrated", "w", "v1"}}));
  // Another Worker's classes are its own.
  const auto other = plan(worker_with({adds("v1", {"A"})}), {{"classes", "other/A", "old"}});
  EXPECT_THAT(other->classes, ElementsAre(Pair("other/A", "old"), Pair("w/A", "uid1")));
}

TEST(Migrations, AnAppliedMigrationThatWasRewrittenIsRefused) {
  const auto rewritten = plan(worker_with({adds("v1", {"Z"})}), {{"classes", "w/A", "old"}}, {{"migrated", "w", "v1"}});
  ASSERT_FALSE(rewritten);
  EXPECT_THAT(rewritten.error().message(), HasSubstr("there is the class \"Z\", but this data directory has seen"));
}

TEST(Migrations, IdsAreRandomAndKeysFollowThem) {
  const std::string uid = random_uid();
  EXPECT_TRUE(is_hex(uid, 32));
  EXPECT_NE(uid, random_uid());
  EXPECT_EQ(key_of(uid).size(), 32u);
  EXPECT_EQ(key_of(uid), key_of(uid));
  EXPECT_NE(key_of(uid), key_of("0"));
}

}  // namespace
}  // namespace insula::actors
