// SPDX-License-Identifier: Apache-2.0
//
// What stands in several frames, decoded from hostile bytes: bodies, payloads and their references, targets, errors, code.
// For decode.cc alone: Cap'n Proto's types do not leave this room.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "frames.capnp.h"
#include "src/protocol/frames.h"

namespace insula::protocol {

inline std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }
inline BytesView view(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

// Counts are bounded before anything is reserved; a list of small elements cannot be amplified past its bytes.
constexpr std::size_t kListMax = 16384;
template <class List>
bool is_sane(const List& list) {
  return list.size() <= kListMax;
}

// How many references a frame may still hold, at whatever depth: pointers may overlap, so the same bytes could name
// them over and over.
class References {
 public:
  Result<Payload> read_payload(wire::Payload::Reader from);
  // Props and env: they are used more than once, and a stream can be read only once.
  Result<Payload> read_props(wire::Payload::Reader from);
  Result<std::vector<CapabilityRef>> read_list(capnp::List<wire::CapabilityRef>::Reader from);
  Result<CapabilityRef> read_one(wire::CapabilityRef::Reader from);

 private:
  std::size_t left_ = 2 * kPayloadCapabilitiesMax;
  std::size_t depth_ = 0;  // of props in props
};

Result<std::vector<std::string_view>> read_texts(capnp::List<capnp::Text>::Reader list);
Result<Body> read(wire::Body::Reader from);
Dynamic read(wire::Dynamic::Reader from);
Result<Target> read(wire::Target::Reader from, References& references);
ErrorInfo read(wire::ErrorInfo::Reader from);
Result<WorkerCode> read(wire::WorkerCode::Reader from);
WorkerLimits read(wire::Limits::Reader from);

}  // namespace insula::protocol
