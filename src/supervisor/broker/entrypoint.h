// SPDX-License-Identifier: Apache-2.0
//
// EntrypointCapability: an entrypoint of a static Worker with its props: a service binding, or what ctx.exports gave
// away. Entrypoint and props are fixed: the caller's words on them do not count.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "src/base/bytes.h"
#include "src/supervisor/broker/static_workers.h"
#include "src/supervisor/fleet/calls.h"

namespace insula::broker {

// Of props in props: a chain of objects that grows with every message must end somewhere.
inline constexpr std::size_t kEntrypointDepthMax = 64;

class EntrypointCapability final : public fleet::Capability, public std::enable_shared_from_this<EntrypointCapability> {
 public:
  // props: a serialised value, or nothing; carried: what rides with it.
  EntrypointCapability(std::shared_ptr<StaticWorker> worker, std::string entrypoint, Bytes props = {},
                       fleet::Carried carried = {})
      : worker_(std::move(worker)),
        entrypoint_(std::move(entrypoint)),
        props_(std::move(props)),
        carried_(std::move(carried)),
        depth_(depth_of(carried_) + 1) {}

  void invoke(fleet::IncomingCall& call) override;
  Place place_in(const fleet::Session& holder) const override;

  // How deep the entrypoints among them are nested already.
  static std::size_t depth_of(const fleet::Carried& carried);

 private:
  const std::shared_ptr<StaticWorker> worker_;
  const std::string entrypoint_;
  const Bytes props_;
  const fleet::Carried carried_;
  const std::size_t depth_;
};

}  // namespace insula::broker
