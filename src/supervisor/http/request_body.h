// SPDX-License-Identifier: Apache-2.0
//
// RequestBodySource: a request body that is still arriving, as the handler reads it.
//
// The connection decodes no more than the handler has granted; what is not granted stays in the kernel's buffer and
// closes the client's window.
#pragma once

#include <cstddef>
#include <optional>

#include "src/base/error.h"
#include "src/io/byte_stream.h"

namespace insula::http {

class RequestBodySource final : public io::ByteSource {
 public:
  // What the source needs of its connection.
  class Feeder {
   public:
    virtual ~Feeder() = default;
    virtual void on_body_granted() = 0;
    virtual void on_body_stopped() = 0;
  };

  explicit RequestBodySource(Feeder& feeder) : feeder_(&feeder) {}

  void attach(io::ByteSink& sink) override;
  void grant(std::size_t bytes) override;
  void stop() override;

  // The connection's side.
  bool is_started() const noexcept { return is_started_; }  // has had a first grant
  std::size_t credit_bytes() const noexcept { return credit_bytes_; }
  void deliver(BytesView bytes);  // at most credit_bytes()
  void finish();
  void fail(Error error);  // also when nobody is attached yet: told at attach()

 private:
  Feeder* feeder_;  // null once the stream has ended
  io::ByteSink* sink_ = nullptr;
  std::size_t credit_bytes_ = 0;
  bool is_started_ = false;
  std::optional<Error> failure_;
};

}  // namespace insula::http
