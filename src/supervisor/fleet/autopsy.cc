// SPDX-License-Identifier: Apache-2.0
//
// Autopsy: reads a board once, next to the session's tables.
#include "src/supervisor/fleet/autopsy.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "src/base/limits.h"

namespace insula::fleet {
namespace {

// The runner ends such a slice itself, by the CPU clock of its thread; this is for one that does not. Generous, because a
// busy machine stretches wall time and an honest runner must not die of it.
constexpr milliseconds kStuckGrace{5000};

Fault fault_of(protocol::EndCause cause) {
  switch (cause) {
    case protocol::EndCause::CpuLimit: return Fault::CpuLimit;
    case protocol::EndCause::HeapLimit:
    case protocol::EndCause::MemoryLimit: return Fault::MemoryLimit;
    case protocol::EndCause::StartupCpu: return Fault::StartupCpuLimit;
    case protocol::EndCause::None: break;
  }
  return Fault::RunnerLost;
}

std::string_view name_of(protocol::EndCause cause) {
  switch (cause) {
    case protocol::EndCause::CpuLimit: return "cpu";
    case protocol::EndCause::HeapLimit: return "heap";
    case protocol::EndCause::MemoryLimit: return "memory";
    case protocol::EndCause::StartupCpu: return "startup-cpu";
    case protocol::EndCause::None: break;
  }
  return "";
}

struct Suspect {
  protocol::WorkerId worker = 0;
  protocol::QuestionId question = 0;
};

// A claim of the board counts when our own tables know the Worker, and the question as one of its open ones. A call
// that stayed inside the runner has no question of ours (0): then the Worker alone must do.
bool is_confirmed(Session& session, const Suspect& suspect) {
  if (suspect.worker == 0 || session.owner_of(suspect.worker) == nullptr) return false;
  return suspect.question == 0 || session.is_open(suspect.question, suspect.worker);
}

}  // namespace

std::string_view name_of(End end) noexcept {
  switch (end) {
    case End::Closed: return "closed";
    case End::Protocol: return "protocol";
    case End::Unresponsive: return "unresponsive";
    case End::Memory: return "memory";
    case End::Stuck: return "stuck";
    case End::Retired: return "retired";
  }
  return "closed";
}

Findings examine(const protocol::Board& board, Session& session, End end) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  Findings findings;
  findings.cause = name_of(end);
  findings.losses.others.fault = end == End::Protocol ? Fault::Protocol : Fault::RunnerLost;
  if (end == End::Retired) return findings;

  std::vector<Suspect> suspects;
  Fault culprit_fault = Fault::RunnerLost;
  const std::uint32_t claimed = board.cause.load(kRelaxed);
  if (claimed != 0 && claimed <= static_cast<std::uint32_t>(protocol::EndCause::StartupCpu)) {
    const auto cause = static_cast<protocol::EndCause>(claimed);
    const Suspect culprit{board.worker.load(kRelaxed), board.question.load(kRelaxed)};
    if (is_confirmed(session, culprit)) {
      suspects.push_back(culprit);
      culprit_fault = fault_of(cause);
      findings.cause = name_of(cause);
    }
  }
  if (suspects.empty()) {
    for (const protocol::BoardSlot& slot : board.slots) {
      const Suspect suspect{slot.worker.load(kRelaxed), slot.question.load(kRelaxed)};
      if (is_confirmed(session, suspect)) suspects.push_back(suspect);
    }
    if (end == End::Memory) culprit_fault = Fault::MemoryLimit;
    if (end == End::Stuck) culprit_fault = Fault::CpuLimit;
  }
  // Nobody was on an executor: whoever had something open may have done it.
  if (suspects.empty()) {
    for (const Session::OpenCall& call : session.open_calls()) suspects.push_back({call.worker, call.question});
  }

  for (const Suspect& suspect : suspects) {
    const auto owner = session.owner_of(suspect.worker);
    if (owner == nullptr || owner->tenant_key().empty()) continue;
    findings.suspects.push_back(owner->tenant_key());
  }
  std::sort(findings.suspects.begin(), findings.suspects.end());
  findings.suspects.erase(std::unique(findings.suspects.begin(), findings.suspects.end()), findings.suspects.end());
  // A crash without a known cause may have come from outside: then even the only suspect gets its second attempt.
  if (suspects.size() == 1 && suspects.front().question != 0 && culprit_fault != Fault::RunnerLost) {
    findings.losses.culprit = suspects.front().question;
    findings.losses.culprit_fault = culprit_fault;
  }
  return findings;
}

std::size_t busy_slots(const protocol::Board& board) {
  return static_cast<std::size_t>(std::count_if(board.slots.begin(), board.slots.end(), [](const auto& slot) {
    return slot.worker.load(std::memory_order_relaxed) != 0;
  }));
}

bool has_stuck_slice(const protocol::Board& board, Session& session, Monotonic now, std::size_t busy_slots,
                     unsigned cores) {
  const auto now_nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch());
  // The limit is CPU time, what we see is wall time: when more slices run than there are cores, each gets a share.
  const std::size_t share = std::max<std::size_t>(1, (busy_slots + cores - 1) / std::max(1u, cores));
  for (const protocol::BoardSlot& slot : board.slots) {
    const protocol::WorkerId worker = slot.worker.load(std::memory_order_acquire);
    const std::uint64_t started = slot.started_nanos.load(std::memory_order_relaxed);
    if (worker == 0 || started == 0 || session.owner_of(worker) == nullptr) continue;
    const milliseconds left =
        std::min(milliseconds(slot.cpu_left_millis.load(std::memory_order_relaxed)), kCpuMax);
    const milliseconds bound = (left + kKillAfterCpuLimit) * static_cast<int>(std::min<std::size_t>(share, 64)) +
                               kStuckGrace;
    if (now_nanos - std::chrono::nanoseconds(started) > bound) return true;
  }
  return false;
}

}  // namespace insula::fleet
