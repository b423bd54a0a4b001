// SPDX-License-Identifier: Apache-2.0
//
// Session: how large the texts and values in a runner's frames may be. What is larger comes from no honest runner.
#pragma once

#include <cstddef>
#include <string_view>

#include "src/base/limits.h"
#include "src/protocol/frames.h"

namespace insula::fleet {

constexpr std::size_t kTextBytesMax = 256 * kKiB;  // names, messages, log lines

bool is_text(std::string_view text);
bool is_sane(const protocol::FetchRequest& request);
bool is_sane(const protocol::RpcCall& call);
bool is_sane(const protocol::EventCall& event);
bool is_sane(const protocol::EngineCall& call);
bool is_sane(const protocol::ErrorInfo& error);
bool is_sane(const protocol::FetchResponse& response);
// Nobody asks a runner anything of that kind: false.
bool is_sane(const protocol::EngineResult& result);
bool is_sane(const protocol::RpcValue& value);
bool is_sane(const protocol::Dynamic& dynamic);
bool is_sane(const protocol::Facet& facet);

}  // namespace insula::fleet
