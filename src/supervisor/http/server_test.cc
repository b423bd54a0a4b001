// SPDX-License-Identifier: Apache-2.0
//
// Server: keep-alive, framing, limits, time and endings, over loopback.
#include "src/supervisor/http/server.h"

#include <sys/resource.h>

#include <string>

#include <gtest/gtest.h>

#include "src/supervisor/http/server_fixture.h"

namespace insula::http {
namespace {

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

Reaction always(std::string_view text) {
  return [text](const std::shared_ptr<Exchange>& exchange) { respond_text(*exchange, text); };
}

TEST_F(ServerTest, OneConnectionServesManyRequests) {
  handler.reaction = always("hello");
  start();
  Client client(port);
  for (std::size_t i = 1; i <= 5; ++i) {
    client.send(kGet);
    ASSERT_TRUE(run_until([&] { return client.answers().size() == i; }));
  }
  EXPECT_EQ(client.answers()[4].body, "hello");
  EXPECT_EQ(server->counters().connections_accepted, 1U);
  EXPECT_EQ(server->counters().requests, 5U);
  EXPECT_EQ(server->connection_count(), 1U);
}

TEST_F(ServerTest, TellsTheHandlerWhoAsks) {
  start();
  Client client(port);
  client.send("PUT /x?y HTTP/1.1\r\nHost: A.b:1\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  Exchange& exchange = *handler.pending[0];
  EXPECT_EQ(exchange.head().method, "PUT");
  EXPECT_EQ(exchange.head().target, "/x?y");
  EXPECT_EQ(exchange.head().authority, "a.b:1");
  EXPECT_EQ(exchange.head().client_address, "127.0.0.1");
  EXPECT_FALSE(exchange.head().is_secure);
  EXPECT_EQ(find_header(exchange.head().headers, "x-a"), "1");
  EXPECT_TRUE(exchange.body().has_body);
  EXPECT_EQ(exchange.body().complete, "abc");
  EXPECT_EQ(exchange.body().length, 3U);
  EXPECT_EQ(exchange.body().source, nullptr);
}

TEST_F(ServerTest, PipelinedRequestsAreHandedOverOneAfterTheOther) {
  start();
  Client client(port);
  std::string requests;
  for (int i = 0; i < 40; ++i) requests += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  client.send(requests);
  for (std::size_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(run_until([&] { return handler.pending.size() == i + 1; }));
    settle();
    ASSERT_EQ(handler.pending.size(), i + 1);
    respond_text(*handler.pending[i], std::to_string(i));
  }
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 40; }));
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(client.answers()[i].body, std::to_string(i));
}

TEST_F(ServerTest, AnExchangeThatIsKeptDoesNotReachTheNextRequest) {
  start();
  Client client(port);
  client.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  respond_text(*handler.pending[0], "one");
  client.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 2; }));
  respond_text(*handler.pending[0], "stale");
  handler.pending[0]->abort();
  EXPECT_EQ(handler.pending[0]->head().target, "/first");
  respond_text(*handler.pending[1], "two");
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 2; }));
  EXPECT_EQ(client.answers()[1].body, "two");
}

TEST_F(ServerTest, HeadAnd204And304HaveNoBody) {
  const Bytes declared("content-length\0"
                       "77\0", 18);
  handler.reaction = [&](const std::shared_ptr<Exchange>& exchange) {
    const std::string_view target = exchange->head().target;
    if (target == "/declared") {
      exchange->respond({.status = 200, .reason = {}, .headers = declared}, "");
    } else {
      respond_text(*exchange, "body", target == "/204" ? 204 : target == "/304" ? 304 : 200);
    }
  };
  start();
  const struct {
    std::string_view request;
    std::string_view length;
  } cases[] = {{"HEAD /", "Content-Length: 4\r\n"},
               {"HEAD /declared", "Content-Length: 77\r\n"},
               {"GET /204", ""},
               {"HEAD /204", ""},
               {"GET /304", ""}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.request);
    Client client(port);
    client.send(std::string(one.request) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
    EXPECT_TRUE(client.received.ends_with("\r\n\r\n")) << client.received;
    if (one.length.empty()) {
      EXPECT_EQ(client.received.find("Content-Length"), std::string::npos);
    } else {
      EXPECT_NE(client.received.find(one.length), std::string::npos) << client.received;
    }
    EXPECT_EQ(client.received.find("Transfer-Encoding"), std::string::npos);
  }
}

TEST_F(ServerTest, Http10ClosesUnlessItAsksToStay) {
  handler.reaction = always("x");
  start();
  Client closes(port);
  closes.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return closes.has_closed(); }));
  EXPECT_EQ(closes.answers().size(), 1U);
  Client stays(port);
  for (std::size_t i = 1; i <= 2; ++i) {
    stays.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(run_until([&] { return stays.answers().size() == i; }));
  }
  EXPECT_TRUE(stays.has_received("Connection: keep-alive\r\n"));
}

TEST_F(ServerTest, ALargeBodyArrivesWhole) {
  std::string large(5'000'000, 'x');
  for (std::size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>('a' + i / 1000 % 26);
  handler.reaction = always(large);
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  EXPECT_TRUE(client.answers()[0].body == large);
}

TEST_F(ServerTest, AResponseThatCannotBeSentBecomes502) {
  handler.reaction = [](const std::shared_ptr<Exchange>& exchange) {
    Bytes fields;
    append_header(fields, "x", "a\r\nset-cookie: b");
    exchange->respond({.status = 200, .reason = {}, .headers = fields}, "hidden");
  };
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  EXPECT_EQ(client.answers()[0].status, 502);
  EXPECT_EQ(client.answers()[0].body, "ERR_BAD_RESPONSE\n");
  EXPECT_EQ(server->counters().responses_bad, 1U);
  handler.reaction = always("fine");
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 2; }));
}

TEST_F(ServerTest, AnExchangeThatNobodyHoldsIsAnswered) {
  handler.reaction = [](const std::shared_ptr<Exchange>&) {};
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.targets.size() == 1; }));
  advance(milliseconds(250));
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  ASSERT_EQ(client.answers().size(), 1U);
  EXPECT_EQ(client.answers()[0].status, 500);
}

TEST_F(ServerTest, AClientThatGoesAwayCancelsItsExchangeOnce) {
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  int cancelled = 0;
  handler.pending[0]->on_cancelled([&] { ++cancelled; });
  client.close();
  ASSERT_TRUE(run_until([&] { return cancelled == 1; }));
  respond_text(*handler.pending[0], "late");
  settle();
  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(server->connection_count(), 0U);
  EXPECT_EQ(server->counters().requests_cancelled, 1U);
  EXPECT_EQ(handler.pending[0]->head().target, "/");
}

TEST_F(ServerTest, ACallbackThatComesTooLateIsCalledAtOnce) {
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  client.close();
  ASSERT_TRUE(run_until([&] { return server->connection_count() == 0; }));
  int cancelled = 0;
  handler.pending[0]->on_cancelled([&] { ++cancelled; });
  EXPECT_EQ(cancelled, 1);
}

TEST_F(ServerTest, AnAnsweredExchangeIsNotCancelled) {
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  int cancelled = 0;
  handler.pending[0]->on_cancelled([&] { ++cancelled; });
  respond_text(*handler.pending[0], "x");
  client.close();
  ASSERT_TRUE(run_until([&] { return server->connection_count() == 0; }));
  EXPECT_EQ(cancelled, 0);
}

TEST_F(ServerTest, AbortCutsTheConnectionWithoutAnAnswer) {
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  int cancelled = 0;
  handler.pending[0]->on_cancelled([&] { ++cancelled; });
  handler.pending[0]->abort();
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_EQ(client.received, "");
  EXPECT_EQ(cancelled, 0);
}

TEST_F(ServerTest, ASilentClientIsClosedAndASlowHeadGets408) {
  start();
  Client silent(port);
  Client slow(port);
  slow.send("GET / HT");
  ASSERT_TRUE(run_until([&] { return server->connection_count() == 2; }));
  settle();
  advance(limits.header_timeout - milliseconds(1));
  slow.send("T");  // does not win more time
  settle();
  EXPECT_EQ(server->connection_count(), 2U);
  advance(milliseconds(1));
  ASSERT_TRUE(run_until([&] { return silent.has_closed() && slow.has_closed(); }));
  EXPECT_EQ(silent.received, "");
  ASSERT_EQ(slow.answers().size(), 1U);
  EXPECT_EQ(slow.answers()[0].status, 408);
}

TEST_F(ServerTest, AnIdleConnectionIsClosed) {
  handler.reaction = always("x");
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  advance(limits.keep_alive_timeout - milliseconds(1));
  EXPECT_EQ(server->connection_count(), 1U);
  advance(milliseconds(1));
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_EQ(client.answers().size(), 1U);
}

TEST_F(ServerTest, AHandlerMayTakeItsTime) {
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  advance(std::chrono::hours(1));
  respond_text(*handler.pending[0], "at last");
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
}

TEST_F(ServerTest, ConnectionsAreLimitedInTotalAndPerAddress) {
  handler.reaction = always("x");
  for (const bool per_address : {false, true}) {
    limits = HttpLimits{};
    (per_address ? limits.connections_per_address_max : limits.connections_max) = 2;
    start();
    Client first(port);
    {
      Client second(port);
      ASSERT_TRUE(run_until([&] { return server->connection_count() == 2; }));
      Client third(port);
      ASSERT_TRUE(run_until([&] { return third.has_closed(); }));
      ASSERT_EQ(third.answers().size(), 1U);
      EXPECT_EQ(third.answers()[0].status, 503);
      EXPECT_EQ(server->counters().connections_refused, 1U);
    }
    ASSERT_TRUE(run_until([&] { return server->connection_count() == 1; }));
    Client fourth(port);
    fourth.send(kGet);
    ASSERT_TRUE(run_until([&] { return fourth.answers().size() == 1; }));
  }
}

TEST_F(ServerTest, WithoutDescriptorsClientsWaitInTheBacklog) {
  handler.reaction = always("x");
  start();
  Client client(port);
  client.send(kGet);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const Fd lowest_free(::dup(0));
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(lowest_free.get()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  settle();
  EXPECT_EQ(server->connection_count(), 0U);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  server->check_timeouts();
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
}

TEST_F(ServerTest, DrainingFinishesWhatIsUnderWay) {
  start();
  Client idle(port);
  Client busy(port);
  busy.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1 && server->connection_count() == 2; }));
  settle();
  bool is_empty = false;
  server->drain(milliseconds(10000), [&] { is_empty = true; });
  ASSERT_TRUE(run_until([&] { return idle.has_closed(); }));
  EXPECT_FALSE(is_empty);
  respond_text(*handler.pending[0], "done");
  ASSERT_TRUE(run_until([&] { return busy.has_closed(); }));
  ASSERT_EQ(busy.answers().size(), 1U);
  EXPECT_NE(busy.answers()[0].head.find("Connection: close\r\n"), std::string::npos);
  ASSERT_TRUE(run_until([&] { return is_empty; }));
  EXPECT_EQ(server->connection_count(), 0U);
}

TEST_F(ServerTest, DrainingEndsAtItsDeadline) {
  start();
  Client client(port);
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
  int cancelled = 0;
  handler.pending[0]->on_cancelled([&] { ++cancelled; });
  bool is_empty = false;
  server->drain(milliseconds(1000), [&] { is_empty = true; });
  advance(milliseconds(999));
  EXPECT_EQ(cancelled, 0);
  advance(milliseconds(1));
  ASSERT_TRUE(run_until([&] { return is_empty; }));
  EXPECT_EQ(cancelled, 1);
  EXPECT_TRUE(client.has_closed());
}

TEST_F(ServerTest, CloseAndDestructionCancelWhatIsPending) {
  for (const bool destroys : {false, true}) {
    handler.pending.clear();
    start();
    Client client(port);
    client.send(kGet);
    ASSERT_TRUE(run_until([&] { return handler.pending.size() == 1; }));
    int cancelled = 0;
    handler.pending[0]->on_cancelled([&] { ++cancelled; });
    if (destroys) {
      server.reset();
    } else {
      server->close();
    }
    EXPECT_EQ(cancelled, 1);
    respond_text(*handler.pending[0], "late");
    settle();
    EXPECT_TRUE(client.has_closed());
    EXPECT_EQ(client.received, "");
  }
}

TEST_F(ServerTest, TheHandlerMayCloseTheServer) {
  handler.reaction = [this](const std::shared_ptr<Exchange>& exchange) {
    server->close();
    respond_text(*exchange, "x");
  };
  start();
  Client client(port);
  client.send(std::string(kGet) + std::string(kGet));
  ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
  EXPECT_EQ(handler.targets.size(), 1U);
}

TEST_F(ServerTest, ListeningSaysWhatIsWrong) {
  start();
  const auto in_use = server->listen("127.0.0.1", port);
  ASSERT_FALSE(in_use.has_value());
  EXPECT_EQ(in_use.error().code(), ErrorCode::Unavailable);
  EXPECT_NE(in_use.error().message().find(std::to_string(port)), std::string::npos);
  const auto nonsense = server->listen("no such host", 0);
  ASSERT_FALSE(nonsense.has_value());
  EXPECT_EQ(nonsense.error().code(), ErrorCode::InvalidInput);
}

TEST_F(ServerTest, MemoryOfALargeRequestIsNotKept) {
  handler.reaction = always("x");
  start();
  Client client(port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100'000, 'a'));
  settle();
  client.send("\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 1; }));
  EXPECT_EQ(client.answers()[0].status, 200);
  advance(milliseconds(250));
  client.send(kGet);
  ASSERT_TRUE(run_until([&] { return client.answers().size() == 2; }));
}

}  // namespace
}  // namespace insula::http
