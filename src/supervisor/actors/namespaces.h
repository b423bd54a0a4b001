// SPDX-License-Identifier: Apache-2.0
//
// Namespaces: which classes of static Workers have storage, and under which unique id.
//
// A class gets its id when a migration adds it, and keeps it when one renames it; when one deletes it, its objects go.
// Migrations are applied in the order of the file, each once: the store knows the tag of the last one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/storage/store.h"
#include "src/supervisor/config/config.h"

namespace insula::actors {

class ClassHost;

// Objects of one class.
struct Namespace {
  std::string uid;  // 32 hexadecimal digits
  std::string script;
  std::string class_name;
  Bytes key;        // of its ids: 32 bytes, derived from the uid
  std::shared_ptr<ClassHost> host;
};

// Spaces of entries in the store.
inline constexpr std::string_view kClassesSpace = "classes";        // "SCRIPT/CLASS" → uid
inline constexpr std::string_view kMigratedSpace = "migrated";      // "SCRIPT" → tag
inline constexpr std::string_view kRubbishSpace = "rubbish";        // files to be removed

struct MigrationPlan {
  storage::Batch batch;                 // empty: nothing is new
  std::map<std::string, std::string> classes;  // "SCRIPT/CLASS" → uid, afterwards
  std::vector<std::string> notes;       // for the log
};

// Errors: InvalidInput when the file's history and the store's contradict each other.
Result<MigrationPlan> plan_migrations(const std::vector<config::Worker>& workers,
                                      const std::vector<storage::Entry>& classes,
                                      const std::vector<storage::Entry>& migrated,
                                      const std::function<std::string()>& new_uid);

std::string random_uid();
Bytes key_of(std::string_view uid);

}  // namespace insula::actors
