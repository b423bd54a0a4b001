// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli), the checksum of all durable records.
#pragma once

#include <cstdint>
#include <string_view>

namespace insula {

std::uint32_t crc32c(std::string_view bytes) noexcept;

}  // namespace insula
