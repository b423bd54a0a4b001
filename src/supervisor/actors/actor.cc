// SPDX-License-Identifier: Apache-2.0
//
// Actor: opening, closing, and calls that wait for either.
#include "src/supervisor/actors/actor.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "src/base/crash_point.h"
#include "src/supervisor/actors/directory.h"

namespace insula::actors {
namespace {

// A runner that was told to end may need a moment until the kernel has let go of its files.
constexpr std::chrono::milliseconds kLockEvery{5};
constexpr unsigned kLockTriesMax = 2000;
constexpr std::string_view kTooDeep =
    "Facet nesting depth limit exceeded. The maximum depth including the root Durable Object is 4.";

}  // namespace

Actor::Actor(Directory& all, std::string space, std::string id)
    : all_(all),
      space_(std::move(space)),
      id_(std::move(id)),
      depth_(1),
      meter_(std::make_shared<Meter>()),
      timer_(all.io()) {}

Actor::Actor(Directory& all, std::shared_ptr<Actor> parent, std::string name)
    : all_(all),
      parent_(std::move(parent)),
      space_(parent_->space_),
      id_(parent_->id_),
      name_(std::move(name)),
      depth_(parent_->depth_ + 1),
      meter_(parent_->meter_of(name_)),
      timer_(all.io()) {}

void Actor::set_startup(Startup startup) { startup_ = std::move(startup); }

// ---- Calls

void Actor::reach(const std::shared_ptr<fleet::RoutedCall>& call) {
  if (!std::exchange(call->is_admitted, true)) {
    ++running_;
    ++meter_->requests;
  }
  if (is_detached_) return call->refuse(fleet::error_of(Fault::IsolateLost));
  if (state_ == State::Open) {
    if (sockets_ != nullptr) sockets_->tell_news();
    call->deliver(session_, {protocol::Target::Kind::Worker, worker_, actor_});
    return;
  }
  if (waiting_.size() >= kActorWaitingMax) return call->refuse(fleet::error_of(Fault::Overloaded));
  waiting_.push_back(call);
  if (state_ == State::Absent && holds_ == 0) start();
}

void Actor::when_open(std::function<void(const protocol::ErrorInfo*)> done) {
  if (state_ == State::Open) return done(nullptr);
  on_open_.push_back(std::move(done));
  if (state_ == State::Absent && holds_ == 0) start();
}

void Actor::leave(fleet::RoutedCall& call) {
  if (!std::exchange(call.is_admitted, false)) return;
  const auto self = shared_from_this();
  --running_;
  drop_if_unused();
}

void Actor::withdraw(fleet::RoutedCall& call) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&call](const auto& waiting) { return waiting.get() == &call; });
  if (found != waiting_.end()) waiting_.erase(found);
}

void Actor::forget(fleet::Session& session, protocol::WorkerId worker) {
  // The instance has ended and its storage is being closed: ActorClosed is on its way, and the call waits for that. A
  // Worker that is lost as a whole is told of by Evicted.
  if (state_ != State::Open || session_.get() != &session || worker_ != worker) return;
  state_ = State::Closing;
}

// ---- Opening

void Actor::start() {
  const auto self = shared_from_this();
  state_ = State::Opening;
  ++attempt_;
  tries_ = 0;
  if (startup_.host == nullptr) return fail(fleet::error_of(Fault::IsolateLost));
  if (depth_ > kActorDepthMax) return fail(fleet::error_of(Fault::Internal, kTooDeep));
  if (is_facet() && number_ == 0) return find_number();
  open_files();
}

void Actor::find_number() {
  all_.number_of(*this, [self = shared_from_this(), attempt = attempt_](Result<FacetTable::Number> number) {
    if (self->state_ != State::Opening || self->attempt_ != attempt) return;
    if (!number) return self->fail(fleet::error_of(Fault::Internal, number.error().message()));
    self->number_ = *number;
    self->open_files();
  });
}

void Actor::open_files() {
  auto files = all_.files().open_actor(path());
  if (files || files.error().code() != ErrorCode::NotFound) return on_files(std::move(files));
  if (!is_facet()) all_.note_object(*this);
  all_.create_files(path(), [self = shared_from_this(), attempt = attempt_](Result<std::vector<Fd>> made) {
    if (self->state_ == State::Opening && self->attempt_ == attempt) self->on_files(std::move(made));
  });
}

void Actor::on_files(Result<std::vector<Fd>> files) {
  if (files) {
    files_ = *std::move(files);
    return find_host();
  }
  if (files.error().code() != ErrorCode::Conflict || ++tries_ > kLockTriesMax) {
    all_.report(files.error());
    return fail(fleet::error_of(Fault::StorageFailed));
  }
  timer_.expires_after(kLockEvery);
  timer_.async_wait([weak = weak_from_this(), attempt = attempt_](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr && self->state_ == State::Opening && self->attempt_ == attempt) self->open_files();
  });
}

void Actor::find_host() {
  const auto self = shared_from_this();
  const auto host = startup_.host;
  host->when_loaded(
      [self, attempt = attempt_](const std::shared_ptr<fleet::Session>& session, protocol::WorkerId worker) {
        if (self->state_ == State::Opening && self->attempt_ == attempt) self->open(session, worker);
      },
      [self, attempt = attempt_](const protocol::ErrorInfo& error) {
        if (self->state_ == State::Opening && self->attempt_ == attempt) self->fail(error);
      });
}

void Actor::open(const std::shared_ptr<fleet::Session>& session, protocol::WorkerId worker) {
  const auto self = shared_from_this();
  // The parent may have closed while this was opened; then its callers have gone with it.
  if (is_facet() && !parent_->is_open()) return fail(fleet::error_of(Fault::IsolateLost));
  const protocol::ActorId actor = session->add_actor(worker, self);
  if (actor == 0) return fail(fleet::error_of(session->is_open() ? Fault::Overloaded : Fault::RunnerLost));
  session_ = session;
  worker_ = worker;
  actor_ = actor;
  state_ = State::Open;
  protocol::OpenActor frame;
  frame.actor = actor;
  frame.worker = worker;
  frame.class_name = startup_.class_name;
  frame.props.bytes = startup_.props;
  const bool has_own_id = !is_facet() || !startup_.id_text.empty();
  const Actor* shown = this;
  while (shown->is_facet() && shown->startup_.id_text.empty()) shown = shown->parent_.get();
  frame.id = !shown->is_facet() ? std::string_view(shown->id_) : std::string_view(shown->startup_.id_text);
  frame.name = has_own_id ? std::string_view(startup_.id_name) : std::string_view(shown->startup_.id_name);
  frame.namespace_uid = space_;
  if (is_facet() && parent_->session_ == session) frame.parent = parent_->actor_;
  frame.facet_name = name_;
  frame.is_facet = is_facet();
  frame.quota_bytes = startup_.quota_bytes;
  frame.depth = depth_;
  keeps_sockets_ = false;
  crash_point(CrashPoint::ObjectOpening);
  session->send_open_actor(frame, startup_.carried, std::exchange(files_, {}));
  if (sockets_ != nullptr) sockets_->send_list(*session, actor);
  for (const auto& done : std::exchange(on_open_, {})) done(nullptr);
  const auto waiting = std::exchange(waiting_, {});
  for (const auto& call : waiting) {
    if (state_ != State::Open) {
      // The session ended while it was written to.
      reach(call);
      continue;
    }
    call->deliver(session_, {protocol::Target::Kind::Worker, worker_, actor_});
  }
}

void Actor::fail(const protocol::ErrorInfo& error) {
  const auto self = shared_from_this();
  state_ = State::Absent;
  ++attempt_;
  files_.clear();
  for (const auto& done : std::exchange(on_open_, {})) done(&error);
  for (const auto& call : std::exchange(waiting_, {})) call->refuse(error);
  tell_parent();
  become_absent(error.message, Fate::MayReturn);
}

// ---- Closing

void Actor::abort(std::string_view reason, Fate fate) {
  const auto self = shared_from_this();
  const std::string text(reason);
  keeps_sockets_ = fate == Fate::MayReturn;
  if (!keeps_sockets_ && sockets_ != nullptr) sockets_->break_all();
  protocol::ErrorInfo error;
  error.name = "Error";
  error.message = text;
  for (const auto& done : std::exchange(on_open_, {})) done(&error);
  for (const auto& call : std::exchange(waiting_, {})) call->refuse(error);
  switch (state_) {
    case State::Absent: return;
    case State::Opening: return fail(error);
    case State::Open: state_ = State::Closing; break;
    case State::Closing: break;  // a clean close that takes too long is made short
  }
  session_->close_actor(actor_, text);
}

void Actor::close(std::function<void()> closed) {
  const auto self = shared_from_this();
  // The number of ends that are awaited: of this one, and of each facet.
  const auto left = std::make_shared<std::size_t>(1 + facets_.size());
  const auto one_less = [left, closed = std::move(closed)] {
    if (--*left == 0) closed();
  };
  const auto facets = facets_;
  for (const auto& [name, facet] : facets) facet->close(one_less);
  switch (state_) {
    case State::Absent: return one_less();
    case State::Opening:
      // Nothing of it runs yet: it is opened later, with its calls.
      state_ = State::Absent;
      ++attempt_;
      files_.clear();
      one_less();
      if (state_ == State::Absent && holds_ == 0 && (!waiting_.empty() || !on_open_.empty())) start();
      return;
    case State::Open:
      state_ = State::Closing;
      on_closed_.push_back(one_less);
      return session_->close_actor(actor_, {});
    case State::Closing: on_closed_.push_back(one_less); return;
  }
}

void Actor::release() {
  const auto self = shared_from_this();
  if (--holds_ > 0) return;
  if (state_ == State::Absent && (!waiting_.empty() || !on_open_.empty())) return start();
  drop_if_unused();
}

void Actor::on_actor_closed(fleet::Session& session, protocol::ActorId actor, std::string_view reason, bool is_lost) {
  if (session_.get() != &session || actor_ != actor) return;
  const auto self = shared_from_this();
  const std::string text = is_lost ? std::string(info_of(Fault::IsolateLost).message) : std::string(reason);
  // An instance that has ended by itself, or with its process, has left its sockets to the next one.
  const Fate fate = is_lost || reason.empty() || keeps_sockets_ ? Fate::MayReturn : Fate::Reset;
  state_ = State::Absent;
  session_.reset();
  worker_ = 0;
  actor_ = 0;
  if (sockets_ != nullptr) fate == Fate::Reset ? sockets_->break_all() : sockets_->end_session();
  tell_parent();
  become_absent(text.empty() ? "The Durable Object that this facet belongs to has been closed." : text, fate);
}

void Actor::tell_parent() {
  // A parent that believes the facet to be open would not say what to start it with.
  if (is_facet() && !is_detached_ && parent_->is_open()) parent_->session_->send_facet_closed(parent_->actor_, name_);
}

void Actor::become_absent(std::string_view reason, Fate fate) {
  const auto facets = facets_;
  for (const auto& [name, facet] : facets) facet->abort(reason, fate);
  for (const auto& closed : std::exchange(on_closed_, {})) closed();
  if (state_ == State::Absent && holds_ == 0 && (!waiting_.empty() || !on_open_.empty())) return start();
  drop_if_unused();
}

void Actor::drop_if_unused() {
  if (!is_idle() || !facets_.empty()) return;
  if (!is_facet()) return all_.drop(*this);
  if (is_detached_) return;
  const auto parent = parent_;
  is_detached_ = true;
  if (number_ == 0) parent->forget_meter(name_);  // it never came to be: names that are made up leave nothing
  parent->facets_.erase(name_);
  parent->drop_if_unused();
}

// ---- Facets

std::shared_ptr<Actor> Actor::find_facet(std::string_view name) const {
  const auto found = facets_.find(name);
  return found == facets_.end() ? nullptr : found->second;
}

std::shared_ptr<Actor> Actor::make_facet(const std::string& name) {
  auto& facet = facets_[name];
  if (facet == nullptr) facet = std::make_shared<Actor>(all_, shared_from_this(), name);
  return facet;
}

std::shared_ptr<Meter> Actor::meter_of(const std::string& name) {
  auto& meter = meters_[name];
  if (meter == nullptr) meter = std::make_shared<Meter>();
  return meter;
}

Meter Actor::counted(const std::string& name) const {
  const auto found = meters_.find(name);
  return found == meters_.end() ? Meter{} : *found->second;
}

void Actor::detach_facet(const std::string& name) {
  const auto found = facets_.find(name);
  if (found == facets_.end()) return;
  found->second->is_detached_ = true;
  facets_.erase(found);
}

void Actor::with_table(std::function<void(Result<FacetTable*>)> use) {
  INSULA_CHECK(!is_facet());
  if (table_ != nullptr && !is_table_stale_) return use(table_.get());
  table_waiters_.push_back(std::move(use));
  if (table_waiters_.size() == 1 && !is_table_stale_) read_table();
}

void Actor::read_table() {
  hold();
  const std::string space = "facets/" + space_ + "/" + id_;
  all_.store().list_entries(space, [self = shared_from_this(), space](Result<std::vector<storage::Entry>> entries) {
    Result<FacetTable*> result(nullptr);
    if (!entries) {
      result = entries.error();
    } else if (auto table = FacetTable::from(space, *entries); !table) {
      result = table.error();
    } else {
      self->table_ = std::make_unique<FacetTable>(*std::move(table));
      result = self->table_.get();
    }
    for (const auto& waiter : std::exchange(self->table_waiters_, {})) waiter(result);
    self->release();
  });
}

void Actor::write_table(storage::Batch batch, std::function<void(Result<>)> done) {
  INSULA_CHECK(!is_facet());
  // Another entry of this root would read the table while the store has yet to write it.
  hold();
  ++table_writes_;
  all_.store().write(std::move(batch), [self = shared_from_this(), done = std::move(done)](Result<> written) {
    if (!written) self->is_table_stale_ = true;
    if (--self->table_writes_ == 0 && std::exchange(self->is_table_stale_, false)) {
      self->table_.reset();
      if (!self->table_waiters_.empty()) self->read_table();
    }
    done(std::move(written));
    self->release();
  });
}

void Actor::on_engine_call(fleet::IncomingCall& call) { all_.answer(*this, call); }

}  // namespace insula::actors
