// SPDX-License-Identifier: Apache-2.0
//
// The opening handshake: the example of the RFC, and what is refused.
#include "src/supervisor/websocket/handshake.h"

#include <gtest/gtest.h>

#include "src/base/header_block.h"

namespace insula::websocket {
namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

Bytes request(std::string_view version, std::string_view key) {
  Bytes fields;
  append_header(fields, "host", "x");
  append_header(fields, "sec-websocket-version", version);
  append_header(fields, "sec-websocket-key", key);
  return fields;
}

TEST(Handshake, AnswersTheKeyOfTheRfcsExample) {
  const auto accept = check_request(request("13", kKey));
  ASSERT_TRUE(accept.has_value());
  EXPECT_EQ(*accept, kAccept);
}

TEST(Handshake, RefusesOtherVersions) {
  for (const std::string_view version : {"", "8", "12", "13, 8", "013", "14"}) {
    const auto accept = check_request(request(version, kKey));
    ASSERT_FALSE(accept.has_value()) << version;
    EXPECT_EQ(accept.error().code(), ErrorCode::Unsupported);
  }
}

TEST(Handshake, RefusesKeysThatAreNot16BytesInBase64) {
  for (const std::string_view key :
       {"", "abc", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25j ZQ=", "dGhlIHNhbXBsZSBub2=jZQ=="}) {
    const auto accept = check_request(request("13", key));
    ASSERT_FALSE(accept.has_value()) << key;
    EXPECT_EQ(accept.error().code(), ErrorCode::InvalidInput);
  }
}

TEST(Handshake, RefusesRepeatedFields) {
  Bytes two_keys = request("13", kKey);
  append_header(two_keys, "sec-websocket-key", kKey);
  EXPECT_FALSE(check_request(two_keys).has_value());
  Bytes two_versions = request("13", kKey);
  append_header(two_versions, "sec-websocket-version", "13");
  EXPECT_FALSE(check_request(two_versions).has_value());
}

TEST(Handshake, KeepsTheWorkersFieldsButNotThoseOfTheProtocol) {
  Bytes fields;
  append_header(fields, "sec-websocket-protocol", "chat");
  append_header(fields, "sec-websocket-accept", "forged");
  append_header(fields, "sec-websocket-extensions", "permessage-deflate");
  append_header(fields, "x-a", "b");
  const Bytes all = response_fields(fields, kAccept);
  EXPECT_EQ(find_header(all, "sec-websocket-accept"), kAccept);
  EXPECT_EQ(find_header(all, "sec-websocket-protocol"), "chat");
  EXPECT_EQ(find_header(all, "x-a"), "b");
  EXPECT_EQ(find_header(all, "sec-websocket-extensions").data(), nullptr);
}

TEST(Handshake, ChecksTheServersAnswer) {
  const std::string key = key_from("0123456789abcdef");
  EXPECT_EQ(key.size(), 24U);
  Bytes good;
  append_header(good, "sec-websocket-accept", accept_value(key));
  EXPECT_TRUE(check_response(good, key).has_value());
  EXPECT_FALSE(check_response(good, kKey).has_value());
  EXPECT_FALSE(check_response({}, key).has_value());
  append_header(good, "sec-websocket-extensions", "permessage-deflate");
  EXPECT_FALSE(check_response(good, key).has_value());
}

TEST(Handshake, KnowsARequestThatAsks) {
  const auto asks = [](std::string_view method, std::string_view upgrade) {
    Bytes fields;
    append_header(fields, "upgrade", upgrade);
    return is_upgrade(method, fields);
  };
  EXPECT_TRUE(asks("GET", "websocket"));
  EXPECT_TRUE(asks("GET", "WebSocket"));
  EXPECT_FALSE(asks("POST", "websocket"));
  EXPECT_FALSE(asks("GET", "h2c"));
  EXPECT_FALSE(asks("GET", "websocket, h2c"));
  EXPECT_FALSE(is_upgrade("GET", {}));
}

TEST(Handshake, AsksWithItsOwnKeyAndNoExtensions) {
  Bytes fields;
  append_header(fields, "sec-websocket-key", "a client's");
  append_header(fields, "sec-websocket-extensions", "permessage-deflate");
  append_header(fields, "sec-websocket-protocol", "chat");
  append_header(fields, "x-a", "b");
  const Bytes ours = request_fields(fields, kKey);
  EXPECT_EQ(find_header(ours, "sec-websocket-key"), kKey);
  EXPECT_EQ(find_header(ours, "sec-websocket-version"), "13");
  EXPECT_EQ(find_header(ours, "sec-websocket-protocol"), "chat");
  EXPECT_EQ(find_header(ours, "sec-websocket-extensions").data(), nullptr);
  EXPECT_TRUE(check_request(ours).has_value());
}

}  // namespace
}  // namespace insula::websocket
