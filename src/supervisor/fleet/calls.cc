// SPDX-License-Identifier: Apache-2.0
//
// Calls: what an interface does when nobody says otherwise.
#include "src/supervisor/fleet/calls.h"

#include "src/supervisor/fleet/session.h"

namespace insula::fleet {

void Job::promised(IncomingCall& call) {
  protocol::ErrorInfo error;
  error.name = "TypeError";
  error.message = "Can't pipeline on RPC that did not return an object.";
  call.session.answer_error(call.answer.question, error);
}

Capability::Place Capability::place_in(const Session&) const { return {}; }

}  // namespace insula::fleet
