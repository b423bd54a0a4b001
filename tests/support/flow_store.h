// SPDX-License-Identifier: Apache-2.0
//
// FlowStore: a store of workflow instances in memory. Like the real one it answers later: when `post` runs what it is given.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/memory_store.h"

namespace insula::testing {

class FlowStore final : public MemoryStore {
 public:
  using Post = std::function<void(std::function<void()>)>;
  explicit FlowStore(Post post) : post_(std::move(post)) {}

  struct Instance {
    storage::InstanceRow row;
    std::map<std::uint64_t, Bytes> history;  // by first record
    std::map<std::uint64_t, Bytes> values;
  };
  std::map<storage::InstanceRef, Instance> instances;
  std::map<std::uint64_t, storage::LogEntry> log;

  void write(storage::Batch batch, storage::WriteDone done) override {
    Result<> result;
    for (const auto& write : batch) {
      if (result) result = std::visit([this](const auto& what) { return apply(what); }, write);
    }
    if (!done) return;
    answer(std::move(done), std::move(result));
  }
  void recover(std::uint32_t mask, storage::ReadDone<storage::Recovery> done) override {
    storage::Recovery recovery;
    recovery.next_ref = instances.empty() ? 1 : instances.rbegin()->first + 1;
    recovery.next_sequence = log.empty() ? 1 : log.rbegin()->first + 1;
    for (const auto& [sequence, entry] : log) recovery.log.push_back(entry);
    for (const auto& [ref, instance] : instances) {
      const auto& row = instance.row;
      if ((mask >> row.status & 1U) == 0) continue;
      recovery.queued.push_back({ref, row.due, row.workflow, row.fairness_key, row.records > 1});
    }
    answer(std::move(done), Result<storage::Recovery>(std::move(recovery)));
  }
  void find_instance(std::string workflow, std::string id, storage::ReadDone<storage::InstanceRow> done) override {
    for (const auto& [ref, instance] : instances) {
      if (instance.row.workflow != workflow || instance.row.id != id) continue;
      return answer(std::move(done), Result<storage::InstanceRow>(instance.row));
    }
    answer(std::move(done), Result<storage::InstanceRow>(Error(ErrorCode::NotFound, "no such instance")));
  }
  void load_instance(storage::InstanceRef ref, storage::ReadDone<storage::StoredInstance> done) override {
    const auto found = instances.find(ref);
    if (found == instances.end()) {
      return answer(std::move(done), Result<storage::StoredInstance>(Error(ErrorCode::NotFound, "no such instance")));
    }
    storage::StoredInstance stored{found->second.row, {found->second.row.head}};
    for (const auto& [first, bytes] : found->second.history) stored.history.push_back(bytes);
    answer(std::move(done), Result<storage::StoredInstance>(std::move(stored)));
  }
  void read_value(storage::InstanceRef ref, std::uint64_t number, storage::ReadDone<Bytes> done) override {
    const auto found = instances.find(ref);
    const bool is_there = found != instances.end() && found->second.values.contains(number);
    answer(std::move(done), is_there ? Result<Bytes>(found->second.values.at(number))
                                     : Result<Bytes>(Error(ErrorCode::NotFound, "no such value")));
  }
  void list_instances(storage::InstanceFilter filter, storage::ReadDone<std::vector<storage::InstanceRow>> done) override {
    std::vector<storage::InstanceRow> listed;
    for (auto at = instances.rbegin(); at != instances.rend() && listed.size() < filter.limit; ++at) listed.push_back(at->second.row);
    answer(std::move(done), Result<std::vector<storage::InstanceRow>>(std::move(listed)));
  }
  void due_instances(TimeMs from, storage::InstanceRef after, TimeMs until, std::uint32_t limit,
                     storage::ReadDone<std::vector<storage::DueInstance>> done) override {
    std::vector<storage::DueInstance> due;
    for (const auto& [ref, instance] : instances) {
      const auto& row = instance.row;
      const bool is_later = row.due > from || (row.due == from && ref > after);
      if (row.due != 0 && is_later && row.due < until) due.push_back({ref, row.due, row.workflow, row.fairness_key, true});
    }
    std::sort(due.begin(), due.end(), [](const auto& a, const auto& b) {
      return std::pair(a.due, a.ref) < std::pair(b.due, b.ref);
    });
    if (due.size() > limit) due.resize(limit);
    answer(std::move(done), Result<std::vector<storage::DueInstance>>(std::move(due)));
  }
  void expired_instances(TimeMs until, std::uint32_t limit, storage::ReadDone<std::vector<storage::InstanceRef>> done) override {
    std::vector<storage::InstanceRef> refs;
    for (const auto& [ref, instance] : instances) {
      const bool has_expired = instance.row.expires_at != 0 && instance.row.expires_at <= until;
      if (has_expired && refs.size() < limit) refs.push_back(ref);
    }
    answer(std::move(done), Result<std::vector<storage::InstanceRef>>(std::move(refs)));
  }

 private:
  template <class Done, class Outcome>
  void answer(Done done, Outcome outcome) {
    post_([done = std::move(done), outcome = std::move(outcome)]() mutable { done(std::move(outcome)); });
  }
  template <class What>
  Result<> apply(const What&) {
    return {};
  }
  Result<> apply(const storage::InsertInstance& insert) {
    for (const auto& [ref, instance] : instances) {
      if (instance.row.workflow == insert.row.workflow && instance.row.id == insert.row.id) {
        return Error(ErrorCode::Conflict, "it is there");
      }
    }
    instances[insert.row.ref].row = insert.row;
    return {};
  }
  Result<> apply(const storage::UpdateInstance& update) {
    const auto found = instances.find(update.ref);
    if (found == instances.end()) return {};
    auto& row = found->second.row;
    row.status = update.status;
    row.ended_at = update.ended_at;
    row.due = update.due;
    row.expires_at = update.expires_at;
    row.outcome = update.outcome;
    row.records = update.records;
    row.next_value = update.next_value;
    return {};
  }
  Result<> apply(const storage::DeleteInstance& gone) {
    instances.erase(gone.ref);
    return {};
  }
  Result<> apply(const storage::AppendLog& append) {
    log[append.sequence] = {append.sequence, append.ref, append.first_record, append.bytes};
    return {};
  }
  Result<> apply(const storage::TrimLog& trim) {
    log.erase(log.begin(), log.lower_bound(trim.below));
    return {};
  }
  Result<> apply(const storage::AppendHistory& append) {
    instances[append.ref].history[append.first_record] = append.bytes;
    return {};
  }
  Result<> apply(const storage::WipeHistory& wipe) {
    instances[wipe.ref].history.clear();
    instances[wipe.ref].row.head.clear();
    return {};
  }
  Result<> apply(const storage::PutValue& put) {
    instances[put.ref].values[put.number] = put.bytes;
    return {};
  }
  Result<> apply(const storage::DropValues& drop) {
    auto& values = instances[drop.ref].values;
    values.erase(values.lower_bound(drop.from), values.lower_bound(drop.to));
    return {};
  }

  const Post post_;
};

}  // namespace insula::testing
