// SPDX-License-Identifier: Apache-2.0
//
// Start: V8 and the snapshot.
#include "src/runner/worker/start.h"

#include <malloc.h>

#include "src/engine/engine.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/modules/code_cache.h"

namespace insula::runner {
namespace {

// One Wasm memory may not pass what a Worker may have at most.
constexpr std::size_t kWasmMemoryBytesMax = 128 * kMiB;

}  // namespace

Result<std::unique_ptr<IsolateFactory>> start_engine(int snapshot_fd, std::size_t heap_bytes_max) {
  // Isolates are made, used and disposed of by different threads. With an arena for each thread, what one has freed is of
  // no use to the others: tenants that came and went made a runner of 200 isolates grow from 300 to 600 MiB.
  mallopt(M_ARENA_MAX, 1);
  engine::Engine::Options options;
  options.wasm_memory_bytes_max = kWasmMemoryBytesMax;
  // Both live as long as the process: isolates point into them.
  auto* engine = new engine::Engine(options);
  TRY(auto mapped, engine::Snapshot::map(snapshot_fd, ops_hash()));
  auto* snapshot = new engine::Snapshot(mapped);
  return std::make_unique<IsolateFactory>(*engine, *snapshot, heap_bytes_max);
}

std::string engine_version() { return engine::Engine::version(); }

}  // namespace insula::runner
