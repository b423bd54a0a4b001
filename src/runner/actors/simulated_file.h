// SPDX-License-Identifier: Apache-2.0
//
// SimulatedFile: for tests, a file in memory that fails when told to and remembers what a crash of the machine could
// leave of it: everything that was synced, and of each later write any of its sectors, of each later truncation all or
// nothing, in any combination.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "src/runner/actors/storage_file.h"

namespace insula::runner::actors {

inline constexpr std::size_t kSectorBytes = 512;

// Shared by the files of one actor: the n-th operation from now fails.
struct FaultPlan {
  std::uint64_t writes = 0;  // so far, truncations included
  std::uint64_t syncs = 0;
  std::uint64_t fail_write_at = UINT64_MAX;
  int write_errno = EIO;
  bool writes_short = false;  // half of it is written before it fails
  std::uint64_t fail_sync_at = UINT64_MAX;
};

// What is in a file, and what of that is on the disk; outlives the StorageFile, as a disk does.
struct SimulatedDisk {
  struct Operation {
    bool is_truncate;
    std::uint64_t offset;
    std::string bytes;
  };
  std::string content;
  std::string durable;
  std::vector<Operation> pending;

  static void apply(std::string& file, const Operation& operation) {
    if (operation.is_truncate) {
      file.resize(operation.offset);
      return;
    }
    const std::size_t end = operation.offset + operation.bytes.size();
    if (file.size() < end) file.resize(end);
    std::memcpy(file.data() + operation.offset, operation.bytes.data(), operation.bytes.size());
  }
  void synced() {
    durable = content;
    pending.clear();
  }
  // The machine stops: what is found afterwards. Each write that was not synced survives with the given chance.
  SimulatedDisk after_crash(std::mt19937_64& random, unsigned percent) const {
    SimulatedDisk left;
    left.content = durable;
    const auto survives = [&] { return random() % 100 < percent; };
    for (const Operation& operation : pending) {
      if (operation.is_truncate) {
        if (survives()) apply(left.content, operation);
        continue;
      }
      for (std::size_t at = 0; at < operation.bytes.size(); at += kSectorBytes) {
        if (survives()) apply(left.content, {false, operation.offset + at, operation.bytes.substr(at, kSectorBytes)});
      }
    }
    left.durable = left.content;
    return left;
  }
};

class SimulatedFile final : public StorageFile {
 public:
  SimulatedFile(std::shared_ptr<SimulatedDisk> disk, std::shared_ptr<FaultPlan> plan)
      : disk_(std::move(disk)), plan_(std::move(plan)) {}

  int read_at(char* into, std::size_t size, std::uint64_t offset, std::size_t& got) override {
    const std::string& file = disk_->content;
    got = offset >= file.size() ? 0 : std::min(size, file.size() - static_cast<std::size_t>(offset));
    if (got > 0) std::memcpy(into, file.data() + offset, got);
    return 0;
  }
  int write_at(const char* from, std::size_t size, std::uint64_t offset) override {
    if (plan_->writes++ == plan_->fail_write_at) {
      if (plan_->writes_short) keep({false, offset, std::string(from, size / 2)});
      return plan_->write_errno;
    }
    keep({false, offset, std::string(from, size)});
    return 0;
  }
  int truncate(std::uint64_t size) override {
    if (plan_->writes++ == plan_->fail_write_at) return plan_->write_errno;
    keep({true, size, {}});
    return 0;
  }
  int size(std::uint64_t& bytes) override {
    bytes = disk_->content.size();
    return 0;
  }
  int sync() override {
    if (plan_->syncs++ == plan_->fail_sync_at) return EIO;
    disk_->synced();
    return 0;
  }
  int discard(std::uint64_t offset, std::uint64_t size) override {
    keep({false, offset, std::string(size, '\0')});
    return 0;
  }

 private:
  void keep(SimulatedDisk::Operation operation) {
    SimulatedDisk::apply(disk_->content, operation);
    disk_->pending.push_back(std::move(operation));
  }

  const std::shared_ptr<SimulatedDisk> disk_;
  const std::shared_ptr<FaultPlan> plan_;
};

}  // namespace insula::runner::actors
