// SPDX-License-Identifier: Apache-2.0
//
// Error: names of the codes, and the end of the process on a failed check.
#include "src/base/error.h"

#include <cstdio>
#include <cstdlib>

namespace insula {

std::string_view name_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidInput: return "InvalidInput";
    case ErrorCode::NotFound: return "NotFound";
    case ErrorCode::Denied: return "Denied";
    case ErrorCode::LimitExceeded: return "LimitExceeded";
    case ErrorCode::Overloaded: return "Overloaded";
    case ErrorCode::Unavailable: return "Unavailable";
    case ErrorCode::TimedOut: return "TimedOut";
    case ErrorCode::Cancelled: return "Cancelled";
    case ErrorCode::Conflict: return "Conflict";
    case ErrorCode::Corrupt: return "Corrupt";
    case ErrorCode::Unsupported: return "Unsupported";
    case ErrorCode::Internal: return "Internal";
  }
  return "Internal";
}

Error Error::within(std::string_view context) const {
  return Error(code_, std::string(context) + ": " + message_, here_);
}

void check_failed(const char* condition, Here here) noexcept {
  std::fprintf(stderr, "insula: check failed: %s (%s:%u)\n", condition, here.file_name(),
               static_cast<unsigned>(here.line()));
  std::abort();
}

}  // namespace insula
