// SPDX-License-Identifier: Apache-2.0
//
// Child: what the new process does between clone and exec. Private to the sandbox room.
//
// The child is a copy of one thread of a process with many: a lock may be held by a thread that is not there any more.
// So it calls nothing but system calls (no allocation, no stdio), and all that it needs lies ready in ChildPlan.
#pragma once

#include <cstdint>
#include <span>

#include "src/sandbox/sandbox.h"

namespace insula::sandbox {

// Where starting went wrong; travels to the parent with errno.
enum class ChildStage : std::uint8_t { Privileges, Descriptors, Exec };

struct ChildFailure {
  ChildStage stage;
  int error_number;
};

struct ChildPlan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  std::span<const KeptFd> fds;  // sorted by number
  std::span<int> parked;        // room for one descriptor per kept one
  int null_fd;                  // /dev/null, open for both
  int channel_fd;               // ours of a socket pair: "go" comes in, a ChildFailure goes out; closed by exec
  int parent_channel_fd;        // the other end, which only the parent may hold
};

// Never returns: becomes the program, or reports and exits.
[[noreturn]] void run_child(const ChildPlan& plan) noexcept;

// Applies close_range(2) to every descriptor above 2 that is not in `kept` (sorted): with flags 0 they are closed now,
// with CLOSE_RANGE_CLOEXEC at exec. Returns 0 or errno.
int close_all_but(std::span<const int> kept, unsigned flags) noexcept;

}  // namespace insula::sandbox
