// SPDX-License-Identifier: Apache-2.0
//
// Board: a page of shared memory (memfd, sealed against resizing) on which a runner shows what each of its executors
// is doing. The runner writes, the supervisor reads: while the runner lives to find executors that are stuck, and after
// its death to know the suspects. Nothing on it is believed without a look into the supervisor's own tables.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace insula::protocol {

// Why a runner ended itself; written before the exit, read after it.
enum class EndCause : std::uint32_t {
  None = 0,
  CpuLimit = 1,      // native code ran on past the CPU limit (stage two)
  HeapLimit = 2,     // the engine could not continue without memory
  MemoryLimit = 3,   // memory outside the heap
  StartupCpu = 4,
};

struct BoardSlot {
  std::atomic<std::uint32_t> worker{0};         // 0: idle
  std::atomic<std::uint32_t> question{0};       // the supervisor's question, 0 when it is not one
  std::atomic<std::uint64_t> started_nanos{0};  // CLOCK_MONOTONIC of the slice's start
  std::atomic<std::uint32_t> cpu_left_millis{0};  // CPU the invocation may still use in this slice
  std::uint32_t reserved = 0;
};

inline constexpr std::size_t kBoardSlots = 64;
inline constexpr std::uint32_t kBoardMagic = 0x1452a001;

struct Board {
  std::atomic<std::uint32_t> magic{0};
  std::atomic<std::uint32_t> cause{0};      // EndCause
  std::atomic<std::uint32_t> worker{0};     // the culprit, as the runner sees it
  std::atomic<std::uint32_t> question{0};
  std::array<BoardSlot, kBoardSlots> slots{};
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(Board) <= 4096);

}  // namespace insula::protocol
