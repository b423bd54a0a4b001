// SPDX-License-Identifier: Apache-2.0
//
// read_durable: Durable Objects, their migrations, Workflows.
#include "src/supervisor/config/durable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Worker> read(const std::string& text, std::vector<std::string>* warnings = nullptr) {
  TRY(const auto root, parse_jsonc(text, "w.jsonc"));
  TRY(auto fields, Fields::of(root, "w.jsonc"));
  Worker worker;
  worker.name = "w";
  std::vector<std::string> ignored;
  const ClaimName claim = [](const Fields&, std::string_view, const std::string&) { return Result<>(); };
  TRY_VOID(read_durable(fields, worker, claim, warnings != nullptr ? *warnings : ignored));
  return worker;
}

std::string problem(const std::string& text) {
  const auto worker = read(text);
  return worker ? "" : worker.error().message();
}

std::string problem_of_all(std::initializer_list<const char*> texts) {
  std::vector<Worker> workers;
  for (const char* text : texts) {
    auto worker = read(text);
    EXPECT_TRUE(worker) << worker.error().message();
    worker->name = "w" + std::to_string(workers.size());
    workers.push_back(*std::move(worker));
  }
  const auto checked = check_durable(workers);
  return checked ? "" : checked.error().message();
}

TEST(Durable, ReadsBindingsMigrationsAndWorkflows) {
  std::vector<std::string> warnings;
  const auto worker = read(R"({
    "durable_objects": {"bindings": [{"name": "C", "class_name": "Counter"}, {"name": "O", "class_name": "X", "script_name": "other"}]},
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["A", "B"]},
                   {"tag": "v2", "renamed_classes": [{"from": "A", "to": "Counter"}], "deleted_classes": ["B"]}],
    "workflows": [{"binding": "W", "name": "orders", "class_name": "Orders", "schedules": ["0 9 * * MON-FRI", "*/15 * * * *"],
       "limits": {"steps": 20, "concurrency": 50, "creations_per_second_per_origin": 7, "queued": 9}, "colour": 1}]})",
                           &warnings);
  ASSERT_TRUE(worker) << worker.error().message();
  ASSERT_EQ(worker->durable_objects.size(), 2U);
  EXPECT_EQ(worker->durable_objects[0].class_name, "Counter");
  EXPECT_EQ(worker->durable_objects[1].script, "other");
  EXPECT_THAT(*classes_after(worker->migrations), ElementsAre("Counter"));
  ASSERT_EQ(worker->workflows.size(), 1U);
  EXPECT_EQ(worker->workflows[0].workflow, "orders");
  EXPECT_EQ(worker->workflows[0].steps_max, 20U);
  EXPECT_EQ(worker->workflows[0].concurrency_max, 50U);
  EXPECT_EQ(worker->workflows[0].concurrency_per_origin, 50U);
  EXPECT_EQ(worker->workflows[0].creations_per_second, 0U);
  EXPECT_EQ(worker->workflows[0].creations_per_second_per_origin, 7U);
  EXPECT_EQ(worker->workflows[0].queued_max, 9U);
  EXPECT_THAT(worker->workflows[0].schedules, ElementsAre("0 9 * * MON-FRI", "*/15 * * * *"));
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("colour")));
}

TEST(Durable, RefusesClassesThatAreNotSqliteBackedAndSaysWhatToDo) {
  EXPECT_THAT(problem(R"({"migrations": [{"tag": "v1", "new_classes": ["A"]}]})"), HasSubstr("new_sqlite_classes"));
}

TEST(Durable, RefusesAHistoryThatContradictsItself) {
  EXPECT_THAT(problem(R"({"migrations": [{"tag": "v1", "deleted_classes": ["A"]}]})"), HasSubstr("deletes the class"));
  EXPECT_THAT(problem(R"({"migrations": [{"tag": "v1", "new_sqlite_classes": ["A", "A"]}]})"), HasSubstr("second time"));
  EXPECT_THAT(problem(R"({"migrations": [{"tag": "v1", "new_sqlite_classes": ["A"]}, {"tag": "v1"}]})"),
              HasSubstr("earlier migration"));
  EXPECT_THAT(problem(R"({"migrations": [{"tag": "v1", "renamed_classes": [{"from": "A", "to": "B"}]}]})"),
              HasSubstr("renames the class"));
}

TEST(Durable, RefusesNamesThatAreNone) {
  EXPECT_THAT(problem(R"({"durable_objects": {"bindings": [{"name": "N", "class_name": "a-b"}]}})"), HasSubstr("no name of a class"));
  EXPECT_THAT(problem(R"({"workflows": [{"binding": "W", "name": "a b", "class_name": "A"}]})"), HasSubstr("no name of a workflow"));
}

TEST(Durable, ChecksThatClassesAndScriptsExist) {
  EXPECT_THAT(problem_of_all({R"({"durable_objects": {"bindings": [{"name": "N", "class_name": "A"}]}})"}),
              HasSubstr("new_sqlite_classes"));
  EXPECT_THAT(problem_of_all({R"({"durable_objects": {"bindings": [{"name": "N", "class_name": "A", "script_name": "x"}]}})"}),
              HasSubstr("not part of this configuration"));
  EXPECT_EQ(problem_of_all({R"({"durable_objects": {"bindings": [{"name": "N", "class_name": "A", "script_name": "w1"}]}})",
                            R"({"migrations": [{"tag": "v1", "new_sqlite_classes": ["A"]}]})"}),
            "");
}

// A Worker whose main module exports `exports`, with a namespace and a workflow of the given classes.
std::string problem_with_exports(std::vector<std::string> exports, const char* text) {
  auto worker = read(text);
  EXPECT_TRUE(worker) << worker.error().message();
  worker->name = "a";
  worker->exports = std::move(exports);
  const auto checked = check_durable({*std::move(worker)});
  return checked ? "" : checked.error().message();
}

TEST(Durable, RefusesClassesThatTheMainModuleDoesNotExport) {
  constexpr const char* kObject = R"({"durable_objects": {"bindings": [{"name": "N", "class_name": "Room"}]},
      "migrations": [{"tag": "v1", "new_sqlite_classes": ["Room"]}]})";
  constexpr const char* kWorkflow = R"({"workflows": [{"binding": "W", "name": "orders", "class_name": "Orders"}]})";
  EXPECT_EQ(problem_with_exports({"default", "Room"}, kObject), "");
  EXPECT_EQ(problem_with_exports({"default", "Rooms"}, kObject),
            R"(a: durable_objects: "N" names the class "Room", which the main module of "a" does not export; it exports )"
            R"("default", "Rooms")");
  EXPECT_EQ(problem_with_exports({}, kWorkflow),
            R"(a: workflows: "W" names the class "Orders", which the main module of "a" does not export; it exports nothing)");
}

TEST(Durable, TwoBindingsMayShareAWorkflowButNotItsName) {
  constexpr const char* kOrders = R"({"workflows": [{"binding": "W", "name": "orders", "class_name": "A", "script_name": "w1"}]})";
  EXPECT_EQ(problem_of_all({kOrders, R"({"workflows": [{"binding": "W", "name": "orders", "class_name": "A"}]})"}), "");
  EXPECT_THAT(problem_of_all({kOrders, R"({"workflows": [{"binding": "W", "name": "orders", "class_name": "B"}]})"}),
              HasSubstr("another workflow"));
}

}  // namespace
}  // namespace insula::config
