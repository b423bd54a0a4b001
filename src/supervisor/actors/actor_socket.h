// SPDX-License-Identifier: Apache-2.0
//
// ActorSocket: a WebSocket that an actor has accepted with acceptWebSocket(). It stands between the client's two streams of
// records and the actor, whether that is open or not.
//
//   client ◄──records── [ActorSocket] ◄──SocketSay── the actor's instance, if there is one
//   client ───records─► [ActorSocket] ───events────► the actor, which they open
//
// Invariants
//   1. What the actor does not take is not read from the client: input and events on their way are bounded.
//   2. What the client does not read is bounded by the credit that the instance was given.
//   3. Messages become events in their order; each is told once at most.
//   4. It leaves its actor's list once, after the event that tells of its end, or with a break.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "src/base/bytes.h"
#include "src/io/byte_stream.h"
#include "src/protocol/frames.h"
#include "src/supervisor/websocket/record.h"

namespace insula::actors {

class ActorSockets;
class LongMessage;

class ActorSocket final : public io::ByteSource, public io::ByteSink, public std::enable_shared_from_this<ActorSocket> {
 public:
  // tags: as they stand in the list (socket_list.h).
  ActorSocket(ActorSockets& all, std::uint32_t number, Bytes tags);
  ~ActorSocket() override;

  std::uint32_t number() const noexcept { return number_; }
  void open(io::ByteSourcePtr from_client);
  // Broken, without a word to the actor.
  void break_off();
  // Its actor is no more, and says nothing to anybody.
  void abandon();

  // ---- From the actor
  // Records. False: it said more than it was allowed to, or they are none.
  bool say(BytesView records);
  void set_attachment(BytesView bytes, bool is_there);
  std::size_t attachment_bytes() const noexcept { return attachment_.size(); }
  // Another instance listens from now on. Returns what it may say.
  std::size_t begin_session();
  void end_session();
  void append_entry(Bytes& list);
  std::uint64_t answered_at() const noexcept { return answered_at_; }
  bool has_news = false;  // the instance does not know answered_at() yet

  // ---- From ActorSockets
  // Turns the next message into an event. False: there is none, or it has to wait.
  bool take_turn();
  bool is_queued = false;
  // The event that told of the end is over.
  void on_end_told();
  void grant_client();

  // ---- For the client: what the actor says
  void attach(io::ByteSink& sink) override;
  void grant(std::size_t bytes) override;
  void stop() override;
  // ---- What the client says
  void on_data(BytesView bytes) override;
  void on_end() override;
  void on_failure(const Error& error) override;

 private:
  friend class LongMessage;

  void take(const websocket::ReadRecord& record);
  void take_piece(const io::MessagePiece& piece);
  bool answer_automatically(BytesView text);
  void client_gone(std::string_view why);
  void write(BytesView records);
  void push_down();
  void renew_credit();
  void leave();
  void end_if_over();

  ActorSockets* all_;  // null: it has left
  const std::uint32_t number_;
  const Bytes tags_;
  Bytes attachment_;
  bool has_attachment_ = false;
  std::uint64_t answered_at_ = 0;  // Unix milliseconds; 0: never

  // From the client.
  io::ByteSourcePtr from_client_;
  websocket::RecordReader in_;
  Bytes input_;
  std::size_t granted_ = 0;
  std::shared_ptr<LongMessage> long_message_;  // that is coming in now
  bool is_input_over_ = false;
  bool is_end_told_ = false;  // an event of it is on its way, or was

  // To the client.
  io::ByteSink* sink_ = nullptr;
  std::size_t down_credit_ = 0;
  Bytes down_;
  Bytes answers_;                  // automatic ones that wait for the end of a message
  websocket::RecordReader out_;
  std::size_t say_credit_ = 0;     // that the instance has
  bool is_saying_message_ = false;
  bool has_actor_closed_ = false;
  bool has_client_closed_ = false;
  bool is_gone_ = false;           // the client hears nothing any more
  bool is_down_over_ = false;
  std::uint16_t close_code_ = 0;
  Bytes close_reason_;
};

}  // namespace insula::actors
