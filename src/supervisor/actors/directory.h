// SPDX-License-Identifier: Apache-2.0
//
// Directory: all actors of the node: where each one is open, how it gets there, and what it may ask.
//
//   namespace binding ──call_object()──► [root] ──► Session (OpenActor + descriptors, Invoke)
//   open actor ────────call_facet()────► [facet below it]
//   open actor ────────answer()────────► alarm, facet.abort, facet.delete, facet.clone, facet.usage
//   store ─────────────ring()──────────► [root]
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/storage/store.h"
#include "src/supervisor/actors/actor.h"
#include "src/supervisor/actors/alarms.h"
#include "src/supervisor/actors/files.h"
#include "src/supervisor/actors/namespaces.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/fleet/session.h"

namespace insula::actors {

class AlarmCall;

class Directory final : public Bell {
 public:
  // What has to outlive it.
  struct World {
    boost::asio::io_context& io;
    storage::Store& store;
    Log& log;
    const Clock& clock;
    bool waits_for_disk = false;  // on the loop itself, for tests that must be repeatable
  };
  // Applies what is new in the Workers' migrations. Before anything else runs: it runs the loop until the store has
  // answered. Errors: InvalidInput (migrations), those of the store and the data directory.
  static Result<std::unique_ptr<Directory>> create(World world, const std::filesystem::path& data_directory,
                                                   const std::vector<config::Worker>& workers, std::uint64_t seed);
  ~Directory() override;

  // The Worker behind the classes of `script`.
  void set_host(const std::string& script, std::shared_ptr<ClassHost> host);
  // Null: no storage under that name.
  std::shared_ptr<const Namespace> find(const std::string& script, const std::string& class_name) const;
  std::vector<std::shared_ptr<const Namespace>> all_of(const std::string& script) const;

  // From now on alarms ring.
  void start();
  // From now on no WebSocket that ends wakes its actor.
  void begin_closing() noexcept { is_closing_ = true; }
  void tick();
  // Closes what is open; `closed` hears of it when all of it is.
  void close_all(std::function<void()> closed);

  // A call on the object that the target names. `owner` of the words that replace the caller's.
  void call_object(fleet::IncomingCall& call, const Namespace& name_space,
                   std::shared_ptr<const fleet::Capability> owner);
  // A call on the facet that the target names, with the class that it names of `host`.
  void call_facet(fleet::IncomingCall& call, const std::shared_ptr<fleet::ActorOwner>& parent,
                  std::shared_ptr<ClassHost> host);

  std::size_t actor_count() const noexcept { return roots_.size(); }
  Alarms& alarms() noexcept { return alarms_; }

  // Bell
  void ring(const Ring& ring, std::function<void(AlarmOutcome)> done) override;

  // ---- For actors
  const Clock& clock() const noexcept { return world_.clock; }
  // The server is going away: what has ended does not wake anybody.
  bool is_closing() const noexcept { return is_closing_; }
  void add_ticks(std::weak_ptr<Actor> actor) { ticking_.push_back(std::move(actor)); }
  // Has a facet that is not open started by its parent; `done` runs when that has answered.
  void wake_facet(const std::shared_ptr<Actor>& facet, std::function<void()> done);
  boost::asio::io_context& io() noexcept { return world_.io; }
  storage::Store& store() noexcept { return world_.store; }
  const ActorFiles& files() const noexcept { return files_; }
  void number_of(Actor& facet, std::function<void(Result<FacetTable::Number>)> use);
  void note_object(const Actor& root);
  void create_files(const ActorPath& path, std::function<void(Result<std::vector<Fd>>)> done);
  void report(const Error& error);
  void warn_unheard(const Actor& actor, std::string_view why);
  void drop(const Actor& root);
  void answer(Actor& actor, fleet::IncomingCall& call);

 private:
  Directory(World world, ActorFiles files, std::uint64_t seed);
  std::shared_ptr<Actor> make_root(const Namespace& name_space, const std::string& id);
  void ring_root(const Ring& ring, const Namespace& name_space, const std::string& id,
                 std::function<void(const std::shared_ptr<Actor>&)> use);
  // The names lead from `at` to the facet whose alarm it is.
  void ring_below(const Ring& ring, const std::shared_ptr<Actor>& at, std::vector<std::string> names,
                  std::function<void(AlarmOutcome)> done);
  void send_event(const std::shared_ptr<Actor>& to, std::string_view name, std::string detail,
                  std::function<void(AlarmOutcome)> done);
  storage::TimeMs now() const;

  // Runs `work` on a thread that may wait for the disk, then `done` with its result on the loop.
  template <class Work, class Done>
  void on_disk(Work work, Done done);
  void remove_rubbish(const std::string& name);

  // What actors ask (operations.cc).
  void set_alarm(Actor& actor, std::string_view detail, fleet::Answer to);
  void abort_facet(Actor& parent, const std::string& name, std::string_view reason);
  void delete_facet(Actor& parent, const std::string& name, std::string_view reason, fleet::Answer to);
  void delete_facets(Actor& parent, fleet::Answer to);
  void clone_facet(Actor& parent, const std::string& from, const std::string& to, fleet::Answer answer);
  void copy_facet(const std::shared_ptr<Actor>& parent, const std::string& from, const std::string& to,
                  std::function<void(Result<>)> done);
  void tell_usage(Actor& parent, const std::string& name, fleet::Answer to);
  void forget_files(Actor& root, const std::vector<FacetTable::Number>& numbers, storage::Batch batch,
                    std::function<void(Result<>)> done);

  const World world_;
  const ActorFiles files_;
  Alarms alarms_;
  std::map<std::string, std::shared_ptr<Namespace>> namespaces_;  // by "SCRIPT/CLASS"
  std::unordered_map<std::string, std::shared_ptr<Namespace>> by_uid_;
  std::unordered_map<std::string, std::shared_ptr<Actor>> roots_;  // by "UID/ID"
  std::list<std::shared_ptr<AlarmCall>> ringing_;
  std::vector<std::weak_ptr<Actor>> ticking_;  // those whose sockets wait for something
  bool is_closing_ = false;
  const std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
  boost::asio::thread_pool disk_{2};  // last: its threads end first
};

template <class Work, class Done>
void Directory::on_disk(Work work, Done done) {
  if (world_.waits_for_disk) return done(work());
  boost::asio::post(disk_, [this, work = std::move(work), done = std::move(done),
                            busy = boost::asio::make_work_guard(world_.io)]() mutable {
    auto result = std::make_shared<decltype(work())>(work());
    boost::asio::post(world_.io, [result, done = std::move(done), alive = std::weak_ptr<bool>(is_alive_)]() mutable {
      if (!alive.expired()) done(std::move(*result));
    });
  });
}

}  // namespace insula::actors
