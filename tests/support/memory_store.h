// SPDX-License-Identifier: Apache-2.0
//
// MemoryStore: the part of the store that actors use, in memory; answers at once, and knows no workflows.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/storage/store.h"

namespace insula::testing {

class MemoryStore : public storage::Store {
 public:
  using TimeMs = storage::TimeMs;

  void write(storage::Batch batch, storage::WriteDone done) override {
    for (const auto& write : batch) {
      if (const auto* set = std::get_if<storage::SetAlarm>(&write)) rows[set->alarm.object] = set->alarm;
      if (const auto* clear = std::get_if<storage::ClearAlarm>(&write)) rows.erase(clear->object);
      if (const auto* put = std::get_if<storage::PutEntry>(&write)) entries[put->entry.space][put->entry.key] = put->entry.value;
      if (const auto* gone = std::get_if<storage::DeleteEntry>(&write)) entries[gone->space].erase(gone->key);
      if (const auto* put = std::get_if<storage::PutObject>(&write)) objects.try_emplace({put->row.space, put->row.id}, put->row);
    }
    done({});
  }
  void due_alarms(TimeMs until, std::uint32_t limit, storage::ReadDone<std::vector<storage::Alarm>> done) override {
    std::multimap<TimeMs, storage::Alarm> due;
    for (const auto& [object, alarm] : rows) {
      if (alarm.due <= until) due.emplace(alarm.due, alarm);
    }
    std::vector<storage::Alarm> first;
    for (const auto& [time, alarm] : due) {
      if (first.size() < limit) first.push_back(alarm);
    }
    done(std::move(first));
  }
  void find_alarm(std::string object, storage::ReadDone<std::optional<storage::Alarm>> done) override {
    const auto found = rows.find(object);
    done(found == rows.end() ? std::nullopt : std::optional(found->second));
  }
  void find_object(std::string space, std::string id, storage::ReadDone<std::optional<storage::ObjectRow>> done) override {
    const auto found = objects.find({space, id});
    done(found == objects.end() ? std::nullopt : std::optional(found->second));
  }
  void list_entries(std::string space, storage::ReadDone<std::vector<storage::Entry>> done) override {
    std::vector<storage::Entry> all;
    for (const auto& [key, value] : entries[space]) all.push_back({space, key, value});
    done(std::move(all));
  }

  void recover(std::uint32_t, storage::ReadDone<storage::Recovery>) override {}
  void find_instance(std::string, std::string, storage::ReadDone<storage::InstanceRow>) override {}
  void load_instance(storage::InstanceRef, storage::ReadDone<storage::StoredInstance>) override {}
  void read_value(storage::InstanceRef, std::uint64_t, storage::ReadDone<Bytes>) override {}
  void list_instances(storage::InstanceFilter, storage::ReadDone<std::vector<storage::InstanceRow>>) override {}
  void due_instances(TimeMs, storage::InstanceRef, TimeMs, std::uint32_t,
                     storage::ReadDone<std::vector<storage::DueInstance>>) override {}
  void expired_instances(TimeMs, std::uint32_t, storage::ReadDone<std::vector<storage::InstanceRef>>) override {}
  void list_objects(std::string, std::string, std::uint32_t, storage::ReadDone<std::vector<storage::ObjectRow>>) override {}

  std::map<std::string, storage::Alarm> rows;
  std::map<std::string, std::map<std::string, std::string>> entries;
  std::map<std::pair<std::string, std::string>, storage::ObjectRow> objects;
};

}  // namespace insula::testing
