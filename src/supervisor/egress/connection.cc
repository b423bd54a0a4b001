// SPDX-License-Identifier: Apache-2.0
//
// Connection: connecting to checked addresses one after the other, TLS with verified names, reading and writing.
#include "src/supervisor/egress/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace insula::egress {
namespace {

// An address that does not answer must leave time for the next one.
constexpr std::chrono::milliseconds kAttemptMin{1000};
// One TLS record.
constexpr std::size_t kJoinedBytesMax = 16384;

Error unreachable() { return Error(ErrorCode::Unavailable, "egress: no connection to the server"); }

}  // namespace

Connection::Connection(io::Executor executor, Origin origin, std::shared_ptr<std::size_t> open_count)
    : socket_(executor), attempt_timer_(executor), origin_(std::move(origin)), open_count_(std::move(open_count)) {
  ++*open_count_;
}

Connection::~Connection() { close(); }

void Connection::open(Endpoints endpoints, std::chrono::milliseconds within, asio::ssl::context* tls, Opened opened) {
  endpoints_ = std::move(endpoints);
  open_until_ = std::chrono::steady_clock::now() + within;
  tls_context_ = tls;
  opened_ = std::move(opened);
  connect_next();
}

void Connection::connect_next() {
  if (is_closed_) return;
  if (next_endpoint_ == endpoints_.size()) {
    boost::asio::post(socket_.get_executor(), [self = shared_from_this()] { self->finish_open(unreachable()); });
    return;
  }
  endpoint_ = endpoints_[next_endpoint_++];
  // Closing also opens anew with the family of the next endpoint.
  ErrorCodeOf ignored;
  socket_.close(ignored);

  const auto left = open_until_ - std::chrono::steady_clock::now();
  const auto untried = static_cast<std::int64_t>(endpoints_.size() - next_endpoint_) + 1;
  const auto share = std::max<std::chrono::steady_clock::duration>(left / untried, kAttemptMin);
  attempt_timer_.expires_after(untried == 1 ? left : std::min(left, share));
  attempt_timer_.async_wait([weak = weak_from_this(), attempt = next_endpoint_](const ErrorCodeOf& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->next_endpoint_ != attempt || !self->is_connecting_) return;
    ErrorCodeOf none;
    self->socket_.close(none);  // async_connect ends with an error and the next address has its turn
  });
  is_connecting_ = true;
  socket_.async_connect(endpoint_, [self = shared_from_this()](const ErrorCodeOf& error) {
    self->on_connected(error);
  });
}

void Connection::on_connected(const ErrorCodeOf& error) {
  is_connecting_ = false;
  if (is_closed_ || opened_ == nullptr) return;
  attempt_timer_.cancel();
  // The timer may have closed the socket after the connect had already succeeded.
  if (error || !socket_.is_open()) {
    connect_next();
    return;
  }
  ErrorCodeOf ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  if (tls_context_ == nullptr) {
    finish_open({});
    return;
  }
  if (auto prepared = prepare_tls(); !prepared) {
    finish_open(std::move(prepared));
    return;
  }
  tls_->async_handshake(asio::ssl::stream_base::client, [self = shared_from_this()](const ErrorCodeOf& failure) {
    if (!failure) {
      self->finish_open({});
      return;
    }
    const long verdict = ::SSL_get_verify_result(self->tls_->native_handle());
    if (verdict != X509_V_OK) {
      self->finish_open(Error(ErrorCode::Unavailable, std::string("egress: the server's certificate is not valid: ") +
                                                          ::X509_verify_cert_error_string(verdict)));
    } else {
      self->finish_open(Error(ErrorCode::Unavailable, "egress: the TLS handshake with the server failed"));
    }
  });
}

Result<> Connection::prepare_tls() {
  tls_.emplace(socket_, *tls_context_);
  SSL* ssl = tls_->native_handle();
  boost::system::error_code is_name;
  asio::ip::make_address(origin_.host, is_name);
  X509_VERIFY_PARAM* verify = ::SSL_get0_param(ssl);
  bool is_ready = false;
  if (is_name) {
    ::X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // SSL_set_tlsext_host_name is a macro with an old-style cast.
    is_ready = ::SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                          const_cast<char*>(origin_.host.c_str())) == 1 &&
               ::X509_VERIFY_PARAM_set1_host(verify, origin_.host.c_str(), origin_.host.size()) == 1;
  } else {
    is_ready = ::X509_VERIFY_PARAM_set1_ip_asc(verify, origin_.host.c_str()) == 1;
  }
  if (!is_ready) return Error(ErrorCode::Internal, "egress: TLS could not be prepared for this host");
  return {};
}

void Connection::finish_open(Result<> result) {
  if (is_closed_) return;
  attempt_timer_.cancel();
  if (auto opened = std::exchange(opened_, nullptr)) opened(std::move(result));
}

void Connection::read(char* data, std::size_t size, Moved moved) {
  auto handler = [self = shared_from_this(), moved = std::move(moved)](const ErrorCodeOf& error, std::size_t bytes) {
    moved(error, bytes);
  };
  if (tls_) {
    tls_->async_read_some(asio::buffer(data, size), std::move(handler));
  } else {
    socket_.async_read_some(asio::buffer(data, size), std::move(handler));
  }
}

void Connection::write(const WriteBuffers& buffers, Moved moved) {
  auto handler = [self = shared_from_this(), moved = std::move(moved)](const ErrorCodeOf& error, std::size_t bytes) {
    moved(error, bytes);
  };
  if (tls_) {
    // Each buffer would become a TLS record and a packet of its own.
    if (asio::buffer_size(buffers) <= kJoinedBytesMax) {
      joined_.clear();
      for (const auto& part : buffers) joined_.append(static_cast<const char*>(part.data()), part.size());
      asio::async_write(*tls_, asio::buffer(joined_), std::move(handler));
      return;
    }
    asio::async_write(*tls_, buffers, std::move(handler));
  } else {
    asio::async_write(socket_, buffers, std::move(handler));
  }
}

void Connection::watch(std::function<void()> on_stale) {
  const auto number = ++watch_;
  socket_.async_wait(Socket::wait_read,
                     [weak = weak_from_this(), number, on_stale = std::move(on_stale)](const ErrorCodeOf&) {
                       const auto self = weak.lock();
                       if (self != nullptr && self->watch_ == number && !self->is_closed_) on_stale();
                     });
}

bool Connection::unwatch() {
  ++watch_;
  ErrorCodeOf ignored;
  socket_.cancel(ignored);
  // The end may have arrived in this very turn of the loop, before the watch could tell.
  char byte = 0;
  const auto found = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return found < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Connection::close() noexcept {
  if (std::exchange(is_closed_, true)) return;
  --*open_count_;
  // Not called any more; what it holds must not wait for the handlers to end.
  const auto dropped = std::exchange(opened_, nullptr);
  attempt_timer_.cancel();
  ErrorCodeOf ignored;
  socket_.close(ignored);
}

}  // namespace insula::egress
