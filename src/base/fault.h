// SPDX-License-Identifier: Apache-2.0
//
// Fault: the closed list of runtime-made failures that a tenant, a dispatcher or an HTTP client can see.
//
// The code string ("ERR_CPU_LIMIT") is stable and documented in docs/errors/; the message equals the peer's where
// the contract gives one (spec/handlers-and-limits.md, threat-model.md sections 9 and 10).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace insula {

enum class Fault : std::uint8_t {
  None,
  CpuLimit,
  MemoryLimit,
  StartupCpuLimit,
  WallLimit,
  Hung,
  LoadFailed,
  NoEntrypoint,
  SubrequestLimit,
  DepthLimit,
  StreamLimit,
  TimerLimit,
  RpcLimit,
  OutboundBlocked,
  RunnerLost,
  IsolateLost,
  TenantSuspended,
  Overloaded,
  BadResponse,
  BadTenantId,
  Protocol,
  Cancelled,
  Exception,
  StorageFailed,
  DatabaseFull,
  Internal,
};

struct FaultInfo {
  std::string_view code;     // "ERR_CPU_LIMIT"
  int http_status;           // what an HTTP client sees when nobody handles it
  bool retryable;            // the same call may succeed on another runner, at once
  std::string_view message;  // what a caller sees by default
};

const FaultInfo& info_of(Fault fault) noexcept;
std::optional<Fault> fault_from_code(std::string_view code) noexcept;

}  // namespace insula
