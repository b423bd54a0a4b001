// SPDX-License-Identifier: Apache-2.0
//
// Channel: the two system calls of the hot path, recvmsg and send.
#include "src/supervisor/fleet/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <boost/asio/post.hpp>

#include "src/base/limits.h"

namespace insula::fleet {
namespace {

constexpr std::size_t kReadBytesLeast = 64 * kKiB;
// One runner that talks without pause must not keep the loop from the others.
constexpr int kReadsPerTurnMax = 8;
constexpr std::size_t kIdleBufferBytesMax = 2 * kMiB;
constexpr std::size_t kDescriptorsPerFrameMax = 8;

std::string text_of(int code) { return std::generic_category().message(code); }

}  // namespace

Channel::Channel(boost::asio::io_context& io, Fd socket, ChannelEvents& events)
    : socket_(io, boost::asio::local::stream_protocol(), socket.release()), events_(&events) {}

void Channel::start() {
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  wait_readable();
}

void Channel::wait_readable() {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](boost::system::error_code error) {
    if (error || self->events_ == nullptr) return;
    for (int reads = 0; reads < kReadsPerTurnMax && self->read_once(); ++reads) {
    }
    if (self->events_ != nullptr) self->wait_readable();
  });
}

void Channel::read_rest() {
  const auto self = shared_from_this();
  while (events_ != nullptr && read_once()) {
  }
}

bool Channel::read_once() {
  const auto space = reader_.space(kReadBytesLeast);
  iovec part{space.data, space.size};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // No room for ancillary data: the kernel drops descriptors that a runner sends, and says so.
  const ssize_t got = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) {
    if (errno == EINTR) return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) end(Error(ErrorCode::Unavailable, "channel: " + text_of(errno)));
    return false;
  }
  if (got == 0) {
    end(Error(ErrorCode::Unavailable, "channel: the other side closed it"));
    return false;
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    end(Error(ErrorCode::Denied, "channel: descriptors were sent, none may be"));
    return false;
  }
  reader_.commit(static_cast<std::size_t>(got));
  while (events_ != nullptr) {
    auto frame = reader_.next();
    if (!frame) {
      end(frame.error());
      return false;
    }
    if (frame->empty()) break;
    events_->on_frame(*frame);
  }
  // A short read has emptied the socket; the next wait notices what came since.
  return events_ != nullptr && static_cast<std::size_t>(got) == space.size;
}

void Channel::send(const protocol::Frame& frame) {
  if (events_ == nullptr) return;
  protocol::append_frame(out_, frame);
  if (is_flush_due_) {
    // The sender is in the middle of its own work; it hears of the end from the loop.
    if (unsent_bytes() > kRunnerQueueBytesMax) {
      boost::asio::post(socket_.get_executor(), [self = shared_from_this()] {
        self->end(Error(ErrorCode::Overloaded, "channel: the runner does not read"));
      });
    }
    return;
  }
  is_flush_due_ = true;
  // Posted behind everything that is ready to run, so that one write carries all its frames.
  boost::asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->is_flush_due_ = false;
    self->flush();
  });
}

void Channel::send(const protocol::Frame& frame, std::vector<Fd> descriptors) {
  INSULA_CHECK(descriptors.size() <= kDescriptorsPerFrameMax);
  if (events_ == nullptr) return;
  if (!descriptors.empty()) riders_.push_back({out_.size(), std::move(descriptors)});
  send(frame);
}

ssize_t Channel::send_some() {
  const std::size_t end = riders_.empty() ? out_.size()
                          : riders_.front().at > out_begin_ ? riders_.front().at
                          : riders_.size() > 1              ? riders_[1].at
                                                            : out_.size();
  if (riders_.empty() || riders_.front().at > out_begin_) {
    return ::send(socket_.native_handle(), out_.data() + out_begin_, end - out_begin_, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  const std::vector<Fd>& descriptors = riders_.front().descriptors;
  const std::size_t bytes = descriptors.size() * sizeof(int);
  alignas(cmsghdr) char control[CMSG_SPACE(kDescriptorsPerFrameMax * sizeof(int))] = {};
  iovec part{out_.data() + out_begin_, end - out_begin_};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes);
  int* numbers = reinterpret_cast<int*>(CMSG_DATA(header));
  for (const Fd& descriptor : descriptors) *numbers++ = descriptor.get();
  const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) riders_.pop_front();
  return sent;
}

void Channel::flush() {
  if (events_ == nullptr) return;
  while (out_begin_ < out_.size()) {
    const ssize_t sent = send_some();
    if (sent >= 0) {
      out_begin_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      // The reading side learns of the end too, after what the runner said last; that order matters for its callers.
      out_.clear();
      out_begin_ = 0;
      riders_.clear();
      return;
    }
    if (out_begin_ > kIdleBufferBytesMax) {
      out_.erase(0, out_begin_);
      for (Riders& riders : riders_) riders.at -= out_begin_;
      out_begin_ = 0;
    }
    is_flush_due_ = true;
    socket_.async_wait(Socket::wait_write, [self = shared_from_this()](boost::system::error_code error) {
      self->is_flush_due_ = false;
      if (!error) self->flush();
    });
    return;
  }
  out_begin_ = 0;
  if (out_.capacity() > kIdleBufferBytesMax) {
    Bytes().swap(out_);
  } else {
    out_.clear();
  }
}

void Channel::end(const Error& error) {
  ChannelEvents* const events = std::exchange(events_, nullptr);
  if (events == nullptr) return;
  close();
  events->on_channel_end(error);
}

void Channel::close() {
  events_ = nullptr;
  riders_.clear();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace insula::fleet
