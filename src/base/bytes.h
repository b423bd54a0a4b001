// SPDX-License-Identifier: Apache-2.0
//
// Bytes: owned and borrowed octets. Text that is known to be UTF-8 uses std::string directly.
#pragma once

#include <string>
#include <string_view>

namespace insula {

using Bytes = std::string;
using BytesView = std::string_view;

}  // namespace insula
