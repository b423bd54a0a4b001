// SPDX-License-Identifier: Apache-2.0
//
// RequestHead: what goes over the wire, and what must never.
#include "src/supervisor/egress/request_head.h"

#include <string>

#include <gtest/gtest.h>

#include "src/base/header_block.h"

namespace insula::egress {
namespace {

Bytes block(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  Bytes bytes;
  for (const auto& [name, value] : fields) append_header(bytes, name, value);
  return bytes;
}

OutboundRequest request(std::string method, Bytes headers = {}) {
  OutboundRequest result;
  result.method = std::move(method);
  result.headers = std::move(headers);
  return result;
}

struct EmptySource final : io::ByteSource {
  void attach(io::ByteSink&) override {}
  void grant(std::size_t) override {}
  void stop() override {}
};

const Url kUrl = *parse_url("http://example.com:8080/a?b");

TEST(RequestHead, WritesMethodTargetHostAndFields) {
  const auto head = write_request_head(kUrl, request("GET", block({{"accept", "*/*"}, {"x", ""}})));
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->bytes, "GET /a?b HTTP/1.1\r\nhost: example.com:8080\r\naccept: */*\r\nx: \r\n\r\n");
  EXPECT_EQ(head->framing, BodyFraming::None);
}

TEST(RequestHead, DropsEveryFieldThatIsNotTheWorkersBusiness) {
  const auto head = write_request_head(
      kUrl, request("GET", block({{"host", "evil.example"}, {"content-length", "5"}, {"transfer-encoding", "chunked"},
                                  {"connection", "close, x-hop"}, {"x-hop", "1"}, {"keep-alive", "1"},
                                  {"proxy-connection", "1"}, {"te", "trailers"}, {"trailer", "x"}, {"upgrade", "h2c"},
                                  {"http2-settings", "x"}, {"expect", "100-continue"}, {"x-kept", "1"}})));
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->bytes, "GET /a?b HTTP/1.1\r\nhost: example.com:8080\r\nx-kept: 1\r\n\r\n");
}

TEST(RequestHead, FramesByTheBodyThatIsGiven) {
  auto with_body = request("POST");
  with_body.has_body = true;
  with_body.body = "hello";
  EXPECT_NE(write_request_head(kUrl, with_body)->bytes.find("\r\ncontent-length: 5\r\n"), std::string::npos);
  EXPECT_NE(write_request_head(kUrl, request("POST"))->bytes.find("\r\ncontent-length: 0\r\n"), std::string::npos);

  auto stream = request("PUT");
  stream.source = std::make_shared<EmptySource>();
  EXPECT_NE(write_request_head(kUrl, stream)->bytes.find("\r\ntransfer-encoding: chunked\r\n"), std::string::npos);
  stream.length = 7;
  const auto sized = write_request_head(kUrl, stream);
  EXPECT_NE(sized->bytes.find("\r\ncontent-length: 7\r\n"), std::string::npos);
  EXPECT_EQ(sized->bytes.find("transfer-encoding"), std::string::npos);
}

TEST(RequestHead, RefusesWhatWouldBreakTheFraming) {
  for (const char* method : {"", "GET ", "GE T", "GET\r\nx: y", "CONNECT", "G\xc3\xa9T"}) {
    EXPECT_FALSE(write_request_head(kUrl, request(method)).has_value()) << method;
  }
  for (const Bytes& headers :
       {block({{"a", "b\r\nc: d"}}), block({{"a", "b\nc"}}), block({{"a b", "c"}}), block({{"A", "b"}}),
        block({{"", "b"}}), block({{"a\r\n", "b"}}), block({{"a:", "b"}}), Bytes("unterminated"), Bytes("a\0b", 3),
        block({{"a", "b\x01"}})}) {
    EXPECT_FALSE(write_request_head(kUrl, request("GET", headers)).has_value()) << headers;
  }
  EXPECT_FALSE(write_request_head(kUrl, request("GET", block({{"a", std::string(128 * 1024, 'x')}}))).has_value());
}

TEST(RequestHead, KnowsWhatMayBeSentTwice) {
  for (const char* method : {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}) {
    EXPECT_TRUE(write_request_head(kUrl, request(method))->is_idempotent) << method;
  }
  for (const char* method : {"POST", "PATCH", "get", "PURGE"}) {
    EXPECT_FALSE(write_request_head(kUrl, request(method))->is_idempotent) << method;
  }
}

TEST(RequestHead, KnowsLoginsThatServersTieToTheConnection) {
  EXPECT_TRUE(write_request_head(kUrl, request("GET", block({{"authorization", "NTLM abc"}})))->is_connection_bound);
  EXPECT_TRUE(write_request_head(kUrl, request("GET", block({{"authorization", "negotiate x"}})))->is_connection_bound);
  EXPECT_FALSE(write_request_head(kUrl, request("GET", block({{"authorization", "Bearer x"}})))->is_connection_bound);
}

TEST(RequestHead, AsksForAWebSocketOnAConnectionOfItsOwn) {
  OutboundRequest upgrade = request("GET", block({{"upgrade", "h2c"}, {"connection", "x-y"}, {"x-y", "z"}, {"x-a", "b"}}));
  upgrade.is_upgrade = true;
  upgrade.source = std::make_shared<EmptySource>();
  const auto head = write_request_head(kUrl, upgrade);
  ASSERT_TRUE(head.has_value());
  EXPECT_EQ(head->bytes,
            "GET /a?b HTTP/1.1\r\nhost: example.com:8080\r\nx-a: b\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n");
  EXPECT_EQ(head->framing, BodyFraming::None);
  EXPECT_TRUE(head->is_connection_bound);
}

}  // namespace
}  // namespace insula::egress
