// SPDX-License-Identifier: Apache-2.0
//
// HeadParser: what it stores, and that the cutting of the input into pieces changes nothing.
#include "src/supervisor/http/head_parser.h"

#include <string>

#include <gtest/gtest.h>

#include "src/base/header_block.h"

namespace insula::http {
namespace {

HttpLimits test_limits() { return HttpLimits{}; }

struct Parse {
  explicit Parse(const HttpLimits& wanted = test_limits()) : limits(wanted), parser(limits) {}
  HeadOutcome whole(std::string_view input) { return parser.parse(input, storage); }
  HttpLimits limits;
  HeadStorage storage;
  HeadParser parser;
};

TEST(HeadParser, GivesMethodTargetAuthorityAndFields) {
  Parse parse;
  ASSERT_EQ(parse.whole("GET /a?b=c HTTP/1.1\r\nHost: Acme.Example:8080\r\nX-One:\t 1 \r\nX-Empty:\r\n\r\nrest"),
            HeadOutcome::Complete);
  const ParsedHead& head = parse.parser.head();
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/a?b=c");
  EXPECT_EQ(head.authority, "acme.example:8080");
  EXPECT_EQ(find_header(head.headers, "host"), "acme.example:8080");
  EXPECT_EQ(find_header(head.headers, "x-one"), "1");
  EXPECT_NE(find_header(head.headers, "x-empty").data(), nullptr);
  EXPECT_TRUE(is_valid_header_block(head.headers));
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(parse.parser.head_bytes() + 4,
            std::string_view("GET /a?b=c HTTP/1.1\r\nHost: Acme.Example:8080\r\nX-One:\t 1 \r\nX-Empty:\r\n\r\nrest").size());
}

TEST(HeadParser, RemovesHopByHopFieldsAndWhatConnectionNames) {
  Parse parse;
  ASSERT_EQ(parse.whole("GET / HTTP/1.1\r\nHost: a\r\nX-Before: 1\r\nConnection: close, X-Hop , Upgrade\r\nX-Hop: 2\r\n"
                        "Upgrade: h2c\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nProxy-Connection: a\r\n"
                        "X-After: 3\r\n\r\n"),
            HeadOutcome::Complete);
  using std::string_literals::operator""s;
  EXPECT_EQ(parse.parser.head().headers, "host\0a\0x-before\0001\0x-after\0003\0"s);
  EXPECT_EQ(parse.parser.head().authority, "a");
  EXPECT_FALSE(parse.parser.head().keep_alive);
}

TEST(HeadParser, ConnectionCannotTakeHostOrLengthAway) {
  Parse parse;
  ASSERT_EQ(parse.whole("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: host, content-length\r\n\r\n"),
            HeadOutcome::Complete);
  EXPECT_EQ(parse.parser.head().authority, "a");
  EXPECT_EQ(find_header(parse.parser.head().headers, "content-length"), "3");
}

TEST(HeadParser, AbsoluteFormBecomesAPath) {
  const struct {
    std::string_view target;
    std::string_view path;
  } cases[] = {{"http://A.example/x?y", "/x?y"}, {"HTTP://a.example", "/"}, {"http://a.example?q", "/?q"}};
  for (const auto& one : cases) {
    Parse parse;
    ASSERT_EQ(parse.whole("GET " + std::string(one.target) + " HTTP/1.1\r\nHost: a.example\r\n\r\n"),
              HeadOutcome::Complete)
        << one.target;
    EXPECT_EQ(parse.parser.head().target, one.path);
  }
}

TEST(HeadParser, FindsTheSameByteByByte) {
  const std::string input =
      "\r\nPOST /path HTTP/1.1\r\nHost: h.example\r\nContent-Length: 5\r\nConnection: x-a\r\nX-A: 1\r\nX-B: 2\r\n\r\n";
  Parse whole;
  ASSERT_EQ(whole.whole(input), HeadOutcome::Complete);
  Parse pieces;
  for (std::size_t size = 1; size < input.size(); ++size) {
    ASSERT_EQ(pieces.parser.parse(std::string_view(input).substr(0, size), pieces.storage), HeadOutcome::Incomplete)
        << size;
  }
  ASSERT_EQ(pieces.parser.parse(input, pieces.storage), HeadOutcome::Complete);
  EXPECT_EQ(pieces.parser.head_bytes(), input.size());
  EXPECT_EQ(pieces.parser.head().headers, whole.parser.head().headers);
  EXPECT_EQ(pieces.parser.head().content_length, 5U);
}

TEST(HeadParser, RefusesBareLineEndsBeforeTheHeadIsComplete) {
  for (const std::string_view input : {"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n", "GET / HTTP/1.1\rX"}) {
    Parse parse;
    HeadOutcome outcome = HeadOutcome::Incomplete;
    for (std::size_t size = 1; size <= input.size() && outcome == HeadOutcome::Incomplete; ++size) {
      outcome = parse.parser.parse(input.substr(0, size), parse.storage);
    }
    EXPECT_EQ(outcome, HeadOutcome::Rejected) << input;
    EXPECT_EQ(parse.parser.rejection().status, 400);
  }
}

TEST(HeadParser, LimitsHoldWhetherTheInputComesWholeOrInPieces) {
  HttpLimits limits;
  limits.target_bytes_max = 20;
  limits.header_bytes_max = 60;
  limits.header_count_max = 3;
  const struct {
    std::string input;
    int status;
  } cases[] = {
      {"GET /" + std::string(19, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 0},
      {"GET /" + std::string(20, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"GET /" + std::string(300, 'a'), 414},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(46, 'v') + "\r\n\r\n", 0},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(47, 'v') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(300, 'v'), 431},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n", 0},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431},
  };
  for (const auto& one : cases) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, one.input.size()}) {
      Parse parse(limits);
      HeadOutcome outcome = HeadOutcome::Incomplete;
      for (std::size_t size = std::min(step, one.input.size());; size = std::min(size + step, one.input.size())) {
        outcome = parse.parser.parse(std::string_view(one.input).substr(0, size), parse.storage);
        if (outcome != HeadOutcome::Incomplete || size == one.input.size()) break;
      }
      if (one.status == 0) {
        EXPECT_EQ(outcome, HeadOutcome::Complete) << one.input;
      } else {
        ASSERT_EQ(outcome, HeadOutcome::Rejected) << one.input << " in steps of " << step;
        EXPECT_EQ(parse.parser.rejection().status, one.status) << one.input << " in steps of " << step;
      }
    }
  }
}

TEST(HeadParser, Http10ClosesUnlessAskedToStay) {
  Parse closes;
  ASSERT_EQ(closes.whole("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), HeadOutcome::Complete);
  EXPECT_FALSE(closes.parser.head().keep_alive);
  Parse stays;
  ASSERT_EQ(stays.whole("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"), HeadOutcome::Complete);
  EXPECT_TRUE(stays.parser.head().keep_alive);
}

}  // namespace
}  // namespace insula::http
