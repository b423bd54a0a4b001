// SPDX-License-Identifier: Apache-2.0
//
// Autopsy: who was at work in a runner when it died, and what its callers are told.
//
// The board was written by the runner, so a hostile one can put anything there: it counts only as far as the session's
// own tables confirm it, and it can name nobody outside the runner.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/clock.h"
#include "src/base/fault.h"
#include "src/protocol/board.h"
#include "src/supervisor/fleet/session.h"

namespace insula::fleet {

// Why the fleet gave a runner up.
enum class End : std::uint8_t {
  Closed,        // it closed its socket: it exited or crashed
  Protocol,      // it broke the protocol
  Unresponsive,  // no Pong, or it does not read
  Memory,        // above its memory bound
  Stuck,         // one slice far beyond its CPU limit
  Retired,       // it was not needed any more
};
std::string_view name_of(End end) noexcept;

struct Findings {
  std::vector<std::string> suspects;  // tenant keys, each once
  Session::LossPolicy losses;
  std::string_view cause;             // for the log: "cpu", "heap", "memory", "startup-cpu", or the name of the End
};

Findings examine(const protocol::Board& board, Session& session, End end);

// True when some slice of a runner has run so long that its own second stage must have failed.
bool has_stuck_slice(const protocol::Board& board, Session& session, Monotonic now, std::size_t busy_slots,
                     unsigned cores);
std::size_t busy_slots(const protocol::Board& board);

}  // namespace insula::fleet
