// SPDX-License-Identifier: Apache-2.0
//
// RunnerExport: a call goes home through the session that the object came from.
#include "src/supervisor/fleet/runner_export.h"

#include "src/supervisor/fleet/forwarded_call.h"
#include "src/supervisor/fleet/session.h"

namespace insula::fleet {

RunnerExport::~RunnerExport() {
  if (const auto session = home_.lock()) session->release_export(number_);
}

bool RunnerExport::is_of(const Session& session) const { return home_.lock().get() == &session; }

void RunnerExport::invoke(IncomingCall& call) {
  std::make_shared<ForwardedCall>(call.answer)->start(call, shared_from_this());
}

void RunnerExport::reach(const std::shared_ptr<RoutedCall>& call) {
  const auto session = home_.lock();
  if (session == nullptr || !session->is_open()) return call->refuse(error_of(Fault::RunnerLost));
  call->deliver(session, {protocol::Target::Kind::Capability, number_, 0});
}

void BrokenCapability::invoke(IncomingCall& call) {
  call.session.answer_error(call.answer.question, error_of(Fault::Internal, text_));
}

}  // namespace insula::fleet
