// SPDX-License-Identifier: Apache-2.0
//
// ActorSockets: the hibernatable WebSockets of one actor. It outlives instances of the actor and the runners that they
// live in; tags, attachments and the automatic answer are kept here.
//
//   ActorSocket ──message──► [ActorSockets] ──"socket" event──► Actor (opens it) ──► runner
//   runner ──SocketSay──► Session ──► Actor ──► [ActorSockets] ──► ActorSocket ──► client
//
// Invariants
//   1. At most kSocketEventsPerActorMax events are on their way; sockets with more to tell take turns.
//   2. The list that a new instance gets is what the former one has said, as far as it left that instance's output gate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/clock.h"
#include "src/protocol/frames.h"
#include "src/supervisor/actors/actor_socket.h"
#include "src/supervisor/fleet/session.h"

namespace insula::actors {

class SocketEvent;

// What the sockets need of their actor.
class SocketKeeper {
 public:
  virtual ~SocketKeeper() = default;
  // On its way to the actor, which is opened for it.
  virtual void route_socket_event(const std::shared_ptr<SocketEvent>& event) = 0;
  // False: the actor is not open and nobody is woken any more, the server is going away.
  virtual bool may_wake() const = 0;
  virtual void want_ticks() = 0;
  virtual void tell_socket(protocol::SocketTell tell) = 0;  // to the instance, if there is one
  virtual void on_sockets_empty() = 0;
  virtual void on_unheard(std::string_view why) = 0;
  virtual const Clock& clock() const = 0;
};

class ActorSockets final {
 public:
  explicit ActorSockets(SocketKeeper& keeper);
  ~ActorSockets();
  ActorSockets(const ActorSockets&) = delete;
  ActorSockets& operator=(const ActorSockets&) = delete;

  bool empty() const noexcept { return sockets_.empty(); }
  std::size_t size() const noexcept { return sockets_.size(); }
  // Errors: InvalidInput (what the runner asks for), LimitExceeded.
  Result<std::shared_ptr<ActorSocket>> accept(BytesView detail, io::ByteSourcePtr from_client);
  bool say(const protocol::SocketSay& said);
  // All clients find their connection broken: the actor was reset.
  void break_all();
  // To a new instance, before anything else.
  void send_list(fleet::Session& session, protocol::ActorId actor);
  // The instance is gone.
  void end_session();
  // Tells the instance what it does not know yet of automatic answers.
  void tell_news();
  // Does what time brings. True: again, soon.
  bool tick();

  // ---- For ActorSocket
  void queue(ActorSocket& socket);
  void send_event(ActorSocket& socket, std::string_view kind, BytesView payload, io::ByteSourcePtr body, bool is_end);
  bool matches(BytesView text) const noexcept { return has_auto_ && text == auto_request_; }
  BytesView auto_response() const noexcept { return auto_response_; }
  void note_news(ActorSocket& socket);
  void tell_credit(const ActorSocket& socket, std::size_t bytes);
  std::uint64_t unix_millis() const;
  // False: all together are above the bound, and this one has to wait, or to go.
  bool count_input(std::ptrdiff_t change);
  bool count_backlog(std::ptrdiff_t change);
  void remove(ActorSocket& socket);

 private:
  friend class SocketEvent;
  void pump();
  void event_over(SocketEvent& event);
  void note_unheard(const protocol::ErrorInfo& error) { keeper_.on_unheard(error.message); }

  SocketKeeper& keeper_;
  std::map<std::uint32_t, std::shared_ptr<ActorSocket>> sockets_;
  std::uint32_t next_ = 1;
  std::deque<std::shared_ptr<ActorSocket>> queue_;
  std::list<std::shared_ptr<SocketEvent>> timed_;  // under a time-out
  std::vector<std::weak_ptr<ActorSocket>> news_;
  std::size_t events_ = 0;
  std::size_t input_ = 0;
  std::size_t backlog_ = 0;
  std::size_t attachments_ = 0;
  bool is_starved_ = false;
  bool is_pumping_ = false;

  bool has_auto_ = false;
  Bytes auto_request_;
  Bytes auto_response_;
  std::uint32_t event_timeout_ = 0;
  const std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace insula::actors
