// SPDX-License-Identifier: Apache-2.0
//
// HostCapability: what stands behind a stub in this runner, and what happens when nobody holds it any more.
//
// The last reference may go on any thread, with or without the host's lock held: an isolate that is disposed of, a
// message that nobody takes. So a capability only leaves word in the ReleaseList; the host empties that under its lock,
// before it writes to the channel.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "src/runner/isolate/events.h"

namespace insula::runner {

class ReleaseList {
 public:
  struct Item {
    bool is_import = false;
    WorkerId worker = 0;       // of an export
    std::uint32_t number = 0;  // import, or export of the worker
  };

  // `wake`: the eventfd that ends the poller's sleep. Not before the first add().
  void set_wake(int wake) noexcept { wake_ = wake; }
  void add(Item item);
  // Moves what has come to `items`. False, at the price of one load, when there is nothing.
  bool take(std::vector<Item>& items);
  // The poller says that it is about to sleep; it looks into the list once more after that.
  void set_asleep(bool asleep) noexcept { asleep_.store(asleep); }
  bool is_empty() const noexcept { return !has_items_.load(); }

 private:
  int wake_ = -1;
  std::atomic<bool> has_items_{false};
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;  // guards items_
  std::vector<Item> items_;
};

class HostCapability {
 public:
  enum class Kind : std::uint8_t { Import, Export, Entrypoint };

  // An import that leads to a Worker of this runner (protocol Local).
  struct LocalWay {
    WorkerId worker = 0;
    std::string entrypoint;
    Payload props;
  };

  HostCapability(ReleaseList& releases, Kind its_kind, WorkerId its_worker, std::uint32_t its_number) noexcept
      : kind(its_kind), worker(its_worker), number(its_number), releases_(releases) {}
  ~HostCapability();
  HostCapability(const HostCapability&) = delete;
  HostCapability& operator=(const HostCapability&) = delete;

  const Kind kind;
  bool is_granted = false;      // Import: it leads to no object, but to an entrypoint or a part of the supervisor
  bool is_static = false;       // Entrypoint: of a static Worker, which the supervisor loads again when it is gone
  const WorkerId worker;        // Export, Entrypoint: of this runner
  const std::uint32_t number;   // Import: in the channel's table; Export: the Worker's number
  std::string entrypoint;       // Entrypoint
  std::string namespace_key;    // Import that is a namespace of Durable Objects: the key of its ids
  Payload props;                // Entrypoint
  unsigned depth = 0;           // of props in props
  std::uint32_t references = 1; // itself, and what its props carry
  std::unique_ptr<const LocalWay> local;  // Import, or null; guarded by the host's lock

  // Calls on it run in an invocation that is there already.
  bool is_object() const noexcept { return kind == Kind::Export || (kind == Kind::Import && !is_granted); }

 private:
  ReleaseList& releases_;
};

// How deep props are nested in the entrypoints that ride with a value, and how many references that makes on the wire.
unsigned depth_of(const Payload& payload) noexcept;
std::uint32_t references_of(const Payload& payload) noexcept;

}  // namespace insula::runner
