// SPDX-License-Identifier: Apache-2.0
//
// FedSource, Collector: the two ends of a stream of bytes in the hands of a test.
#pragma once

#include <cstddef>
#include <string>

#include "src/io/byte_stream.h"

namespace insula::testing {

// A source that is fed by the test: `source.sink->on_data(...)`.
class FedSource final : public io::ByteSource {
 public:
  void attach(io::ByteSink& to) override { sink = &to; }
  void grant(std::size_t bytes) override { granted += bytes; }
  void stop() override {
    is_stopped = true;
    sink = nullptr;
  }
  io::ByteSink* sink = nullptr;
  std::size_t granted = 0;
  bool is_stopped = false;
};

// Keeps what it gets.
class Collector : public io::ByteSink {
 public:
  void on_data(BytesView more) override { bytes += more; }
  void on_end() override { ++ends; }
  void on_failure(const Error& error) override { failure = error.message(); }
  Bytes bytes;
  int ends = 0;
  std::string failure;  // empty: none
};

}  // namespace insula::testing
