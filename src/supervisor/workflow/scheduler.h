// SPDX-License-Identifier: Apache-2.0
//
// Scheduler: who may run next. Each workflow has a number of slots; within a workflow the fairness keys take turns, and
// within a key those that wake go before those that were never started.
//
// A waiting instance is a number here, so a tenant with a million of them costs a few megabytes and, because its key
// has one turn in each round, delays another key's instance by at most one grant per key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace insula::workflow {

struct SlotLimits {
  std::uint32_t per_workflow = 1'000;
  std::uint32_t per_key = 1'000;
};

class Scheduler {
 public:
  explicit Scheduler(SlotLimits limits) : limits_(limits) {}

  // What a slot belongs to. Stable as long as the Scheduler.
  struct Key;
  Key* key(const std::string& workflow, const std::string& fairness_key);
  void set_limits(const std::string& workflow, SlotLimits limits);

  void enqueue(Key* key, std::uint64_t ref, bool is_waking);
  // The next one that may run; it holds a slot of its key from now on.
  struct Grant {
    std::uint64_t ref = 0;
    Key* key = nullptr;
  };
  std::optional<Grant> next();
  void release(Key* key);

  std::uint64_t queued() const noexcept { return queued_; }
  static std::uint64_t queued_of_workflow(const Key* key) noexcept;
  std::uint64_t granted() const noexcept { return granted_; }

 private:
  struct Workflow {
    SlotLimits limits;
    std::uint32_t granted = 0;
    std::uint64_t queued = 0;
    std::unordered_map<std::string, Key> keys;
    std::list<Key*> turns;  // of keys that have somebody waiting and a slot free
    std::list<Workflow*>::iterator turn;
    bool has_turn = false;
  };
  void update(Key* key);
  void update(Workflow& workflow);

  const SlotLimits limits_;
  std::unordered_map<std::string, Workflow> workflows_;
  std::list<Workflow*> turns_;  // of workflows that could grant
  std::uint64_t queued_ = 0;
  std::uint64_t granted_ = 0;
};

struct Scheduler::Key {
  // First in, first out; an empty one holds no memory, for there may be a key for each of a million tenants.
  class Queue {
   public:
    bool empty() const noexcept { return head_ == items_.size(); }
    std::uint64_t front() const { return items_[head_]; }
    void push_back(std::uint64_t ref) { items_.push_back(ref); }
    void pop_front();

   private:
    std::vector<std::uint64_t> items_;
    std::size_t head_ = 0;
  };

  Workflow* workflow = nullptr;
  std::uint32_t granted = 0;
  Queue waking;
  Queue fresh;
  std::list<Key*>::iterator turn;
  bool has_turn = false;
};

inline std::uint64_t Scheduler::queued_of_workflow(const Key* key) noexcept { return key->workflow->queued; }

}  // namespace insula::workflow
