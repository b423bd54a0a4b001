// SPDX-License-Identifier: Apache-2.0
//
// Egress against a scripted server on loopback: exchanges, reuse of connections, refusals, ends.
#include "src/supervisor/egress/client.h"

#include <string>

#include <gtest/gtest.h>

#include "src/base/header_block.h"
#include "src/supervisor/egress/loopback_test_kit.h"

namespace insula::egress::testing {
namespace {

using Exchanges = EgressTest;
using Reuse = EgressTest;
using Refusals = EgressTest;
using Ends = EgressTest;

TEST_F(Exchanges, FetchesAndReadsTheBody) {
  ScriptedServer server(io_, {{expect_request(), send(ok("hello", "X-A: b\r\n"))}});
  auto request = get(server.url("origin.test", "/path?query"));
  append_header(request.headers, "accept", "text/plain");
  const auto call = fetch(std::move(request));
  ASSERT_EQ(call->status(), 200) << call->message();
  EXPECT_EQ((*call->outcome)->reason, "OK");
  EXPECT_EQ((*call->outcome)->length, 5U);
  EXPECT_EQ(find_header((*call->outcome)->headers, "x-a"), "b");
  EXPECT_EQ(call->sink.text, "hello");
  EXPECT_EQ(server.session(0).received, "GET /path?query HTTP/1.1\r\nhost: origin.test:" +
                                            std::to_string(server.port()) + "\r\naccept: text/plain\r\n\r\n");
}

TEST_F(Exchanges, ReadsChunkedBodies) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
                               send("lo\r\n6\r\n world\r\n0\r\n\r\n")}});
  const auto call = fetch(get(server.url()));
  EXPECT_EQ(call->sink.text, "hello world");
  EXPECT_EQ((*call->outcome)->length, std::nullopt);
  EXPECT_EQ(egress().idle_connections(), 1U);
}

TEST_F(Exchanges, ReadsBodiesThatEndWithTheConnection) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.0 200 OK\r\n\r\nhello"), send(" world"), close()}});
  const auto call = fetch(get(server.url()));
  EXPECT_TRUE(call->sink.ended);
  EXPECT_EQ(call->sink.text, "hello world");
  EXPECT_EQ(egress().idle_connections(), 0U);
}

TEST_F(Exchanges, KnowsAnswersWithoutBody) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),  // to HEAD
                               expect_request(), send("HTTP/1.1 204 No Content\r\n\r\n")}});
  EXPECT_EQ((*fetch(get(server.url(), "HEAD"))->outcome)->body, nullptr);
  EXPECT_EQ((*fetch(get(server.url()))->outcome)->body, nullptr);
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(Exchanges, LooksBehindInterimAnswers) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 100 Continue\r\n\r\n"),
                               send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), send(ok("x"))}});
  EXPECT_EQ(fetch(get(server.url()))->status(), 200);
}

TEST_F(Exchanges, HandsRedirectsToTheCaller) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n"
                                                      "Content-Length: 0\r\n\r\n")}});
  const auto call = fetch(get(server.url()));
  EXPECT_EQ(call->status(), 302);
  EXPECT_EQ(find_header((*call->outcome)->headers, "location"), "http://127.0.0.1/");
  settle(io_);
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(Exchanges, HoldsBackAServerThatSendsMoreThanIsRead) {
  constexpr std::size_t kTotal = 96 << 20;
  ScriptedServer server(
      io_, {{expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kTotal) + "\r\n\r\n"),
             send_many(kTotal)}});
  const auto call = start(get(server.url()), false);
  ASSERT_TRUE(run_until(io_, [&] { return call->is_answered(); }));
  call->sink.keeps = false;
  call->sink.take((*call->outcome)->body, 1000);
  settle(io_);
  EXPECT_EQ(call->sink.size, 1000U);
  // The kernel's buffers hold some megabytes; what matters is that it ends.
  EXPECT_LT(server.session(0).sent, std::size_t{48} << 20);
  call->sink.refill = 1 << 20;
  call->sink.grant(1 << 20);
  ASSERT_TRUE(run_until(io_, [&] { return call->sink.is_over(); }));
  EXPECT_TRUE(call->sink.ended);
  EXPECT_EQ(call->sink.size, kTotal);
}

TEST_F(Exchanges, GivesSmallPiecesToAReaderWhoGrantsThem) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                                      "a\r\n0123456789\r\n5\r\nabcde\r\n0\r\n\r\n")}});
  const auto call = start(get(server.url()), false);
  ASSERT_TRUE(run_until(io_, [&] { return call->is_answered(); }));
  call->sink.take((*call->outcome)->body, 0);
  for (int i = 0; i < 15; ++i) {
    EXPECT_EQ(call->sink.size, static_cast<std::size_t>(i));
    EXPECT_FALSE(call->sink.ended);
    call->sink.grant(1);
    settle(io_);
  }
  EXPECT_EQ(call->sink.text, "0123456789abcde");
  EXPECT_TRUE(call->sink.ended);
}

TEST_F(Exchanges, SendsCompleteBodies) {
  const std::string body(3 << 20, 'b');
  ScriptedServer server(io_, {{expect_request(), expect(body), send(ok("got it"))}});
  auto request = get(server.url(), "POST");
  request.has_body = true;
  request.body = body;
  EXPECT_EQ(fetch(std::move(request))->sink.text, "got it");
  EXPECT_NE(server.session(0).received.find("content-length: 3145728\r\n"), std::string::npos);
}

TEST_F(Exchanges, StreamsBodiesInChunks) {
  ScriptedServer server(io_, {{expect("\r\n0\r\n\r\n"), send(ok("got it"))}});
  auto request = get(server.url(), "POST");
  request.has_body = true;
  request.source = std::make_shared<PushingSource>(1 << 20);
  EXPECT_EQ(fetch(std::move(request))->sink.text, "got it");
  const auto& received = server.session(0).received;
  EXPECT_NE(received.find("transfer-encoding: chunked\r\n"), std::string::npos);
  const auto body = received.substr(received.find("\r\n\r\n"));
  EXPECT_EQ(std::count(body.begin(), body.end(), 'u'), 1 << 20);
}

TEST_F(Exchanges, StreamsBodiesOfKnownLength) {
  ScriptedServer server(io_, {{expect_request(), expect(std::string(300000, 'u')), send(ok("got it"))}});
  auto request = get(server.url(), "PUT");
  request.has_body = true;
  request.source = std::make_shared<PushingSource>(300000);
  request.length = 300000;
  EXPECT_EQ(fetch(std::move(request))->sink.text, "got it");
  EXPECT_EQ(egress().idle_connections(), 1U);
}

TEST_F(Exchanges, HoldsBackARequestThatTheServerDoesNotRead) {
  ScriptedServer server(io_, {{ignore()}});
  const auto source = std::make_shared<PushingSource>(std::size_t{256} << 20);
  auto request = get(server.url(), "POST");
  request.has_body = true;
  request.source = source;
  const auto call = start(std::move(request));
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 1; }));
  settle(io_);
  EXPECT_LT(source->given, std::size_t{48} << 20);
  call->handle.reset();
  EXPECT_TRUE(source->stopped);
}

TEST_F(Exchanges, TakesAnAnswerThatComesBeforeTheRequestIsRead) {
  ScriptedServer server(
      io_, {{expect_request(), send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"), ignore()}});
  const auto source = std::make_shared<PushingSource>(std::size_t{256} << 20);
  auto request = get(server.url(), "POST");
  request.has_body = true;
  request.source = source;
  const auto call = fetch(std::move(request));
  EXPECT_EQ(call->status(), 413);
  EXPECT_EQ(call->sink.text, "big");
  EXPECT_TRUE(source->stopped);
  EXPECT_EQ(egress().open_connections(), 0U) << "a connection with half a request on it must not be kept";
}

TEST_F(Exchanges, RefusesABodyThatIsNotAsLongAsDeclared) {
  for (const std::size_t declared : {99999U, 100001U}) {
    ScriptedServer server(io_, {{expect_request()}});
    auto request = get(server.url(), "PUT");
    request.has_body = true;
    request.source = std::make_shared<PushingSource>(100000);
    request.length = declared;
    EXPECT_EQ(fetch(std::move(request))->error(), ErrorCode::InvalidInput);
    EXPECT_TRUE(run_until(io_, [&] { return server.session(0).client_gone; }));
    EXPECT_LE(std::count(server.session(0).received.begin(), server.session(0).received.end(), 'u'), 100000 + 20);
  }
}

TEST_F(Exchanges, PassesOnTheFailureOfARequestBody) {
  ScriptedServer server(io_, {{expect_request()}});
  const auto source = std::make_shared<PushingSource>(10);
  source->hangs = true;
  auto request = get(server.url(), "PUT");
  request.has_body = true;
  request.source = source;
  const auto call = start(std::move(request));
  ASSERT_TRUE(run_until(io_, [&] { return source->given == 10; }));
  source->fail(Error(ErrorCode::Cancelled, "the reader went away"));
  ASSERT_TRUE(run_until(io_, [&] { return call->is_over(); }));
  EXPECT_EQ(call->error(), ErrorCode::Cancelled);
}

TEST_F(Reuse, ServesSeveralRequestsOnOneConnection) {
  ScriptedServer server(io_, {{expect_request(), send(ok("one")), expect_request(), send(ok("two")), expect_request(),
                               send(ok("three"))}});
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "one");
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "two");
  EXPECT_EQ(fetch(get(server.url(), "POST"))->sink.text, "three");
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(names_.questions, 1);
}

TEST_F(Reuse, KeepsPartitionsHostsAndConnectionBoundLoginsApart) {
  ScriptedServer server(io_, std::vector<Script>(5, {expect_request(), send(ok("x"))}));
  names_.addresses["other.test"] = {"127.0.0.1"};
  auto of = [&](std::string partition, std::string host) {
    auto request = get(server.url(host));
    request.partition = std::move(partition);
    return request;
  };
  fetch(of("a", "origin.test"));
  fetch(of("b", "origin.test"));
  EXPECT_EQ(server.connections(), 2U);
  fetch(of("a", "other.test"));
  EXPECT_EQ(server.connections(), 3U);
  auto login = of("a", "origin.test");
  append_header(login.headers, "authorization", "NTLM TlRMTVNTUAAB");
  fetch(std::move(login));
  EXPECT_EQ(server.connections(), 4U);
  EXPECT_EQ(egress().idle_connections(), 3U);
}

TEST_F(Reuse, DoesNotKeepWhatTheServerEndsOrOverfills) {
  ScriptedServer server(io_, {{expect_request(), send(ok("a", "Connection: close\r\n"))},
                              {expect_request(), send(ok("b") + "HTTP/1.1 200 OK\r\n")},
                              {expect_request(), send(ok("c"))}});
  fetch(get(server.url()));
  EXPECT_EQ(egress().idle_connections(), 0U);
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "b");
  EXPECT_EQ(egress().idle_connections(), 0U);
  fetch(get(server.url()));
  EXPECT_EQ(server.connections(), 3U);
}

TEST_F(Reuse, ForgetsAConnectionThatEndsOrSpeaksWhileItRests) {
  ScriptedServer server(io_, {{expect_request(), send(ok("a")), close()},
                              {expect_request(), send(ok("b")), send(ok("forged"))},
                              {expect_request(), send(ok("c"))}});
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "a");
  ASSERT_TRUE(run_until(io_, [&] { return egress().open_connections() == 0; }));
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "b");
  ASSERT_TRUE(run_until(io_, [&] { return egress().open_connections() == 0; }));
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "c");
}

TEST_F(Reuse, RepeatsASafeRequestOnceWhenAKeptConnectionTurnsOutToBeDead) {
  ScriptedServer server(io_, {{expect_request(), send(ok("one")), expect_request(), reset()},
                              {expect_request(), send(ok("two"))}});
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "one");
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "two");
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(Reuse, NeverRepeatsARequestThatMayHaveHadAnEffect) {
  ScriptedServer server(io_, {{expect_request(), send(ok("one")), expect_request(), reset()}});
  fetch(get(server.url()));
  EXPECT_EQ(fetch(get(server.url(), "POST"))->error(), ErrorCode::Unavailable);
  settle(io_);
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(Reuse, DoesNotRepeatOnAFreshConnectionOrOnceTheAnswerHasBegun) {
  ScriptedServer server(io_, {{expect_request(), reset()},
                              {expect_request(), send(ok("x")), expect_request(), send("HTTP"), reset()}});
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::Unavailable);
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "x");
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::Unavailable);
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(Reuse, TrustsARestedConnectionWithSafeRequestsOnly) {
  ScriptedServer server(io_, {{expect_request(), send(ok("a")), expect_request(), send(ok("b"))},
                              {expect_request(), send(ok("c"))}});
  fetch(get(server.url()));
  clock_.advance(std::chrono::seconds(3));
  fetch(get(server.url()));
  EXPECT_EQ(server.connections(), 1U);
  clock_.advance(std::chrono::seconds(3));
  EXPECT_EQ(fetch(get(server.url(), "POST"))->sink.text, "c");
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(Reuse, BoundsWhatRests) {
  options_.pool.idle_per_origin_max = 2;
  ScriptedServer server(io_, std::vector<Script>(3, {expect_request(), send(ok("x"))}));
  const auto a = start(get(server.url()));
  const auto b = start(get(server.url()));
  const auto c = start(get(server.url()));
  ASSERT_TRUE(run_until(io_, [&] { return a->is_over() && b->is_over() && c->is_over(); }));
  EXPECT_EQ(egress().idle_connections(), 2U);
}

TEST_F(Reuse, ResolvesAgainAndLeavesConnectionsToFormerAddresses) {
  ScriptedServer server(io_, std::vector<Script>(2, {expect_request(), send(ok("x")), expect_request()}));
  fetch(get(server.url()));
  clock_.advance(std::chrono::seconds(6));
  names_.addresses["origin.test"] = {"127.0.0.2"};
  const auto call = fetch(get(server.url()));  // nobody listens on 127.0.0.2
  EXPECT_EQ(call->error(), ErrorCode::Unavailable);
  EXPECT_EQ(names_.questions, 2);
}

TEST_F(Refusals, RefusesLiteralsBeforeAnyPacket) {
  options_.allow_private = false;
  ScriptedServer server(io_, {});
  for (const char* host : {"127.0.0.1", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0",
                           "169.254.169.254", "10.0.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost",
                           "a.localhost"}) {
    const auto call = fetch(get(server.url(host)));
    EXPECT_EQ(call->error(), ErrorCode::Denied) << host;
    EXPECT_EQ(call->message().find("127."), std::string::npos);
  }
  settle(io_);
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_EQ(names_.questions, 0);
}

TEST_F(Refusals, RefusesANameWithAnyForbiddenAnswerAndKeepsTheAddressFromTheTenant) {
  options_.allow_private = false;
  ScriptedServer server(io_, {});
  for (const std::vector<std::string>& answers :
       {std::vector<std::string>{"8.8.8.8", "127.0.0.1"}, {"127.0.0.1", "8.8.8.8"}, {"2606:4700::1", "::1"},
        {"8.8.8.8", "::ffff:10.0.0.1"}, {"169.254.169.254"}}) {
    names_.addresses["rebind.test"] = answers;
    clock_.advance(std::chrono::seconds(10));
    const auto call = fetch(get(server.url("rebind.test")));
    EXPECT_EQ(call->error(), ErrorCode::Denied);
    EXPECT_EQ(call->message(), "egress: requests to this address are not allowed");
  }
  settle(io_);
  EXPECT_EQ(server.connections(), 0U);
  EXPECT_NE(logged().find("169.254.169.254"), std::string::npos) << "the operator's record names the address";
  EXPECT_NE(logged().find("link-local"), std::string::npos);
}

TEST_F(Refusals, JudgesEveryAnswerAnew) {
  options_.allow_private = false;
  names_.addresses["rebind.test"] = {"127.0.0.1"};
  EXPECT_EQ(fetch(get("http://rebind.test/"))->error(), ErrorCode::Denied);
  EXPECT_EQ(fetch(get("http://rebind.test/"))->error(), ErrorCode::Denied);
  EXPECT_EQ(names_.questions, 1) << "the second was judged from memory, and judged all the same";
}

TEST_F(Refusals, KeepsOurOwnListenersClosed) {
  ScriptedServer server(io_, {});
  options_.own_listeners = {{asio::ip::address_v4::loopback(), server.port()}};
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::Denied);
  settle(io_);
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(Refusals, DoesNotLetATenantFloodTheLog) {
  options_.allow_private = false;
  for (int i = 0; i < 50; ++i) fetch(get("http://127.0.0.1/"));
  const auto text = logged();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
  clock_.advance(std::chrono::seconds(1));
  fetch(get("http://127.0.0.1/"));
  EXPECT_NE(logged().find("\"unlogged_before\":30"), std::string::npos) << logged();
}

TEST_F(Refusals, TellsTheCallerWhatIsWrongWithTheRequest) {
  EXPECT_EQ(fetch(get("ftp://origin.test/"))->error(), ErrorCode::Denied);
  EXPECT_EQ(fetch(get("http://0x7f.1/"))->error(), ErrorCode::InvalidInput);
  EXPECT_EQ(fetch(get("http://origin.test/", "G T"))->error(), ErrorCode::InvalidInput);
  auto request = get("http://origin.test/");
  append_header(request.headers, "a", "b\r\nc: d");
  EXPECT_EQ(fetch(std::move(request))->error(), ErrorCode::InvalidInput);
  EXPECT_EQ(fetch(get("http://unknown.test/"))->error(), ErrorCode::Unavailable);
}

TEST_F(Refusals, BoundsOpenConnections) {
  options_.connections_max = 1;
  ScriptedServer server(io_, {{expect_request(), send(ok("x"))}, {expect_request(), ignore()}});
  names_.addresses["other.test"] = {"127.0.0.1"};
  fetch(get(server.url()));
  const auto holder = start(get(server.url("other.test")));  // takes the place of the one that rests
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 2; }));
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::Overloaded);
  EXPECT_FALSE(holder->is_answered());
}

TEST_F(Ends, TellsALostConnection) {
  ScriptedServer server(io_, {{expect_request(), close()},
                              {expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell"), close()},
                              {expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell"), reset()},
                              {expect_request(), send("nonsense\r\n\r\n")}});
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::Unavailable);
  for (int i = 0; i < 2; ++i) {
    const auto call = fetch(get(server.url()));
    EXPECT_EQ(call->status(), 200);
    EXPECT_EQ(call->error(), ErrorCode::Unavailable);
    EXPECT_FALSE(call->sink.ended);
  }
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::Corrupt);
  EXPECT_EQ(egress().open_connections(), 0U);
}

TEST_F(Ends, TellsAReaderWhoComesLateHowItEnded) {
  const std::string empty_body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  ScriptedServer server(io_, {{expect_request(), send(empty_body)},
                              {expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), close()}});
  const auto empty = start(get(server.url()), false);
  ASSERT_TRUE(run_until(io_, [&] { return empty->is_answered(); }));
  settle(io_);
  EXPECT_EQ(egress().idle_connections(), 1U) << "an empty body needs no reader to be over";
  if ((*empty->outcome)->body != nullptr) {
    empty->sink.take((*empty->outcome)->body, 0);
    EXPECT_TRUE(empty->sink.ended);
  }
  auto post = get(server.url());
  post.partition = "other";
  const auto lost = start(std::move(post), false);
  ASSERT_TRUE(run_until(io_, [&] { return lost->is_answered(); }));
  ASSERT_TRUE(run_until(io_, [&] { return egress().open_connections() == 1; }));
  lost->sink.take((*lost->outcome)->body, 0);
  EXPECT_EQ(lost->error(), ErrorCode::Unavailable);
}

TEST_F(Ends, NeverCallsBackAfterTheHandleIsGone) {
  ScriptedServer server(io_, {{expect_request(), ignore()}});
  const auto refused = start(get("nonsense"));
  refused->handle.reset();
  const auto waiting = start(get(server.url()));
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 1 && !server.session(0).received.empty(); }));
  waiting->handle.reset();
  settle(io_);
  EXPECT_FALSE(refused->is_answered());
  EXPECT_FALSE(waiting->is_answered());
  EXPECT_EQ(egress().open_connections(), 0U);
}

TEST_F(Ends, LeavesTheBodyToItsReaderOnceAnswered) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
                               send("world")}});
  const auto call = start(get(server.url()), false);
  ASSERT_TRUE(run_until(io_, [&] { return call->is_answered(); }));
  call->handle.reset();
  call->sink.take((*call->outcome)->body, 100);
  ASSERT_TRUE(run_until(io_, [&] { return call->sink.is_over(); }));
  EXPECT_EQ(call->sink.text, "helloworld");
}

TEST_F(Ends, ClosesWhenTheReaderStopsOrDropsTheBody) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789";
  ScriptedServer server(io_, std::vector<Script>(3, {expect_request(), send(head)}));
  const auto dropped = start(get(server.url()), false);
  ASSERT_TRUE(run_until(io_, [&] { return dropped->is_answered(); }));
  (*dropped->outcome)->body.reset();
  ASSERT_TRUE(run_until(io_, [&] { return server.session(0).client_gone; }));

  const auto stopped = start(get(server.url()), false);
  ASSERT_TRUE(run_until(io_, [&] { return stopped->is_answered(); }));
  stopped->sink.after_data = [&] { stopped->sink.source->stop(); };
  stopped->sink.take((*stopped->outcome)->body, 3);
  stopped->sink.grant(3);
  ASSERT_TRUE(run_until(io_, [&] { return server.session(1).client_gone; }));
  EXPECT_EQ(stopped->sink.size, 3U);
  EXPECT_FALSE(stopped->sink.is_over());

  // Dropped inside the callback.
  bool is_called = false;
  const auto handle = egress().fetch(get(server.url()), [&](auto) { is_called = true; });
  ASSERT_TRUE(run_until(io_, [&] { return is_called && server.session(2).client_gone; }));
  EXPECT_EQ(egress().open_connections(), 0U);
}

TEST_F(Ends, EndsAllWithoutACallWhenItIsDestroyed) {
  ScriptedServer server(io_, {{expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")},
                              {expect_request(), ignore()}, {expect_request(), send(ok("x"))}});
  const auto reading = start(get(server.url()));
  ASSERT_TRUE(run_until(io_, [&] { return reading->sink.size == 5; }));
  const auto waiting = start(get(server.url()));
  ASSERT_TRUE(run_until(io_, [&] { return server.connections() == 2 && !server.session(1).received.empty(); }));
  fetch(get(server.url()));
  const auto failing = start(get("nonsense"));
  egress_.reset();
  settle(io_);
  EXPECT_FALSE(waiting->is_answered());
  EXPECT_FALSE(failing->is_answered());
  EXPECT_FALSE(reading->sink.is_over());
  EXPECT_TRUE(run_until(io_, [&] { return server.session(0).client_gone && server.session(2).client_gone; }));
}

TEST_F(Ends, TimesOut) {
  options_.connect_timeout = options_.head_timeout = options_.idle_timeout = std::chrono::milliseconds(30);
  ScriptedServer server(io_, {{expect_request(), ignore()},
                              {expect_request(), send("HTTP/1.1 200 OK\r\nX: "), ignore()},
                              {expect_request(), send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell"), ignore()}});
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::TimedOut);
  EXPECT_EQ(fetch(get(server.url()))->error(), ErrorCode::TimedOut);
  const auto body = fetch(get(server.url()));
  EXPECT_EQ(body->sink.text, "hell");
  EXPECT_EQ(body->error(), ErrorCode::TimedOut);
  names_.is_silent = true;
  EXPECT_EQ(fetch(get("http://silent.test/"))->error(), ErrorCode::TimedOut);
  EXPECT_EQ(egress().open_connections(), 0U);
}

TEST_F(Ends, TriesTheNextAddressWhenOneDoesNotAnswer) {
  ScriptedServer server(io_, {{expect_request(), send(ok("x"))}});
  names_.addresses["origin.test"] = {"127.0.0.9", "::1", "127.0.0.1"};
  EXPECT_EQ(fetch(get(server.url()))->sink.text, "x");
}

}  // namespace
}  // namespace insula::egress::testing
