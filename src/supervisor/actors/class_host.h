// SPDX-License-Identifier: Apache-2.0
//
// ClassHost: a Worker that has classes of actors, wherever it lives and whether it is loaded at the moment or not.
#pragma once

#include <functional>
#include <memory>

#include "src/protocol/frames.h"
#include "src/supervisor/fleet/session.h"

namespace insula::actors {

class ClassHost {
 public:
  using Ready = std::function<void(const std::shared_ptr<fleet::Session>&, protocol::WorkerId)>;
  using Failed = std::function<void(const protocol::ErrorInfo&)>;

  virtual ~ClassHost() = default;
  // Has the Worker loaded if it is not; calls exactly one of the two, now or later.
  virtual void when_loaded(Ready ready, Failed failed) = 0;
};

}  // namespace insula::actors
