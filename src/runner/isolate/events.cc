// SPDX-License-Identifier: Apache-2.0
//
// Events: the errors that the runtime itself makes.
#include "src/runner/isolate/events.h"

namespace insula::runner {

CallError error_of(Fault fault) { return error_of(fault, std::string(info_of(fault).message)); }

CallError error_of(Fault fault, std::string message) {
  CallError error;
  error.fault = info_of(fault).code;
  error.name = "Error";
  error.message = std::move(message);
  return error;
}

}  // namespace insula::runner
