// SPDX-License-Identifier: Apache-2.0
//
// Connection, writing side: one answer at a time, complete or as a stream.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>
#include <utility>

#include "src/base/header_block.h"
#include "src/supervisor/http/connection.h"
#include "src/supervisor/http/server_core.h"

namespace insula::http {
namespace {

// Larger bodies go out from where they are; smaller ones are cheaper to copy behind the head.
constexpr std::size_t kCopiedBodyBytesMax = 16 * kKiB;
// Credit of a streamed response. Enough to fill a fast client's window between two grants.
constexpr std::size_t kResponseWindowBytes = 256 * kKiB;
// One stream whose source has everything ready lets others go first after so much.
constexpr std::size_t kStreamTurnBytesMax = 1 * kMiB;
constexpr std::size_t kKeptOutputBytesMax = 4 * kKiB;

}  // namespace

void Connection::respond(const ResponseHead& head, BytesView body) {
  if (response_ != Response::Awaited || phase_ != Phase::Exchange) return;
  Plan plan = plan_response(head.status, body.size());
  if (is_head_request_ && body.empty()) plan.framing.kind = Framing::Kind::AsDeclared;
  if (!append_head(head, plan.framing)) {
    respond_bad();
    return;
  }
  if (plan.sends_body && !body.empty()) write_pieces(body, {}, {});
  complete_response();
}

void Connection::respond(const ResponseHead& head, io::ByteSourcePtr body, std::optional<std::uint64_t> length) {
  if (response_ != Response::Awaited || phase_ != Phase::Exchange) {
    if (body != nullptr) body->stop();
    return;
  }
  if (body == nullptr) {
    respond(head, BytesView());
    return;
  }
  const Plan plan = plan_response(head.status, length);
  const bool is_sendable = append_head(head, plan.framing);
  if (!is_sendable || !plan.sends_body) {
    body->stop();
    if (is_sendable) {
      complete_response();
    } else {
      respond_bad();
    }
    return;
  }
  response_ = Response::Streaming;
  response_framing_ = plan.framing.kind;
  response_remaining_ = length.value_or(0);
  response_source_ = std::move(body);
  granted_bytes_ = 0;

  // What the source has at once leaves together with the head.
  const bool was_corked = std::exchange(is_corked_, true);
  const auto source = response_source_;
  source->attach(*this);
  grant_response();
  is_corked_ = was_corked;
  if (is_corked_) return;
  flush();
  grant_response();
}

// Framing, and whether another request may follow.
Connection::Plan Connection::plan_response(int status, std::optional<std::uint64_t> length) {
  Plan plan;
  plan.sends_body = allows_body(status, is_head_request_);
  closes_after_ = !keeps_alive_ || server_.is_draining();
  // The client was never told to go on, or has more to send than is worth reading: only closing ends that body.
  if (!is_body_done_ && (expects_continue_ || decoder_.remaining_bytes() > kDrainBytesMax)) {
    closes_after_ = lingers_ = true;
  }
  if (status == 205) {
    plan.framing.kind = Framing::Kind::Length;
  } else if (status == 204 || status == 304) {
    plan.framing.kind = Framing::Kind::None;
  } else if (length) {
    plan.framing.kind = Framing::Kind::Length;
    plan.framing.length = *length;
  } else if (!plan.sends_body) {
    plan.framing.kind = Framing::Kind::AsDeclared;
  } else if (is_http_1_0_) {
    plan.framing.kind = Framing::Kind::UntilClose;
    closes_after_ = true;
  } else {
    plan.framing.kind = Framing::Kind::Chunked;
  }
  plan.framing.says_close = closes_after_;
  plan.framing.says_keep_alive = is_http_1_0_ && !closes_after_;
  return plan;
}

bool Connection::append_head(const ResponseHead& head, const Framing& framing) {
  return append_response_head(output_, head, framing, server_.date(), server_.limits());
}

void Connection::respond_bad() {
  ++server_.counters().responses_bad;
  constexpr BytesView kBody = "ERR_BAD_RESPONSE\n";
  Bytes fields;
  append_header(fields, "content-type", "text/plain;charset=utf-8");
  const ResponseHead head{.status = 502, .reason = {}, .headers = fields};
  const Plan plan = plan_response(head.status, kBody.size());
  INSULA_CHECK(append_head(head, plan.framing));
  if (plan.sends_body) output_.append(kBody);
  complete_response();
}

// Our own answer, the last on this connection.
void Connection::respond_error(int status, std::string_view reason) {
  ++server_.counters().requests_refused;
  const std::string body = std::to_string(status) + ": " + std::string(reason) + "\n";
  Bytes fields;
  append_header(fields, "content-type", "text/plain;charset=utf-8");
  const ResponseHead head{.status = status, .reason = {}, .headers = fields};
  const Framing framing{.kind = Framing::Kind::Length, .length = body.size(), .says_close = true};
  INSULA_CHECK(append_head(head, framing));
  if (!is_head_request_) output_.append(body);
  if (exchange_ != nullptr) exchange_->connection_ = nullptr;
  response_ = Response::Done;
  closes_after_ = true;
  read_deadline_ = Monotonic::max();
  phase_ = Phase::Closing;
  if (!is_pumping_) server_.schedule(*this);
}

void Connection::complete_response() {
  response_ = Response::Done;
  exchange_->connection_ = nullptr;
  // The source is probably our caller: it lives until the next turn.
  if (response_source_ != nullptr) {
    finished_source_ = std::move(response_source_);
    response_source_ = nullptr;
    if (!is_pumping_) server_.schedule(*this);
  }
  if (is_pumping_) return;
  if (is_body_done_) finish_exchange();
  if (!is_corked_) flush();
  // A turn for whatever cannot be done inside the handler's call.
  if (!is_body_done_ || phase_ == Phase::Closing || is_readable_ || !in_.empty()) server_.schedule(*this);
}

void Connection::on_data(BytesView bytes) {
  if (response_ != Response::Streaming || must_cut_ || bytes.empty()) return;
  granted_bytes_ -= std::min(granted_bytes_, bytes.size());
  if (response_framing_ == Framing::Kind::Chunked) {
    char size[20];
    auto [end, error] = std::to_chars(size, size + sizeof size - 2, bytes.size(), 16);
    *end++ = '\r';
    *end++ = '\n';
    write_pieces(BytesView(size, static_cast<std::size_t>(end - size)), bytes, "\r\n");
  } else {
    if (response_framing_ == Framing::Kind::Length) {
      if (bytes.size() > response_remaining_) {
        fail_stream();
        return;
      }
      response_remaining_ -= bytes.size();
    }
    write_pieces(bytes, {}, {});
  }
  grant_response();
}

void Connection::on_end() {
  if (response_ != Response::Streaming || must_cut_) return;
  if (response_framing_ == Framing::Kind::Length && response_remaining_ > 0) {
    fail_stream();
    return;
  }
  if (response_framing_ == Framing::Kind::Chunked) output_.append("0\r\n\r\n");
  complete_response();
}

void Connection::on_failure(const Error&) {
  if (response_ == Response::Streaming && !must_cut_) fail_stream();
}

void Connection::fail_stream() {
  ++server_.counters().responses_cut;
  must_cut_ = true;
  server_.schedule(*this);
}

// Tops up the source's credit, so that what it may send and what waits for the client stay within one window.
void Connection::grant_response() {
  if (is_granting_) return;
  is_granting_ = true;
  const std::size_t window = std::min(kResponseWindowBytes, server_.limits().body_buffer_bytes);
  std::size_t this_turn = 0;
  while (response_ == Response::Streaming && !must_cut_ && !is_broken_) {
    const std::size_t in_flight = granted_bytes_ + unsent_bytes();
    if (in_flight > window / 2) break;
    if (this_turn >= kStreamTurnBytesMax) {
      server_.schedule(*this);
      break;
    }
    const std::size_t bytes = window - in_flight;
    this_turn += bytes;
    granted_bytes_ += bytes;
    const auto source = response_source_;
    source->grant(bytes);
  }
  is_granting_ = false;
}

// Sends the pieces behind what is already waiting, and keeps what the socket does not take.
void Connection::write_pieces(BytesView first, BytesView second, BytesView third) {
  if (is_broken_) return;
  const std::size_t total = first.size() + second.size() + third.size();
  if (is_write_blocked_ || is_corked_ || total <= kCopiedBodyBytesMax) {
    output_.append(first).append(second).append(third);
    if (is_corked_ ? unsent_bytes() > kResponseWindowBytes : response_ == Response::Streaming) flush();
    return;
  }
  const BytesView waiting = BytesView(output_).substr(output_sent_);
  const std::array<BytesView, 4> pieces{waiting, first, second, third};
  std::array<iovec, 4> vectors;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    vectors[i] = iovec{const_cast<char*>(pieces[i].data()), pieces[i].size()};
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  std::size_t sent = count > 0 ? static_cast<std::size_t>(count) : 0;
  output_sent_ += std::min(sent, waiting.size());
  sent -= std::min(sent, waiting.size());
  for (const BytesView piece : {first, second, third}) {
    const std::size_t gone = std::min(sent, piece.size());
    sent -= gone;
    output_.append(piece.substr(gone));
  }
  flush();  // learns why, when something is left
}

void Connection::flush() {
  if (unsent_bytes() > 0 && !is_write_blocked_ && !is_broken_) {
    for (;;) {
      const ssize_t count =
          ::send(socket_.get(), output_.data() + output_sent_, unsent_bytes(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count >= 0) {
        output_sent_ += static_cast<std::size_t>(count);
        if (unsent_bytes() == 0) break;
        write_deadline_ = server_.now() + server_.limits().write_idle_timeout;
        continue;
      }
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        is_write_blocked_ = true;
        if (write_deadline_ == Monotonic::max()) {
          write_deadline_ = server_.now() + server_.limits().write_idle_timeout;
        }
      } else {
        // Torn down in a turn of its own: this may be the handler's call.
        is_broken_ = true;
        server_.schedule(*this);
      }
      break;
    }
  }
  if (unsent_bytes() == 0) {
    write_deadline_ = Monotonic::max();
    const std::size_t kept = phase_ == Phase::Upgraded ? kQuietBytesMax : kKeptOutputBytesMax;
    if (output_.capacity() > kept && response_ == Response::Done) Bytes().swap(output_);
    output_.clear();
    output_sent_ = 0;
  } else if (output_sent_ > kInlineBodyBytesMax && output_sent_ > output_.size() / 2) {
    output_.erase(0, output_sent_);
    output_sent_ = 0;
  }
}

}  // namespace insula::http
