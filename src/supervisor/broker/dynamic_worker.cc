// SPDX-License-Identifier: Apache-2.0
//
// DynamicWorker: the life of one entry of a loader.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "src/base/limits.h"
#include "src/supervisor/broker/loader.h"
#include "src/supervisor/broker/static_workers.h"

namespace insula::broker {
namespace {

constexpr std::size_t kSourcesMax = 64;  // further ones add nothing but memory

// The texts of the contract (spec/loader.md section 3) for what the runner's built-ins should have refused.
Result<> check_size(const protocol::WorkerCode& code) {
  std::size_t sum = 0;
  if (code.modules.size() > kModulesMax) {
    return Error(ErrorCode::LimitExceeded,
                 fmt::format("Dynamic Worker code has {} modules, the maximum is {}.", code.modules.size(), kModulesMax));
  }
  for (const protocol::Module& module : code.modules) {
    sum += module.bytes.size();
    if (module.name.size() > kModuleNameBytesMax) {
      return Error(ErrorCode::LimitExceeded,
                   fmt::format("A module name of {} bytes exceeds the maximum of {}.", module.name.size(),
                               kModuleNameBytesMax));
    }
  }
  if (sum > kCodeBytesMax) {
    return Error(ErrorCode::LimitExceeded,
                 fmt::format("Dynamic Worker code size ({} bytes) exceeds the maximum allowed size of {} bytes.", sum,
                             kCodeBytesMax));
  }
  if (code.env.bytes.size() > kEnvBytesMax) {
    return Error(ErrorCode::LimitExceeded,
                 fmt::format("Dynamic Worker env size ({} bytes) exceeds the maximum allowed size of {} bytes.",
                             code.env.bytes.size(), kEnvBytesMax));
  }
  return {};
}

WorkerLimits lowest(WorkerLimits limits, const protocol::WorkerCode& code) {
  if (code.cpu_millis != 0) limits.cpu = std::min(limits.cpu, milliseconds(code.cpu_millis));
  if (code.subrequests != 0) limits.subrequests = std::min(limits.subrequests, code.subrequests);
  return limits;
}

}  // namespace

DynamicWorker::DynamicWorker(DynamicWorkers& all, std::shared_ptr<LoaderNamespace> owner,
                             std::shared_ptr<StaticWorker> host, std::string id)
    : all_(all),
      namespace_(std::move(owner)),
      host_(std::move(host)),
      id_(std::move(id)),
      is_anonymous_(false),
      tenant_key_(fleet::tenant_key(namespace_->name, id_)),
      admission_(kConcurrencyPerTenantMax, kQueuedPerTenantMax, all.clock()) {}

DynamicWorker::DynamicWorker(DynamicWorkers& all, std::shared_ptr<LoaderNamespace> owner,
                             std::shared_ptr<StaticWorker> host, LoaderCapability& holder, std::uint32_t number)
    : all_(all),
      namespace_(std::move(owner)),
      host_(std::move(host)),
      id_(fmt::format("anonymous-{}", number)),
      is_anonymous_(true),
      holder_(&holder),
      anonymous_(number),
      tenant_key_(fleet::tenant_key(namespace_->name + "/", id_)),
      admission_(kConcurrencyPerTenantMax, kQueuedPerTenantMax, all.clock()) {}

std::string_view DynamicWorker::worker_name() const { return host_->worker_name(); }

// ---- Calls

void DynamicWorker::reach(const std::shared_ptr<fleet::RoutedCall>& call) {
  if (call->is_rpc()) {
    // RPC calls keep their order, and their number is bounded where they are made.
    if (!std::exchange(call->is_admitted, true)) ++rpc_running_;
  } else if (!call->is_admitted && !admission_.enter(call)) {
    return;
  }
  proceed(call);
}

void DynamicWorker::proceed(const std::shared_ptr<fleet::RoutedCall>& call) {
  if (state_ == State::Loaded) {
    call->deliver(session_, worker_);
    return;
  }
  waiting_.push_back(call);
  // Only calls of Workers come this way, and each can say where the code is.
  add_source(static_cast<const DynamicCall&>(*call).source());
}

void DynamicWorker::leave(fleet::RoutedCall& call) {
  if (!std::exchange(call.is_admitted, false)) return;
  const auto self = shared_from_this();
  if (call.is_rpc()) {
    --rpc_running_;
  } else if (const auto next = admission_.leave()) {
    proceed(next);
  }
  drop_if_unused();
}

void DynamicWorker::withdraw(fleet::RoutedCall& call) {
  admission_.withdraw(call);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                  [&call](const auto& waiting) { return waiting.get() == &call; });
  if (found != waiting_.end()) waiting_.erase(found);
}

void DynamicWorker::forget(fleet::Session& session, protocol::WorkerId worker) {
  if (session_.get() != &session || worker_ != worker) return;
  session.forget_worker(worker);
  become_absent();
}

void DynamicWorker::bind_for(fleet::Session& caller, protocol::CapabilityId loader) {
  if (state_ != State::Loaded || session_.get() != &caller || is_anonymous_) return;
  const bool is_known = std::any_of(bound_.begin(), bound_.end(),
                                    [loader](const CodeSource& known) { return known.loader == loader; });
  if (is_known) return;
  bound_.push_back({{}, loader, 0});
  caller.send_bind({loader, id_, worker_});
}

// ---- Code

void DynamicWorker::preload(CodeSource source) {
  if (state_ != State::Loaded) add_source(source);
}

void DynamicWorker::when_loaded(const CodeSource& source, actors::ClassHost::Ready ready,
                                actors::ClassHost::Failed failed) {
  if (state_ == State::Loaded) return ready(session_, worker_);
  watchers_.push_back({std::move(ready), std::move(failed)});
  add_source(source);
}

void DynamicWorker::add_source(const CodeSource& source) {
  if (sources_.size() < kSourcesMax) sources_.push_back(source);
  if (state_ == State::Absent) ask_next_source();
}

void DynamicWorker::ask_next_source() {
  state_ = State::Asking;
  while (!sources_.empty()) {
    const CodeSource source = sources_.front();
    sources_.erase(sources_.begin());
    const auto session = source.session.lock();
    if (session != nullptr && session->need_code(source.loader, source.source, shared_from_this())) return;
  }
  fail(fleet::error_of(Fault::Cancelled, "The invocation that could have provided the code has ended."));
}

void DynamicWorker::on_code(fleet::Session&, BytesView raw, const protocol::WorkerCode& code,
                            fleet::CodeGrants grants) {
  if (state_ != State::Asking) return;
  if (const auto sane = check_size(code); !sane) {
    return fail(fleet::error_of(Fault::LoadFailed, sane.error().message()));
  }
  const fleet::Place place = all_.fleet().place(tenant_key_);
  if (place.home == nullptr) return fail(fleet::error_of(place.fault));
  state_ = State::Placing;
  if (place.home->session() != nullptr) return load(place.home->session(), code, grants);
  code_.keep(raw);
  grants_ = std::move(grants);
  all_.fleet().when_ready(*place.home, [weak = weak_from_this()](const std::shared_ptr<fleet::Session>& session) {
    const auto self = weak.lock();
    if (self == nullptr || self->state_ != State::Placing) return;
    fleet::HeldFrame held = std::exchange(self->code_, {});
    const fleet::CodeGrants kept = std::exchange(self->grants_, {});
    const auto* const frame = held.decode<protocol::Code>();
    if (frame != nullptr) self->load(session, std::get<protocol::WorkerCode>(frame->outcome), kept);
  });
}

void DynamicWorker::on_code_error(const protocol::ErrorInfo& error) {
  if (state_ != State::Asking) return;
  // The invocation that had the code is over; others may have it too.
  if (error.fault == info_of(Fault::Cancelled).code && !sources_.empty()) return ask_next_source();
  protocol::ErrorInfo shown = error;
  shown.stack = {};
  shown.undelivered = false;
  fail(shown);
}

void DynamicWorker::on_code_lost() {
  if (state_ == State::Asking) ask_next_source();
}

void DynamicWorker::load(const std::shared_ptr<fleet::Session>& session, const protocol::WorkerCode& code,
                         const fleet::CodeGrants& grants) {
  const auto self = shared_from_this();
  // One more for the outbound.
  if (!session->has_room_for(grants.env.capabilities.size() + grants.tails.size() + 1)) {
    return fail(fleet::error_of(Fault::RpcLimit));
  }
  const protocol::WorkerId worker = session->add_worker(self);
  if (worker == 0) return fail(fleet::error_of(Fault::Overloaded));
  protocol::Load load;
  load.worker = worker;
  load.name = host_->worker_name();
  load.dynamic_id = id_;
  load.is_tenant = true;
  load.frozen_clock = all_.settings().is_clock_frozen;
  load.code = code;
  load.limits = lowest(all_.settings().limits, code);
  // What the code says of capabilities is in numbers of the runner that gave it; the new Worker gets its own.
  load.code.outbound_to = {};
  load.code.tails.clear();
  session->mint_all(worker, load.code.env, grants.env);
  switch (code.outbound) {
    case protocol::OutboundRule::Inherit:
      load.outbound = session->mint(worker, host_->outbound_for(tenant_key_));
      break;
    case protocol::OutboundRule::Capability: load.outbound = session->mint(worker, grants.outbound); break;
    case protocol::OutboundRule::Blocked: break;
  }
  for (const auto& tail : grants.tails) load.tails.push_back(session->mint(worker, tail));
  session->send_load(load);
  session_ = session;
  worker_ = worker;
  state_ = State::Loaded;
  sources_.clear();
  const auto waiting = std::exchange(waiting_, {});
  for (const auto& call : waiting) call->deliver(session, worker);
  for (const Watcher& watcher : std::exchange(watchers_, {})) watcher.ready(session, worker);
  // Only now may callers take the short way: nobody overtakes those who waited.
  for (const auto& call : waiting) {
    const CodeSource& source = static_cast<const DynamicCall&>(*call).source();
    if (const auto caller = source.session.lock()) bind_for(*caller, source.loader);
  }
}

// ---- The end

void DynamicWorker::on_worker_gone(fleet::Session& session, protocol::WorkerId worker, std::string_view) {
  if (session_.get() == &session && worker_ == worker) become_absent();
}

void DynamicWorker::become_absent() {
  const auto self = shared_from_this();
  state_ = State::Absent;
  session_.reset();
  worker_ = 0;
  bound_.clear();
  drop_if_unused();
}

void DynamicWorker::fail(const protocol::ErrorInfo& error) {
  const auto self = shared_from_this();
  state_ = State::Absent;
  sources_.clear();
  code_ = {};
  grants_ = {};
  for (const auto& call : std::exchange(waiting_, {})) call->refuse(error);
  for (const Watcher& watcher : std::exchange(watchers_, {})) watcher.failed(error);
  drop_if_unused();
}

void DynamicWorker::discard() {
  const auto self = shared_from_this();
  holder_ = nullptr;
  const auto session = session_;
  const protocol::WorkerId worker = worker_;
  if (session != nullptr) session->unload(worker);
  become_absent();
}

void DynamicWorker::close() { fail(fleet::error_of(Fault::Cancelled)); }

void DynamicWorker::drop_if_unused() {
  if (state_ != State::Absent || !waiting_.empty() || !watchers_.empty() || admission_.running() + rpc_running_ > 0) return;
  if (is_anonymous_) {
    if (LoaderCapability* const holder = std::exchange(holder_, nullptr)) holder->drop(anonymous_);
    return;
  }
  const auto found = namespace_->workers.find(id_);
  if (found != namespace_->workers.end() && found->second.get() == this) namespace_->workers.erase(found);
}

}  // namespace insula::broker
