// SPDX-License-Identifier: Apache-2.0
//
// The opening handshake: SHA-1 here is no protection of anything, only proof that the other side speaks the protocol.
#include "src/supervisor/websocket/handshake.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "src/base/header_block.h"

namespace insula::websocket {
namespace {

constexpr std::string_view kProtocolId = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr std::size_t kKeyBytes = 24;  // 16 bytes in base64

std::string base64(BytesView bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                      reinterpret_cast<const unsigned char*>(bytes.data()),
                                      static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(written));
  return text;
}

bool is_key(std::string_view text) noexcept {
  if (text.size() != kKeyBytes || !text.ends_with("==")) return false;
  for (const char c : text.substr(0, kKeyBytes - 2)) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter && !(c >= '0' && c <= '9') && c != '+' && c != '/') return false;
  }
  return true;
}

// The value of a field that must be there once; a null view otherwise.
std::string_view only_value(BytesView fields, std::string_view name) {
  std::string_view found;
  int count = 0;
  for_each_header(fields, [&](std::string_view field, std::string_view value) {
    if (field != name) return;
    found = value;
    ++count;
  });
  return count == 1 ? found : std::string_view();
}

bool has_field(BytesView fields, std::string_view name) { return find_header(fields, name).data() != nullptr; }

}  // namespace

std::string accept_value(std::string_view key) {
  const std::string text = std::string(key) + std::string(kProtocolId);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned bytes = 0;
  INSULA_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &bytes, EVP_sha1(), nullptr) == 1);
  return base64(BytesView(reinterpret_cast<const char*>(digest.data()), bytes));
}

std::string key_from(BytesView random) { return base64(random); }

Result<std::string> check_request(BytesView fields) {
  if (only_value(fields, "sec-websocket-version") != "13") {
    return Error(ErrorCode::Unsupported, "the only Sec-WebSocket-Version is 13");
  }
  const std::string_view key = only_value(fields, "sec-websocket-key");
  if (!is_key(key)) return Error(ErrorCode::InvalidInput, "Sec-WebSocket-Key must be 16 bytes in base64, once");
  return accept_value(key);
}

Bytes response_fields(BytesView fields, std::string_view accept) {
  Bytes kept;
  append_header(kept, "sec-websocket-accept", accept);
  for_each_header(fields, [&](std::string_view name, std::string_view value) {
    if (name != "sec-websocket-accept" && name != "sec-websocket-extensions") append_header(kept, name, value);
  });
  return kept;
}

bool is_upgrade(std::string_view method, BytesView fields) noexcept {
  const std::string_view value = find_header(fields, "upgrade");
  constexpr std::string_view kProtocol = "websocket";
  return method == "GET" && value.size() == kProtocol.size() &&
         std::equal(value.begin(), value.end(), kProtocol.begin(), [](char c, char lower) { return (c | 0x20) == lower; });
}

Bytes request_fields(BytesView fields, std::string_view key) {
  Bytes kept;
  append_header(kept, "sec-websocket-key", key);
  append_header(kept, "sec-websocket-version", "13");
  for_each_header(fields, [&](std::string_view name, std::string_view value) {
    // No extensions: a Worker that passes a client's request on must not promise what we do not do.
    const bool is_ours = name == "sec-websocket-key" || name == "sec-websocket-version" ||
                         name == "sec-websocket-extensions" || name == "upgrade" || name == "connection";
    if (!is_ours) append_header(kept, name, value);
  });
  return kept;
}

Result<> check_response(BytesView fields, std::string_view key) {
  if (only_value(fields, "sec-websocket-accept") != accept_value(key)) {
    return Error(ErrorCode::InvalidInput, "the server's Sec-WebSocket-Accept does not answer our key");
  }
  if (has_field(fields, "sec-websocket-extensions")) {
    return Error(ErrorCode::InvalidInput, "the server uses an extension that it was not asked for");
  }
  return {};
}

}  // namespace insula::websocket
