// SPDX-License-Identifier: Apache-2.0
//
// Channel: frames over one Unix stream socket, in both directions.
//
// Everything that has arrived is read and handed over frame by frame; everything that was sent during one turn of the
// event loop leaves in one system call at its end. So under load a system call serves many requests.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/fd.h"
#include "src/protocol/frames.h"

namespace insula::fleet {

class ChannelEvents {
 public:
  virtual ~ChannelEvents() = default;
  // One whole frame, undecoded. The bytes are valid for the duration of the call.
  virtual void on_frame(BytesView bytes) = 0;
  // The other side closed, the socket failed, sent what no honest peer sends (Corrupt, Denied), or stopped reading
  // (Overloaded). Called once; never after close().
  virtual void on_channel_end(const Error& error) = 0;
};

class Channel final : public std::enable_shared_from_this<Channel> {
 public:
  Channel(boost::asio::io_context& io, Fd socket, ChannelEvents& events);

  void start();
  void send(const protocol::Frame& frame);
  // The descriptors ride with the frame's first byte; ours are closed when they are on their way.
  void send(const protocol::Frame& frame, std::vector<Fd> descriptors);
  // Hands over what has arrived but was not read yet; for a peer that is known to be dead.
  void read_rest();
  // Calls the events no more and closes the socket.
  void close();

  std::size_t unsent_bytes() const noexcept { return out_.size() - out_begin_; }

 private:
  using Socket = boost::asio::basic_stream_socket<boost::asio::local::stream_protocol,
                                                  boost::asio::io_context::executor_type>;

  void wait_readable();
  bool read_once();  // false: nothing more to read now, or the channel has ended
  // Sends bytes up to the next descriptors, with those that are due. As send(2).
  ssize_t send_some();
  void flush();
  void end(const Error& error);

  Socket socket_;
  ChannelEvents* events_;  // null once ended
  protocol::FrameReader reader_;
  Bytes out_;
  std::size_t out_begin_ = 0;
  struct Riders {
    std::size_t at = 0;  // of out_: which byte they ride with
    std::vector<Fd> descriptors;
  };
  std::deque<Riders> riders_;
  bool is_flush_due_ = false;  // posted, or waiting for the socket to take more
};

}  // namespace insula::fleet
