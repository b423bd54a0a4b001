// SPDX-License-Identifier: Apache-2.0
//
// ByteSource, ByteSink: one flow-controlled stream of bytes inside the supervisor.
//
// A source pushes at most as many bytes as its sink has granted; nothing flows before the first grant. HTTP request
// bodies, responses from the outside world, files and streams of runners are all sources, so that any of them can
// feed any sink with back-pressure from end to end. The same words travel between processes as the frames
// Data, Credit, End and Stop.
//
// Rules
//   1. attach() is called once, before the first grant().
//   2. on_data(), on_end() and on_failure() may run inside grant() or attach(); callers settle their state first.
//   3. After on_end(), on_failure() or stop() the source calls its sink no more, and ignores grant().
//   4. The consumer owns the source; the sink must outlive it or call stop() first. Dropping the last reference to an
//      unfinished source means stop().
#pragma once

#include <cstddef>
#include <memory>

#include "src/base/bytes.h"
#include "src/base/error.h"

namespace insula::io {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void on_data(BytesView bytes) = 0;  // the bytes are borrowed for the duration of the call
  virtual void on_end() = 0;
  virtual void on_failure(const Error& error) = 0;
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual void attach(ByteSink& sink) = 0;
  virtual void grant(std::size_t bytes) = 0;
  virtual void stop() = 0;  // the reader wants no more
};

using ByteSourcePtr = std::shared_ptr<ByteSource>;

}  // namespace insula::io
