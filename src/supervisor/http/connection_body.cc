// SPDX-License-Identifier: Apache-2.0
//
// Connection, the request's body: complete, streamed on credit, or read and dropped.
#include <string>
#include <utility>

#include "src/supervisor/http/connection.h"
#include "src/supervisor/http/server_core.h"

namespace insula::http {
namespace {

// How long the rest of a body may take that is read only to find the next request.
constexpr milliseconds kDrainWithin{5000};

}  // namespace

// Decides how the handler gets the body: not at all, complete, or as a stream.
void Connection::prepare_body() {
  const ParsedHead& head = parser_.head();
  RequestBody& body = exchange_->body_;
  decoder_.expect_nothing();
  is_body_done_ = true;
  if (head.is_chunked) {
    body.has_body = true;
    if (take_small_chunked_body() || phase_ != Phase::Exchange) return;
    decoder_.expect_chunks(server_.limits().body_bytes_max);
  } else if (head.content_length) {
    const std::uint64_t length = *head.content_length;
    body.length = length;
    body.has_body = true;
    if (length <= kInlineBodyBytesMax && length <= in_.size()) {
      const auto bytes = static_cast<std::size_t>(length);
      exchange_->body_bytes_.assign(in_.substr(0, bytes));
      body.complete = exchange_->body_bytes_;
      in_.remove_prefix(bytes);
      return;
    }
    decoder_.expect_length(length);
  } else {
    return;
  }
  is_body_done_ = false;
  body_source_ = std::make_shared<RequestBodySource>(*this);
  body.source = body_source_;
}

// True: all chunks had arrived, and their data is the exchange's. Otherwise the input is as it was.
bool Connection::take_small_chunked_body() {
  Bytes& bytes = exchange_->body_bytes_;
  bytes.clear();
  BytesView input = in_;
  BodyDecoder decoder;
  decoder.expect_chunks(server_.limits().body_bytes_max);
  for (;;) {
    const BodyDecoder::Step next = decoder.next(input, input.size());
    switch (next.kind) {
      case BodyDecoder::Kind::Data:
        bytes.append(next.data);
        if (bytes.size() > kInlineBodyBytesMax) return false;
        continue;
      case BodyDecoder::Kind::End:
        exchange_->body_.complete = bytes;
        exchange_->body_.length = bytes.size();
        in_ = input;
        return true;
      case BodyDecoder::Kind::Malformed:
        refuse_body(400, next.reason);
        return false;
      case BodyDecoder::Kind::TooLong:
        refuse_body(413, next.reason);
        return false;
      case BodyDecoder::Kind::NeedInput:
      case BodyDecoder::Kind::Blocked:
        return false;
    }
  }
}

Connection::Step Connection::step_body() {
  if (!is_body_done_ && response_ == Response::Done && !is_body_drained_) {
    drain_body();
    return Step::Continue;
  }
  if (is_body_done_) {
    if (response_ != Response::Done) return Step::Wait;
    finish_exchange();
    return Step::Continue;
  }
  if (is_body_discarded_) return discard_body(response_ == Response::Done ? kDrainBytesMax : UINT64_MAX);
  if (!body_source_->is_started()) return Step::Wait;

  const auto source = body_source_;  // a callback may end the exchange
  const BodyDecoder::Step next = decoder_.next(in_, source->credit_bytes());
  switch (next.kind) {
    case BodyDecoder::Kind::Data:
      read_deadline_ = Monotonic::max();
      source->deliver(next.data);
      return Step::Continue;
    case BodyDecoder::Kind::End:
      read_deadline_ = Monotonic::max();
      is_body_done_ = true;
      body_source_.reset();
      source->finish();
      return Step::Continue;
    case BodyDecoder::Kind::Malformed:
      refuse_body(400, next.reason);
      return Step::Continue;
    case BodyDecoder::Kind::TooLong:
      refuse_body(413, next.reason);
      return Step::Continue;
    case BodyDecoder::Kind::Blocked:
      read_deadline_ = Monotonic::max();
      return Step::Wait;
    case BodyDecoder::Kind::NeedInput:
      break;
  }
  // Without credit nothing is read: whatever comes would have to be kept here.
  if (source->credit_bytes() == 0) {
    read_deadline_ = Monotonic::max();
    return Step::Wait;
  }
  if (read_deadline_ == Monotonic::max()) read_deadline_ = server_.now() + server_.limits().body_idle_timeout;
  return Step::NeedInput;
}

// The response is complete: what is left of the request is read only to find the next one behind it.
void Connection::drain_body() {
  is_body_discarded_ = is_body_drained_ = true;
  discarded_bytes_ = 0;
  read_deadline_ = server_.now() + kDrainWithin;
  if (const auto source = std::move(body_source_)) {
    source->fail(Error(ErrorCode::Cancelled, "http: the response is complete, the rest of the request is dropped"));
  }
  if (closes_after_) is_body_done_ = lingers_ = true;  // there is no next request to look for
}

Connection::Step Connection::discard_body(std::uint64_t bytes_max) {
  const BodyDecoder::Step next = decoder_.next(in_, in_.size());
  switch (next.kind) {
    case BodyDecoder::Kind::Data:
      discarded_bytes_ += next.data.size();
      if (discarded_bytes_ <= bytes_max) return Step::Continue;
      break;
    case BodyDecoder::Kind::End:
      is_body_done_ = true;
      read_deadline_ = Monotonic::max();
      return Step::Continue;
    case BodyDecoder::Kind::NeedInput:
      return Step::NeedInput;
    case BodyDecoder::Kind::Malformed:
    case BodyDecoder::Kind::TooLong:
    case BodyDecoder::Kind::Blocked:
      break;
  }
  if (response_ != Response::Done) {
    refuse_body(next.kind == BodyDecoder::Kind::TooLong ? 413 : 400, next.reason);
    return Step::Continue;
  }
  is_body_done_ = lingers_ = closes_after_ = true;
  return Step::Continue;
}

// The rest of this body cannot be understood, so nothing behind it can: one answer, and the end.
void Connection::refuse_body(int status, std::string_view reason) {
  lingers_ = true;
  is_body_done_ = true;
  if (response_ == Response::Streaming) {
    must_cut_ = true;
    return;
  }
  const Error why(ErrorCode::InvalidInput, "http: " + std::string(reason));
  cancel_exchange(why);
  respond_error(status, reason);
}

void Connection::on_body_granted() {
  if (expects_continue_) {
    expects_continue_ = false;
    if (response_ == Response::Awaited && in_.empty()) {
      output_.append("HTTP/1.1 100 Continue\r\n\r\n");
      if (!is_corked_) flush();
    }
  }
  if (!is_pumping_) server_.schedule(*this);
}

void Connection::on_body_stopped() {
  // What still comes is dropped, so that a client that writes before it reads gets to the response.
  body_source_.reset();
  is_body_discarded_ = true;
  read_deadline_ = Monotonic::max();
  if (!is_pumping_) server_.schedule(*this);
}

}  // namespace insula::http
