// SPDX-License-Identifier: Apache-2.0
//
// References beside a value, in few words.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "src/protocol/frames.h"

namespace insula::testing {

inline protocol::CapabilityRef sender_hosted(protocol::CapabilityId number) {
  return {protocol::CapabilityRef::Kind::SenderHosted, number, nullptr};
}
inline protocol::CapabilityRef receiver_hosted(protocol::CapabilityId number) {
  return {protocol::CapabilityRef::Kind::ReceiverHosted, number, nullptr};
}
inline protocol::CapabilityRef entrypoint(protocol::WorkerId worker, std::string_view name,
                                          protocol::Payload props = {}) {
  return {protocol::CapabilityRef::Kind::Entrypoint, 0,
          std::make_shared<const protocol::Entrypoint>(protocol::Entrypoint{worker, name, std::move(props)})};
}

}  // namespace insula::testing
