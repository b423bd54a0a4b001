// SPDX-License-Identifier: Apache-2.0
//
// SystemResolver: threads that start when they are needed, a queue with a bound, and answers posted home.
#include "src/supervisor/egress/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>

#include <boost/asio/post.hpp>

namespace insula::egress {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t kThreadsMax = 16;
constexpr std::size_t kQueuedMax = 1024;
constexpr std::size_t kAddressesMax = 32;

Result<Addresses> look_up(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(name.c_str(), nullptr, &hints, &list);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = list; failure == 0 && entry != nullptr; entry = entry->ai_next) {
    // All answers are checked later; an endless list is cut by refusing it, not by forgetting its end.
    if (addresses.size() == kAddressesMax) {
      return Error(ErrorCode::Unavailable, "egress: the host name has too many addresses");
    }
    if (entry->ai_family == AF_INET) {
      sockaddr_in found{};
      std::memcpy(&found, entry->ai_addr, sizeof found);
      addresses.emplace_back(ip::address_v4(ntohl(found.sin_addr.s_addr)));
    } else if (entry->ai_family == AF_INET6) {
      sockaddr_in6 found{};
      std::memcpy(&found, entry->ai_addr, sizeof found);
      ip::address_v6::bytes_type bytes{};
      std::memcpy(bytes.data(), &found.sin6_addr, bytes.size());
      addresses.emplace_back(ip::address_v6(bytes, found.sin6_scope_id));
    }
  }
  if (addresses.empty()) return Error(ErrorCode::Unavailable, "egress: the host name could not be resolved");
  return addresses;
}

}  // namespace

struct SystemResolver::Shared {
  struct Question {
    std::uint64_t id;
    std::string name;
  };

  explicit Shared(io::Executor home) : executor(std::move(home)) {}

  std::mutex mutex;  // guards what follows, up to the next comment
  std::condition_variable wake;
  std::deque<Question> questions;
  std::size_t threads = 0;
  std::size_t idle_threads = 0;
  bool is_closed = false;  // the executor may be gone
  const io::Executor executor;

  // Of the owner's thread alone: callbacks may hold what only that thread may touch.
  std::unordered_map<std::uint64_t, Callback> callbacks;
  std::uint64_t last_id = 0;
};

SystemResolver::SystemResolver(io::Executor executor, bool knows_local_names)
    : knows_local_names_(knows_local_names), shared_(std::make_shared<Shared>(std::move(executor))) {}

SystemResolver::~SystemResolver() {
  shared_->callbacks.clear();
  const std::lock_guard lock(shared_->mutex);
  shared_->is_closed = true;
  shared_->questions.clear();
  shared_->wake.notify_all();
}

void SystemResolver::resolve(const std::string& name, Callback callback) {
  bool is_taken = false;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->idle_threads <= shared_->questions.size() && shared_->threads < kThreadsMax) {
      try {
        std::thread(&SystemResolver::work, shared_).detach();
        ++shared_->threads;
      } catch (const std::system_error&) {
        // The threads that there are will come to it.
      }
    }
    if (shared_->threads > 0 && shared_->questions.size() < kQueuedMax) {
      shared_->questions.push_back({++shared_->last_id, knows_local_names_ ? name : name + "."});
      shared_->wake.notify_one();
      is_taken = true;
    }
  }
  if (is_taken) {
    shared_->callbacks.emplace(shared_->last_id, std::move(callback));
  } else {
    callback(Error(ErrorCode::Overloaded, "egress: too many host names are being resolved"));
  }
}

void SystemResolver::work(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  for (;;) {
    ++shared->idle_threads;
    shared->wake.wait(lock, [&] { return shared->is_closed || !shared->questions.empty(); });
    --shared->idle_threads;
    if (shared->is_closed) return;
    const auto question = std::move(shared->questions.front());
    shared->questions.pop_front();
    lock.unlock();
    auto answer = std::make_shared<Result<Addresses>>(look_up(question.name));
    lock.lock();
    if (shared->is_closed) return;
    boost::asio::post(shared->executor, [id = question.id, answer, weak = std::weak_ptr<Shared>(shared)] {
      const auto held = weak.lock();
      if (held == nullptr) return;
      auto found = held->callbacks.extract(id);
      if (!found.empty()) found.mapped()(std::move(*answer));
    });
  }
}

}  // namespace insula::egress
