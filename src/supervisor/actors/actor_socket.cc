// SPDX-License-Identifier: Apache-2.0
//
// ActorSocket: records in, events out, and the other way round.
#include "src/supervisor/actors/actor_socket.h"

#include <algorithm>
#include <utility>

#include "src/base/limits.h"
#include "src/supervisor/actors/actor_sockets.h"
#include "src/supervisor/actors/socket_list.h"
#include "src/supervisor/websocket/frame.h"

namespace insula::actors {

using websocket::ReadRecord;

// A message that came in more than one piece: a stream that rides with its event.
class LongMessage final : public io::ByteSource, public std::enable_shared_from_this<LongMessage> {
 public:
  explicit LongMessage(std::weak_ptr<ActorSocket> socket) : socket_(std::move(socket)) {}

  void push(BytesView bytes) {
    if (!is_stopped_) waiting_.append(bytes);
    flow();
  }
  void finish(bool is_whole) {
    is_over_ = true;
    is_whole_ = is_whole;
    flow();
  }
  // What it holds is what its reader has no room for: no more is taken meanwhile.
  bool is_full() const noexcept { return !is_stopped_ && !waiting_.empty(); }

  void attach(io::ByteSink& sink) override { sink_ = &sink; }
  void grant(std::size_t bytes) override {
    credit_ += bytes;
    const auto self = shared_from_this();
    flow();
    go_on();
  }
  void stop() override {
    const auto self = shared_from_this();
    is_stopped_ = true;
    sink_ = nullptr;
    waiting_.clear();
    go_on();
  }

 private:
  void flow() {
    const auto self = shared_from_this();
    while (sink_ != nullptr && credit_ > 0 && !waiting_.empty()) {
      const Bytes now = waiting_.substr(0, std::min(waiting_.size(), credit_));
      waiting_.erase(0, now.size());
      credit_ -= now.size();
      sink_->on_data(now);
    }
    if (!is_over_ || !waiting_.empty() || sink_ == nullptr) return;
    io::ByteSink& sink = *std::exchange(sink_, nullptr);
    if (is_whole_) {
      sink.on_end();
    } else {
      sink.on_failure(Error(ErrorCode::Cancelled, "websocket: the connection broke within a message"));
    }
  }
  void go_on() {
    const auto socket = socket_.lock();
    if (socket != nullptr && socket->all_ != nullptr && !is_full()) socket->all_->queue(*socket);
  }

  const std::weak_ptr<ActorSocket> socket_;
  io::ByteSink* sink_ = nullptr;
  std::size_t credit_ = 0;
  Bytes waiting_;
  bool is_over_ = false;
  bool is_whole_ = false;
  bool is_stopped_ = false;
};

ActorSocket::ActorSocket(ActorSockets& all, std::uint32_t number, Bytes tags)
    : all_(&all), number_(number), tags_(std::move(tags)) {}

ActorSocket::~ActorSocket() {
  if (from_client_ != nullptr && !is_input_over_) from_client_->stop();
}

void ActorSocket::open(io::ByteSourcePtr from_client) {
  from_client_ = std::move(from_client);
  renew_credit();
  const auto source = from_client_;
  source->attach(*this);
  grant_client();
}

// ---- From the client

void ActorSocket::grant_client() {
  if (is_input_over_ || all_ == nullptr || !all_->count_input(0)) return;
  const std::size_t used = granted_ + input_.size();
  if (used > kSocketHomeWindowBytes / 2) return;
  const std::size_t more = kSocketHomeWindowBytes - used;
  granted_ += more;
  const auto source = from_client_;
  source->grant(more);
}

void ActorSocket::on_data(BytesView bytes) {
  const auto self = shared_from_this();
  granted_ -= std::min(granted_, bytes.size());
  if (all_ == nullptr || is_input_over_) return;
  input_.append(bytes);
  all_->count_input(static_cast<std::ptrdiff_t>(bytes.size()));
  all_->queue(*this);
}

// The end without a record of it.
void ActorSocket::on_end() { on_failure(Error(ErrorCode::Cancelled, "websocket: the client went away")); }

void ActorSocket::on_failure(const Error&) {
  if (std::exchange(is_input_over_, true) || all_ == nullptr) return;
  const auto self = shared_from_this();
  if (input_.empty() && !has_client_closed_) client_gone({});
  if (all_ != nullptr) all_->queue(*this);
}

bool ActorSocket::take_turn() {
  if (all_ == nullptr || is_end_told_) return false;
  // Who does not read gets no automatic answers either; and a long message is taken as its reader goes.
  if (down_.size() > 2 * kSocketHomeWindowBytes || (long_message_ != nullptr && long_message_->is_full())) return false;
  const auto self = shared_from_this();
  BytesView rest = input_;
  const ReadRecord record = in_.next(rest);
  const std::size_t used = input_.size() - rest.size();
  if (record.kind != ReadRecord::Kind::NeedInput) take(record);
  // The record may point into the input: only now it goes.
  if (all_ == nullptr) return false;
  all_->count_input(-static_cast<std::ptrdiff_t>(used));
  input_.erase(0, used);
  // Nothing is kept for a socket that is quiet.
  if (input_.empty()) Bytes().swap(input_);
  in_.rest();
  if (record.kind == ReadRecord::Kind::NeedInput) {
    if (is_input_over_ && !is_end_told_) client_gone({});
    grant_client();
    return false;
  }
  grant_client();
  return true;
}

void ActorSocket::take(const ReadRecord& record) {
  switch (record.kind) {
    case ReadRecord::Kind::Piece: return take_piece(record.piece);
    case ReadRecord::Kind::Close: {
      has_client_closed_ = true;
      is_end_told_ = true;
      close_code_ = record.code;
      close_reason_ = Bytes(record.piece.bytes);
      Bytes payload;
      append_u16(payload, record.code);
      payload.append(close_reason_);
      return all_->send_event(*this, "close", payload, nullptr, true);
    }
    case ReadRecord::Kind::Broken: return client_gone(record.piece.bytes);
    case ReadRecord::Kind::Malformed: return client_gone({});
    case ReadRecord::Kind::NeedInput: return;
  }
}

void ActorSocket::take_piece(const io::MessagePiece& piece) {
  const std::string_view kind = piece.is_text ? "text" : "bytes";
  if (piece.is_first && piece.is_final) {
    if (piece.is_text && answer_automatically(piece.bytes)) return;
    return all_->send_event(*this, kind, piece.bytes, nullptr, false);
  }
  if (piece.is_first) {
    long_message_ = std::make_shared<LongMessage>(weak_from_this());
    all_->send_event(*this, kind, {}, long_message_, false);
  }
  if (long_message_ == nullptr) return;
  long_message_->push(piece.bytes);
  if (piece.is_final) std::exchange(long_message_, nullptr)->finish(true);
}

bool ActorSocket::answer_automatically(BytesView text) {
  if (!all_->matches(text)) return false;
  answered_at_ = all_->unix_millis();
  all_->note_news(*this);
  if (has_actor_closed_ || is_gone_) return true;
  websocket::append_piece_record(is_saying_message_ ? answers_ : down_, {true, true, true, all_->auto_response()});
  all_->count_backlog(static_cast<std::ptrdiff_t>(websocket::kRecordHeadBytes + all_->auto_response().size()));
  push_down();
  return true;
}

// Without a close. why: what rule it broke, or nothing.
void ActorSocket::client_gone(std::string_view why) {
  if (std::exchange(is_end_told_, true)) return;
  is_gone_ = true;
  if (long_message_ != nullptr) std::exchange(long_message_, nullptr)->finish(false);
  all_->send_event(*this, why.empty() ? "gone" : "failed", why, nullptr, true);
}

void ActorSocket::on_end_told() {
  const auto self = shared_from_this();
  if (has_client_closed_ && !has_actor_closed_ && !is_gone_) {
    // The actor has not answered the client's close: it is answered for it.
    has_actor_closed_ = true;
    Bytes record;
    websocket::append_close_record(record, close_code_, close_reason_);
    write(record);
  }
  leave();
  push_down();
  end_if_over();
}

// ---- To the client

bool ActorSocket::say(BytesView records) {
  const auto self = shared_from_this();
  if (records.size() > say_credit_) return false;
  say_credit_ -= records.size();
  Bytes out;
  while (true) {
    const ReadRecord record = out_.next(records);
    if (record.kind == ReadRecord::Kind::NeedInput) break;
    if (record.kind == ReadRecord::Kind::Malformed) return false;
    if (record.kind == ReadRecord::Kind::Piece) {
      websocket::append_piece_record(out, record.piece);
      is_saying_message_ = !record.piece.is_final;
      if (!is_saying_message_ && !answers_.empty()) {
        if (all_ != nullptr) all_->count_backlog(-static_cast<std::ptrdiff_t>(answers_.size()));
        out.append(std::exchange(answers_, {}));
      }
    } else if (record.kind == ReadRecord::Kind::Close) {
      has_actor_closed_ = true;
      websocket::append_close_record(out, record.code, record.piece.bytes);
    } else {
      break_off();
      return true;
    }
  }
  out_.rest();
  write(out);
  renew_credit();
  end_if_over();
  return true;
}

void ActorSocket::write(BytesView records) {
  if (is_gone_ || is_down_over_ || records.empty()) return;
  const bool has_room = all_ == nullptr || all_->count_backlog(static_cast<std::ptrdiff_t>(records.size()));
  if (!has_room && !down_.empty()) {
    // Too many clients of this actor do not read: those that are behind and are sent more are cut.
    all_->count_backlog(-static_cast<std::ptrdiff_t>(records.size()));
    return break_off();
  }
  down_.append(records);
  push_down();
}

void ActorSocket::attach(io::ByteSink& sink) {
  sink_ = &sink;
}

void ActorSocket::grant(std::size_t bytes) {
  const auto self = shared_from_this();
  down_credit_ += bytes;
  push_down();
  renew_credit();
  end_if_over();
  if (all_ != nullptr && !input_.empty()) all_->queue(*this);
}

void ActorSocket::stop() {
  const auto self = shared_from_this();
  sink_ = nullptr;
  is_gone_ = true;
  is_down_over_ = true;
  if (all_ != nullptr) all_->count_backlog(-static_cast<std::ptrdiff_t>(down_.size() + answers_.size()));
  Bytes().swap(down_);
  Bytes().swap(answers_);
  renew_credit();  // what is still said is dropped
  // How it ended, the other stream says.
}

void ActorSocket::push_down() {
  while (sink_ != nullptr && down_credit_ > 0 && !down_.empty()) {
    const Bytes now = down_.size() <= down_credit_ ? std::exchange(down_, {}) : down_.substr(0, down_credit_);
    if (!down_.empty()) down_.erase(0, now.size());
    down_credit_ -= now.size();
    if (all_ != nullptr) all_->count_backlog(-static_cast<std::ptrdiff_t>(now.size()));
    sink_->on_data(now);
  }
}

// The instance may say as much more as the client has taken.
void ActorSocket::renew_credit() {
  if (all_ == nullptr) return;
  const std::size_t used = say_credit_ + down_.size();
  if (used > kSocketHomeWindowBytes / 2) return;
  say_credit_ += kSocketHomeWindowBytes - used;
  all_->tell_credit(*this, kSocketHomeWindowBytes - used);
}

std::size_t ActorSocket::begin_session() {
  out_ = {};
  say_credit_ = kSocketHomeWindowBytes - std::min(kSocketHomeWindowBytes, down_.size());
  return say_credit_;
}

void ActorSocket::end_session() {
  // A message whose rest nobody will say cannot be taken back.
  if (is_saying_message_) break_off();
}

void ActorSocket::set_attachment(BytesView bytes, bool is_there) {
  attachment_ = Bytes(bytes);
  attachment_.shrink_to_fit();
  has_attachment_ = is_there;
}

void ActorSocket::append_entry(Bytes& list) {
  append_u32(list, begin_session());
  append_f64(list, static_cast<double>(answered_at_));
  list.push_back(static_cast<char>((is_end_told_ ? kListedClientClosed : 0) | (has_actor_closed_ ? kListedActorClosed : 0) |
                                   (has_attachment_ ? kListedAttachment : 0)));
  list.append(tags_);
  if (has_attachment_) {
    append_u16(list, attachment_.size());
    list.append(attachment_);
  }
  has_news = false;
}

// ---- Endings

void ActorSocket::break_off() {
  const auto self = shared_from_this();
  if (all_ == nullptr) return;
  is_gone_ = true;
  is_end_told_ = true;
  if (long_message_ != nullptr) std::exchange(long_message_, nullptr)->finish(false);
  leave();
  // What was said before is sent; then the client finds the connection broken.
  if (!is_down_over_ && !has_actor_closed_) websocket::append_broken_record(down_, {});
  push_down();
  end_if_over();
}

void ActorSocket::abandon() {
  all_ = nullptr;
  sink_ = nullptr;
}

void ActorSocket::leave() {
  if (all_ == nullptr) return;
  ActorSockets& all = *std::exchange(all_, nullptr);
  all.count_input(-static_cast<std::ptrdiff_t>(input_.size()));
  all.count_backlog(-static_cast<std::ptrdiff_t>(down_.size() + answers_.size()));
  all.remove(*this);
}

// Once nothing more can be said in either direction, both streams end.
void ActorSocket::end_if_over() {
  const bool is_over = all_ == nullptr && (is_gone_ || (has_actor_closed_ && has_client_closed_));
  if (!is_over) return;
  if (sink_ != nullptr && down_.empty() && !std::exchange(is_down_over_, true)) std::exchange(sink_, nullptr)->on_end();
  if (!std::exchange(is_input_over_, true)) {
    const auto source = from_client_;
    source->stop();
  }
}

}  // namespace insula::actors
