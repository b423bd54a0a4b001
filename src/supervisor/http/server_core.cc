// SPDX-License-Identifier: Apache-2.0
//
// ServerCore: accepting, turns and time.
#include "src/supervisor/http/server_core.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include <boost/asio/post.hpp>

#include "src/supervisor/http/connection.h"

namespace insula::http {
namespace {

// Deadlines are seconds, so a coarse tick over all connections is cheaper than a timer re-armed with every request.
constexpr milliseconds kTick{250};
constexpr int kAcceptsPerEventMax = 64;  // the rest come with the next batch
constexpr int kBacklog = 1024;

constexpr std::string_view kTooManyConnections =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain;charset=utf-8\r\nContent-Length: 41\r\n"
    "Retry-After: 1\r\nConnection: close\r\n\r\n503: too many connections; try again soon";

std::string_view advice_after(int number) {
  switch (number) {
    case EADDRINUSE: return "; stop what listens there, or choose another port";
    case EADDRNOTAVAIL: return "; choose an address of this machine";
    case EACCES: return "; choose a port from 1024 on, or let this program bind lower ones";
    default: return "";
  }
}

Error listen_error(std::string_view host, std::uint16_t port, std::string_view step, int number) {
  std::string text = "http: cannot listen on " + std::string(host) + " port " + std::to_string(port) + ": ";
  text += std::string(step) + ": " + std::strerror(number);
  text += advice_after(number);
  return Error(ErrorCode::Unavailable, std::move(text));
}

struct AddressListDeleter {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

std::uint16_t port_of(int fd) noexcept {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  // The port lies at the same place in both families.
  sockaddr_in v4{};
  std::memcpy(&v4, &address, sizeof v4);
  return ntohs(v4.sin_port);
}

}  // namespace

class ServerCore::Listener final : public Poller::Watcher {
 public:
  Listener(ServerCore& server, Fd socket) : server_(server), socket_(std::move(socket)) {}
  void on_ready(std::uint32_t) override { server_.accept_from(*this); }
  int descriptor() const noexcept { return socket_.get(); }
  void close() noexcept { socket_.reset(); }

 private:
  ServerCore& server_;
  Fd socket_;
};

ServerCore::ServerCore(io::Executor executor, const HttpLimits& limits, const Clock& clock, Log& log,
                       RequestHandler& handler)
    : executor_(executor),
      limits_(limits),
      clock_(clock),
      log_(log),
      handler_(handler),
      poller_(executor, *this),
      timer_(executor) {
  refresh_time();
}

ServerCore::~ServerCore() {
  on_empty_ = nullptr;
  close();
  *alive_ = false;
}

Result<std::uint16_t> ServerCore::listen(std::string_view host, std::uint16_t port) {
  if (!is_polling_) {
    TRY_VOID(poller_.open());
    is_polling_ = true;
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(std::string(host).c_str(), std::to_string(port).c_str(), &hints, &found);
  const std::unique_ptr<addrinfo, AddressListDeleter> addresses(found);
  if (status != 0) {
    return Error(ErrorCode::InvalidInput,
                 "http: cannot listen on '" + std::string(host) + "': " + ::gai_strerror(status));
  }

  Fd socket(::socket(addresses->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return listen_error(host, port, "socket", errno);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Inherited by every accepted socket.
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::bind(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0) {
    return listen_error(host, port, "bind", errno);
  }
  if (::listen(socket.get(), kBacklog) != 0) return listen_error(host, port, "listen", errno);

  auto listener = std::make_unique<Listener>(*this, std::move(socket));
  if (!poller_.add(listener->descriptor(), EPOLLIN, *listener)) return listen_error(host, port, "epoll_ctl", errno);
  listeners_.push_back(std::move(listener));
  return port_of(listeners_.back()->descriptor());
}

void ServerCore::stop_accepting() {
  // Kept, closed: an event for one of them may be in the present batch.
  for (const auto& listener : listeners_) listener->close();
}

void ServerCore::drain(milliseconds grace, std::function<void()> on_empty) {
  stop_accepting();
  refresh_time();
  is_draining_ = true;
  drain_deadline_ = now_ + grace;
  on_empty_ = std::move(on_empty);
  for (std::size_t i = connections_.size(); i-- > 0;) {
    if (i < connections_.size()) connections_[i]->start_draining();
  }
  request_turn();
}

void ServerCore::close() {
  stop_accepting();
  is_draining_ = true;
  while (!connections_.empty()) connections_.back()->cut();
  request_turn();
}

void ServerCore::check_timeouts() {
  refresh_time();
  if (is_accepting_paused_) resume_accepting();
  const bool was_in_turn = std::exchange(is_in_turn_, true);
  const bool is_over = drain_deadline_ && now_ >= *drain_deadline_;
  for (std::size_t i = connections_.size(); i-- > 0;) {
    if (i >= connections_.size()) continue;  // a callback closed others
    if (is_over) {
      connections_[i]->cut();
    } else {
      connections_[i]->check_timeouts(now_);
    }
  }
  is_in_turn_ = was_in_turn;
  if (!is_in_turn_) end_turn();
}

void ServerCore::on_batch_start() {
  refresh_time();
  is_in_turn_ = true;
}

void ServerCore::on_batch_end() { end_turn(); }

void ServerCore::refresh_time() {
  now_ = clock_.now();
  date_.refresh(clock_.wall_now());
}

void ServerCore::accept_from(Listener& listener) {
  for (int i = 0; i < kAcceptsPerEventMax && listener.descriptor() >= 0; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    Fd socket(::accept4(listener.descriptor(), reinterpret_cast<sockaddr*>(&address), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      admit(std::move(socket), address);
      continue;
    }
    const int number = errno;
    if (number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM) pause_accepting(number);
    // EAGAIN: all accepted. Everything else is the fault of one client that is gone already.
    if (number == EAGAIN || is_accepting_paused_) return;
  }
}

void ServerCore::admit(Fd socket, const sockaddr_storage& address) {
  const AddressKey key = address_key_of(address);
  if (connections_.size() >= limits_.connections_max || !addresses_.add(key, limits_.connections_per_address_max)) {
    ++counters_.connections_refused;
    // Best effort: a fresh socket takes this much without waiting.
    std::ignore = ::send(socket.get(), kTooManyConnections.data(), kTooManyConnections.size(),
                         MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  auto connection = std::make_unique<Connection>(*this, std::move(socket), key, address_text_of(address));
  constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  if (!poller_.add(connection->descriptor(), kEvents, *connection)) {
    addresses_.remove(key);
    ++counters_.connections_refused;
    return;
  }
  ++counters_.connections_accepted;
  connection->index = connections_.size();
  connections_.push_back(std::move(connection));
  start_ticking();
}

// Out of descriptors or memory: leaves new clients in the backlog until the next tick instead of spinning.
void ServerCore::pause_accepting(int reason) {
  is_accepting_paused_ = true;
  for (const auto& listener : listeners_) {
    if (listener->descriptor() >= 0) poller_.remove(listener->descriptor());
  }
  log_.warn("http.accepting_paused", {{"reason", std::strerror(reason)}, {"connections", connections_.size()}});
  start_ticking();
}

void ServerCore::resume_accepting() {
  is_accepting_paused_ = false;
  for (const auto& listener : listeners_) {
    if (listener->descriptor() >= 0) poller_.add(listener->descriptor(), EPOLLIN, *listener);
  }
}

// The timer runs while there is something to time: an idle node is not woken.
void ServerCore::start_ticking() {
  if (is_ticking_) return;
  is_ticking_ = true;
  timer_.expires_after(kTick);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    is_ticking_ = false;
    check_timeouts();
    if (!connections_.empty() || is_accepting_paused_) start_ticking();
  });
}

void ServerCore::schedule(Connection& connection) {
  if (connection.is_scheduled) return;
  connection.is_scheduled = true;
  runnable_.push_back(&connection);
  request_turn();
}

void ServerCore::remove(Connection& connection) {
  const std::size_t index = connection.index;
  addresses_.remove(connection.address());
  closed_.push_back(std::move(connections_[index]));
  if (index + 1 != connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index = index;
  }
  connections_.pop_back();
  request_turn();
}

void ServerCore::request_turn() {
  if (is_in_turn_ || is_turn_requested_) return;
  is_turn_requested_ = true;
  boost::asio::post(executor_, [this, alive = alive_] {
    if (!*alive) return;
    is_turn_requested_ = false;
    if (!is_in_turn_) end_turn();
  });
}

void ServerCore::end_turn() {
  is_in_turn_ = true;
  running_.swap(runnable_);
  for (Connection* connection : running_) {
    connection->is_scheduled = false;
    connection->pump();
  }
  running_.clear();
  // What was scheduled meanwhile gets its turn after everybody else's events.
  std::vector<std::unique_ptr<Connection>> dead;
  dead.swap(closed_);
  for (auto& connection : dead) {
    if (connection->is_scheduled) closed_.push_back(std::move(connection));
  }
  dead.clear();
  is_in_turn_ = false;
  if (!runnable_.empty()) request_turn();
  report_if_empty();
}

void ServerCore::report_if_empty() {
  if (!is_draining_ || !connections_.empty() || !on_empty_) return;
  timer_.cancel();
  boost::asio::post(executor_, std::exchange(on_empty_, nullptr));
}

}  // namespace insula::http
