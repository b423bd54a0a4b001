// SPDX-License-Identifier: Apache-2.0
//
// Stream: bytes on their way through a runner: from the channel or an isolate, to the channel or an isolate.
//
//   supervisor ──Data──► queue ──ChunkEvent──► isolate         isolate ──write──► queue ──Data──► supervisor
//
// All fields are guarded by the host's lock. The queue is bounded by the window: a producer behind the channel gets no
// more credit, a producer in an isolate is told to wait.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "src/protocol/frames.h"
#include "src/runner/isolate/events.h"

namespace insula::runner {

inline constexpr std::size_t kStreamWindowBytes = 256 * kKiB;

class Stream {
 public:
  enum class Side : std::uint8_t { None, Channel, Isolate, Stream };

  // Producer
  Side from = Side::None;
  protocol::StreamId from_id = 0;   // Channel: the supervisor's number
  WorkerId writer_worker = 0;       // Isolate
  std::uint32_t writer = 0;
  bool writer_waiting = false;
  bool is_reluctant = false;        // nothing is taken beyond the first chunk before somebody reads
  std::size_t granted = 0;          // Channel: credit given and not yet used
  StreamPtr previous;               // Stream: spliced; they hold each other until one of them ends

  // Consumer
  Side to = Side::None;
  protocol::StreamId to_id = 0;     // Channel: our number
  std::size_t credit = 0;           // Channel: what we may still send
  WorkerId reader_worker = 0;       // Isolate
  std::uint32_t body = 0;
  bool pull_pending = false;
  StreamPtr next;                   // Stream

  std::deque<Bytes> queue;
  std::size_t queued = 0;
  bool ended = false;
  std::string error;
  bool stopped = false;
  bool is_flowing = false;          // into `next`, further up in the call chain

  bool is_untouched() const noexcept { return granted == 0 && queue.empty() && !ended && to == Side::None; }
};

}  // namespace insula::runner
