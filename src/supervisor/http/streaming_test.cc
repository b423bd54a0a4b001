// SPDX-License-Identifier: Apache-2.0
//
// Server: bodies that stream, in both directions, with back-pressure and with every way to end badly.
#include <string>

#include <gtest/gtest.h>

#include "src/supervisor/http/server_fixture.h"

namespace insula::http {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kPost100 = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";

class StreamingTest : public ServerTest {
 protected:
  ~StreamingTest() override { server.reset(); }  // before the sink that it may still tell of its end

  // Sends a request whose body is not there yet and returns its exchange, with the sink attached.
  std::shared_ptr<Exchange> open_request(Client& client, std::string_view head) {
    const std::size_t before = handler.pending.size();
    client.send(head);
    EXPECT_TRUE(run_until([&] { return handler.pending.size() == before + 1; }));
    auto exchange = handler.pending.back();
    source = exchange->body().source;
    EXPECT_NE(source, nullptr);
    source->attach(sink);
    return exchange;
  }
  // Starts a streamed response to one request.
  std::shared_ptr<ManualSource> open_response(Client& client, std::optional<std::uint64_t> length,
                                              std::string_view request = kGet) {
    const std::size_t before = handler.pending.size();
    client.send(request);
    EXPECT_TRUE(run_until([&] { return handler.pending.size() == before + 1; }));
    auto stream = std::make_shared<ManualSource>();
    handler.pending.back()->respond({.status = 200, .reason = {}, .headers = {}}, stream, length);
    return stream;
  }

  CollectingSink sink;
  io::ByteSourcePtr source;
};

TEST_F(StreamingTest, ARequestBodyFlowsAsGranted) {
  start();
  Client client(port);
  const auto exchange = open_request(client, kPost100);
  EXPECT_EQ(exchange->body().length, 100U);
  client.send(std::string(100, 'x') + std::string(kGet));
  settle();
  EXPECT_EQ(sink.data, "");
  source->grant(30);
  ASSERT_TRUE(run_until([&] { return sink.data.size() == 30; }));
  settle();
  EXPECT_EQ(sink.data.size(), 30U);
  source->grant(1000);
  ASSERT_TRUE(run_until([&] { return sink.ends == 1; }));
  EXPECT_EQ(sink.data, std::string(100, 'x'));
  EXPECT_TRUE(sink.failures.empty());
  respond_text(*exchange, "ok");
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 2; }));
}

TEST_F(StreamingTest, AChunkedRequestFlowsHoweverItIsCut) {
  start();
  Client client(port);
  const auto exchange = open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r");
  EXPECT_FALSE(exchange->body().length.has_value());
  source->grant(1000);
  for (const char c : std::string_view("\nhello\r\n8;x\r\n, world!\r\n0\r\nX-T: 1\r\n\r\n")) {
    client.send(std::string_view(&c, 1));
    settle();
  }
  EXPECT_EQ(sink.data, "hello, world!");
  EXPECT_EQ(sink.ends, 1);
}

TEST_F(StreamingTest, WhatIsNotGrantedStaysWithTheClient) {
  start();
  Client client(port);
  open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
  source->grant(100'000);
  std::size_t sent = 0;
  std::size_t idle = 0;
  const std::string block(65536, 'x');
  while (idle < 100) {
    const std::size_t taken = client.send(block);
    sent += taken;
    idle = taken == 0 ? idle + 1 : 0;
    settle();
  }
  EXPECT_EQ(sink.data.size(), 100'000U);
  EXPECT_LT(sent, 40'000'000U);  // the kernel's two buffers
}

TEST_F(StreamingTest, ContinueIsSentWhenTheBodyIsWanted) {
  start();
  Client client(port);
  const auto exchange =
      open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  settle();
  client.receive();
  EXPECT_EQ(client.received, "");
  source->grant(100);
  ASSERT_TRUE(run_until([&] { return client.has_received("HTTP/1.1 100 Continue\r\n\r\n"); }));
  source->grant(100);
  client.send("hello");
  ASSERT_TRUE(run_until([&] { return sink.ends == 1; }));
  client.received.clear();
  respond_text(*exchange, "ok");
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  EXPECT_EQ(client.answers()[0].status, 200);
  EXPECT_FALSE(client.has_closed());
}

TEST_F(StreamingTest, AnAnswerInsteadOfContinueClosesTheConnection) {
  start();
  Client client(port);
  const auto exchange =
      open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  respond_text(*exchange, "no", 403);
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  ASSERT_EQ(client.answers().size(), 1U);
  EXPECT_EQ(client.answers()[0].status, 403);
  EXPECT_EQ(sink.failures, std::vector<ErrorCode>{ErrorCode::Cancelled});
}

TEST_F(StreamingTest, AnUnreadBodyIsDroppedUpToABound) {
  handler.reaction = [](const std::shared_ptr<Exchange>& exchange) { respond_text(*exchange, "ok"); };
  start();
  Client small(port);
  small.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  settle();
  small.send(std::string(100'000, 'x') + std::string(kGet));
  ASSERT_TRUE(run_until([&] { return small.answers().size() == 2; }));
  EXPECT_FALSE(small.has_closed());

  Client large(port);
  large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return large.has_closed(); }));
  ASSERT_EQ(large.answers().size(), 1U);
  EXPECT_NE(large.answers()[0].head.find("Connection: close\r\n"), std::string::npos);
  EXPECT_FALSE(large.was_reset);

  Client endless(port);
  endless.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return endless.answers().size() == 1; }));
  const std::string chunk = "10000\r\n" + std::string(65536, 'x') + "\r\n";
  ASSERT_TRUE(run_until([&] {
    endless.send(chunk);
    return endless.has_closed();
  }));
  EXPECT_EQ(handler.targets.size(), 4U);
}

TEST_F(StreamingTest, ABodyThatNobodyWantsMayStillBeSent) {
  start();
  Client client(port);
  const auto exchange = open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
  source->grant(10);
  source->stop();
  std::string body(3'000'000, 'x');
  std::size_t sent = 0;
  ASSERT_TRUE(run_until([&] {
    sent += client.send(std::string_view(body).substr(sent));
    return sent == body.size();
  }));
  settle();
  EXPECT_EQ(sink.data, "");
  respond_text(*exchange, "ok");
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 2; }));
}

TEST_F(StreamingTest, AMalformedChunkEndsBodyAndExchange) {
  start();
  Client client(port);
  const auto exchange = open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
  int cancelled = 0;
  exchange->on_cancelled([&] { ++cancelled; });
  source->grant(1000);
  client.send("helloX" + std::string(kGet));
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_EQ(sink.data, "hello");
  EXPECT_EQ(sink.failures, std::vector<ErrorCode>{ErrorCode::InvalidInput});
  EXPECT_EQ(cancelled, 1);
  ASSERT_EQ(client.answers().size(), 1U);
  EXPECT_EQ(client.answers()[0].status, 400);
  EXPECT_EQ(handler.targets.size(), 1U);
}

TEST_F(StreamingTest, ChunksBeyondTheLimitGet413) {
  limits.body_bytes_max = 200'000;
  start();
  Client client(port);
  const auto exchange = open_request(client, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  source->grant(1'000'000);
  client.send("186a0\r\n" + std::string(100'000, 'x') + "\r\n186a1\r\n");
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  ASSERT_EQ(client.answers().size(), 1U);
  EXPECT_EQ(client.answers()[0].status, 413);
  EXPECT_EQ(sink.failures.size(), 1U);
}

TEST_F(StreamingTest, ASlowBodyGets408ButOnlyWhileItIsWanted) {
  start();
  Client client(port);
  open_request(client, kPost100);
  advance(limits.body_idle_timeout * 2);
  EXPECT_TRUE(sink.failures.empty());
  source->grant(50);
  settle();
  advance(limits.body_idle_timeout - milliseconds(1));
  client.send("x");
  ASSERT_TRUE(run_until([&] { return sink.data.size() == 1; }));
  advance(limits.body_idle_timeout - milliseconds(1));
  EXPECT_TRUE(sink.failures.empty());
  advance(milliseconds(1));
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_EQ(sink.failures.size(), 1U);
  ASSERT_EQ(client.answers().size(), 1U);
  EXPECT_EQ(client.answers()[0].status, 408);
}

TEST_F(StreamingTest, ABodyCutShortIsAFailureAndNotAnEnd) {
  start();
  Client client(port);
  open_request(client, kPost100);
  source->grant(1000);
  client.send("x");
  client.close();
  ASSERT_TRUE(run_until([&] { return sink.failures.size() == 1; }));
  EXPECT_EQ(sink.ends, 0);
}

TEST_F(StreamingTest, ABodyOutlivesItsConnectionInPeace) {
  start();
  {
    Client client(port);
    open_request(client, kPost100);
    source->grant(10);
  }
  ASSERT_TRUE(run_until([&] { return sink.failures.size() == 1; }));
  handler.pending.clear();
  server.reset();
  source->grant(10);
  source->stop();
  CollectingSink late;
  source->attach(late);
  EXPECT_EQ(late.failures.size(), 1U);
}

TEST_F(StreamingTest, AResponseOfUnknownLengthIsChunked) {
  start();
  Client client(port);
  const auto stream = open_response(client, std::nullopt);
  ASSERT_TRUE(run_until([&] { return client.has_received("\r\n\r\n"); }));
  stream->sink->on_data("hello");
  ASSERT_TRUE(run_until([&] { return client.has_received("5\r\nhello\r\n"); }));
  stream->sink->on_data(std::string(20'000, 'x'));
  stream->sink->on_end();
  ASSERT_TRUE(run_until([&] { return client.has_received("4e20\r\n" + std::string(20'000, 'x') + "\r\n0\r\n\r\n"); }));
  EXPECT_TRUE(client.has_received("Transfer-Encoding: chunked\r\n"));
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 2; }));
}

TEST_F(StreamingTest, AResponseOfKnownLengthIsNot) {
  start();
  Client client(port);
  const auto stream = open_response(client, 10);
  stream->sink->on_data("hello");
  stream->sink->on_data("world");
  stream->sink->on_end();
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  EXPECT_EQ(client.answers()[0].body, "helloworld");
  EXPECT_FALSE(client.has_closed());
}

TEST_F(StreamingTest, Http10GetsAResponseThatEndsWithTheConnection) {
  start();
  Client client(port);
  const auto stream = open_response(client, std::nullopt, "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
  stream->sink->on_data("hello");
  stream->sink->on_end();
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_TRUE(client.received.ends_with("\r\n\r\nhello"));
  EXPECT_FALSE(client.was_reset);
  EXPECT_EQ(client.received.find("chunked"), std::string::npos);
}

TEST_F(StreamingTest, HeadStopsTheStream) {
  start();
  Client client(port);
  const auto stream = open_response(client, 10, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(stream->is_stopped);
  ASSERT_TRUE(run_until([&] { return client.has_received("Content-Length: 10\r\n"); }));
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 2; }));
}

TEST_F(StreamingTest, AReaderThatDoesNotReadHoldsTheSourceBack) {
  start();
  Client client(port, 4096);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  const auto stream = std::make_shared<ManualSource>();
  const std::string block(1 << 20, 'x');
  stream->on_grant = [&](std::size_t bytes) { stream->sink->on_data(std::string_view(block).substr(0, bytes)); };
  handler.pending[0]->respond({.status = 200, .reason = {}, .headers = {}}, stream, std::nullopt);
  settle();
  const std::size_t held = stream->granted;
  EXPECT_LT(held, 16U << 20);  // our window and the kernel's buffer
  settle();
  EXPECT_EQ(stream->granted, held);
  ASSERT_TRUE(run_until([&] {
    client.receive();
    client.received.clear();
    return stream->granted > held + (4U << 20);
  }));
  // And a reader that stops for good is cut off.
  settle();
  advance(limits.write_idle_timeout - milliseconds(1));
  EXPECT_FALSE(stream->is_stopped);
  advance(milliseconds(1));
  EXPECT_TRUE(stream->is_stopped);
  EXPECT_EQ(server->connection_count(), 0U);
}

TEST_F(StreamingTest, AnEndlessStreamLeavesOthersTheirTurn) {
  handler.reaction = [](const std::shared_ptr<Exchange>& exchange) {
    if (exchange->head().target == "/small") {
      respond_text(*exchange, "small");
      return;
    }
    const auto stream = std::make_shared<ManualSource>();
    ManualSource* const raw = stream.get();
    stream->on_grant = [raw](std::size_t bytes) { raw->sink->on_data(std::string(bytes, 'x')); };
    exchange->respond({.status = 200, .reason = {}, .headers = {}}, stream, std::nullopt);
  };
  start();
  Client endless(port);
  endless.send(kGet);
  Client other(port);
  other.send("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] {
    endless.receive();
    endless.received.clear();
    return other.answers().size() == 1;
  }));
}

TEST_F(StreamingTest, AFailedShortOrLongStreamCutsTheConnection) {
  start();
  for (const std::string_view way : {"fails", "short", "long"}) {
    for (const bool is_chunked : {true, false}) {
      if (is_chunked && way != "fails") continue;
      SCOPED_TRACE(way);
      Client client(port);
      const auto stream = open_response(client, is_chunked ? std::nullopt : std::optional<std::uint64_t>(10));
      stream->sink->on_data("hello");
      if (way == "fails") stream->sink->on_failure(Error(ErrorCode::Unavailable, "test: gone"));
      if (way == "short") stream->sink->on_end();
      if (way == "long") stream->sink->on_data("world and more");
      ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
      EXPECT_TRUE(client.received.ends_with("hello") || client.received.ends_with("hello\r\n")) << client.received;
    }
  }
  EXPECT_EQ(server->counters().responses_cut, 4U);
}

TEST_F(StreamingTest, AFailedStreamWithoutLengthDoesNotLookComplete) {
  start();
  Client client(port);
  const auto stream = open_response(client, std::nullopt, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  stream->sink->on_data("hello");
  stream->sink->on_failure(Error(ErrorCode::Unavailable, "test: gone"));
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_TRUE(client.was_reset);
}

TEST_F(StreamingTest, AClientThatGoesAwayStopsTheStream) {
  start();
  Client client(port);
  const auto stream = open_response(client, std::nullopt);
  int cancelled = 0;
  handler.pending.back()->on_cancelled([&] { ++cancelled; });
  client.close();
  ASSERT_TRUE(run_until([&] { return cancelled == 1; }));
  EXPECT_TRUE(stream->is_stopped);
  EXPECT_EQ(server->connection_count(), 0U);
}

TEST_F(StreamingTest, BothDirectionsFlowAtOnce) {
  start();
  Client client(port);
  const auto exchange = open_request(client, kPost100);
  const auto stream = std::make_shared<ManualSource>();
  exchange->respond({.status = 200, .reason = {}, .headers = {}}, stream, std::nullopt);
  source->grant(100);
  client.send("ping");
  ASSERT_TRUE(run_until([&] { return sink.data == "ping"; }));
  stream->sink->on_data("pong");
  ASSERT_TRUE(run_until([&] { return client.has_received("pong"); }));
  client.send(std::string(96, 'x'));
  ASSERT_TRUE(run_until([&] { return sink.ends == 1; }));
  stream->sink->on_end();
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 2; }));
}

}  // namespace
}  // namespace insula::http
