// SPDX-License-Identifier: Apache-2.0
//
// Limits: every bound of the system with its default, in one place. Source: threat-model.md, section 9.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace insula {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;
inline constexpr std::size_t kGiB = 1024 * kMiB;

// What one Worker may use. The lowest of node, Worker, WorkerCode and entrypoint wins.
struct WorkerLimits {
  milliseconds cpu{1000};          // per invocation
  milliseconds startup_cpu{1000};  // compile and top level of one isolate
  milliseconds wall{0};            // per invocation; 0: none while the caller is connected
  milliseconds wait_until{30000};  // after the response
  std::size_t memory_bytes = 128 * kMiB;  // heap + buffers + Wasm + native bodies
  std::size_t buffer_bytes_max = 64 * kMiB;  // one ArrayBuffer
  std::size_t log_bytes = 256 * kKiB;        // per invocation
  std::uint32_t subrequests = 50;            // per invocation
  std::uint32_t timers_max = 1000;
  std::uint32_t streams_max = 64;
  std::uint32_t background_promises_max = 1000;
};

inline constexpr WorkerLimits kTenantLimits{};
inline constexpr WorkerLimits kHostLimits{.cpu = milliseconds(30000), .subrequests = 10000};

// What no Worker gets more of, whatever the configuration says.
inline constexpr milliseconds kCpuMax{300000};
inline constexpr milliseconds kKillAfterCpuLimit{250};  // second stage: native code that ignores termination

// Code of one dynamic Worker (spec/loader.md section 3).
inline constexpr std::size_t kCodeBytesMax = 64 * kMiB;
inline constexpr std::size_t kModulesMax = 1000;
inline constexpr std::size_t kModuleNameBytesMax = 255;
inline constexpr std::size_t kEnvBytesMax = 1 * kMiB;
inline constexpr std::size_t kLoaderIdBytesMax = 1024;
inline constexpr std::uint32_t kCallDepthMax = 16;

// The channel between supervisor and runner.
inline constexpr std::size_t kFrameBytesMax = kCodeBytesMax + 8 * kMiB;
inline constexpr std::size_t kInlineBodyBytesMax = 64 * kKiB;   // larger or unfinished bodies travel as streams
inline constexpr std::size_t kStreamChunkBytesMax = 64 * kKiB;  // one Data frame
inline constexpr std::size_t kStreamWindowBytesMax = 1 * kMiB;  // credit outstanding on one stream
inline constexpr std::size_t kRpcBytesMax = 32 * kMiB;
inline constexpr std::size_t kPayloadCapabilitiesMax = 4096;     // riding with one value
inline constexpr std::size_t kPayloadStreamsMax = 64;
inline constexpr std::size_t kPropsDepthMax = 4;                 // props of an entrypoint in props of an entrypoint ...
inline constexpr std::size_t kImportsPerRunnerMax = 400000;      // capabilities that one runner holds at a time
inline constexpr std::size_t kExportsPerWorkerMax = 100000;      // live stubs to objects of one Worker
inline constexpr std::size_t kRpcCallsPerWorkerMax = 4096;       // in flight
inline constexpr std::size_t kEngineCallsPerWorkerMax = 50000;   // waiting: steps of workflows may do so for days
inline constexpr std::size_t kRunnerQueueBytesMax = 192 * kMiB;  // unsent towards one runner before it counts as stuck
inline constexpr milliseconds kRunnerHeartbeatMax{2000};

// Actors: Durable Objects and facets (threat-model.md, spec/durable-objects.md section 5).
inline constexpr std::uint64_t kActorBytesMax = 10 * std::uint64_t{kGiB};  // of one database
inline constexpr std::size_t kActorsPerRunnerMax = 8192;                    // open at a time: three descriptors each

// HTTP, client side (threat-model.md sections 6 and 9).
struct HttpLimits {
  std::size_t target_bytes_max = 16 * kKiB;
  std::size_t header_bytes_max = 128 * kKiB;
  std::size_t header_count_max = 256;
  std::size_t body_bytes_max = 100 * kMiB;
  std::size_t body_buffer_bytes = 1 * kMiB;  // buffered per direction
  milliseconds header_timeout{10000};
  milliseconds body_idle_timeout{30000};
  milliseconds write_idle_timeout{60000};
  milliseconds keep_alive_timeout{60000};
  std::size_t connections_max = 20000;
  std::size_t connections_per_address_max = 256;
  std::size_t pipelined_max = 16;  // requests answered in order; further ones wait in the socket
};

// WebSockets (threat-model.md section 9).
inline constexpr std::size_t kSocketMessageBytesMax = 32 * kMiB;  // received, over all fragments; then close 1009
inline constexpr std::uint32_t kSocketFragmentsMax = 65536;       // of one message; then close 1008
inline constexpr std::size_t kSocketPieceBytesMax = 64 * kKiB;    // of a message, handed on at a time
inline constexpr std::size_t kSocketWindowBytes = 256 * kKiB;     // credit outstanding in one direction of one socket
inline constexpr std::size_t kSocketsPerTenantMax = 1000;
// Of objects that hibernate (docs/design/websockets.md).
inline constexpr std::size_t kSocketsPerActorMax = 32768;
inline constexpr std::size_t kSocketHomeWindowBytes = 32 * kKiB;  // credit of one socket, in either direction
inline constexpr std::size_t kSocketBacklogPerActorMax = 64 * kMiB;  // that all clients of one actor have not read
inline constexpr std::size_t kSocketInputPerActorMax = 32 * kMiB;    // from all clients, waiting for it
inline constexpr std::size_t kSocketEventsPerActorMax = 512;  // on their way at a time; below kActorWaitingMax
inline constexpr std::size_t kSocketTagsMax = 10;
inline constexpr std::size_t kSocketTagBytesMax = 256;
inline constexpr std::size_t kSocketAttachmentBytesMax = 16 * kKiB;
inline constexpr std::size_t kSocketAttachmentsPerActorMax = 64 * kMiB;
inline constexpr std::size_t kSocketAutoBytesMax = 2 * kKiB;  // request and response each
inline constexpr milliseconds kSocketCloseWithin{10000};          // for the other side's answer to our Close frame

// Admission, per tenant.
inline constexpr std::size_t kConcurrencyPerTenantMax = 64;
inline constexpr std::size_t kQueuedPerTenantMax = 256;

// Outgoing connections.
inline constexpr std::size_t kOutboundPerInvocationMax = 6;
inline constexpr std::size_t kRedirectsMax = 20;

// Runners.
inline constexpr std::size_t kRunnerMemoryBytes = 1 * kGiB;

}  // namespace insula
