// SPDX-License-Identifier: Apache-2.0
//
// Actor: one entry of the directory: a Durable Object or a facet, while it is open or somebody wants it to be.
//
//   Absent ──call──► Opening: number (facet) ─► files ─► Worker loaded ─► OpenActor ──► Open ──┐
//     ▲                 │ error: every waiting call gets it                                      │ CloseActor
//     │                 ▼                                                                        ▼
//     └──────────── refused            ◄────────── ActorClosed, Worker or runner gone ────── Closing
//
// Invariants
//   1. It is open in one runner at most: the files are locked on the description that the runner gets, and an entry asks
//      for them again only after the last runner let go of them or died.
//   2. Calls are sent in the order in which they came; calls that come while it is not open wait.
//   3. When a parent closes, everything below it closes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "src/base/bytes.h"
#include "src/base/clock.h"
#include "src/base/fd.h"
#include "src/supervisor/actors/actor_sockets.h"
#include "src/supervisor/actors/class_host.h"
#include "src/supervisor/actors/facet_table.h"
#include "src/supervisor/actors/files.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::actors {

class Directory;

inline constexpr std::uint32_t kActorDepthMax = 4;  // including the root
inline constexpr std::size_t kActorWaitingMax = 1000;

// What opening it needs to know; of a facet as its parent's callback said it last.
struct Startup {
  std::shared_ptr<ClassHost> host;
  std::string class_name;
  Bytes props;
  fleet::Carried carried;   // with the props
  std::string id_text;      // what ctx.id shows; empty: as the parent's
  std::string id_name;      // ctx.id.name
  std::uint64_t quota_bytes = 0;
};

// What a facet has used since its parent was opened.
struct Meter {
  std::uint64_t cpu_micros = 0;
  std::uint64_t requests = 0;
};

class Actor final : public fleet::Destination,
                    public fleet::ActorOwner,
                    public SocketKeeper,
                    public std::enable_shared_from_this<Actor> {
 public:
  // A Durable Object.
  Actor(Directory& all, std::string space, std::string id);
  // A facet.
  Actor(Directory& all, std::shared_ptr<Actor> parent, std::string name);

  const std::string& space() const noexcept { return space_; }
  const std::string& id() const noexcept { return id_; }
  bool is_facet() const noexcept { return parent_ != nullptr; }
  std::uint32_t depth() const noexcept { return depth_; }
  bool is_open() const noexcept { return state_ == State::Open; }
  bool is_absent() const noexcept { return state_ == State::Absent; }
  bool is_idle() const noexcept { return state_ == State::Absent && waiting_.empty() && on_open_.empty() && running_ == 0 && holds_ == 0 && !has_sockets(); }
  bool has_sockets() const noexcept { return sockets_ != nullptr && !sockets_->empty(); }
  Actor& root() noexcept { return parent_ == nullptr ? *this : parent_->root(); }
  // Counts in the database's path; of a facet only once it is known.
  FacetTable::Number number() const noexcept { return number_; }
  const std::shared_ptr<Meter>& meter() const noexcept { return meter_; }
  const std::string& id_name() const noexcept { return startup_.id_name; }

  // Used at the next opening.
  void set_startup(Startup startup);
  bool has_startup() const noexcept { return startup_.host != nullptr; }

  // ---- Facets below it
  std::shared_ptr<Actor> find_facet(std::string_view name) const;
  std::shared_ptr<Actor> make_facet(const std::string& name);
  std::shared_ptr<Meter> meter_of(const std::string& name);
  // Nothing that was counted: of a facet that was not there since this was opened.
  Meter counted(const std::string& name) const;
  void forget_meter(const std::string& name) { meters_.erase(name); }
  void forget_meters() { meters_.clear(); }
  const std::map<std::string, std::shared_ptr<Actor>, std::less<>>& facets() const noexcept { return facets_; }
  // Out of the tree: a new facet of that name is another entry.
  void detach_facet(const std::string& name);
  // Of a root: its table, loaded from the store when it is first wanted.
  void with_table(std::function<void(Result<FacetTable*>)> use);
  // Of a root: writes what became of its table. After a failure the table is read anew: it is ahead of the store.
  void write_table(storage::Batch batch, std::function<void(Result<>)> done);

  // Opens it if it is not open; `done` hears when it is, or why it is not (null: it is).
  void when_open(std::function<void(const protocol::ErrorInfo*)> done);

  // ---- Its end
  // Whatever runs is aborted, waiting calls are refused with the reason. Its WebSockets break, unless it only ends because
  // its parent does, and may come back.
  enum class Fate : std::uint8_t { Reset, MayReturn };
  void abort(std::string_view reason, Fate fate = Fate::Reset);
  // When nothing of it runs any more. `closed` hears of the end of it and of all below it.
  void close(std::function<void()> closed);
  // Not opened while somebody holds it: calls wait.
  void hold() { ++holds_; }
  void release();

  // Destination
  void reach(const std::shared_ptr<fleet::RoutedCall>& call) override;
  void forget(fleet::Session& session, protocol::WorkerId worker) override;
  void leave(fleet::RoutedCall& call) override;
  void withdraw(fleet::RoutedCall& call) override;

  // ActorOwner
  void on_actor_closed(fleet::Session& session, protocol::ActorId actor, std::string_view reason,
                       bool is_lost) override;
  void on_engine_call(fleet::IncomingCall& call) override;
  void on_spent(std::uint32_t cpu_micros) override { meter_->cpu_micros += cpu_micros; }
  void on_socket_call(fleet::IncomingCall& call) override;
  bool on_socket_said(const protocol::SocketSay& said) override;

  // SocketKeeper
  void route_socket_event(const std::shared_ptr<SocketEvent>& event) override;
  bool may_wake() const override;
  void want_ticks() override;
  void tell_socket(protocol::SocketTell tell) override;
  void on_sockets_empty() override;
  void on_unheard(std::string_view why) override;
  const Clock& clock() const override;
  // True: again, soon.
  bool tick_sockets();

 private:
  friend class Directory;
  enum class State : std::uint8_t { Absent, Opening, Open, Closing };

  ActorPath path() const { return {space_, id_, number_}; }
  void start();
  void find_number();
  void open_files();
  void on_files(Result<std::vector<Fd>> files);
  void find_host();
  void open(const std::shared_ptr<fleet::Session>& session, protocol::WorkerId worker);
  void fail(const protocol::ErrorInfo& error);
  void become_absent(std::string_view reason, Fate fate);
  void tell_parent();
  void drop_if_unused();
  void read_table();

  Directory& all_;
  const std::shared_ptr<Actor> parent_;
  const std::string space_;
  const std::string id_;
  const std::string name_;  // of a facet
  const std::uint32_t depth_;
  const std::shared_ptr<Meter> meter_;
  FacetTable::Number number_ = 0;
  bool is_detached_ = false;
  Startup startup_;

  State state_ = State::Absent;
  std::uint32_t attempt_ = 0;  // answers to an earlier attempt to open it are ignored
  unsigned tries_ = 0;         // to get the files, in this attempt
  std::vector<Fd> files_;      // until they are passed
  boost::asio::steady_timer timer_;
  std::shared_ptr<fleet::Session> session_;
  protocol::WorkerId worker_ = 0;
  protocol::ActorId actor_ = 0;

  std::size_t running_ = 0;  // calls that came here and are not over
  std::size_t holds_ = 0;
  std::size_t unsettled_ = 0;  // of a root: numbers of facets that are not durable yet
  std::deque<std::shared_ptr<fleet::RoutedCall>> waiting_;
  std::unique_ptr<ActorSockets> sockets_;  // since it has accepted one
  std::vector<std::shared_ptr<SocketEvent>> waking_;  // of a facet whose parent is asked to start it
  bool keeps_sockets_ = false;             // the end that it was told to come to is none for them
  bool wants_ticks_ = false;
  std::vector<std::function<void()>> on_closed_;
  std::vector<std::function<void(const protocol::ErrorInfo*)>> on_open_;

  std::map<std::string, std::shared_ptr<Actor>, std::less<>> facets_;
  std::map<std::string, std::shared_ptr<Meter>, std::less<>> meters_;
  std::unique_ptr<FacetTable> table_;  // of a root, once loaded
  std::size_t table_writes_ = 0;       // under way
  bool is_table_stale_ = false;        // one of them has failed: nobody uses it until they have all ended
  std::vector<std::function<void(Result<FacetTable*>)>> table_waiters_;
};

}  // namespace insula::actors
