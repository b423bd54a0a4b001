// SPDX-License-Identifier: Apache-2.0
//
// ResponseParser: whole answers, answers in pieces of every size, and answers that must be refused.
#include "src/supervisor/egress/response_parser.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "src/base/header_block.h"

namespace insula::egress {
namespace {

using Event = ResponseParser::Event;

struct Outcome {
  bool is_head_seen = false;
  bool is_complete = false;
  std::string body;
  std::string rest;  // behind the end
  std::optional<Error> error;
  ParsedHead head;
  bool keep_alive = false;
};

// Feeds `input` in pieces of `piece` bytes, then the end of the connection; takes bodies in parts of `credit` bytes.
Outcome run(std::string_view input, std::size_t piece = SIZE_MAX, std::size_t credit = SIZE_MAX, bool is_head = false) {
  ResponseParser parser(is_head);
  Outcome outcome;
  std::string pending;
  bool ended = false;
  for (;;) {
    const auto step = parser.next(pending, credit);
    if (!step) {
      outcome.error = step.error();
      return outcome;
    }
    if (step->event == Event::Body) outcome.body.append(step->body);
    if (step->event == Event::Head) {
      outcome.is_head_seen = true;
      outcome.head = parser.head();
      outcome.keep_alive = parser.is_keep_alive();
    }
    pending.erase(0, step->consumed);
    if (step->event == Event::End) {
      outcome.is_complete = true;
      outcome.rest = pending + std::string(input);
      return outcome;
    }
    if (step->event != Event::NeedMore) continue;
    if (input.empty()) {
      if (ended) ADD_FAILURE() << "asks for more behind the end";
      if (const auto end = parser.end_of_input(); !end) {
        outcome.error = end.error();
        return outcome;
      }
      ended = true;
      continue;
    }
    pending.append(input.substr(0, piece));
    input.remove_prefix(std::min(piece, input.size()));
  }
}

TEST(ResponseParser, ReadsAFixedBody) {
  const auto outcome = run("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b c \r\n\r\nhello");
  EXPECT_TRUE(outcome.is_complete);
  EXPECT_EQ(outcome.head.status, 200);
  EXPECT_EQ(outcome.head.reason, "OK");
  EXPECT_EQ(outcome.body, "hello");
  EXPECT_EQ(find_header(outcome.head.headers, "x-a"), "b c");
  EXPECT_EQ(find_header(outcome.head.headers, "content-length"), "5");
  EXPECT_TRUE(outcome.keep_alive);
}

TEST(ResponseParser, ReadsTheSameWhateverThePiecesAre) {
  constexpr std::string_view kAnswers[] = {
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n1;x=\"y\"\r\n \r\n00005\r\nworld\r\n0\r\nTrailer: x\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
      "HTTP/1.0 200 OK\r\n\r\nhello world",
      "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200\r\n\r\nhello world",
  };
  for (const auto answer : kAnswers) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, SIZE_MAX}) {
      for (const std::size_t credit : {std::size_t{1}, std::size_t{4}, SIZE_MAX}) {
        const auto outcome = run(answer, piece, credit);
        EXPECT_TRUE(outcome.is_complete) << answer << " in pieces of " << piece;
        EXPECT_EQ(outcome.body, "hello world") << answer << " in pieces of " << piece;
        EXPECT_EQ(outcome.rest, "");
      }
    }
  }
}

TEST(ResponseParser, TakesAChunkHeaderOfTheGreatestSizeInAnyPieces) {
  const std::string extension(kChunkLineBytesMax - 2, 'a');
  for (const std::size_t piece : {std::size_t{1}, SIZE_MAX}) {
    EXPECT_TRUE(run("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + extension + "\r\nx\r\n0\r\n\r\n", piece)
                    .is_complete);
  }
}

TEST(ResponseParser, GivesNoBodyWithoutCreditButFindsTheEnd) {
  ResponseParser parser(false);
  const std::string_view head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(parser.next(head, 0)->event, Event::Head);
  EXPECT_EQ(parser.next("1\r\nx\r\n0\r\n\r\n", 0)->event, Event::Stalled);
  const auto step = parser.next("x\r\n0\r\n\r\n", 1);
  EXPECT_EQ(step->event, Event::Body);
  EXPECT_EQ(step->body, "x");
  EXPECT_EQ(parser.next("\r\n0\r\n\r\n", 0)->event, Event::End);
}

TEST(ResponseParser, KnowsAnswersWithoutBody) {
  for (const std::string_view answer : {"HTTP/1.1 204 No Content\r\n\r\nnext", "HTTP/1.1 304 Not Modified\r\n"
                                        "Content-Length: 9\r\n\r\nnext",
                                        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nnext"}) {
    const auto outcome = run(answer);
    EXPECT_TRUE(outcome.is_complete) << answer;
    EXPECT_EQ(outcome.body, "") << answer;
    EXPECT_EQ(outcome.rest, "next") << answer;
  }
  const auto head = run("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", SIZE_MAX, SIZE_MAX, true);
  EXPECT_TRUE(head.is_complete);
  EXPECT_EQ(head.body, "");
}

TEST(ResponseParser, LeavesWhatFollowsTheEnd) {
  EXPECT_EQ(run("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n").rest, "HTTP/1.1 200 OK\r\n");
  EXPECT_EQ(run("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nrest").rest, "rest");
}

TEST(ResponseParser, DropsWhatBelongsToTheConnection) {
  const auto outcome = run(
      "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nUpgrade: h2c\r\n"
      "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n");
  EXPECT_TRUE(outcome.is_complete);
  EXPECT_EQ(outcome.head.headers, std::string("set-cookie\0a=1\0set-cookie\0b=2\0", 30));
}

TEST(ResponseParser, KnowsWhenTheConnectionCannotBeKept) {
  EXPECT_FALSE(run("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(run("HTTP/1.1 200 OK\r\nConnection: x,close\r\nContent-Length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(run("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").keep_alive);
  EXPECT_FALSE(run("HTTP/1.1 200 OK\r\n\r\n").keep_alive);
}

TEST(ResponseParser, RefusesMalformedAnswers) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string table[] = {
      "HTTP/1.1 200 OK\n\n", ok + "A: b\n\r\n", ok + "A: b\rC: d\r\n\r\n", "\r\n" + ok + "\r\n", "\n" + ok + "\r\n",
      "HTTP/2 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
      "ICY 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "HTTP/1.1 200 O\x01K\r\n\r\n",
      "HTTP/1.1\r\n\r\n", "garbage\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
      "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello",
      ok + "A : b\r\n\r\n", ok + ": b\r\n\r\n", ok + "A b\r\n\r\n", ok + "A: b\r\n c\r\n\r\n", ok + " A: b\r\n\r\n",
      ok + "A\x01: b\r\n\r\n", ok + "A: b\x02\r\n\r\n", ok + "A: b\x7f\r\n\r\n",
      ok + std::string("A: b\0c\r\n\r\n", 10), ok + "\xc3\xbc: b\r\n\r\n",
      ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", ok + "Content-Length: 5, 5\r\n\r\nhello",
      ok + "Content-Length: +5\r\n\r\nhello", ok + "Content-Length: -1\r\n\r\n", ok + "Content-Length: 0x5\r\n\r\n",
      ok + "Content-Length: 5 5\r\n\r\n", ok + "Content-Length:\r\n\r\n",
      ok + "Content-Length: 99999999999999999999\r\n\r\n",
      ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ok + "Transfer-Encoding: identity\r\n\r\n",
      ok + "Transfer-Encoding: chunked, identity\r\n\r\n", ok + "Transfer-Encoding: xchunked\r\n\r\n",
      ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      ok + "Transfer-Encoding:\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      chunked + "\r\n", chunked + "x\r\n", chunked + "-1\r\n", chunked + "0x1\r\nx\r\n", chunked + " 1\r\nx\r\n",
      chunked + "1 \r\nx\r\n", chunked + "1\nx\n0\n\n", chunked + "1\r\nxy\r\n", chunked + "2\r\nx\r\n0\r\n\r\n",
      chunked + "ffffffffffffffff\r\n", chunked + "10000000000000000\r\nx", chunked + "1;a\x01\r\nx\r\n",
      chunked + "1;" + std::string(300, 'a') + "\r\nx\r\n", chunked + std::string(300, '0'),
      chunked + "0\r\nA b\r\n\r\n", chunked + "0\r\n A: b\r\n\r\n", chunked + "0\r\n\n",
      chunked + "0\r\nA: " + std::string(17 * 1024, 'a') + "\r\n\r\n",
  };
  for (const auto& answer : table) {
    for (const std::size_t piece : {std::size_t{1}, SIZE_MAX}) {
      const auto outcome = run(answer, piece);
      ASSERT_TRUE(outcome.error.has_value()) << answer.substr(0, 120) << " in pieces of " << piece;
      EXPECT_FALSE(outcome.is_complete) << answer.substr(0, 120);
      EXPECT_EQ(outcome.error->code(), ErrorCode::Corrupt) << answer.substr(0, 120) << outcome.error->message();
    }
  }
}

TEST(ResponseParser, BoundsTheHead) {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  EXPECT_TRUE(run(ok + "A: " + std::string(128 * 1024 - 40, 'a') + "\r\n\r\n").is_complete);
  EXPECT_EQ(run(ok + "A: " + std::string(128 * 1024, 'a') + "\r\n\r\n").error->code(), ErrorCode::Corrupt);
  EXPECT_EQ(run(ok + "A: " + std::string(256 * 1024, 'a'), 4096).error->code(), ErrorCode::Corrupt);
  std::string many = ok;
  for (int i = 0; i < 256; ++i) many += "A: b\r\n";
  EXPECT_TRUE(run(many + "\r\n").is_complete);
  EXPECT_EQ(run(many + "A: b\r\n\r\n").error->code(), ErrorCode::Corrupt);
  std::string interim;
  for (int i = 0; i < 9; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(run(interim).error->code(), ErrorCode::Corrupt);
}

TEST(ResponseParser, TellsALostConnectionFromAnEnd) {
  for (const std::string_view answer :
       {"", "HTTP", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    const auto outcome = run(answer);
    ASSERT_TRUE(outcome.error.has_value()) << answer;
    EXPECT_EQ(outcome.error->code(), ErrorCode::Unavailable) << answer;
  }
}

TEST(ResponseParser, TakesA101ThatWasAskedForAndGivesAllThatFollows) {
  for (const bool may_switch : {false, true}) {
    ResponseParser parser(false, may_switch);
    std::string input = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-A: b\r\n\r\n\x81\x02hi";
    const auto head = parser.next(input, 100);
    ASSERT_EQ(head.has_value(), may_switch);
    if (!may_switch) continue;
    EXPECT_EQ(head->event, Event::Head);
    EXPECT_EQ(parser.head().status, 101);
    EXPECT_FALSE(parser.is_keep_alive());
    EXPECT_TRUE(parser.has_body());
    input.erase(0, head->consumed);
    const auto body = parser.next(input, 100);
    ASSERT_TRUE(body.has_value());
    EXPECT_EQ(body->body, "\x81\x02hi");
    EXPECT_TRUE(parser.end_of_input().has_value());
  }
}

}  // namespace
}  // namespace insula::egress
