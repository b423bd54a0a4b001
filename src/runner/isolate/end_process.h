// SPDX-License-Identifier: Apache-2.0
//
// The end of a runner by its own hand, with word left on the board. Named without any V8 type.
#pragma once

#include <cstdint>

#include "src/protocol/board.h"

namespace insula::runner {

// Where a dying process leaves word. Set once at start.
void set_board(protocol::Board* board) noexcept;
// Writes the cause and the culprit, then ends the process. Any thread, any state.
[[noreturn]] void end_process(protocol::EndCause cause, std::uint32_t worker, std::uint32_t question) noexcept;

}  // namespace insula::runner
