// SPDX-License-Identifier: Apache-2.0
//
// ErrorPage: what an HTTP client sees when no Worker answered: the code, a generic text, a request id. Nothing of the
// tenant's, nothing of the machine's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/fault.h"

namespace insula::front {

inline constexpr std::string_view kErrorHeader = "insula-error";

struct ErrorPage {
  int status = 500;
  Bytes headers;  // header block
  std::string body;
};

// Source: threat-model.md section 10.
ErrorPage error_page(Fault fault, std::string_view request_id);

// Names requests to operators: random for each process, then counted.
class RequestIds {
 public:
  explicit RequestIds(std::uint64_t seed) : seed_(seed) {}
  std::string next();

 private:
  const std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

// A Worker's fields without those that only the supervisor may set. Unchanged views are returned as they are; `copy`
// holds the bytes otherwise.
BytesView without_reserved(BytesView headers, Bytes& copy);

}  // namespace insula::front
