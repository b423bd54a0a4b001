// SPDX-License-Identifier: Apache-2.0
//
// LyingWorld: a whole supervisor below HTTP whose runners are all liars of one kind, each with its own memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/supervisor/broker/world_test.h"
#include "tests/fuzz/piece.h"

namespace insula {

template <class Liar>
struct LyingWorld {
  explicit LyingWorld(Piece& piece)
      : world(piece.byte() % 4 == 0 ? fleet::Isolation::Shared : fleet::Isolation::Cordon) {
    settle();
    liars[0]->know(*world.platform_load);
  }
  // All that is on its way arrives, and every runner that was started lies too.
  void settle() {
    world.settle();
    world.greet_all();
    while (liars.size() < world.starter.started()) {
      liars.push_back(std::make_unique<Liar>(world.runner(liars.size())));
    }
    for (const auto& liar : liars) liar->listen();
  }
  // One of the first `most`.
  Liar& chosen(std::uint8_t choice, std::size_t most) { return *liars[choice % std::min(liars.size(), most)]; }

  testing::World world;
  std::vector<std::unique_ptr<Liar>> liars;
};

}  // namespace insula
