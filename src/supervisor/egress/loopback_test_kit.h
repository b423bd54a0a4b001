// SPDX-License-Identifier: Apache-2.0
//
// For the tests of egress: a server on loopback that plays scripts, a resolver that says what it is told, a sink that
// collects, a source that pushes. All on the io_context of the test; nothing here waits by the clock.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "src/base/fd.h"
#include "src/supervisor/egress/client.h"

namespace insula::egress::testing {

// Runs the loop until the fact holds; a test that never gets there fails instead of hanging.
inline bool run_until(asio::io_context& io, const std::function<bool()>& fact) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  io.restart();
  while (!fact()) {
    if (std::chrono::steady_clock::now() > until) return false;
    io.run_one_for(std::chrono::milliseconds(100));
    if (io.stopped()) io.restart();
  }
  return true;
}

// Runs all that can run without waiting. On loopback that includes all that was sent.
inline void settle(asio::io_context& io) {
  io.restart();
  for (int quiet = 0; quiet < 3;) quiet = io.poll() == 0 ? quiet + 1 : 0;
}

struct Step {
  enum class Kind { Expect, Send, SendMany, Close, Reset, CutTls, Ignore };
  Kind kind;
  std::string text;       // Expect: until this has arrived; Send
  std::size_t bytes = 0;  // SendMany
};
using Script = std::vector<Step>;

inline Step expect(std::string text) { return {Step::Kind::Expect, std::move(text)}; }
inline Step expect_request() { return expect("\r\n\r\n"); }
inline Step send(std::string text) { return {Step::Kind::Send, std::move(text)}; }
inline Step send_many(std::size_t bytes) { return {Step::Kind::SendMany, {}, bytes}; }
inline Step close() { return {Step::Kind::Close, {}}; }
inline Step reset() { return {Step::Kind::Reset, {}}; }
inline Step cut_tls() { return {Step::Kind::CutTls, {}}; }  // without a close notification
inline Step ignore() { return {Step::Kind::Ignore, {}}; }   // reads nothing more

inline std::string ok(std::string_view body, std::string_view fields = {}) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}

// One accepted connection. After its script it reads on until the client closes.
class ServerSession : public std::enable_shared_from_this<ServerSession> {
 public:
  using Socket = asio::ip::tcp::socket;

  ServerSession(Socket socket, Script script, asio::ssl::context* tls)
      : socket_(std::move(socket)), script_(std::move(script)) {
    if (tls != nullptr) tls_.emplace(socket_, *tls);
  }

  void start() {
    if (!tls_) {
      next();
      return;
    }
    tls_->async_handshake(asio::ssl::stream_base::server, [self = shared_from_this()](auto error) {
      self->handshake_failed = bool(error);
      if (!error) self->next();
    });
  }

  std::string received;
  std::size_t sent = 0;
  bool client_gone = false;
  bool handshake_failed = false;

 private:
  void next() {
    if (at_ == script_.size()) {
      read([this] { next(); });
      return;
    }
    const Step& step = script_[at_];
    boost::system::error_code ignored;
    switch (step.kind) {
      case Step::Kind::Expect: {
        const auto found = received.find(step.text, seen_);
        if (found == std::string::npos) {
          read([this] { next(); });
          return;
        }
        seen_ = found + step.text.size();
        break;
      }
      case Step::Kind::Send: write(step.text); return;
      case Step::Kind::SendMany:
        if (sent_of_step_ < step.bytes) {
          const auto size = std::min<std::size_t>(step.bytes - sent_of_step_, 65536);
          sent_of_step_ += size;
          --at_;
          write(std::string(size, 'x'));
          return;
        }
        sent_of_step_ = 0;
        break;
      case Step::Kind::Close:
        if (tls_) {
          tls_->async_shutdown([self = shared_from_this()](auto) { self->socket_.close(); });
        } else {
          socket_.close(ignored);
        }
        return;
      case Step::Kind::CutTls: socket_.close(ignored); return;
      case Step::Kind::Reset:
        socket_.set_option(asio::socket_base::linger(true, 0), ignored);
        socket_.close(ignored);
        return;
      case Step::Kind::Ignore: return;
    }
    ++at_;
    next();
  }

  void read(std::function<void()> then) {
    auto handler = [self = shared_from_this(), then = std::move(then)](auto error, std::size_t bytes) {
      self->received.append(self->buffer_.data(), bytes);
      if (error) {
        self->client_gone = true;
      } else {
        then();
      }
    };
    if (tls_) {
      tls_->async_read_some(asio::buffer(buffer_), std::move(handler));
    } else {
      socket_.async_read_some(asio::buffer(buffer_), std::move(handler));
    }
  }

  void write(std::string text) {
    flying_ = std::move(text);
    auto handler = [self = shared_from_this()](auto error, std::size_t bytes) {
      self->sent += bytes;
      if (error) {
        self->client_gone = true;
        return;
      }
      ++self->at_;
      self->next();
    };
    if (tls_) {
      asio::async_write(*tls_, asio::buffer(flying_), std::move(handler));
    } else {
      asio::async_write(socket_, asio::buffer(flying_), std::move(handler));
    }
  }

  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  const Script script_;
  std::size_t at_ = 0;
  std::size_t seen_ = 0;
  std::size_t sent_of_step_ = 0;
  std::array<char, 65536> buffer_{};
  std::string flying_;
};

// Plays scripts[i] to the i-th connection; further connections are accepted and read from.
class ScriptedServer {
 public:
  ScriptedServer(asio::io_context& io, std::vector<Script> scripts, asio::ssl::context* tls = nullptr)
      : acceptor_(io, {asio::ip::address_v4::loopback(), 0}), scripts_(std::move(scripts)), tls_(tls) {
    accept();
  }

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string url(std::string_view host = "origin.test", std::string_view target = "/") const {
    return (tls_ != nullptr ? "https://" : "http://") + std::string(host) + ":" + std::to_string(port()) +
           std::string(target);
  }
  std::size_t connections() const { return sessions_.size(); }
  ServerSession& session(std::size_t index) { return *sessions_.at(index); }

 private:
  void accept() {
    acceptor_.async_accept([this](auto error, asio::ip::tcp::socket socket) {
      if (error) return;
      const auto index = sessions_.size();
      sessions_.push_back(std::make_shared<ServerSession>(
          std::move(socket), index < scripts_.size() ? scripts_[index] : Script(), tls_));
      sessions_.back()->start();
      accept();
    });
  }

  asio::ip::tcp::acceptor acceptor_;
  const std::vector<Script> scripts_;
  asio::ssl::context* const tls_;
  std::vector<std::shared_ptr<ServerSession>> sessions_;
};

// What every test resolver knows; the resolver itself belongs to the Egress.
struct Names {
  std::map<std::string, std::vector<std::string>> addresses;
  int questions = 0;
  bool is_silent = false;
};

class FakeResolver final : public Resolver {
 public:
  explicit FakeResolver(Names& names) : names_(names) {}
  void resolve(const std::string& name, const std::string&, Callback callback) override {
    ++names_.questions;
    if (names_.is_silent) return;
    const auto found = names_.addresses.find(name);
    if (found == names_.addresses.end()) {
      callback(Error(ErrorCode::Unavailable, "egress: the host name could not be resolved"));
      return;
    }
    Addresses addresses;
    for (const auto& text : found->second) addresses.push_back(asio::ip::make_address(text));
    callback(std::move(addresses));
  }

 private:
  Names& names_;
};

class CollectingSink final : public io::ByteSink {
 public:
  void on_data(BytesView bytes) override {
    EXPECT_FALSE(is_over()) << "bytes behind the end";
    size += bytes.size();
    if (keeps) text.append(bytes);
    if (credit_left < bytes.size()) ADD_FAILURE() << "more than was granted";
    credit_left -= bytes.size();
    if (source != nullptr && refill > 0) grant(std::min(refill, bytes.size()));
    if (after_data) after_data();
  }
  void on_end() override {
    EXPECT_FALSE(is_over());
    ended = true;
  }
  void on_failure(const Error& error) override {
    EXPECT_FALSE(is_over());
    failure = error;
  }
  void take(io::ByteSourcePtr from, std::size_t first_grant, std::size_t grant_again = 0) {
    source = std::move(from);
    refill = grant_again;
    source->attach(*this);
    if (first_grant > 0) grant(first_grant);
  }
  void grant(std::size_t bytes) {
    credit_left += bytes;
    source->grant(bytes);
  }
  bool is_over() const { return ended || failure.has_value(); }

  std::string text;
  std::size_t size = 0;
  bool keeps = true;
  bool ended = false;
  std::optional<Error> failure;
  io::ByteSourcePtr source;
  std::size_t credit_left = 0;
  std::size_t refill = 0;
  std::function<void()> after_data;
};

// Gives `total` bytes as fast as it may.
class PushingSource final : public io::ByteSource {
 public:
  explicit PushingSource(std::size_t total) : left_(total) {}
  void attach(io::ByteSink& sink) override { sink_ = &sink; }
  void grant(std::size_t bytes) override {
    credit_ += bytes;
    granted += bytes;
    if (std::exchange(is_pushing_, true)) return;
    while (!stopped && !is_over_ && credit_ > 0 && left_ > 0) {
      const auto size = std::min({credit_, left_, std::size_t{50000}});
      credit_ -= size;
      left_ -= size;
      given += size;
      sink_->on_data(std::string(size, 'u'));
    }
    is_pushing_ = false;
    if (left_ == 0 && !stopped && !is_over_ && !hangs) {
      is_over_ = true;
      sink_->on_end();
    }
  }
  void stop() override { stopped = true; }
  void fail(const Error& error) {
    is_over_ = true;
    sink_->on_failure(error);
  }

  std::size_t granted = 0;
  std::size_t given = 0;
  bool stopped = false;
  bool hangs = false;  // gives its bytes and then nothing, not even the end

 private:
  io::ByteSink* sink_ = nullptr;
  std::size_t left_;
  std::size_t credit_ = 0;
  bool is_pushing_ = false;
  bool is_over_ = false;
};

class EgressTest : public ::testing::Test {
 protected:
  EgressTest()
      : log_file_(::memfd_create("log", 0)), log_(log_file_.get(), LogFormat::Json, LogLevel::Debug, clock_) {
    names_.addresses["origin.test"] = {"127.0.0.1"};
    options_.allow_private = true;
  }
  ~EgressTest() override { egress_.reset(); }

  Egress& egress() {
    if (egress_ == nullptr) {
      auto created = Egress::create(io_.get_executor(), options_, log_, clock_, std::make_unique<FakeResolver>(names_));
      EXPECT_TRUE(created.has_value());
      egress_ = *std::move(created);
    }
    return *egress_;
  }

  // One fetch as its caller sees it.
  struct Call {
    std::unique_ptr<Outbound::Handle> handle;
    std::optional<Result<InboundResponse>> outcome;
    CollectingSink sink;
    bool is_answered() const { return outcome.has_value(); }
    bool is_over() const { return outcome && (!*outcome || (*outcome)->body == nullptr || sink.is_over()); }
    int status() const { return outcome && *outcome ? (*outcome)->status : 0; }
    std::optional<ErrorCode> error() const {
      if (outcome && !*outcome) return outcome->error().code();
      return sink.failure ? std::optional(sink.failure->code()) : std::nullopt;
    }
    std::string message() const {
      if (outcome && !*outcome) return outcome->error().message();
      return sink.failure ? sink.failure->message() : std::string();
    }
  };

  static OutboundRequest get(std::string url, std::string method = "GET") {
    OutboundRequest request;
    request.method = std::move(method);
    request.url = std::move(url);
    return request;
  }

  // Reads the body at once unless reads_body is false.
  std::shared_ptr<Call> start(OutboundRequest request, bool reads_body = true) {
    auto call = std::make_shared<Call>();
    call->handle = egress().fetch(std::move(request), [call, reads_body](auto outcome) {
      EXPECT_FALSE(call->outcome.has_value()) << "called back twice";
      call->outcome = std::move(outcome);
      if (reads_body && *call->outcome && (*call->outcome)->body) {
        call->sink.take((*call->outcome)->body, 1 << 20, 1 << 20);
      }
    });
    EXPECT_FALSE(call->outcome.has_value()) << "called back inside fetch()";
    return call;
  }
  std::shared_ptr<Call> fetch(OutboundRequest request) {
    auto call = start(std::move(request));
    EXPECT_TRUE(run_until(io_, [&] { return call->is_over(); })) << "the fetch did not end";
    return call;
  }

  std::string logged() {
    std::string text(1 << 16, '\0');
    const auto size = ::pread(log_file_.get(), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
  }

  asio::io_context io_;
  ManualClock clock_;
  Fd log_file_;
  Log log_;
  Names names_;
  EgressOptions options_;
  std::unique_ptr<Egress> egress_;
};

}  // namespace insula::egress::testing
