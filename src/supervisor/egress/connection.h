// SPDX-License-Identifier: Apache-2.0
//
// Connection: one TCP connection to a server, with TLS around it or not.
//
// At most one read and one write are under way at a time. Handlers keep the connection alive; close() ends them with
// an error. The buffers that are passed must live until their handler has run.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "src/base/error.h"
#include "src/io/executor.h"

namespace insula::egress {

namespace asio = boost::asio;

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                                         io::Executor>;

// What must be equal for a connection to serve another request.
struct Origin {
  bool is_secure = false;
  std::string host;
  std::uint16_t port = 0;
  std::string partition;  // who may share it (OutboundRequest::partition)

  auto operator<=>(const Origin&) const = default;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  using Endpoint = asio::ip::tcp::endpoint;
  using Endpoints = std::vector<Endpoint>;
  using ErrorCodeOf = boost::system::error_code;
  using Opened = std::function<void(Result<>)>;
  using WriteBuffers = std::array<asio::const_buffer, 4>;
  using Moved = std::function<void(const ErrorCodeOf& error, std::size_t bytes)>;

  // open_count is one more until this connection is closed.
  Connection(io::Executor executor, Origin origin, std::shared_ptr<std::size_t> open_count);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Tries the endpoints in their order, each for a share of `within`; then the TLS handshake when tls is given, which
  // must outlive the connection. opened is never called inside open().
  // Errors  Unavailable; the message names no address.
  void open(Endpoints endpoints, std::chrono::milliseconds within, asio::ssl::context* tls, Opened opened);

  void read(char* data, std::size_t size, Moved moved);
  // Writes all.
  void write(const WriteBuffers& buffers, Moved moved);

  // While nothing is read or written: calls back once when the server closes, or sends what nobody asked for.
  void watch(std::function<void()> on_stale);
  // Ends watch(). False when the connection is of no use any more.
  bool unwatch();

  void close() noexcept;

  const Origin& origin() const noexcept { return origin_; }
  const Endpoint& endpoint() const noexcept { return endpoint_; }  // the one that was checked and connected to

 private:
  using Socket = asio::basic_stream_socket<asio::ip::tcp, io::Executor>;

  void connect_next();
  void on_connected(const ErrorCodeOf& error);
  Result<> prepare_tls();
  void finish_open(Result<> result);

  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  Timer attempt_timer_;
  const Origin origin_;
  const std::shared_ptr<std::size_t> open_count_;

  // While opening.
  Endpoints endpoints_;
  std::size_t next_endpoint_ = 0;
  std::chrono::steady_clock::time_point open_until_{};
  asio::ssl::context* tls_context_ = nullptr;
  Opened opened_;

  Endpoint endpoint_;
  std::string joined_;  // what is being written over TLS, when it is small
  bool is_connecting_ = false;
  bool is_closed_ = false;
  std::uint64_t watch_ = 0;  // counts watches, so that a late handler knows that it is not meant
};

}  // namespace insula::egress
