// SPDX-License-Identifier: Apache-2.0
//
// Session: how large the texts and values in a runner's frames may be.
#include "src/supervisor/fleet/session_bounds.h"

#include <algorithm>

#include "src/base/header_block.h"

namespace insula::fleet {
namespace {

constexpr std::size_t kUrlBytesMax = 64 * kKiB;
constexpr std::size_t kMethodBytesMax = 64;
constexpr std::size_t kHeaderBytesMax = 256 * kKiB;
constexpr std::size_t kPathPartsMax = 256;
constexpr std::size_t kEventBytesMax = 4 * kMiB;

}  // namespace

bool is_text(std::string_view text) { return text.size() <= kTextBytesMax; }

bool is_sane(const protocol::FetchRequest& request) {
  return !request.method.empty() && request.method.size() <= kMethodBytesMax && request.url.size() <= kUrlBytesMax &&
         request.headers.size() <= kHeaderBytesMax && request.cf.size() <= kTextBytesMax &&
         is_valid_header_block(request.headers);
}

bool is_sane(const protocol::RpcCall& call) {
  return call.path.size() <= kPathPartsMax && call.arguments.bytes.size() <= kRpcBytesMax &&
         std::all_of(call.path.begin(), call.path.end(), is_text);
}

bool is_sane(const protocol::EventCall& event) {
  return event.name.size() <= 64 && event.detail.size() <= kEventBytesMax && event.payload.bytes.size() <= kRpcBytesMax;
}

bool is_sane(const protocol::EngineCall& call) {
  return call.operation.size() <= 64 && call.detail.size() <= kEventBytesMax &&
         call.payload.bytes.size() <= kRpcBytesMax;
}

bool is_sane(const protocol::ErrorInfo& error) {
  return error.fault.size() <= 64 && is_text(error.name) && error.message.size() <= kMiB &&
         error.stack.size() <= kMiB && error.properties.size() <= kMiB;
}

bool is_sane(const protocol::FetchResponse& response) {
  return response.status_text.size() <= 1024 && response.headers.size() <= kHeaderBytesMax &&
         is_valid_header_block(response.headers);
}

bool is_sane(const protocol::EngineResult&) { return false; }

bool is_sane(const protocol::RpcValue& value) { return value.payload.bytes.size() <= kRpcBytesMax; }

bool is_sane(const protocol::Dynamic& dynamic) { return dynamic.id.size() <= kLoaderIdBytesMax; }

// 256 characters, of up to three bytes each (kFacetNameCharactersMax); the rest is text for ctx.id.
bool is_sane(const protocol::Facet& facet) {
  return !facet.name.empty() && facet.name.size() <= 1024 && facet.id_text.size() <= 4 * kKiB &&
         facet.id_name.size() <= 4 * kKiB;
}

}  // namespace insula::fleet
