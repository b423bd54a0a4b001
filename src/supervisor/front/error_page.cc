// SPDX-License-Identifier: Apache-2.0
//
// ErrorPage: one table, Fault to page.
#include "src/supervisor/front/error_page.h"

#include <fmt/format.h>

#include "src/base/header_block.h"

namespace insula::front {
namespace {

// Fixed, as threat-model.md has them. A loss is over when the client hears of it. The queue of an overloaded Worker moves
// within a second, or its calls expire (fleet/admission.h); how full it is would be news of one tenant for another's client.
// A suspension lasts ten seconds or more: its end is for the operator's log.
std::optional<int> retry_after_seconds(Fault fault) {
  switch (fault) {
    case Fault::RunnerLost:
    case Fault::IsolateLost: return 0;
    case Fault::Overloaded: return 1;
    case Fault::TenantSuspended: return 10;
    default: return std::nullopt;
  }
}

}  // namespace

ErrorPage error_page(Fault fault, std::string_view request_id) {
  const FaultInfo& info = info_of(fault == Fault::None ? Fault::Internal : fault);
  ErrorPage page;
  page.status = info.http_status;
  append_header(page.headers, "content-type", "text/plain;charset=utf-8");
  append_header(page.headers, "cache-control", "no-store");
  append_header(page.headers, kErrorHeader, info.code);
  if (const auto seconds = retry_after_seconds(fault)) {
    append_header(page.headers, "retry-after", std::to_string(*seconds));
  }
  page.body = fmt::format("{} {}\nrequest id: {}\n", info.code, info.message, request_id);
  return page;
}

std::string RequestIds::next() { return fmt::format("{:016x}-{:x}", seed_, ++count_); }

BytesView without_reserved(BytesView headers, Bytes& copy) {
  if (find_header(headers, kErrorHeader).data() == nullptr) return headers;
  copy.clear();
  for_each_header(headers, [&copy](std::string_view name, std::string_view value) {
    if (name != kErrorHeader) append_header(copy, name, value);
  });
  return copy;
}

}  // namespace insula::front
