// SPDX-License-Identifier: Apache-2.0
//
// RequestBodySource: credit in, bytes out, each end told once.
#include "src/supervisor/http/request_body.h"

#include <utility>

namespace insula::http {

void RequestBodySource::attach(io::ByteSink& sink) {
  if (failure_) {
    sink.on_failure(*failure_);
    return;
  }
  if (feeder_ != nullptr) sink_ = &sink;
}

void RequestBodySource::grant(std::size_t bytes) {
  if (feeder_ == nullptr || sink_ == nullptr) return;
  is_started_ = true;
  credit_bytes_ += bytes;
  feeder_->on_body_granted();
}

void RequestBodySource::stop() {
  sink_ = nullptr;
  credit_bytes_ = 0;
  if (Feeder* const feeder = std::exchange(feeder_, nullptr)) feeder->on_body_stopped();
}

void RequestBodySource::deliver(BytesView bytes) {
  if (sink_ == nullptr) return;
  credit_bytes_ -= bytes.size();
  sink_->on_data(bytes);
}

void RequestBodySource::finish() {
  feeder_ = nullptr;
  if (io::ByteSink* const sink = std::exchange(sink_, nullptr)) sink->on_end();
}

void RequestBodySource::fail(Error error) {
  if (feeder_ == nullptr) return;
  feeder_ = nullptr;
  credit_bytes_ = 0;
  failure_ = std::move(error);
  if (io::ByteSink* const sink = std::exchange(sink_, nullptr)) sink->on_failure(*failure_);
}

}  // namespace insula::http
