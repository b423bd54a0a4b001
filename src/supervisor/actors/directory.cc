// SPDX-License-Identifier: Apache-2.0
//
// Directory: from names to entries.
#include "src/supervisor/actors/directory.h"

#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/json.hpp>

#include "src/base/crash_point.h"
#include "src/base/limits.h"
#include "src/supervisor/actors/alarm_call.h"
#include "src/supervisor/fleet/forwarded_call.h"
#include "src/supervisor/fleet/runner_export.h"

namespace insula::actors {
namespace {

constexpr std::uint64_t kFacetBytes = kGiB;      // of a facet's database, unless its parent says otherwise
constexpr std::size_t kIdNameBytesMax = 1024;  // longer names are not shown (spec/durable-objects.md section 1)

// Turns a loop that does not run yet.
template <class Condition>
void run_until(boost::asio::io_context& io, Condition condition) {
  {
    const auto busy = boost::asio::make_work_guard(io);
    while (!condition()) io.run_one();
  }
  io.restart();  // without work it counts as stopped
}

std::string key_of_root(const std::string& space, const std::string& id) { return space + "/" + id; }

}  // namespace

Directory::Directory(World world, ActorFiles files, std::uint64_t seed)
    : world_(world), files_(std::move(files)), alarms_(world.io, world.store, *this, world.log, world.clock, seed) {}

Directory::~Directory() {
  disk_.join();
  alarms_.stop();
  // Entries and their facets hold each other.
  for (const auto& [key, root] : std::exchange(roots_, {})) root->facets_.clear();
}

Result<std::unique_ptr<Directory>> Directory::create(World world, const std::filesystem::path& data_directory,
                                                     const std::vector<config::Worker>& workers, std::uint64_t seed) {
  TRY(auto files, ActorFiles::open(data_directory));
  std::optional<Result<std::vector<storage::Entry>>> classes;
  std::optional<Result<std::vector<storage::Entry>>> migrated;
  world.store.list_entries(std::string(kClassesSpace), [&](auto entries) { classes = std::move(entries); });
  world.store.list_entries(std::string(kMigratedSpace), [&](auto entries) { migrated = std::move(entries); });
  run_until(world.io, [&] { return classes && migrated; });
  TRY_VOID(*classes);
  TRY_VOID(*migrated);
  TRY(auto plan, plan_migrations(workers, **classes, **migrated, random_uid));
  if (!plan.batch.empty()) {
    std::optional<Result<>> written;
    crash_point(CrashPoint::ObjectsMigrating);
    world.store.write(std::move(plan.batch), [&](Result<> result) { written = std::move(result); });
    run_until(world.io, [&] { return written.has_value(); });
    TRY_VOID(*written);
    crash_point(CrashPoint::ObjectsMigrated);
  }
  for (const std::string& note : plan.notes) world.log.info("objects.migrated", {{"text", note}});
  auto all = std::unique_ptr<Directory>(new Directory(world, std::move(files), seed));
  for (const auto& [name, uid] : plan.classes) {
    const auto slash = name.find('/');
    if (slash == std::string::npos || !is_hex(uid, 32)) return Error(ErrorCode::Corrupt, "store: a class is damaged");
    auto name_space = std::make_shared<Namespace>(
        Namespace{uid, name.substr(0, slash), name.substr(slash + 1), key_of(uid), nullptr});
    all->by_uid_.emplace(uid, name_space);
    all->namespaces_.emplace(name, std::move(name_space));
  }
  return all;
}

void Directory::set_host(const std::string& script, std::shared_ptr<ClassHost> host) {
  for (const auto& [name, name_space] : namespaces_) {
    if (name_space->script == script) name_space->host = host;
  }
}

std::shared_ptr<const Namespace> Directory::find(const std::string& script, const std::string& class_name) const {
  const auto found = namespaces_.find(script + "/" + class_name);
  return found == namespaces_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Namespace>> Directory::all_of(const std::string& script) const {
  std::vector<std::shared_ptr<const Namespace>> all;
  for (const auto& [name, name_space] : namespaces_) {
    if (name_space->script == script) all.push_back(name_space);
  }
  return all;
}

storage::TimeMs Directory::now() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(world_.clock.wall_now().time_since_epoch()).count();
}

void Directory::start() {
  alarms_.start();
  world_.store.list_entries(std::string(kRubbishSpace), [this, alive = std::weak_ptr<bool>(is_alive_)](
                                                            Result<std::vector<storage::Entry>> entries) {
    if (alive.expired() || !entries) return;
    for (const storage::Entry& entry : *entries) remove_rubbish(entry.key);
  });
}

void Directory::tick() {
  alarms_.tick();
  // An alarm that ends takes itself out.
  const auto ringing = ringing_;
  for (const auto& call : ringing) call->expire();
  ringing_.remove_if([](const auto& call) { return call->is_over(); });
  for (auto& weak : std::exchange(ticking_, {})) {
    const auto actor = weak.lock();
    if (actor != nullptr && actor->tick_sockets()) ticking_.push_back(std::move(weak));
  }
}

void Directory::close_all(std::function<void()> closed) {
  is_closing_ = true;
  alarms_.stop();
  const auto roots = roots_;
  const auto left = std::make_shared<std::size_t>(1 + roots.size());
  const auto one_less = [left, closed = std::move(closed)] {
    if (--*left == 0) closed();
  };
  for (const auto& [key, root] : roots) root->close(one_less);
  one_less();
}

// ---- Calls

std::shared_ptr<Actor> Directory::make_root(const Namespace& name_space, const std::string& id) {
  auto& root = roots_[key_of_root(name_space.uid, id)];
  if (root == nullptr) root = std::make_shared<Actor>(*this, name_space.uid, id);
  return root;
}

void Directory::call_object(fleet::IncomingCall& call, const Namespace& name_space,
                            std::shared_ptr<const fleet::Capability> owner) {
  const protocol::Target& target = call.invoke.target;
  if (!is_hex(target.object, 64) || target.object_name.size() > kIdNameBytesMax) {
    protocol::ErrorInfo error;
    error.name = "TypeError";
    error.message = "Invalid Durable Object ID: must be 64 hex digits";
    return call.session.answer_error(call.answer.question, error);
  }
  const auto root = make_root(name_space, std::string(target.object));
  if (root->is_absent() && (!root->has_startup() || (root->id_name().empty() && !target.object_name.empty()))) {
    Startup startup;
    startup.host = name_space.host;
    startup.class_name = name_space.class_name;
    startup.id_name = target.object_name;
    root->set_startup(std::move(startup));
  }
  const fleet::ForwardedCall::Fixed fixed{std::move(owner), {}, {}, nullptr};
  std::make_shared<fleet::ForwardedCall>(call.answer, fixed)->start(call, root);
}

void Directory::call_facet(fleet::IncomingCall& call, const std::shared_ptr<fleet::ActorOwner>& owner,
                           std::shared_ptr<ClassHost> host) {
  auto* const parent = dynamic_cast<Actor*>(owner.get());
  if (parent == nullptr) return call.session.answer_error(call.answer.question, fleet::error_of(Fault::Internal));
  const protocol::Target& target = call.invoke.target;
  const auto facet = parent->make_facet(std::string(target.facet.name));
  if (facet->is_absent()) {
    Startup startup;
    startup.host = std::move(host);
    startup.class_name = target.entrypoint;
    startup.props = Bytes(target.props.bytes);
    startup.carried = std::move(call.props);
    startup.id_text = target.facet.id_text;
    startup.id_name = target.facet.id_name;
    startup.quota_bytes = target.facet.quota_bytes == 0 ? kFacetBytes : target.facet.quota_bytes;
    facet->set_startup(std::move(startup));
  }
  if (const auto* const engine = std::get_if<protocol::EngineCall>(&call.invoke.call)) {
    if (engine->operation != "open") {
      return call.session.answer_error(call.answer.question, fleet::error_of(Fault::Internal));
    }
    return facet->when_open([to = call.answer](const protocol::ErrorInfo* error) {
      const auto session = to.session.lock();
      if (session == nullptr) return;
      if (error != nullptr) return session->answer_error(to.question, *error);
      protocol::Return outcome;
      outcome.outcome = protocol::EngineResult{"{}", {}};
      session->answer(to.question, outcome, nullptr);
    });
  }
  // Props are of the class, and went with its opening.
  static const auto nobody = std::make_shared<const fleet::BrokenCapability>("");
  const fleet::ForwardedCall::Fixed fixed{nobody, {}, {}, nullptr};
  std::make_shared<fleet::ForwardedCall>(call.answer, fixed)->start(call, facet);
}

void Directory::drop(const Actor& root) { roots_.erase(key_of_root(root.space(), root.id())); }

void Directory::report(const Error& error) { world_.log.error("objects.failed", {{"text", error.message()}}); }

void Directory::warn_unheard(const Actor& actor, std::string_view why) {
  world_.log.warn("websocket.unheard", {{"object", actor.space() + "/" + actor.id()}, {"text", why.substr(0, 1024)}});
}

void Directory::note_object(const Actor& root) {
  storage::ObjectRow row{root.space(), root.id(), root.id_name(), now()};
  world_.store.write({storage::PutObject{std::move(row)}}, [](Result<>) {});
}

void Directory::create_files(const ActorPath& path, std::function<void(Result<std::vector<Fd>>)> done) {
  on_disk([this, path] { return files_.create_actor(path); }, std::move(done));
}

void Directory::number_of(Actor& facet, std::function<void(Result<FacetTable::Number>)> use) {
  const auto parent = facet.parent_;
  const auto root = facet.root().shared_from_this();
  const auto name = facet.name_;
  root->with_table([root, parent, name, use = std::move(use)](Result<FacetTable*> table) {
    if (!table) return use(table.error());
    storage::Batch batch;
    const auto known = (*table)->find(parent->number(), name);
    if (known && root->unsettled_ == 0) return use(*known);
    Result<FacetTable::Number> number = known ? Result<FacetTable::Number>(*known)
                                              : (*table)->add(parent->number(), name, batch);
    if (!number) return use(number.error());
    // A number that a crash could take back might be given to another facet, with the files of this one.
    ++root->unsettled_;
    crash_point(CrashPoint::FacetNumbering);
    root->write_table(std::move(batch), [root, number = *number, use](Result<> written) {
      --root->unsettled_;
      crash_point(CrashPoint::FacetNumbered);
      use(written ? Result<FacetTable::Number>(number) : Result<FacetTable::Number>(written.error()));
    });
  });
}

// ---- Alarms
//
// Of an object "UID/ID", of a facet "UID/ID/NUMBER". A facet that does not run can be started by its parent alone: the
// parent is asked to, from the root downwards.

void Directory::ring(const Ring& ring, std::function<void(AlarmOutcome)> done) {
  const std::string& object = ring.object;
  const std::string uid = object.substr(0, object.find('/'));
  const std::string id = object.size() >= 97 ? object.substr(33, 64) : std::string();
  const auto found = by_uid_.find(uid);
  FacetTable::Number number = 0;
  if (object.size() > 98) {
    const auto [end, error] = std::from_chars(object.data() + 98, object.data() + object.size(), number);
    if (error != std::errc() || end != object.data() + object.size()) number = 0;
  }
  if (found == by_uid_.end() || found->second->host == nullptr || !is_hex(id, 64) || (object.size() > 97 && number == 0)) {
    return boost::asio::post(world_.io, [done = std::move(done)] { done(AlarmOutcome::Unknown); });
  }
  ring_root(ring, *found->second, id, [this, ring, number, done = std::move(done)](const std::shared_ptr<Actor>& root) {
    if (number == 0) return ring_below(ring, root, {}, done);
    root->with_table([this, ring, root, number, done](Result<FacetTable*> table) {
      if (!table) return done(AlarmOutcome::Undone);
      auto names = (*table)->path_of(number);
      if (names.empty()) return done(AlarmOutcome::Unknown);
      ring_below(ring, root, std::move(names), done);
    });
  });
}

void Directory::ring_root(const Ring&, const Namespace& name_space, const std::string& id,
                          std::function<void(const std::shared_ptr<Actor>&)> use) {
  world_.store.find_object(
      name_space.uid, id,
      [this, name_space = by_uid_.at(name_space.uid), id, use = std::move(use),
       alive = std::weak_ptr<bool>(is_alive_)](Result<std::optional<storage::ObjectRow>> row) {
        if (alive.expired()) return;
        const auto root = make_root(*name_space, id);
        if (root->is_absent() && !root->has_startup()) {
          Startup startup;
          startup.host = name_space->host;
          startup.class_name = name_space->class_name;
          if (row && *row) startup.id_name = (*row)->name;
          root->set_startup(std::move(startup));
        }
        use(root);
      });
}

void Directory::ring_below(const Ring& ring, const std::shared_ptr<Actor>& at, std::vector<std::string> names,
                           std::function<void(AlarmOutcome)> done) {
  if (names.empty()) return send_event(at, "alarm", AlarmCall::detail_of(ring), std::move(done));
  const std::string name = names.front();
  names.erase(names.begin());
  if (const auto facet = at->find_facet(name); facet != nullptr && facet->is_open()) {
    return ring_below(ring, facet, std::move(names), std::move(done));
  }
  const std::string detail = boost::json::serialize(boost::json::object{{"name", name}});
  send_event(at, "facetAlarm", detail,
             [this, ring, at, name, names = std::move(names), done = std::move(done)](AlarmOutcome outcome) {
               if (outcome != AlarmOutcome::Done) return done(outcome);
               const auto facet = at->find_facet(name);
               if (facet == nullptr || !facet->is_open()) {
                 world_.log.warn("alarm.unheard", {{"object", ring.object},
                                                   {"text", "the parent did not start the facet whose alarm is due"}});
                 return done(AlarmOutcome::Failed);
               }
               ring_below(ring, facet, names, done);
             });
}

void Directory::wake_facet(const std::shared_ptr<Actor>& facet, std::function<void()> done) {
  const auto parent = facet->parent_;
  if (parent->is_facet() && !parent->is_open()) {
    return wake_facet(parent, [this, facet, done = std::move(done), alive = std::weak_ptr<bool>(is_alive_)] {
      if (alive.expired()) return;
      if (!facet->parent_->is_open()) return done();
      wake_facet(facet, done);
    });
  }
  const std::string detail = boost::json::serialize(boost::json::object{{"name", facet->name_}, {"isSocket", true}});
  send_event(parent, "facetAlarm", detail, [done = std::move(done)](AlarmOutcome) { done(); });
}

void Directory::send_event(const std::shared_ptr<Actor>& to, std::string_view name, std::string detail,
                           std::function<void(AlarmOutcome)> done) {
  const auto call = std::make_shared<AlarmCall>(name, std::move(detail), std::move(done), world_.clock);
  ringing_.push_back(call);
  call->route(to);
}

}  // namespace insula::actors
