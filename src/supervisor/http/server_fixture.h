// SPDX-License-Identifier: Apache-2.0
//
// For tests of this room: a server on loopback, a handler that does as told, and a plain client, all on one thread,
// with a clock that moves only by hand.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "src/base/fd.h"
#include "src/base/header_block.h"
#include "src/supervisor/http/server.h"

namespace insula::http {

using Reaction = std::function<void(std::shared_ptr<Exchange>)>;

class ScriptedHandler final : public RequestHandler {
 public:
  void handle(std::shared_ptr<Exchange> exchange) override {
    targets.emplace_back(exchange->head().target);
    if (reaction) {
      reaction(std::move(exchange));
    } else {
      pending.push_back(std::move(exchange));
    }
  }

  Reaction reaction;  // empty: kept in `pending`
  std::vector<std::string> targets;
  std::vector<std::shared_ptr<Exchange>> pending;
};

// Collects a stream; grants nothing by itself.
class CollectingSink final : public io::ByteSink {
 public:
  void on_data(BytesView bytes) override { data.append(bytes); }
  void on_end() override { ++ends; }
  void on_failure(const Error& error) override { failures.push_back(error.code()); }

  std::string data;
  int ends = 0;
  std::vector<ErrorCode> failures;
};

// A stream that the test feeds; counts what it was granted.
class ManualSource final : public io::ByteSource {
 public:
  void attach(io::ByteSink& to) override { sink = &to; }
  void grant(std::size_t bytes) override {
    granted += bytes;
    if (on_grant) on_grant(bytes);
  }
  void stop() override { is_stopped = true; }

  io::ByteSink* sink = nullptr;
  std::size_t granted = 0;
  bool is_stopped = false;
  std::function<void(std::size_t)> on_grant;
};

inline void respond_text(Exchange& exchange, std::string_view text, int status = 200) {
  exchange.respond({.status = status, .reason = {}, .headers = {}}, text);
}

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

class ServerTest : public testing::Test {
 protected:
  // A test that wants other limits sets them before start().
  void start() {
    server = std::make_unique<Server>(context.get_executor(), limits, clock, log, handler);
    auto result = server->listen("127.0.0.1", 0);
    ASSERT_TRUE(result.has_value()) << result.error().message();
    port = *result;
  }

  // Runs the server until the condition holds; false: it did not within a generous bound.
  bool run_until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      if (context.stopped()) context.restart();
      if (context.poll() == 0) context.run_one_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  // Runs the server until nothing is left to do for it.
  void settle() {
    if (context.stopped()) context.restart();
    int quiet = 0;
    while (quiet < 3) quiet = context.poll() == 0 ? quiet + 1 : 0;
  }
  void advance(milliseconds by) {
    clock.advance(by);
    server->check_timeouts();
    settle();
  }

  boost::asio::io_context context{1};
  ManualClock clock;
  Fd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  Log log{null.get(), LogFormat::Json, LogLevel::Error, clock};
  HttpLimits limits;
  ScriptedHandler handler;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
};

class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer_bytes = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes > 0) {
      ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int status = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    EXPECT_EQ(status, 0) << errno;
    ::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  // What the socket takes; the rest is dropped.
  std::size_t send(std::string_view bytes) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  // Takes what has arrived.
  void receive() {
    char buffer[16384];
    while (!is_closed) {
      const ssize_t count = ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (count > 0) {
        received.append(buffer, static_cast<std::size_t>(count));
      } else if (count == 0 || errno != EAGAIN) {
        is_closed = true;
        was_reset = count < 0;
      } else {
        return;
      }
    }
  }
  bool has_closed() {
    receive();
    return is_closed;
  }
  bool has_received(std::string_view text) {
    receive();
    return received.find(text) != std::string::npos;
  }
  void shut_writing() { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_.reset(); }

  // Splits what has arrived into answers by Content-Length.
  std::vector<Answer> answers() {
    receive();
    std::vector<Answer> result;
    std::string_view rest = received;
    while (rest.starts_with("HTTP/1.1 ")) {
      const auto head_end = rest.find("\r\n\r\n");
      if (head_end == std::string_view::npos) break;
      Answer answer;
      answer.head = rest.substr(0, head_end + 2);
      std::from_chars(rest.data() + 9, rest.data() + 12, answer.status);
      std::size_t length = 0;
      const auto field = answer.head.find("Content-Length: ");
      if (field != std::string::npos) {
        std::from_chars(answer.head.data() + field + 16, answer.head.data() + answer.head.size(), length);
      }
      rest.remove_prefix(head_end + 4);
      if (rest.size() < length) break;
      answer.body = rest.substr(0, length);
      rest.remove_prefix(length);
      result.push_back(std::move(answer));
    }
    return result;
  }

  std::string received;
  bool is_closed = false;
  bool was_reset = false;

 private:
  Fd socket_;
};

}  // namespace insula::http
