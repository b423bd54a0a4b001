// SPDX-License-Identifier: Apache-2.0
//
// Frames: heads in the shortest form, masks by the word.
#include "src/supervisor/websocket/frame.h"

#include <cstring>

namespace insula::websocket {
namespace {

constexpr std::size_t kReasonBytesMax = kControlBytesMax - 2;

void append_number(Bytes& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

}  // namespace

bool is_close_code(std::uint16_t code) noexcept {
  if (code >= 3000) return code <= 4999;
  if (code < 1000 || code > 1014) return false;
  return code != 1004 && code != kCloseNoCode && code != kCloseAbnormal;
}

void apply_mask(char* bytes, std::size_t count, const MaskKey& key, std::size_t offset) noexcept {
  std::array<char, 8> turned;  // the key as it stands at this offset, twice
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(offset + i) % key.size()];
  std::uint64_t wide_key = 0;
  std::memcpy(&wide_key, turned.data(), sizeof wide_key);
  std::size_t at = 0;
  for (; at + sizeof wide_key <= count; at += sizeof wide_key) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + at, sizeof word);
    word ^= wide_key;
    std::memcpy(bytes + at, &word, sizeof word);
  }
  for (std::size_t i = 0; at < count; ++at, ++i) bytes[at] = static_cast<char>(bytes[at] ^ turned[i]);
}

void append_frame_head(Bytes& out, Opcode opcode, bool is_final, std::uint64_t payload_bytes,
                       const std::optional<MaskKey>& mask) {
  out.push_back(static_cast<char>((is_final ? 0x80 : 0) | static_cast<int>(opcode)));
  const int mask_bit = mask ? 0x80 : 0;
  if (payload_bytes <= kControlBytesMax) {
    out.push_back(static_cast<char>(mask_bit | static_cast<int>(payload_bytes)));
  } else if (payload_bytes <= 0xffff) {
    out.push_back(static_cast<char>(mask_bit | 126));
    append_number(out, payload_bytes, 2);
  } else {
    out.push_back(static_cast<char>(mask_bit | 127));
    append_number(out, payload_bytes, 8);
  }
  if (mask) out.append(mask->data(), mask->size());
}

void append_frame(Bytes& out, Opcode opcode, bool is_final, BytesView payload, const std::optional<MaskKey>& mask) {
  append_frame_head(out, opcode, is_final, payload.size(), mask);
  const std::size_t start = out.size();
  out.append(payload);
  if (mask) apply_mask(out.data() + start, payload.size(), *mask, 0);
}

void append_close(Bytes& out, std::uint16_t code, std::string_view reason, const std::optional<MaskKey>& mask) {
  if (code == kCloseNoCode) {
    append_frame(out, Opcode::Close, true, {}, mask);
    return;
  }
  if (reason.size() > kReasonBytesMax) {
    std::size_t end = kReasonBytesMax;
    while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xc0) == 0x80) --end;
    reason = reason.substr(0, end);
  }
  Bytes body;
  append_number(body, code, 2);
  body.append(reason);
  append_frame(out, Opcode::Close, true, body, mask);
}

}  // namespace insula::websocket
