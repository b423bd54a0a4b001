// SPDX-License-Identifier: Apache-2.0
//
// FaultyStore: a Store for tests that loses, refuses or holds back what is written to the one behind it.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/storage/store.h"

namespace insula::storage {

class FaultyStore final : public Store {
 public:
  explicit FaultyStore(Store& behind) : behind_(behind) {}

  // Asked at each write, with how many there were before; an error refuses it, as a full disk would.
  std::function<std::optional<Error>(std::uint64_t)> refuse;
  // Held writes are in memory: they reach the disk at release_held(), and are lost with the process at lose_held().
  bool holds = false;

  void release_held() {
    for (auto& [batch, done] : std::exchange(held_, {})) behind_.write(std::move(batch), std::move(done));
  }
  void lose_held() { held_.clear(); }
  std::uint64_t writes() const noexcept { return writes_; }

  void write(Batch batch, WriteDone done) override {
    const auto number = writes_++;
    if (refuse) {
      if (auto error = refuse(number)) {
        // Answered as a store answers: later, and not inside the call.
        behind_.write({}, [done = std::move(done), error = *std::move(error)](Result<>) {
          if (done) done(error);
        });
        return;
      }
    }
    if (holds) {
      held_.emplace_back(std::move(batch), std::move(done));
    } else {
      behind_.write(std::move(batch), std::move(done));
    }
  }
  void recover(std::uint32_t status_mask, ReadDone<Recovery> done) override {
    behind_.recover(status_mask, std::move(done));
  }
  void find_instance(std::string workflow, std::string id, ReadDone<InstanceRow> done) override {
    behind_.find_instance(std::move(workflow), std::move(id), std::move(done));
  }
  void load_instance(InstanceRef ref, ReadDone<StoredInstance> done) override {
    behind_.load_instance(ref, std::move(done));
  }
  void read_value(InstanceRef ref, std::uint64_t number, ReadDone<Bytes> done) override {
    behind_.read_value(ref, number, std::move(done));
  }
  void list_instances(InstanceFilter filter, ReadDone<std::vector<InstanceRow>> done) override {
    behind_.list_instances(std::move(filter), std::move(done));
  }
  void due_instances(TimeMs from, InstanceRef after, TimeMs until, std::uint32_t limit,
                     ReadDone<std::vector<DueInstance>> done) override {
    behind_.due_instances(from, after, until, limit, std::move(done));
  }
  void expired_instances(TimeMs until, std::uint32_t limit, ReadDone<std::vector<InstanceRef>> done) override {
    behind_.expired_instances(until, limit, std::move(done));
  }
  void due_alarms(TimeMs until, std::uint32_t limit, ReadDone<std::vector<Alarm>> done) override {
    behind_.due_alarms(until, limit, std::move(done));
  }
  void find_alarm(std::string object, ReadDone<std::optional<Alarm>> done) override {
    behind_.find_alarm(std::move(object), std::move(done));
  }
  void find_object(std::string space, std::string id, ReadDone<std::optional<ObjectRow>> done) override {
    behind_.find_object(std::move(space), std::move(id), std::move(done));
  }
  void list_objects(std::string space, std::string after_id, std::uint32_t limit,
                    ReadDone<std::vector<ObjectRow>> done) override {
    behind_.list_objects(std::move(space), std::move(after_id), limit, std::move(done));
  }
  void list_entries(std::string space, ReadDone<std::vector<Entry>> done) override {
    behind_.list_entries(std::move(space), std::move(done));
  }

 private:
  Store& behind_;
  std::uint64_t writes_ = 0;
  std::deque<std::pair<Batch, WriteDone>> held_;
};

}  // namespace insula::storage
