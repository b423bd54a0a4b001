// SPDX-License-Identifier: Apache-2.0
//
// The command line and descriptors with which the supervisor starts a runner.
//
//   LD_PRELOAD=libinsula_runner.so ENGINE/bin/node runner --isolates-max=2000 ...
#pragma once

namespace insula::protocol {

inline constexpr int kRunnerSocketFd = 3;    // SOCK_STREAM to the supervisor
inline constexpr int kRunnerBoardFd = 4;     // memfd of one Board
inline constexpr int kRunnerSnapshotFd = 5;  // the start-up snapshot, read-only

// Flags, all "--name=number" but the last; the runner has defaults for each.
inline constexpr const char* kFlagIsolatesMax = "--isolates-max=";      // loaded dynamic Workers
inline constexpr const char* kFlagMemoryBytes = "--memory-bytes=";      // budget of all isolates together
inline constexpr const char* kFlagIdleMillis = "--idle-millis=";        // eviction of unused dynamic Workers
inline constexpr const char* kFlagObjectIdleMillis = "--object-idle-millis=";  // of idle Durable Objects and facets
inline constexpr const char* kFlagExecutors = "--executors=";           // threads that run isolates
inline constexpr const char* kFlagParallel = "--parallel=";             // executors that run at once when none is stuck
inline constexpr const char* kFlagBlankIsolates = "--blank-isolates=";  // kept ready
inline constexpr const char* kFlagSandbox = "--sandbox=";               // 1: lock down (default), 0: not
inline constexpr const char* kFlagCrashAt = "--crash-at=";              // for tests: base/crash_point.h

// Exit codes of a runner.
inline constexpr int kExitClean = 0;
inline constexpr int kExitUsage = 64;         // bad flags or descriptors
inline constexpr int kExitSnapshot = 65;      // damaged snapshot or one of another engine version; text on stderr
inline constexpr int kExitSandbox = 66;       // a layer that must exist could not be had
inline constexpr int kExitLimit = 86;         // ended itself; the board says why
inline constexpr int kExitSupervisorGone = 87;

}  // namespace insula::protocol
