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
#include <list>
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
constexpr std::size_t kThreadsPerPartitionMax = kThreadsMax / 4;
constexpr std::size_t kQueuedPerPartitionMax = 128;
constexpr std::size_t kAddressesMax = 32;

Result<Addresses> look_up_in_system(const std::string& name) {
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
  struct Partition {
    std::deque<Question> questions;
    std::size_t running = 0;
  };

  // The next question of somebody who has not had his share. False: there is none. Partitions take turns.
  bool take(Question& question, std::string& partition) {
    for (auto turn = turns.begin(); turn != turns.end(); ++turn) {
      Partition& owner = partitions[*turn];
      if (owner.running >= kThreadsPerPartitionMax) continue;
      partition = std::move(*turn);
      turns.erase(turn);
      question = std::move(owner.questions.front());
      owner.questions.pop_front();
      --queued;
      ++owner.running;
      if (!owner.questions.empty()) turns.push_back(partition);
      return true;
    }
    return false;
  }
  void give_back(const std::string& partition) {
    const auto found = partitions.find(partition);
    if (found == partitions.end()) return;
    if (--found->second.running == 0 && found->second.questions.empty()) partitions.erase(found);
  }

  Shared(io::Executor home, LookUp look) : executor(std::move(home)), look_up(std::move(look)) {}

  std::mutex mutex;  // guards what follows, up to the next comment
  std::condition_variable wake;
  std::unordered_map<std::string, Partition> partitions;  // that have questions, or threads
  std::list<std::string> turns;                           // those with questions, each once
  std::size_t queued = 0;
  std::size_t threads = 0;
  std::size_t idle_threads = 0;
  bool is_closed = false;  // the executor may be gone
  const io::Executor executor;
  const LookUp look_up;

  // Of the owner's thread alone: callbacks may hold what only that thread may touch.
  std::unordered_map<std::uint64_t, Callback> callbacks;
  std::uint64_t last_id = 0;
};

SystemResolver::SystemResolver(io::Executor executor, bool knows_local_names)
    : SystemResolver(std::move(executor), knows_local_names, look_up_in_system) {}

SystemResolver::SystemResolver(io::Executor executor, bool knows_local_names, LookUp look_up)
    : knows_local_names_(knows_local_names),
      shared_(std::make_shared<Shared>(std::move(executor), std::move(look_up))) {}

SystemResolver::~SystemResolver() {
  shared_->callbacks.clear();
  const std::lock_guard lock(shared_->mutex);
  shared_->is_closed = true;
  shared_->turns.clear();
  shared_->partitions.clear();
  shared_->wake.notify_all();
}

void SystemResolver::resolve(const std::string& name, const std::string& partition, Callback callback) {
  bool is_taken = false;
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->idle_threads <= shared_->queued && shared_->threads < kThreadsMax) {
      try {
        std::thread(&SystemResolver::work, shared_).detach();
        ++shared_->threads;
      } catch (const std::system_error&) {
        // The threads that there are will come to it.
      }
    }
    if (shared_->threads > 0 && shared_->queued < kQueuedMax) {
      auto& questions = shared_->partitions[partition].questions;
      if (questions.size() < kQueuedPerPartitionMax) {
        if (questions.empty()) shared_->turns.push_back(partition);
        questions.push_back({++shared_->last_id, knows_local_names_ ? name : name + "."});
        ++shared_->queued;
        shared_->wake.notify_one();
        is_taken = true;
      }
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
    Shared::Question question{};
    std::string partition;
    shared->wake.wait(lock, [&] { return shared->is_closed || shared->take(question, partition); });
    --shared->idle_threads;
    if (shared->is_closed) return;
    lock.unlock();
    auto answer = std::make_shared<Result<Addresses>>(shared->look_up(question.name));
    lock.lock();
    if (shared->is_closed) return;
    shared->give_back(partition);
    boost::asio::post(shared->executor, [id = question.id, answer, weak = std::weak_ptr<Shared>(shared)] {
      const auto held = weak.lock();
      if (held == nullptr) return;
      auto found = held->callbacks.extract(id);
      if (!found.empty()) found.mapped()(std::move(*answer));
    });
  }
}

}  // namespace insula::egress
