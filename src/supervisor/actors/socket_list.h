// SPDX-License-Identifier: Apache-2.0
//
// The list of an actor's WebSockets as a new instance gets it, in parts; all numbers little-endian. An instance looks at
// those entries that it uses: src/builtins/runtime/sockets/socket_list.ts is the other side.
//
//   u32 count
//   for each     u32 number of the socket, ascending; u32 where its entry begins, counted from the end of these
//   for each     its entry:
//     u32 bytes that it may say   f64 when it was answered automatically (Unix milliseconds; 0: never)
//     u8 flags     1: the client has closed, 2: the actor has closed, 4: there is an attachment
//     tags         u8 count, and for each u16 length and UTF-8
//     attachment   u16 length and bytes, when there is one
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "src/base/bytes.h"

namespace insula::actors {

inline constexpr std::uint8_t kListedClientClosed = 1;
inline constexpr std::uint8_t kListedActorClosed = 2;
inline constexpr std::uint8_t kListedAttachment = 4;

void append_u16(Bytes& out, std::size_t value);
void append_u32(Bytes& out, std::size_t value);
void append_f64(Bytes& out, double value);
// As they stand in an entry.
Bytes encode_tags(const std::vector<std::string_view>& tags);

}  // namespace insula::actors
