// SPDX-License-Identifier: Apache-2.0
//
// Poller: readiness of many client sockets through one edge-triggered epoll, itself watched by Asio.
//
// A socket is registered once; its events say that it is readable, writable, or that the peer has gone, without a read
// being pending. So an idle connection needs no buffer, what nobody wants yet stays in the kernel, and one wake-up of
// Asio serves everything that is ready. The figures are in docs/decisions/0011-client-sockets-in-an-own-epoll.md.
#pragma once

#include <cstdint>
#include <memory>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "src/base/error.h"
#include "src/io/executor.h"

namespace insula::http {

class Poller {
 public:
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void on_ready(std::uint32_t events) = 0;  // EPOLLIN, EPOLLOUT, EPOLLRDHUP, ...
  };
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_batch_start() = 0;
    virtual void on_batch_end() = 0;  // watchers removed during the batch may be destroyed from here on
  };

  Poller(io::Executor executor, Owner& owner);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Starts to wait; without an error of the kernel, until destruction.
  Result<> open();
  // The watcher must live until the descriptor is closed or removed, and the present batch has ended.
  bool add(int fd, std::uint32_t events, Watcher& watcher);
  void remove(int fd);

 private:
  void wait();
  void serve();

  using Descriptor = boost::asio::posix::basic_stream_descriptor<io::Executor>;

  Owner& owner_;
  Descriptor descriptor_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // false ends a wait that is already being delivered
};

}  // namespace insula::http
