// SPDX-License-Identifier: Apache-2.0
//
// read_durable: bindings of Durable Objects and Workflows, and the history of classes.
#include "src/supervisor/config/durable.h"

#include <algorithm>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "src/durable/cron.h"
#include "src/supervisor/config/exports.h"

namespace insula::config {
namespace {

constexpr std::int64_t kRateMax = 1'000'000;
constexpr std::int64_t kQueuedMax = 100'000'000;
constexpr std::size_t kWorkflowNameCharactersMax = 64;  // spec/workflows.md section 2
constexpr std::int64_t kStepsMax = 25000;
constexpr std::int64_t kConcurrencyMax = 50000;

void warn_unknown(const Fields& fields, std::vector<std::string>& warnings) {
  for (auto& unknown : fields.unknown()) warnings.push_back(std::move(unknown.notice));
}

bool is_class_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || (static_cast<unsigned char>(c) >= 0x80);
  };
  return !name.empty() && name.size() <= 256 && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

bool is_workflow_name(std::string_view name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= kWorkflowNameCharactersMax && is_word(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_word(c) || c == '-'; });
}

Result<std::string> read_class_name(Fields& table, std::string_view field) {
  TRY(auto name, table.required_text(field, "\"Counter\" (a class that the main module exports)"));
  if (!is_class_name(name)) return table.problem(field, fmt::format("\"{}\" is no name of a class", name));
  return name;
}

Result<> read_objects(Fields& root, Worker& worker, const ClaimName& claim, std::vector<std::string>& warnings) {
  TRY(auto objects, root.table("durable_objects"));
  if (!objects) return {};
  TRY(auto tables, objects->tables("bindings"));
  for (auto& table : tables) {
    DurableObjectBinding binding;
    TRY(binding.name, table.required_text("name", "\"COUNTERS\""));
    TRY_VOID(claim(table, "name", binding.name));
    TRY(binding.class_name, read_class_name(table, "class_name"));
    TRY(auto script, table.text("script_name"));
    binding.script = script.value_or("");
    if (binding.script == worker.name) binding.script.clear();
    for (const auto* ignored : {"environment", "remote"}) table.take(ignored);
    warn_unknown(table, warnings);
    worker.durable_objects.push_back(std::move(binding));
  }
  warn_unknown(*objects, warnings);
  return {};
}

Result<> read_migrations(Fields& root, Worker& worker, std::vector<std::string>& warnings) {
  TRY(auto tables, root.tables("migrations"));
  std::set<std::string> tags;
  for (auto& table : tables) {
    Migration migration;
    TRY(migration.tag, table.required_text("tag", "\"v1\""));
    if (!tags.insert(migration.tag).second) {
      return table.problem("tag", fmt::format("\"{}\" is the tag of an earlier migration", migration.tag));
    }
    TRY(migration.new_classes, table.texts("new_sqlite_classes"));
    TRY(migration.deleted_classes, table.texts("deleted_classes"));
    TRY(auto renames, table.tables("renamed_classes"));
    for (auto& rename : renames) {
      Migration::Rename one;
      TRY(one.from, read_class_name(rename, "from"));
      TRY(one.to, read_class_name(rename, "to"));
      warn_unknown(rename, warnings);
      migration.renamed_classes.push_back(std::move(one));
    }
    if (const Value* old = table.take("new_classes"); old != nullptr && old->holds_something()) {
      return Error(ErrorCode::Unsupported,
                   table.problem("new_classes",
                                 "Durable Objects in Insula are SQLite-backed: name the classes in "
                                 "\"new_sqlite_classes\"; nothing else needs to change")
                       .message());
    }
    if (const Value* moved = table.take("transferred_classes"); moved != nullptr && moved->holds_something()) {
      return Error(ErrorCode::Unsupported,
                   table.problem("transferred_classes", "objects cannot move between Workers; remove it").message());
    }
    warn_unknown(table, warnings);
    worker.migrations.push_back(std::move(migration));
  }
  if (auto classes = classes_after(worker.migrations); !classes) return root.problem("migrations", classes.error().message());
  return {};
}

Result<> read_workflows(Fields& root, Worker& worker, const ClaimName& claim, std::vector<std::string>& warnings) {
  TRY(auto tables, root.tables("workflows"));
  for (auto& table : tables) {
    WorkflowBinding binding;
    TRY(binding.name, table.required_text("binding", "\"ORDERS\""));
    TRY_VOID(claim(table, "binding", binding.name));
    TRY(binding.workflow, table.required_text("name", "\"orders\""));
    if (!is_workflow_name(binding.workflow)) {
      return table.problem("name", fmt::format("\"{}\" is no name of a workflow: expected up to {} letters, digits, "
                                               "\"-\" and \"_\", not starting with \"-\"",
                                               binding.workflow, kWorkflowNameCharactersMax));
    }
    TRY(binding.class_name, read_class_name(table, "class_name"));
    TRY(auto script, table.text("script_name"));
    binding.script = script.value_or("");
    if (binding.script == worker.name) binding.script.clear();
    TRY(auto limits, table.table("limits"));
    if (limits) {
      TRY(auto steps, limits->integer("steps", 1, kStepsMax));
      if (steps) binding.steps_max = static_cast<std::uint32_t>(*steps);
      TRY(auto concurrency, limits->integer("concurrency", 1, kConcurrencyMax));
      if (concurrency) binding.concurrency_max = static_cast<std::uint32_t>(*concurrency);
      binding.concurrency_per_origin = binding.concurrency_max;
      const std::tuple<const char*, std::int64_t, std::uint32_t*> more[] = {
          {"concurrency_per_origin", kConcurrencyMax, &binding.concurrency_per_origin},
          {"creations_per_second", kRateMax, &binding.creations_per_second},
          {"creations_per_second_per_origin", kRateMax, &binding.creations_per_second_per_origin},
          {"queued", kQueuedMax, &binding.queued_max}};
      for (const auto& [name, most, target] : more) {
        TRY(const auto value, limits->integer(name, 1, most));
        if (value) *target = static_cast<std::uint32_t>(*value);
      }
      warn_unknown(*limits, warnings);
    }
    TRY(binding.schedules, table.texts("schedules"));
    for (const auto& schedule : binding.schedules) {
      if (const auto read = durable::Cron::parse(schedule); !read) return table.problem("schedules", read.error().message());
    }
    table.take("remote");
    warn_unknown(table, warnings);
    worker.workflows.push_back(std::move(binding));
  }
  return {};
}

const Worker* find(const std::vector<Worker>& workers, const std::string& name) {
  const auto found = std::find_if(workers.begin(), workers.end(), [&](const Worker& one) { return one.name == name; });
  return found == workers.end() ? nullptr : &*found;
}

Result<> check_class(const Worker& worker, std::string_view field, const std::string& binding, const std::string& name,
                     const Worker& owner) {
  const auto complaint = complaint_about_export(owner, name);
  if (complaint.empty()) return {};
  return Error(ErrorCode::NotFound, fmt::format("{}: {}: \"{}\" names the class \"{}\", {}", worker.name, field, binding,
                                                name, complaint));
}

}  // namespace

Result<> read_durable(Fields& root, Worker& worker, const ClaimName& claim, std::vector<std::string>& warnings) {
  TRY_VOID(read_objects(root, worker, claim, warnings));
  TRY_VOID(read_migrations(root, worker, warnings));
  return read_workflows(root, worker, claim, warnings);
}

Result<std::vector<std::string>> classes_after(const std::vector<Migration>& migrations) {
  std::vector<std::string> classes;
  const auto find_class = [&](const std::string& name) { return std::find(classes.begin(), classes.end(), name); };
  const auto wrong = [](const Migration& migration, std::string_view what) {
    return Error(ErrorCode::InvalidInput, fmt::format("migration \"{}\" {}", migration.tag, what));
  };
  for (const Migration& migration : migrations) {
    for (const auto& name : migration.deleted_classes) {
      const auto found = find_class(name);
      if (found == classes.end()) return wrong(migration, fmt::format("deletes the class \"{}\", which does not exist then", name));
      classes.erase(found);
    }
    for (const auto& rename : migration.renamed_classes) {
      const auto found = find_class(rename.from);
      if (found == classes.end()) {
        return wrong(migration, fmt::format("renames the class \"{}\", which does not exist then", rename.from));
      }
      if (find_class(rename.to) != classes.end()) {
        return wrong(migration, fmt::format("renames a class to \"{}\", which exists already", rename.to));
      }
      *found = rename.to;
    }
    for (const auto& name : migration.new_classes) {
      if (find_class(name) != classes.end()) return wrong(migration, fmt::format("adds the class \"{}\" a second time", name));
      classes.push_back(name);
    }
  }
  return classes;
}

Result<> check_durable(const std::vector<Worker>& workers) {
  std::set<std::pair<std::string, std::string>> workflow_names;  // with where it runs, so that two bindings may share one
  std::set<std::string> names;
  for (const Worker& worker : workers) {
    for (const auto& binding : worker.durable_objects) {
      const Worker* const owner = binding.script.empty() ? &worker : find(workers, binding.script);
      if (owner == nullptr) {
        return Error(ErrorCode::InvalidInput,
                     fmt::format("{}: durable_objects: \"{}\" names the Worker \"{}\", which is not part of this "
                                 "configuration",
                                 worker.name, binding.name, binding.script));
      }
      TRY(const auto classes, classes_after(owner->migrations));
      if (std::find(classes.begin(), classes.end(), binding.class_name) == classes.end()) {
        return Error(ErrorCode::InvalidInput,
                     fmt::format("{}: durable_objects: \"{}\" names the class \"{}\", which has no storage: add "
                                 "{{\"tag\": \"v1\", \"new_sqlite_classes\": [\"{}\"]}} to the migrations of \"{}\"",
                                 worker.name, binding.name, binding.class_name, binding.class_name, owner->name));
      }
      TRY_VOID(check_class(worker, "durable_objects", binding.name, binding.class_name, *owner));
    }
    for (const auto& binding : worker.workflows) {
      const Worker* const owner = binding.script.empty() ? &worker : find(workers, binding.script);
      if (owner == nullptr) {
        return Error(ErrorCode::InvalidInput,
                     fmt::format("{}: workflows: \"{}\" names the Worker \"{}\", which is not part of this configuration",
                                 worker.name, binding.name, binding.script));
      }
      TRY_VOID(check_class(worker, "workflows", binding.name, binding.class_name, *owner));
      const std::string place = (binding.script.empty() ? worker.name : binding.script) + "/" + binding.class_name;
      const bool is_known = workflow_names.contains({binding.workflow, place});
      if (!names.insert(binding.workflow).second && !is_known) {
        return Error(ErrorCode::InvalidInput, fmt::format("{}: workflows: \"{}\" is the name of another workflow already",
                                                          worker.name, binding.workflow));
      }
      workflow_names.insert({binding.workflow, place});
    }
  }
  return {};
}

}  // namespace insula::config
