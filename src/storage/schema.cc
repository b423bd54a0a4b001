// SPDX-License-Identifier: Apache-2.0
//
// Schema: the steps from version to version.
//
//   instances  one row per workflow instance; all that a sleeping one costs
//   log        records of instances at work, in the order they were made: appending touches one page, whatever the
//              number of instances; trimmed when they have been moved to `history`
//   history    the records of instances that are not at work, in parts
//   blobs      values too large for a record
//   alarms     of actors, by time
//   objects    the directory of durable objects
//   entries    what belongs to objects and their classes: few and small
#include "src/storage/schema.h"

#include <array>
#include <string>

#include "src/base/crash_point.h"

namespace insula::storage {
namespace {

constexpr std::array<const char*, kSchemaVersion> kSteps{
    R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE instances (
  ref INTEGER PRIMARY KEY,
  workflow TEXT NOT NULL,
  id TEXT NOT NULL,
  status INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  due INTEGER,
  expires_at INTEGER,
  fairness_key TEXT NOT NULL,
  metadata TEXT NOT NULL,
  success_retention_ms INTEGER NOT NULL,
  error_retention_ms INTEGER NOT NULL,
  records INTEGER NOT NULL,
  next_value INTEGER NOT NULL,
  head BLOB NOT NULL,
  outcome BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX instances_by_id ON instances (workflow, id);
CREATE INDEX instances_by_due ON instances (due) WHERE due IS NOT NULL;
CREATE INDEX instances_by_expiry ON instances (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE log (
  sequence INTEGER PRIMARY KEY,
  ref INTEGER NOT NULL,
  first_record INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE history (
  ref INTEGER NOT NULL,
  first_record INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (ref, first_record)
) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (
  ref INTEGER NOT NULL,
  number INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (ref, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE alarms (object TEXT PRIMARY KEY, due INTEGER NOT NULL, attempt INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX alarms_by_due ON alarms (due);
CREATE TABLE objects (
  space TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (space, id)
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('epoch', 0), ('clock', 0), ('next_ref', 1), ('next_sequence', 1);
)sql",
    R"sql(
CREATE TABLE entries (
  space TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
)sql",
};

}  // namespace

Result<> migrate(sql::Database& database) {
  TRY(const auto version, database.integer("PRAGMA user_version"));
  if (version > kSchemaVersion) {
    return Error(ErrorCode::Unsupported, "store: the data was written by a newer version (schema " +
                                             std::to_string(version) + ", this one knows " +
                                             std::to_string(kSchemaVersion) + "); start that version");
  }
  for (auto next = static_cast<std::size_t>(version); next < kSteps.size(); ++next) {
    TRY(auto transaction, sql::Transaction::begin(database));
    TRY_VOID(database.run(kSteps[next]));
    TRY_VOID(database.run("PRAGMA user_version = " + std::to_string(next + 1)));
    crash_point(CrashPoint::StoreMigrating);
    TRY_VOID(transaction.commit());
    crash_point(CrashPoint::StoreMigrated);
  }
  return {};
}

}  // namespace insula::storage
