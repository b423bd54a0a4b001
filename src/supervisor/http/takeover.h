// SPDX-License-Identifier: Apache-2.0
//
// Takeover, Wire: a connection that speaks another protocol after a 101 response.
//
//   client ◄──bytes──► [connection] ──on_bytes──► Takeover (who speaks the new protocol)
//                           ▲────write, finish────┘
//
// The connection keeps the socket, its place in the tables, its turns and its write time-out. It reads nothing while
// the Takeover wants nothing, and does not mind silence: connections of such protocols may be quiet for hours.
#pragma once

#include <cstddef>

#include "src/base/bytes.h"
#include "src/base/clock.h"
#include "src/base/error.h"

namespace insula::http {

// What a Takeover may do with its connection. Nothing of this calls the Takeover back before it returns.
class Wire {
 public:
  virtual ~Wire() = default;
  // Behind what waits already; leaves with the next turn, so that what is written in one go is sent in one go.
  virtual void write(BytesView bytes) = 0;
  virtual std::size_t unwritten_bytes() const noexcept = 0;
  // Takeover::wants_bytes() has become true.
  virtual void resume() = 0;
  // Closes once all is written. on_gone() follows, though nothing was wrong.
  virtual void finish() = 0;
  // Closes at once.
  virtual void abandon() = 0;
  virtual Monotonic now() const noexcept = 0;
};

class Takeover {
 public:
  virtual ~Takeover() = default;
  // First. The wire may be used until on_gone().
  virtual void on_started(Wire& wire) = 0;
  virtual bool wants_bytes() const noexcept = 0;
  // Consumes from the front of the input; what is left comes again when it wants bytes.
  virtual void on_bytes(BytesView& input) = 0;
  // A turn is over in which something was written: unwritten_bytes() may be lower.
  virtual void on_written() = 0;
  // The server is going away: say good-bye. What is left after its grace is cut.
  virtual void on_draining() = 0;
  // Every fraction of a second.
  virtual void on_tick(Monotonic now) = 0;
  // The connection has ended, also by finish() and abandon(). The last call, and perhaps the only one.
  virtual void on_gone(const Error& why) = 0;
};

}  // namespace insula::http
