// SPDX-License-Identifier: Apache-2.0
//
// Namespaces: migrations, from the configuration to the store.
#include "src/supervisor/actors/namespaces.h"

#include <openssl/sha.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "src/supervisor/config/durable.h"

namespace insula::actors {
namespace {

std::string name_of(const std::string& script, const std::string& class_name) { return script + "/" + class_name; }

class Planner {
 public:
  Planner(MigrationPlan& plan, const std::string& script, const std::function<std::string()>& new_uid)
      : plan_(plan), script_(script), new_uid_(new_uid) {}

  Result<> apply(const config::Migration& migration) {
    for (const std::string& gone : migration.deleted_classes) TRY_VOID(remove(migration, gone));
    for (const auto& rename : migration.renamed_classes) {
      TRY(const std::string uid, take(migration, rename.from));
      TRY_VOID(put(migration, rename.to, uid));
    }
    for (const std::string& added : migration.new_classes) TRY_VOID(put(migration, added, new_uid_()));
    plan_.batch.push_back(storage::PutEntry{{std::string(kMigratedSpace), script_, migration.tag}});
    plan_.notes.push_back(fmt::format("{}: migration \"{}\" is applied", script_, migration.tag));
    return {};
  }

 private:
  Error problem(const config::Migration& migration, std::string_view text) const {
    return Error(ErrorCode::InvalidInput,
                 fmt::format("{}: migrations: \"{}\": {}", script_, migration.tag, text));
  }

  Result<std::string> take(const config::Migration& migration, const std::string& class_name) {
    const auto found = plan_.classes.find(name_of(script_, class_name));
    if (found == plan_.classes.end()) {
      return problem(migration, fmt::format("the class \"{}\" has no storage in this data directory", class_name));
    }
    const std::string uid = found->second;
    plan_.batch.push_back(storage::DeleteEntry{std::string(kClassesSpace), found->first});
    plan_.classes.erase(found);
    return uid;
  }

  Result<> put(const config::Migration& migration, const std::string& class_name, const std::string& uid) {
    const std::string name = name_of(script_, class_name);
    if (!plan_.classes.emplace(name, uid).second) {
      return problem(migration, fmt::format("the class \"{}\" has storage already in this data directory", class_name));
    }
    plan_.batch.push_back(storage::PutEntry{{std::string(kClassesSpace), name, uid}});
    return {};
  }

  Result<> remove(const config::Migration& migration, const std::string& class_name) {
    TRY(const std::string uid, take(migration, class_name));
    plan_.batch.push_back(storage::DropNamespace{uid});
    plan_.batch.push_back(storage::PutEntry{{std::string(kRubbishSpace), uid, ""}});
    plan_.notes.push_back(fmt::format("{}: the objects of the class \"{}\" are removed", script_, class_name));
    return {};
  }

  MigrationPlan& plan_;
  const std::string& script_;
  const std::function<std::string()>& new_uid_;
};

// A migration that was applied and then rewritten would leave its new class without objects, and the old one's objects
// without a class.
Result<> check_history(const config::Worker& worker, const MigrationPlan& plan) {
  TRY(const auto classes, config::classes_after(worker.migrations));
  for (const std::string& name : classes) {
    if (plan.classes.contains(worker.name + "/" + name)) continue;
    return Error(ErrorCode::InvalidInput,
                 fmt::format("{}: migrations: there is the class \"{}\", but this data directory has seen the migrations up to "
                             "\"{}\" without it; put them back as they were, and add a new one behind them, in which "
                             "\"renamed_classes\" keeps the objects of a class and \"new_sqlite_classes\" begins afresh",
                             worker.name, name, worker.migrations.back().tag));
  }
  return {};
}

}  // namespace

Result<MigrationPlan> plan_migrations(const std::vector<config::Worker>& workers,
                                      const std::vector<storage::Entry>& classes,
                                      const std::vector<storage::Entry>& migrated,
                                      const std::function<std::string()>& new_uid) {
  MigrationPlan plan;
  for (const storage::Entry& entry : classes) plan.classes.emplace(entry.key, entry.value);
  for (const config::Worker& worker : workers) {
    const auto last = std::find_if(migrated.begin(), migrated.end(),
                                   [&](const storage::Entry& entry) { return entry.key == worker.name; });
    auto next = worker.migrations.begin();
    if (last != migrated.end()) {
      next = std::find_if(worker.migrations.begin(), worker.migrations.end(),
                          [&](const config::Migration& migration) { return migration.tag == last->value; });
      if (next == worker.migrations.end()) {
        // A Worker without any classes now has forgotten its history; its objects stay where they are.
        if (worker.migrations.empty()) continue;
        return Error(ErrorCode::InvalidInput,
                     fmt::format("{}: migrations: this data directory has seen the migration \"{}\", which the file does "
                                 "not have; put it back, and add new ones behind it",
                                 worker.name, last->value));
      }
      ++next;
    }
    Planner planner(plan, worker.name, new_uid);
    for (; next != worker.migrations.end(); ++next) TRY_VOID(planner.apply(*next));
    TRY_VOID(check_history(worker, plan));
  }
  return plan;
}

std::string random_uid() {
  std::array<unsigned char, 16> bytes{};
  INSULA_CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string text;
  for (const unsigned char byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

Bytes key_of(std::string_view uid) {
  Bytes key(SHA256_DIGEST_LENGTH, '\0');
  ::SHA256(reinterpret_cast<const unsigned char*>(uid.data()), uid.size(), reinterpret_cast<unsigned char*>(key.data()));
  return key;
}

}  // namespace insula::actors
