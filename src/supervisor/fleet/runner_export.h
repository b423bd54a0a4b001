// SPDX-License-Identifier: Apache-2.0
//
// RunnerExport: one reference to an object that lives in a Worker of a runner: a function or RpcTarget that crossed in an
// argument or a result.
//
//   runner A ──senderHosted 7──► [session A: RunnerExport 7] ──import 12──► runner B
//   runner A ◄──call on 7──────── [ForwardedCall] ◄──────call on 12──────── runner B
//
// The runner counts on one Release for each number that it gave: it is said when the last holder here lets go.
#pragma once

#include <memory>
#include <string_view>

#include "src/supervisor/fleet/calls.h"
#include "src/supervisor/fleet/routed_call.h"

namespace insula::fleet {

class RunnerExport final : public Capability, public Destination, public std::enable_shared_from_this<RunnerExport> {
 public:
  RunnerExport(std::weak_ptr<Session> home, protocol::CapabilityId number) : home_(std::move(home)), number_(number) {}
  ~RunnerExport() override;

  protocol::CapabilityId number() const noexcept { return number_; }
  bool is_of(const Session& session) const;

  // Capability
  void invoke(IncomingCall& call) override;
  RunnerExport* as_runner_export() override { return this; }

  // Destination
  void reach(const std::shared_ptr<RoutedCall>& call) override;
  void forget(Session&, protocol::WorkerId) override {}
  void leave(RoutedCall&) override {}
  void withdraw(RoutedCall&) override {}

 private:
  const std::weak_ptr<Session> home_;
  const protocol::CapabilityId number_;
};

constexpr std::string_view kGone = "This binding is no longer available.";

// Stands for what was valid when it was sent and is gone now: says so to whoever calls it.
class BrokenCapability final : public Capability {
 public:
  // text must outlive the object.
  explicit BrokenCapability(std::string_view text) : text_(text) {}
  void invoke(IncomingCall& call) override;

 private:
  const std::string_view text_;
};

}  // namespace insula::fleet
