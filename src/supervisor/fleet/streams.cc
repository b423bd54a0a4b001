// SPDX-License-Identifier: Apache-2.0
//
// Streams: credit in both directions.
#include "src/supervisor/fleet/streams.h"

#include <algorithm>
#include <utility>

#include "src/base/limits.h"

namespace insula::fleet {

RunnerStream::~RunnerStream() { stop(); }

void RunnerStream::attach(io::ByteSink& sink) {
  if (continuation_ != nullptr) return continuation_->attach(sink);
  switch (ending_) {
    case Ending::None: sink_ = &sink; return;
    case Ending::Clean: sink.on_end(); return;
    case Ending::Failed: sink.on_failure(Error(ErrorCode::Unavailable, failure_)); return;
  }
}

void RunnerStream::grant(std::size_t bytes) {
  if (continuation_ != nullptr) return continuation_->grant(bytes);
  if (port_ == nullptr) return;
  wanted_ += bytes;
  send_credit();
}

void RunnerStream::send_credit() {
  const std::size_t now = std::min(wanted_, kStreamWindowBytesMax - outstanding_);
  if (now == 0) return;
  wanted_ -= now;
  outstanding_ += now;
  port_->send_frame(protocol::StreamCredit{number_, static_cast<std::uint32_t>(now)});
}

void RunnerStream::stop() {
  sink_ = nullptr;
  if (const auto continuation = std::move(continuation_)) return continuation->stop();
  StreamPort* const port = std::exchange(port_, nullptr);
  if (port == nullptr) return;
  port->send_frame(protocol::StreamStop{number_});
  port->on_reader_stopped(number_);
}

bool RunnerStream::accept(BytesView bytes) {
  if (bytes.size() > outstanding_ || bytes.size() > kStreamChunkBytesMax) return false;
  outstanding_ -= bytes.size();
  if (sink_ != nullptr && !bytes.empty()) sink_->on_data(bytes);
  if (port_ != nullptr && wanted_ > 0) send_credit();
  return true;
}

void RunnerStream::finish() {
  port_ = nullptr;
  ending_ = Ending::Clean;
  if (io::ByteSink* const sink = std::exchange(sink_, nullptr)) sink->on_end();
}

void RunnerStream::continue_with(io::ByteSourcePtr source) {
  port_ = nullptr;
  continuation_ = std::move(source);
  const auto continuation = continuation_;  // it may end, and this with it, within these calls
  const std::size_t granted = outstanding_ + wanted_;
  if (io::ByteSink* const sink = std::exchange(sink_, nullptr)) continuation->attach(*sink);
  if (granted > 0) continuation->grant(granted);
}

void RunnerStream::fail(const Error& error) {
  port_ = nullptr;
  ending_ = Ending::Failed;
  failure_ = error.message();
  if (io::ByteSink* const sink = std::exchange(sink_, nullptr)) sink->on_failure(error);
}

bool OutgoingStream::credit(std::size_t bytes) {
  if (is_ended_) return true;
  if (bytes > kStreamWindowBytesMax - std::min(outstanding_, kStreamWindowBytesMax)) return false;
  outstanding_ += bytes;
  // The source may push, end or fail inside these calls, which can end this stream; it keeps itself alive meanwhile.
  const io::ByteSourcePtr source = source_;
  if (!is_attached_) {
    is_attached_ = true;
    source->attach(*this);
  }
  if (!is_ended_) source->grant(bytes);
  return true;
}

void OutgoingStream::stop() {
  if (is_ended_) return;
  if (source_ != nullptr) source_->stop();
  end({});
}

void OutgoingStream::abandon() {
  is_ended_ = true;
  if (source_ != nullptr) source_->stop();
}

void OutgoingStream::on_data(BytesView bytes) {
  if (is_ended_) return;
  outstanding_ -= std::min(bytes.size(), outstanding_);
  while (!bytes.empty()) {
    const BytesView chunk = bytes.substr(0, kStreamChunkBytesMax);
    port_.send_frame(protocol::StreamData{number_, chunk});
    bytes.remove_prefix(chunk.size());
  }
}

void OutgoingStream::on_end() { end({}); }

void OutgoingStream::on_failure(const Error& error) {
  end(is_from_runner_ && !error.message().empty() ? std::string_view(error.message())
                                                  : std::string_view("Network connection lost."));
}

void OutgoingStream::end(std::string_view error) {
  if (std::exchange(is_ended_, true)) return;
  port_.send_frame(protocol::StreamEnd{number_, error});
  port_.on_outgoing_ended(number_);
}

}  // namespace insula::fleet
