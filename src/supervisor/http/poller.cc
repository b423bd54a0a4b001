// SPDX-License-Identifier: Apache-2.0
//
// Poller: epoll inside Asio.
#include "src/supervisor/http/poller.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstring>

#include <boost/asio/post.hpp>

namespace insula::http {
namespace {

// Events per wake-up: others that wait for this thread get their turn after at most so many.
constexpr int kBatchEventsMax = 128;

}  // namespace

Poller::Poller(io::Executor executor, Owner& owner) : owner_(owner), descriptor_(std::move(executor)) {}

Poller::~Poller() { *alive_ = false; }

Result<> Poller::open() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return Error(ErrorCode::Unavailable, std::string("http: epoll_create1: ") + std::strerror(errno));
  boost::system::error_code error;
  descriptor_.assign(fd, error);
  if (error) return Error(ErrorCode::Unavailable, "http: cannot watch the event queue: " + error.message());
  wait();
  return {};
}

bool Poller::add(int fd, std::uint32_t events, Watcher& watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  return ::epoll_ctl(descriptor_.native_handle(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Poller::remove(int fd) { ::epoll_ctl(descriptor_.native_handle(), EPOLL_CTL_DEL, fd, nullptr); }

void Poller::wait() {
  descriptor_.async_wait(Descriptor::wait_read, [this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    serve();
    if (*alive) wait();
  });
}

void Poller::serve() {
  std::array<epoll_event, kBatchEventsMax> events;
  const int count = ::epoll_wait(descriptor_.native_handle(), events.data(), kBatchEventsMax, 0);
  if (count <= 0) return;
  owner_.on_batch_start();
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
  }
  owner_.on_batch_end();
}

}  // namespace insula::http
