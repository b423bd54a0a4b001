// SPDX-License-Identifier: Apache-2.0
//
// Host: values with what rides beside them, to and from the channel; the tables of capabilities behind the numbers there.
#include <algorithm>

#include "src/runner/host/host.h"

namespace insula::runner {

CapabilityPtr Host::export_object(WorkerId worker, std::uint32_t export_id) {
  return std::make_shared<HostCapability>(releases_, HostCapability::Kind::Export, worker, export_id);
}

CapabilityPtr Host::entrypoint(WorkerId worker, bool is_static, std::string name, Payload props) {
  const unsigned depth = depth_of(props) + 1;
  if (depth > kPropsDepthMax) return nullptr;
  auto capability = std::make_shared<HostCapability>(releases_, HostCapability::Kind::Entrypoint, worker, 0);
  capability->is_static = is_static;
  capability->entrypoint = std::move(name);
  capability->depth = depth;
  capability->references = 1 + references_of(props);
  capability->props = std::move(props);
  return capability;
}

CapabilityFacts Host::facts_of(const HostCapability& capability) const {
  const bool is_export = capability.kind == HostCapability::Kind::Export;
  return {capability.is_object(), capability.references, is_export ? capability.worker : 0,
          is_export ? capability.number : 0};
}

// The same number twice is the same capability: it is released once.
CapabilityPtr Host::import(protocol::CapabilityId number, bool is_granted) {
  if (number == 0) return nullptr;
  std::weak_ptr<HostCapability>& known = imports_[number];
  if (CapabilityPtr capability = known.lock()) {
    capability->is_granted = capability->is_granted || is_granted;
    return capability;
  }
  auto capability = std::make_shared<HostCapability>(releases_, HostCapability::Kind::Import, 0, number);
  capability->is_granted = is_granted;
  if (auto way = early_ways_.extract(number)) capability->local = std::move(way.mapped());
  known = capability;
  return capability;
}

void Host::on_local(const protocol::Local& local) {
  auto way = std::make_unique<HostCapability::LocalWay>();
  way->worker = local.worker;
  way->entrypoint = local.entrypoint;
  way->props = from_wire(local.props);
  const auto found = imports_.find(local.capability);
  const CapabilityPtr capability = found == imports_.end() ? nullptr : found->second.lock();
  if (capability != nullptr) {
    capability->local = std::move(way);
  } else if (found == imports_.end()) {
    // The frame that mints the number comes next.
    early_ways_[local.capability] = std::move(way);
  }
}

void Host::on_release(const protocol::Release& release) { exports_.erase(release.capability); }

void Host::drain_releases() {
  while (releases_.take(released_)) {
    for (const ReleaseList::Item& item : released_) {
      if (item.is_import) {
        imports_.erase(item.number);
        send(protocol::Release{item.number});
      } else {
        post(item.worker, ReleaseEvent{item.number});
      }
    }
    released_.clear();
  }
}

CapabilityPtr Host::from_wire(const protocol::CapabilityRef& reference) {
  switch (reference.kind) {
    case protocol::CapabilityRef::Kind::SenderHosted: return import(reference.number, !reference.is_object);
    case protocol::CapabilityRef::Kind::ReceiverHosted: {
      const auto found = exports_.find(reference.number);
      return found == exports_.end() ? nullptr : found->second;
    }
    case protocol::CapabilityRef::Kind::Entrypoint: break;  // only a runner says that
  }
  return nullptr;
}

protocol::CapabilityRef Host::to_wire(const CapabilityPtr& capability) {
  protocol::CapabilityRef reference;
  if (capability == nullptr) return reference;
  switch (capability->kind) {
    case HostCapability::Kind::Import:
      reference.kind = protocol::CapabilityRef::Kind::ReceiverHosted;
      reference.number = capability->number;
      break;
    case HostCapability::Kind::Export:
      reference.kind = protocol::CapabilityRef::Kind::SenderHosted;
      reference.number = next_export_++;
      exports_[reference.number] = capability;
      break;
    case HostCapability::Kind::Entrypoint: {
      protocol::Entrypoint entrypoint;
      entrypoint.worker = capability->worker;
      entrypoint.name = capability->entrypoint;
      entrypoint.props = to_wire(capability->props);
      reference.kind = protocol::CapabilityRef::Kind::Entrypoint;
      reference.entrypoint = std::make_shared<const protocol::Entrypoint>(std::move(entrypoint));
      break;
    }
  }
  return reference;
}

Payload Host::from_wire(const protocol::Payload& payload) {
  Payload host;
  host.bytes = payload.bytes;
  host.capabilities.reserve(payload.capabilities.size());
  for (const protocol::CapabilityRef& one : payload.capabilities) host.capabilities.push_back(from_wire(one));
  host.streams.reserve(payload.streams.size());
  for (const protocol::Body& one : payload.streams) host.streams.push_back(from_wire(one));
  return host;
}

protocol::Payload Host::to_wire(const Payload& payload) {
  protocol::Payload wire;
  wire.bytes = payload.bytes;
  wire.capabilities.reserve(payload.capabilities.size());
  for (const CapabilityPtr& one : payload.capabilities) wire.capabilities.push_back(to_wire(one));
  wire.streams.reserve(payload.streams.size());
  for (const HostBody& one : payload.streams) wire.streams.push_back(to_wire(one));
  return wire;
}

// A stream in a message may never be read: its source is not emptied for nothing, and hears when nobody wants it.
void Host::make_reluctant(const Payload& payload) {
  for (const HostBody& body : payload.streams) {
    if (body.stream != nullptr && body.stream->from == Stream::Side::Isolate && body.stream->to == Stream::Side::None) {
      body.stream->is_reluctant = true;
    }
  }
}

// Nobody takes what has come: its streams end here. Its capabilities release themselves.
void Host::discard(Outcome& outcome) {
  if (auto* fetch = std::get_if<FetchResult>(&outcome)) {
    if (fetch->body.stream != nullptr) stop_stream(*fetch->body.stream);
  } else if (auto* value = std::get_if<RpcResult>(&outcome)) {
    discard(value->value);
  }
}

void Host::discard(Payload& payload) {
  for (const HostBody& body : payload.streams) {
    if (body.stream != nullptr) stop_stream(*body.stream);
  }
}

void Host::discard(Call& call) {
  if (auto* fetch = std::get_if<FetchCall>(&call)) {
    if (fetch->body.stream != nullptr) stop_stream(*fetch->body.stream);
  } else if (auto* rpc = std::get_if<RpcCall>(&call)) {
    discard(rpc->arguments);
  }
}

}  // namespace insula::runner
