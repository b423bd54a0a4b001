// SPDX-License-Identifier: Apache-2.0
//
// Frames of the WebSocket protocol (RFC 6455 section 5), writing side, and the words that both sides share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/limits.h"

namespace insula::websocket {

// Who we are on this connection. What a client sends is masked, what a server sends is not; the other way is a
// violation.
enum class Role : std::uint8_t { Server, Client };

enum class Opcode : std::uint8_t { Continuation = 0x0, Text = 0x1, Binary = 0x2, Close = 0x8, Ping = 0x9, Pong = 0xa };

using MaskKey = std::array<char, 4>;

inline constexpr std::size_t kControlBytesMax = 125;
inline constexpr std::size_t kFrameHeadBytesMax = 14;

// Codes that we use ourselves (section 7.4.1).
inline constexpr std::uint16_t kCloseGoingAway = 1001;
inline constexpr std::uint16_t kCloseProtocolError = 1002;
inline constexpr std::uint16_t kCloseNoCode = 1005;   // never on the wire: a Close frame without a body
inline constexpr std::uint16_t kCloseAbnormal = 1006;  // never on the wire: the connection ended without a Close frame
inline constexpr std::uint16_t kCloseBadText = 1007;
inline constexpr std::uint16_t kClosePolicy = 1008;
inline constexpr std::uint16_t kCloseTooBig = 1009;
inline constexpr std::uint16_t kCloseInternal = 1011;

// True for a code that may stand in a Close frame: those of section 7.4.1 and its registry, and 3000 to 4999.
bool is_close_code(std::uint16_t code) noexcept;

// Applies the key to `bytes`, which start `offset` bytes into the payload.
void apply_mask(char* bytes, std::size_t count, const MaskKey& key, std::size_t offset) noexcept;

// Appends the head of a frame. mask: present for Role::Client; the payload that follows must be masked with it.
void append_frame_head(Bytes& out, Opcode opcode, bool is_final, std::uint64_t payload_bytes,
                       const std::optional<MaskKey>& mask);

// Appends a whole frame.
void append_frame(Bytes& out, Opcode opcode, bool is_final, BytesView payload, const std::optional<MaskKey>& mask);

// Appends a Close frame. kCloseNoCode: without a body. The reason is cut at a character's end so that it fits.
void append_close(Bytes& out, std::uint16_t code, std::string_view reason, const std::optional<MaskKey>& mask);

}  // namespace insula::websocket
