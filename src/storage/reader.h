// SPDX-License-Identifier: Apache-2.0
//
// StoreReader: the queries of store.sqlite. Belongs to one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/sql/database.h"
#include "src/storage/store.h"

namespace insula::storage {

class StoreReader {
 public:
  static Result<std::unique_ptr<StoreReader>> open(const std::string& path);

  Result<Recovery> recover(std::uint32_t status_mask);
  Result<InstanceRow> find_instance(const std::string& workflow, const std::string& id);
  Result<StoredInstance> load_instance(InstanceRef ref);
  Result<Bytes> read_value(InstanceRef ref, std::uint64_t number);
  Result<std::vector<InstanceRow>> list_instances(const InstanceFilter& filter);
  Result<std::vector<DueInstance>> due_instances(TimeMs from, InstanceRef after, TimeMs until, std::uint32_t limit);
  Result<std::vector<InstanceRef>> expired_instances(TimeMs until, std::uint32_t limit);
  Result<std::vector<Alarm>> due_alarms(TimeMs until, std::uint32_t limit);
  Result<std::optional<Alarm>> find_alarm(const std::string& object);
  Result<std::optional<ObjectRow>> find_object(const std::string& space, const std::string& id);
  Result<std::vector<ObjectRow>> list_objects(const std::string& space, const std::string& after_id,
                                              std::uint32_t limit);
  Result<std::vector<Entry>> list_entries(const std::string& space);

 private:
  StoreReader() = default;

  sql::Database database_;
  sql::Statement find_, load_, history_, value_, due_, expired_, alarms_, alarm_, object_, objects_, entries_;
};

}  // namespace insula::storage
