// SPDX-License-Identifier: Apache-2.0
//
// Streams: the two ends of a byte stream that crosses the boundary between supervisor and runner.
//
//   RunnerStream     the runner owns the stream: Data and End come in as a ByteSource, Credit and Stop go out
//   OutgoingStream   the supervisor owns it: a ByteSource is read as the runner's Credit allows
//
// No Data before Credit, never more Data than Credit, at most kStreamWindowBytesMax of Credit outstanding. A stream is
// over with the owner's End or the reader's Stop; what crosses one of them on the wire is ignored, not punished.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/bytes.h"
#include "src/io/byte_stream.h"
#include "src/protocol/frames.h"

namespace insula::fleet {

// The session, as its streams see it.
class StreamPort {
 public:
  virtual ~StreamPort() = default;
  virtual void send_frame(const protocol::Frame& frame) = 0;
  virtual void on_reader_stopped(protocol::StreamId stream) = 0;    // a RunnerStream is wanted no more
  virtual void on_outgoing_ended(protocol::StreamId stream) = 0;    // an OutgoingStream has sent its End
};

class RunnerStream final : public io::ByteSource {
 public:
  RunnerStream(StreamPort& port, protocol::StreamId number) : port_(&port), number_(number) {}
  ~RunnerStream() override;

  void attach(io::ByteSink& sink) override;
  void grant(std::size_t bytes) override;
  void stop() override;

  // False when the runner sent more than it was allowed to.
  bool accept(BytesView bytes);
  void finish();
  void fail(const Error& error);
  // The runner has nothing more to do with it: what follows comes from `source`, which nobody has read.
  void continue_with(io::ByteSourcePtr source);
  // Nobody has read from it: its owner can have it back. The stream is then at its end without a word to anybody.
  bool is_untouched() const noexcept { return sink_ == nullptr && outstanding_ == 0 && port_ != nullptr; }
  void surrender() { port_ = nullptr; }
  const StreamPort* port() const noexcept { return port_; }
  protocol::StreamId number() const noexcept { return number_; }

 private:
  void send_credit();

  StreamPort* port_;  // null once ended, or continued
  const protocol::StreamId number_;
  io::ByteSink* sink_ = nullptr;
  io::ByteSourcePtr continuation_;
  std::size_t outstanding_ = 0;  // granted to the runner, not yet received
  std::size_t wanted_ = 0;       // granted by the reader beyond the window
  // How it ended, for a reader that comes later.
  enum class Ending : std::uint8_t { None, Clean, Failed };
  Ending ending_ = Ending::None;
  std::string failure_;
};

class OutgoingStream final : public io::ByteSink {
 public:
  OutgoingStream(StreamPort& port, protocol::StreamId number, io::ByteSourcePtr source)
      : port_(port),
        number_(number),
        source_(std::move(source)),
        is_from_runner_(dynamic_cast<RunnerStream*>(source_.get()) != nullptr) {}

  // False when the runner grants more than the window.
  bool credit(std::size_t bytes);
  // The runner, or the end of its invocation, wants no more: sends End.
  void stop();
  // The runner is gone.
  void abandon();
  bool is_untouched() const noexcept { return !is_attached_; }
  io::ByteSourcePtr take_source() { return std::move(source_); }

  void on_data(BytesView bytes) override;
  void on_end() override;
  void on_failure(const Error& error) override;

 private:
  void end(std::string_view error);

  StreamPort& port_;
  const protocol::StreamId number_;
  io::ByteSourcePtr source_;
  const bool is_from_runner_;  // then the text of a failure is a Worker's own; others' texts stay inside
  std::size_t outstanding_ = 0;
  bool is_attached_ = false;
  bool is_ended_ = false;
};

}  // namespace insula::fleet
