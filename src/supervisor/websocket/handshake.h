// SPDX-License-Identifier: Apache-2.0
//
// The opening handshake (RFC 6455 section 4). No extensions and, of itself, no subprotocol: whether one is chosen is
// the Worker's word, which passes through in the fields of its response.
#pragma once

#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/error.h"

namespace insula::websocket {

// Sec-WebSocket-Accept for a key.
std::string accept_value(std::string_view key);

// A fresh key of a client; random: 16 bytes.
std::string key_from(BytesView random);

// Looks at the fields (header block) of a request that asks for a WebSocket. Returns Sec-WebSocket-Accept.
// Errors: Unsupported (another version than 13: answer 426 with Sec-WebSocket-Version), InvalidInput (answer 400).
Result<std::string> check_request(BytesView fields);

// The fields of the 101 response: the Worker's without those that are ours, and `accept`.
Bytes response_fields(BytesView fields, std::string_view accept);

// Whether a Worker's request asks for a WebSocket; its body is then the stream of what it sends.
bool is_upgrade(std::string_view method, BytesView fields) noexcept;

// The fields of a request of ours: the caller's without those that are ours, the key and the version.
Bytes request_fields(BytesView fields, std::string_view key);

// Whether a 101 response with these fields answers the key that we sent; extensions were not asked for.
Result<> check_response(BytesView fields, std::string_view key);

}  // namespace insula::websocket
