// SPDX-License-Identifier: Apache-2.0
//
// Hop: the exchange on an open connection. Reading and writing go on side by side, since a server may answer before
// it has read the request.
#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/error.hpp>

#include "src/supervisor/egress/hop.h"

namespace insula::egress {
namespace {

constexpr std::size_t kReadBytes = 16 * kKiB;
constexpr std::size_t kReadBodyBytes = 64 * kKiB;
// A complete head of the greatest size and what comes with it.
constexpr std::size_t kInputBytesMax = kResponseHeadBytesMax + kReadBytes;

Error connection_lost() { return Error(ErrorCode::Unavailable, "egress: the connection to the server was lost"); }

// The body of a response as its reader holds it: dropping it is stopping it.
class ResponseBody final : public io::ByteSource {
 public:
  explicit ResponseBody(std::shared_ptr<Hop> hop) : hop_(std::move(hop)) {}
  ~ResponseBody() override { stop(); }
  ResponseBody(const ResponseBody&) = delete;
  ResponseBody& operator=(const ResponseBody&) = delete;

  void attach(io::ByteSink& sink) override {
    if (const auto hop = hop_) hop->attach_body(sink);
  }
  void grant(std::size_t bytes) override {
    if (const auto hop = hop_) hop->grant_body(bytes);
  }
  void stop() override {
    if (const auto hop = std::exchange(hop_, nullptr)) hop->abandon();
  }

 private:
  std::shared_ptr<Hop> hop_;
};

}  // namespace

void Hop::exchange() {
  parser_.emplace(head_->is_head, head_->is_upgrade);
  begin_ = end_ = 0;
  upload_done_ = upload_complete_ = false;
  expect_nothing();
  if (head_->is_upgrade) head_until_ = std::chrono::steady_clock::now() + services_->options.head_timeout;
  const auto self = shared_from_this();
  upload_ = std::make_shared<Upload>(connection_, head_, request_body_, request_.source, *this);
  upload_->start();
  if (!is_done_) read_more();
}

void Hop::on_upload_progress(bool) { update_expectation(); }

void Hop::on_upload_done(Upload::Outcome outcome, const Error* error) {
  upload_done_ = true;
  upload_complete_ = outcome == Upload::Outcome::Written;
  head_until_ = std::chrono::steady_clock::now() + services_->options.head_timeout;
  if (outcome == Upload::Outcome::BodyFailed) {
    lose(*error);
    return;
  }
  // ConnectionLost: the answer may be on its way all the same, as when a server refuses a large body. Reading tells.
  update_expectation();
}

// Waits for the network have a limit; waits for the reader of the body or for the source of the request have none
// here, they end with the invocation.
void Hop::update_expectation() {
  const auto& options = services_->options;
  if (is_done_) return;
  if (!parser_.has_value()) return;
  // A WebSocket may be silent for as long as it likes, but not when all is said.
  if (is_switched_) {
    if (upload_done_) {
      expect_until(head_until_, "egress: the server did not close the connection in time");
    } else {
      expect_nothing();
    }
  } else if (!is_answered_) {
    if (upload_done_ || head_->is_upgrade) {
      expect_until(head_until_, "egress: the server did not answer in time");
    } else if (upload_->is_writing()) {
      expect_within(options.idle_timeout, "egress: the server took too long to read the request");
    } else {
      expect_nothing();
    }
  } else if (is_reading_ && credit_ > 0) {
    expect_within(options.idle_timeout, "egress: the server stopped sending in the middle of its answer");
  } else {
    expect_nothing();
  }
}

void Hop::read_more() {
  if (is_reading_ || is_done_) return;
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const std::size_t wanted = is_answered_ ? kReadBodyBytes : std::min(kInputBytesMax, end_ + kReadBytes);
  if (input_.size() < wanted) input_.resize(wanted);
  is_reading_ = true;
  connection_->read(input_.data() + end_, input_.size() - end_,
                    [self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
                      self->on_read(error, bytes);
                    });
}

void Hop::on_read(const boost::system::error_code& error, std::size_t bytes) {
  is_reading_ = false;
  if (is_done_) return;
  if (!error) {
    end_ += bytes;
    pump();
    return;
  }
  // Only an orderly end can be the end of a body; over TLS that is a close notification, not a closed socket.
  if (error == asio::error::eof) {
    auto ended = parser_->end_of_input();
    if (ended) {
      pump();
    } else {
      lose(std::move(ended).error());
    }
    return;
  }
  lose(connection_lost());
}

void Hop::pump() {
  // Callbacks below may grant, stop or attach; they are heard when this turn is over.
  is_pump_wanted_ = true;
  if (std::exchange(is_pumping_, true)) return;
  const auto self = shared_from_this();
  while (!is_done_ && std::exchange(is_pump_wanted_, false)) {
    while (!is_done_ && pump_step()) {
    }
  }
  is_pumping_ = false;
}

// False: nothing more can be done now.
bool Hop::pump_step() {
  auto step = parser_->next(BytesView(input_.data() + begin_, end_ - begin_), credit_);
  if (!step) {
    lose(std::move(step).error());
    return false;
  }
  begin_ += step->consumed;
  switch (step->event) {
    case ResponseParser::Event::NeedMore:
      if (end_ - begin_ >= kInputBytesMax) {
        lose(Error(ErrorCode::Corrupt, "egress: the server's answer has an overlong part"));
        return false;
      }
      read_more();
      update_expectation();
      return false;
    case ResponseParser::Event::Stalled:
      update_expectation();
      return false;
    case ResponseParser::Event::Head: answer(); return true;
    case ResponseParser::Event::Body:
      credit_ -= step->body.size();
      sink_->on_data(step->body);
      return true;
    case ResponseParser::Event::End: complete(); return false;
  }
  return false;
}

void Hop::answer() {
  InboundResponse response;
  const bool has_body = parser_->has_body();
  ParsedHead head = parser_->take_head();
  response.status = head.status;
  response.reason = std::move(head.reason);
  response.headers = std::move(head.headers);
  is_answered_ = true;
  is_switched_ = response.status == 101;
  const auto callback = std::exchange(callback_, nullptr);
  if (has_body) {
    response.length = head.content_length;
    response.body = std::make_shared<ResponseBody>(shared_from_this());
  } else {
    // Before the callback, so that its next request finds the connection free.
    complete();
  }
  if (callback) callback(std::move(response));
}

void Hop::complete() {
  const bool is_clean = begin_ == end_ && !is_reading_;
  if (parser_->is_keep_alive() && upload_complete_ && is_clean && !head_->is_connection_bound) {
    services_->pool->put(std::exchange(connection_, nullptr));
  }
  const auto self = shared_from_this();
  release();
  end_body(nullptr);
}

void Hop::attach_body(io::ByteSink& sink) {
  sink_ = &sink;
  if (body_end_) {
    const auto end = *std::exchange(body_end_, std::nullopt);
    end_body(end ? nullptr : &end.error());
  }
}

void Hop::grant_body(std::size_t bytes) {
  if (is_done_ || sink_ == nullptr) return;
  credit_ += std::min(bytes, SIZE_MAX - credit_);
  pump();
}

void Hop::end_body(const Error* error) {
  if (auto* sink = std::exchange(sink_, nullptr)) {
    if (error != nullptr) {
      sink->on_failure(*error);
    } else {
      sink->on_end();
    }
  } else {
    body_end_ = error != nullptr ? Result<>(*error) : Result<>();
  }
}

// The exchange cannot go on.
void Hop::lose(Error error) {
  const auto self = shared_from_this();
  if (is_answered_) {
    release();
    end_body(&error);
    return;
  }
  if (error.code() == ErrorCode::Unavailable && retry_on_fresh_connection()) return;
  fail(std::move(error));
}

// A kept connection that ends without a byte of answer was most likely closed while it rested.
bool Hop::retry_on_fresh_connection() {
  if (!is_reused_ || !head_->is_idempotent || request_.source != nullptr) return false;
  if (!parser_.has_value() || parser_->has_begun()) return false;
  upload_->abandon();
  upload_.reset();
  connection_->close();
  parser_.reset();
  expect_within(services_->options.connect_timeout, "egress: the server could not be reached in time");
  connect();
  return true;
}

}  // namespace insula::egress
