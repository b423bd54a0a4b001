// SPDX-License-Identifier: Apache-2.0
//
// ActorSockets: whose turn it is, and what all of them share.
#include "src/supervisor/actors/actor_sockets.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/json.hpp>

#include "src/base/limits.h"
#include "src/supervisor/actors/socket_event.h"
#include "src/supervisor/actors/socket_list.h"

namespace insula::actors {
namespace {

namespace json = boost::json;

constexpr std::size_t kListFrameBytes = 256 * kKiB;  // one of them may be longer by an entry

std::string_view view_of(const json::value& text) { return std::string_view(text.get_string()); }

}  // namespace

ActorSockets::ActorSockets(SocketKeeper& keeper) : keeper_(keeper) {}

ActorSockets::~ActorSockets() {
  // Its actor is at its end: nobody may be told of anything.
  for (const auto& [number, socket] : sockets_) socket->abandon();
}

Result<std::shared_ptr<ActorSocket>> ActorSockets::accept(BytesView detail, io::ByteSourcePtr from_client) {
  boost::system::error_code error;
  const json::value value = json::parse(detail, error);
  const json::object* const object = error ? nullptr : value.if_object();
  const json::value* const number = object == nullptr ? nullptr : object->if_contains("socket");
  const json::value* const list = object == nullptr ? nullptr : object->if_contains("tags");
  const bool is_number = number != nullptr && number->is_int64() && number->get_int64() > 0 &&
                         number->get_int64() < std::int64_t{0xffffffff};
  if (!is_number || list == nullptr || !list->is_array() || from_client == nullptr) {
    return Error(ErrorCode::InvalidInput, "a WebSocket without a number, tags or a client");
  }
  std::vector<std::string_view> tags;
  for (const json::value& tag : list->get_array()) {
    if (tags.size() == kSocketTagsMax || !tag.is_string() || tag.get_string().size() > kSocketTagBytesMax) {
      return Error(ErrorCode::InvalidInput, "the tags of a WebSocket");
    }
    tags.push_back(view_of(tag));
  }
  if (sockets_.size() >= kSocketsPerActorMax) return Error(ErrorCode::LimitExceeded, "WebSockets of one object");
  const auto id = static_cast<std::uint32_t>(number->get_int64());
  auto& place = sockets_[id];
  if (place != nullptr) return Error(ErrorCode::InvalidInput, "two WebSockets of one number");
  place = std::make_shared<ActorSocket>(*this, id, encode_tags(tags));
  next_ = std::max(next_, id + 1);
  const auto socket = place;
  socket->open(std::move(from_client));
  return socket;
}

bool ActorSockets::say(const protocol::SocketSay& said) {
  using Kind = protocol::SocketSay::Kind;
  switch (said.kind) {
    case Kind::AutoResponse:
      if (said.bytes.size() > kSocketAutoBytesMax || said.more.size() > kSocketAutoBytesMax) return false;
      has_auto_ = true;
      auto_request_ = said.bytes;
      auto_response_ = said.more;
      return true;
    case Kind::NoAutoResponse: has_auto_ = false; return true;
    case Kind::EventTimeout: event_timeout_ = said.number; return true;
    case Kind::Records:
    case Kind::Attachment:
    case Kind::NoAttachment: break;
  }
  const auto found = sockets_.find(said.socket);
  if (found == sockets_.end()) return true;  // it has ended meanwhile
  const auto socket = found->second;
  if (said.kind == Kind::Records) return socket->say(said.bytes);
  attachments_ -= socket->attachment_bytes();
  if (said.bytes.size() > kSocketAttachmentBytesMax || attachments_ + said.bytes.size() > kSocketAttachmentsPerActorMax) {
    return false;
  }
  socket->set_attachment(said.bytes, said.kind == Kind::Attachment);
  attachments_ += socket->attachment_bytes();
  return true;
}

void ActorSockets::break_all() {
  const auto sockets = sockets_;
  for (const auto& [number, socket] : sockets) socket->break_off();
}

void ActorSockets::end_session() {
  const auto sockets = sockets_;
  for (const auto& [number, socket] : sockets) socket->end_session();
}

void ActorSockets::send_list(fleet::Session& session, protocol::ActorId actor) {
  if (sockets_.empty()) return;
  protocol::Sockets frame;
  frame.actor = actor;
  frame.next = next_;
  frame.has_auto_response = has_auto_;
  frame.auto_request = auto_request_;
  frame.auto_response = auto_response_;
  frame.event_timeout = event_timeout_;
  Bytes index;
  Bytes entries;
  const auto send = [&] {
    Bytes part;
    part.reserve(4 + index.size() + entries.size());
    append_u32(part, index.size() / 8);
    part.append(index).append(entries);
    frame.entries = part;
    session.send_sockets(frame);
    index.clear();
    entries.clear();
  };
  for (const auto& [number, socket] : sockets_) {
    append_u32(index, number);
    append_u32(index, entries.size());
    socket->append_entry(entries);
    if (entries.size() >= kListFrameBytes) send();
  }
  if (!index.empty()) send();
  news_.clear();
}

// ---- Events

void ActorSockets::queue(ActorSocket& socket) {
  if (!std::exchange(socket.is_queued, true)) queue_.push_back(socket.shared_from_this());
  pump();
}

void ActorSockets::pump() {
  if (std::exchange(is_pumping_, true)) return;
  while (!queue_.empty() && events_ < kSocketEventsPerActorMax) {
    const auto socket = std::move(queue_.front());
    queue_.pop_front();
    socket->is_queued = false;
    if (socket->take_turn() && !std::exchange(socket->is_queued, true)) queue_.push_back(socket);
  }
  is_pumping_ = false;
}

void ActorSockets::send_event(ActorSocket& socket, std::string_view kind, BytesView payload, io::ByteSourcePtr body,
                              bool is_end) {
  const auto event =
      std::make_shared<SocketEvent>(*this, socket.shared_from_this(), kind, payload, std::move(body), is_end);
  ++events_;
  if (event_timeout_ != 0) {
    event->deadline = keeper_.clock().now() + milliseconds(event_timeout_);
    timed_.push_back(event);
    keeper_.want_ticks();
  }
  if (is_end && !keeper_.may_wake()) return event_over(*event);
  keeper_.route_socket_event(event);
}

void ActorSockets::event_over(SocketEvent& event) {
  --events_;
  if (event.is_end()) event.socket().on_end_told();
  pump();
  if (sockets_.empty() && events_ == 0) keeper_.on_sockets_empty();
}

void ActorSockets::remove(ActorSocket& socket) {
  attachments_ -= socket.attachment_bytes();
  sockets_.erase(socket.number());
  if (sockets_.empty() && events_ == 0) keeper_.on_sockets_empty();
}

bool ActorSockets::tick() {
  tell_news();
  const auto timed = timed_;
  const Monotonic now = keeper_.clock().now();
  for (const auto& event : timed) event->expire(now);
  timed_.remove_if([](const auto& event) { return event->is_over(); });
  return !timed_.empty() || !news_.empty();
}

// ---- What the instance is told

void ActorSockets::note_news(ActorSocket& socket) {
  if (std::exchange(socket.has_news, true)) return;
  news_.push_back(socket.weak_from_this());
  keeper_.want_ticks();
}

void ActorSockets::tell_news() {
  for (const auto& weak : std::exchange(news_, {})) {
    const auto socket = weak.lock();
    if (socket == nullptr || !std::exchange(socket->has_news, false)) continue;
    keeper_.tell_socket({0, socket->number(), protocol::SocketTell::Kind::Answered, socket->answered_at()});
  }
}

void ActorSockets::tell_credit(const ActorSocket& socket, std::size_t bytes) {
  keeper_.tell_socket({0, socket.number(), protocol::SocketTell::Kind::Credit, bytes});
}

std::uint64_t ActorSockets::unix_millis() const {
  const auto since = keeper_.clock().wall_now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(since).count());
}

// ---- Bounds

bool ActorSockets::count_input(std::ptrdiff_t change) {
  input_ = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(input_) + change);
  if (is_starved_ && input_ < kSocketInputPerActorMax / 2) {
    is_starved_ = false;
    const auto sockets = sockets_;
    for (const auto& [number, socket] : sockets) socket->grant_client();
  }
  if (input_ < kSocketInputPerActorMax) return true;
  is_starved_ = true;
  return false;
}

bool ActorSockets::count_backlog(std::ptrdiff_t change) {
  backlog_ = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(backlog_) + change);
  return backlog_ <= kSocketBacklogPerActorMax;
}

}  // namespace insula::actors
