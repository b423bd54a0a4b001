// SPDX-License-Identifier: Apache-2.0
//
// Session: what rides with a value in either direction, references and streams, and the frames in which streams flow.
#include <utility>

#include <boost/asio/post.hpp>

#include "src/base/limits.h"
#include "src/supervisor/fleet/runner_export.h"
#include "src/supervisor/fleet/session.h"
#include "src/supervisor/fleet/session_bounds.h"

namespace insula::fleet {
namespace {

constexpr std::size_t kTailsMax = 64;

}  // namespace

// ---- From the runner

Result<std::shared_ptr<Capability>> Session::adopt(const protocol::CapabilityRef& reference,
                                                   protocol::WorkerId worker) {
  switch (reference.kind) {
    case protocol::CapabilityRef::Kind::SenderHosted: {
      if (reference.number == 0) return Error(ErrorCode::Corrupt, "export 0");
      if (!runner_exports_.emplace(reference.number, worker).second) {
        return Error(ErrorCode::Corrupt, "an export is sent twice under one number");
      }
      return std::shared_ptr<Capability>(std::make_shared<RunnerExport>(weak_from_this(), reference.number));
    }
    case protocol::CapabilityRef::Kind::ReceiverHosted: {
      if (const Import* const import = imports_.find(reference.number)) {
        if (import->capability->is_transferable()) return import->capability;
        return Error(ErrorCode::Corrupt, "a capability that is not given away");
      }
      if (!imports_.was_issued(reference.number)) {
        return Error(ErrorCode::Corrupt, "a reference to a capability that was never granted");
      }
      return std::shared_ptr<Capability>(std::make_shared<BrokenCapability>(kGone));
    }
    case protocol::CapabilityRef::Kind::Entrypoint: return adopt(*reference.entrypoint, worker);
  }
  return Error(ErrorCode::Corrupt, "unknown kind of reference");
}

Result<std::shared_ptr<Capability>> Session::adopt(const protocol::Entrypoint& entrypoint, protocol::WorkerId worker) {
  if (!is_text(entrypoint.name) || entrypoint.props.bytes.size() > kEnvBytesMax) {
    return Error(ErrorCode::Corrupt, "an entrypoint is too large");
  }
  Carried carried;
  TRY_VOID(adopt(entrypoint.props, carried, worker));
  if (const auto owner = owner_of_entrypoint(entrypoint.worker)) {
    auto made = handler_.make_entrypoint(*owner, entrypoint.name, entrypoint.props.bytes, std::move(carried));
    if (made == nullptr) return Error(ErrorCode::Corrupt, "an entrypoint that is not given away");
    return made;
  }
  if (!workers_.was_issued(entrypoint.worker)) return Error(ErrorCode::Corrupt, "an entrypoint of no Worker");
  return std::shared_ptr<Capability>(std::make_shared<BrokenCapability>(kGone));
}

Result<> Session::adopt(const protocol::Payload& payload, Carried& carried, protocol::WorkerId worker) {
  carried.capabilities.reserve(payload.capabilities.size());
  for (const protocol::CapabilityRef& reference : payload.capabilities) {
    TRY(auto capability, adopt(reference, worker));
    carried.capabilities.push_back(std::move(capability));
  }
  carried.streams.reserve(payload.streams.size());
  for (const protocol::Body& body : payload.streams) {
    TRY(auto stream, adopt(body));
    carried.streams.push_back(std::move(stream));
  }
  return {};
}

Result<CodeGrants> Session::adopt(const protocol::WorkerCode& code) {
  CodeGrants grants;
  if (code.tails.size() > kTailsMax) return Error(ErrorCode::Corrupt, "too many tails");
  TRY_VOID(adopt(code.env, grants.env, 0));
  if (code.outbound == protocol::OutboundRule::Capability) {
    TRY(grants.outbound, adopt(code.outbound_to, 0));
  }
  for (const protocol::CapabilityRef& tail : code.tails) {
    TRY(auto capability, adopt(tail, 0));
    grants.tails.push_back(std::move(capability));
  }
  return grants;
}

Result<io::ByteSourcePtr> Session::adopt(const protocol::Body& body) {
  switch (body.kind) {
    case protocol::Body::Kind::None: return io::ByteSourcePtr();
    case protocol::Body::Kind::Inline:
      if (body.bytes.size() > kInlineBodyBytesMax) return Error(ErrorCode::Corrupt, "inline body is too large");
      return io::ByteSourcePtr();
    case protocol::Body::Kind::Stream: {
      constexpr std::size_t kStreamsPerRunnerMax = 65536;
      if (body.stream == 0) return Error(ErrorCode::Corrupt, "stream 0");
      if (runner_streams_.contains(body.stream)) return Error(ErrorCode::Corrupt, "stream is open already");
      if (runner_streams_.size() >= kStreamsPerRunnerMax) return Error(ErrorCode::Corrupt, "too many streams");
      if (!was_seen(body.stream)) newest_runner_stream_ = body.stream;
      auto stream = std::make_shared<RunnerStream>(static_cast<StreamPort&>(*this), body.stream);
      runner_streams_.emplace(body.stream, stream);
      return io::ByteSourcePtr(std::move(stream));
    }
    case protocol::Body::Kind::HandedBack: {
      io::ByteSourcePtr source = take_back(body.stream);
      if (source == nullptr) return Error(ErrorCode::Corrupt, "stream cannot be handed back");
      return source;
    }
  }
  return Error(ErrorCode::Corrupt, "unknown kind of body");
}

io::ByteSourcePtr Session::take_back(protocol::StreamId number) {
  auto* const slot = outgoing_.find(number);
  if (slot == nullptr || !(*slot)->is_untouched()) return nullptr;
  io::ByteSourcePtr source = (*slot)->take_source();
  outgoing_.erase(number);
  return source;
}

// ---- To the runner

void Session::give(protocol::Body& body, const io::ByteSourcePtr& source, protocol::StreamId* outgoing) {
  body.bytes = {};
  if (auto* const own = dynamic_cast<RunnerStream*>(source.get());
      own != nullptr && own->port() == static_cast<StreamPort*>(this) && own->is_untouched()) {
    // The runner's own stream comes home: its bytes never leave that process.
    body.kind = protocol::Body::Kind::HandedBack;
    body.stream = own->number();
    own->surrender();
    runner_streams_.erase(body.stream);
    return;
  }
  const protocol::StreamId number = outgoing_.insert();
  auto* const slot = outgoing_.find(number);
  if (slot == nullptr) {
    source->stop();
    body.kind = protocol::Body::Kind::None;
    return;
  }
  *slot = std::make_unique<OutgoingStream>(static_cast<StreamPort&>(*this), number, source);
  body.kind = protocol::Body::Kind::Stream;
  body.stream = number;
  if (outgoing != nullptr) *outgoing = number;
}

void Session::give(protocol::Payload& payload, const Carried& carried, protocol::WorkerId worker,
                   std::vector<protocol::StreamId>* outgoing) {
  // Whatever names stood here were those of another channel.
  payload.capabilities.clear();
  for (const auto& capability : carried.capabilities) {
    protocol::CapabilityRef& reference = payload.capabilities.emplace_back();
    RunnerExport* const own = capability->as_runner_export();
    if (own != nullptr && own->is_of(*this)) {
      reference.kind = protocol::CapabilityRef::Kind::ReceiverHosted;
      reference.number = own->number();
      continue;
    }
    if (worker != 0) {
      reference.number = mint(worker, capability);
      continue;
    }
    reference.is_object = own != nullptr;
    reference.number = imports_.insert();
    if (Import* const import = imports_.find(reference.number)) import->capability = capability;
    tell_place(reference.number);
  }
  for (std::size_t index = 0; index < payload.streams.size(); ++index) {
    protocol::Body& body = payload.streams[index];
    if (index < carried.streams.size() && carried.streams[index] != nullptr) {
      protocol::StreamId stream = 0;
      give(body, carried.streams[index], &stream);
      if (outgoing != nullptr && stream != 0) outgoing->push_back(stream);
    } else if (body.kind != protocol::Body::Kind::Inline) {
      body.kind = protocol::Body::Kind::None;
    }
  }
}

// ---- What becomes of it

void Session::receive(const protocol::Release& release) {
  if (!imports_.was_issued(release.capability)) return violate("a capability that was never granted");
  imports_.erase(release.capability);  // it may have gone with its Worker already
}

void Session::release_export(protocol::CapabilityId number) {
  if (runner_exports_.erase(number) > 0) send_frame(protocol::Release{number});
}

void Session::receive(const protocol::StreamData& data) {
  const auto found = runner_streams_.find(data.stream);
  if (found == runner_streams_.end()) {
    if (!was_seen(data.stream)) violate("data of no stream");
    return;
  }
  const auto stream = found->second.lock();
  if (stream != nullptr && !stream->accept(data.bytes)) violate("data beyond credit");
}

void Session::receive(const protocol::StreamEnd& end) {
  const auto found = runner_streams_.find(end.stream);
  if (found == runner_streams_.end()) {
    if (!was_seen(end.stream)) violate("the end of no stream");
    return;
  }
  const auto stream = found->second.lock();
  runner_streams_.erase(found);
  if (stream == nullptr) return;
  if (end.error.empty()) {
    stream->finish();
  } else {
    stream->fail(Error(ErrorCode::Unavailable, std::string(end.error.substr(0, 4 * kKiB))));
  }
}

void Session::receive(const protocol::Splice& splice) {
  if (!outgoing_.was_issued(splice.source)) return violate("splice from no stream");
  const auto found = runner_streams_.find(splice.stream);
  if (found == runner_streams_.end() && !was_seen(splice.stream)) return violate("splice of no stream");
  const bool is_there = outgoing_.find(splice.source) != nullptr;
  // Null: it has ended on the way.
  io::ByteSourcePtr source = take_back(splice.source);
  if (is_there && source == nullptr) return violate("splice from a stream that is being read");
  const auto stream = found == runner_streams_.end() ? nullptr : found->second.lock();
  if (found != runner_streams_.end()) runner_streams_.erase(found);
  if (stream != nullptr && source != nullptr) {
    stream->continue_with(std::move(source));
  } else if (stream != nullptr) {
    stream->finish();
  } else if (source != nullptr) {
    source->stop();
  }
}

void Session::receive(const protocol::StreamCredit& credit) {
  auto* const slot = outgoing_.find(credit.stream);
  if (slot == nullptr) {
    if (!outgoing_.was_issued(credit.stream)) violate("credit for no stream");
    return;
  }
  if (credit.bytes != 0 && !(*slot)->credit(credit.bytes)) violate("credit beyond the window");
}

void Session::receive(const protocol::StreamStop& stop) {
  auto* const slot = outgoing_.find(stop.stream);
  if (slot == nullptr) {
    if (!outgoing_.was_issued(stop.stream)) violate("stop of no stream");
    return;
  }
  (*slot)->stop();
}

void Session::on_reader_stopped(protocol::StreamId number) {
  runner_streams_.erase(number);
}

void Session::on_outgoing_ended(protocol::StreamId number) {
  auto* const slot = outgoing_.find(number);
  if (slot == nullptr) return;
  // Its source, and the stream itself, are further up in this very call chain: they go when it is over.
  boost::asio::post(io_, [ended = std::shared_ptr<OutgoingStream>(std::move(*slot))] {});
  outgoing_.erase(number);
}

}  // namespace insula::fleet
