// SPDX-License-Identifier: Apache-2.0
//
// One reading of every request: raw inputs through the whole server, with the status that each must get. Behind every
// input comes another request. Behind a refused one it must never be answered; behind an accepted one it must be.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "src/supervisor/http/server_fixture.h"

namespace insula::http {
namespace {

using std::string_literals::operator""s;

struct Case {
  std::string raw;
  int status;
};

// Between a first line and the fields that every request needs.
std::string get(const std::string& fields) { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; }
std::string post(const std::string& fields_and_body) { return "POST / HTTP/1.1\r\nHost: a\r\n" + fields_and_body; }
std::string chunked(const std::string& body) { return post("Transfer-Encoding: chunked\r\n\r\n" + body); }
std::string line(const std::string& request_line) { return request_line + "\r\nHost: a\r\n\r\n"; }
std::string host(const std::string& value) { return "GET / HTTP/1.1\r\nHost:" + value + "\r\n\r\n"; }

const std::vector<Case>& refused_cases() {
  static const std::vector<Case> cases = {
      // Request line.
      {line("GET  / HTTP/1.1"), 400},
      {line("GET /  HTTP/1.1"), 400},
      {line("GET / HTTP/1.1 "), 400},
      {line(" GET / HTTP/1.1"), 400},
      {line("GET\t/ HTTP/1.1"), 400},
      {line("GET /\tHTTP/1.1"), 400},
      {line("GET /"), 400},
      {line("GET"), 400},
      {line("GET / HTTP/1"), 400},
      {line("GET / HTTP/1."), 400},
      {line("GET / HTTP/1.10"), 400},
      {line("GET / HTTP/01.1"), 400},
      {line("GET / http/1.1"), 400},
      {line("GET / HTTP 1.1"), 400},
      {line("GET / XTTP/1.1"), 400},
      {line("GET / HTTP/1,1"), 400},
      {line("GET / HTTP/+1.1"), 400},
      {line("GET / HTTP/1.1 HTTP/1.1"), 400},
      {line("GET /a b HTTP/1.1"), 400},
      {line("G<T / HTTP/1.1"), 400},
      {line("G\x00T / HTTP/1.1"s), 400},
      {line("GET /\x00 HTTP/1.1"s), 400},
      {line("GET /\x01 HTTP/1.1"), 400},
      {line("GET /\x7f HTTP/1.1"), 400},
      {line("GET /\xc3\xa9 HTTP/1.1"), 400},
      {line("GET /a#b HTTP/1.1"), 400},
      {line("GET a HTTP/1.1"), 400},
      {line("GET ?a HTTP/1.1"), 400},
      {line("GET * HTTP/1.1"), 400},
      {line("OPTIONS * HTTP/1.1"), 400},
      {line("GET a:80 HTTP/1.1"), 400},
      {line("GET //a.b HTTP/1.1 x"), 400},
      {line("GET https://a/ HTTP/1.1"), 400},
      {line("GET http:/a HTTP/1.1"), 400},
      {line("GET http:///x HTTP/1.1"), 400},
      {line("GET http:// HTTP/1.1"), 400},
      {line("GET http://?x HTTP/1.1"), 400},
      {line("GET http://b/ HTTP/1.1"), 400},
      {line("GET http://a:80/ HTTP/1.1"), 400},
      {line("GET http://u@a/ HTTP/1.1"), 400},
      {line("GET http://a@b/ HTTP/1.1"), 400},
      {line("GET ftp://a/ HTTP/1.1"), 400},
      {line("CONNECT a:443 HTTP/1.1"), 501},
      {line("CONNECT / HTTP/1.1"), 501},
      {line("TRACE / HTTP/1.1"), 501},
      {line("TRACK / HTTP/1.1"), 501},
      {line("get / HTTP/1.1"), 501},
      {line("Get / HTTP/1.1"), 501},
      {line(std::string(40, 'M') + " / HTTP/1.1"), 501},
      {line("GET / HTTP/0.9"), 505},
      {line("GET / HTTP/1.2"), 505},
      {line("GET / HTTP/2.0"), 505},
      {line("GET / HTTP/9.9"), 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"\x16\x03\x01\x02", 400},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: a\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"GET / HTTP/1.1\rHost: a\r\r", 400},
      {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\rHost: a\r\n\r\n", 400},
      {"GET /" + std::string(16384, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      // Fields.
      {get("X : 1\r\n"), 400},
      {get("X\t: 1\r\n"), 400},
      {get(" X: 1\r\n"), 400},
      {get("X: 1\r\n 2\r\n"), 400},
      {get("X: 1\r\n\t2\r\n"), 400},
      {"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", 400},
      {get("X\r\n"), 400},
      {get(": 1\r\n"), 400},
      {get("X Y: 1\r\n"), 400},
      {get("X\x00Y: 1\r\n"s), 400},
      {get("X: a\x00 b\r\n"s), 400},
      {get("X: a\x08\r\n"), 400},
      {get("X: a\x7f\r\n"), 400},
      {get("X: a\rb\r\n"), 400},
      {get("X: a\nb: c\r\n"), 400},
      {get("X\xc3\xa9: 1\r\n"), 400},
      {get("X(: 1\r\n"), 400},
      {get("\"X\": 1\r\n"), 400},
      {get("X: " + std::string(131072, 'a') + "\r\n"), 431},
      {get([] {
         std::string many;
         for (int i = 0; i < 256; ++i) many += "X: 1\r\n";
         return many;
       }()),
       431},
      {get("Expect: 200-ok\r\n"), 417},
      {get("Expect: 100-continue, x\r\n"), 417},
      {get("Connection: a b\r\n"), 400},
      {get("Connection: \"close\"\r\n"), 400},
      {get("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n"), 400},
      // Host.
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.0\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 400},
      {host(""), 400},
      {host(" a b"), 400},
      {host(" a,b"), 400},
      {host(" a/b"), 400},
      {host(" a?b"), 400},
      {host(" u@a"), 400},
      {host(" a:"), 400},
      {host(" a:x"), 400},
      {host(" a:65536"), 400},
      {host(" a:1:2"), 400},
      {host(" a:-1"), 400},
      {host(" :80"), 400},
      {host(" .a"), 400},
      {host(" a..b"), 400},
      {host(" %61"), 400},
      {host(" a\\b"), 400},
      {host(" \xc3\xa9"), 400},
      {host(" http://a"), 400},
      {host(" [::1"), 400},
      {host(" [::1]x"), 400},
      {host(" [g::]"), 400},
      {host(" []"), 400},
      {host(" [127.0.0.1]"), 400},
      {host(" ::1"), 400},
      {host(" " + std::string(256, 'a')), 400},
      // Length and encoding.
      {post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400},
      {post("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400},
      {post("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 400},
      {post("Content-Length: 5, 5\r\n\r\nhello"), 400},
      {post("Content-Length: +5\r\n\r\nhello"), 400},
      {post("Content-Length: -5\r\n\r\nhello"), 400},
      {post("Content-Length: 0x5\r\n\r\nhello"), 400},
      {post("Content-Length: 05\r\n\r\nhello"), 400},
      {post("Content-Length: 5 5\r\n\r\nhello"), 400},
      {post("Content-Length: 5a\r\n\r\nhello"), 400},
      {post("Content-Length: 5.0\r\n\r\nhello"), 400},
      {post("Content-Length: \"5\"\r\n\r\nhello"), 400},
      {post("Content-Length: \r\n\r\nhello"), 400},
      {post("Content-Length: 18446744073709551621\r\n\r\nhello"), 400},
      {post("Content-Length:5\r\n 5\r\n\r\nhello"), 400},
      {post("Content-Length : 5\r\n\r\nhello"), 400},
      {post("Content-Length: 104857601\r\n\r\nhello"), 413},
      {post("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: identity\r\n\r\nhello"), 400},
      {post("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding:\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
      {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"), 400},
      {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      // Chunks.
      {chunked("\r\n0\r\n\r\n"), 400},
      {chunked("x\r\n0\r\n\r\n"), 400},
      {chunked("5 \r\nhello\r\n0\r\n\r\n"), 400},
      {chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("+5\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("5\nhello\r\n0\r\n\r\n"), 400},
      {chunked("5\r\nhello\n0\r\n\r\n"), 400},
      {chunked("5\r\nhello0\r\n\r\n"), 400},
      {chunked("4\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("6\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("5;a\x00\r\nhello\r\n0\r\n\r\n"s), 400},
      {chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400},
      {chunked("6400001\r\nhello\r\n0\r\n\r\n"), 413},
      {chunked("0\r\nX : 1\r\n\r\n"), 400},
      {chunked("0\r\n X: 1\r\n\r\n"), 400},
      {chunked("0\r\nX: a\nb\r\n\r\n"), 400},
      {chunked("0\r\nX\r\n\r\n"), 400},
      {chunked("0\r\n\n"), 400},
      {chunked("0;" + std::string(5000, 'x') + "\r\n\r\n"), 400},
      {chunked("0\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"), 400},
  };
  return cases;
}

const std::vector<std::string>& accepted_cases() {
  static const std::vector<std::string> cases = {
      get(""),
      "\r\n" + get(""),
      get("X:1\r\n"),
      get("X:\r\n"),
      get("X: \t a b \t \r\n"),
      get("X: \xc3\xa9\r\n"),
      get("!#$%&'*+-.^_`|~09az: 1\r\n"),
      get("Connection: keep-alive\r\n"),
      get("Connection: ,, keep-alive ,\r\n"),
      get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"),
      get("Content-Length: 0\r\n"),
      get("Expect: 100-continue\r\nContent-Length: 0\r\n"),
      get("X: " + std::string(60000, 'a') + "\r\n"),
      line("DELETE /a//b/../c%00?x=[]{}|\\^` HTTP/1.1"),
      line("M-SEARCH / HTTP/1.1"),
      line("GET //a.b/c HTTP/1.1"),
      line("GET http://a/x HTTP/1.1"),
      line("GET HTTP://A HTTP/1.1"),
      host(" a:80"),
      host("\ta \t"),
      host(" [::1]:8080"),
      host(" a_b-c.D.example."),
      host(" 127.0.0.1:1"),
      post("Content-Length: 5\r\n\r\nhello"),
      post("content-length:5\r\n\r\nGET /"),
      post("Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
      chunked("0\r\n\r\n"),
      chunked("000\r\n\r\n"),
      chunked("A;a=\"b;c\"\r\n0123456789\r\n0;x\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n"),
      "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
  };
  return cases;
}

constexpr std::string_view kBehind = "GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

class Strictness : public ServerTest {
 protected:
  Strictness() {
    handler.reaction = [](const std::shared_ptr<Exchange>& exchange) { respond_text(*exchange, "ok"); };
  }
  bool saw_behind() const {
    for (const std::string& target : handler.targets) {
      if (target == "/behind") return true;
    }
    return false;
  }
};

TEST_F(Strictness, RefusedRequestsGetTheirStatusAndNothingBehindThemIsRead) {
  EXPECT_GE(refused_cases().size() + accepted_cases().size(), 130U);
  for (const Case& one : refused_cases()) {
    SCOPED_TRACE(one.raw.substr(0, 200));
    start();
    Client client(port);
    client.send(one.raw + std::string(kBehind));
    ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
    EXPECT_FALSE(client.was_reset);
    const auto answers = client.answers();
    ASSERT_EQ(answers.size(), 1U) << client.received;
    EXPECT_EQ(answers[0].status, one.status) << answers[0].body;
    EXPECT_NE(answers[0].head.find("Connection: close\r\n"), std::string::npos);
    EXPECT_TRUE(handler.targets.empty());
    handler.targets.clear();
  }
}

TEST_F(Strictness, RefusedRequestsInSinglePiecesAreNoDoorEither) {
  for (const Case& one : refused_cases()) {
    if (one.raw.size() > 1000) continue;
    SCOPED_TRACE(one.raw);
    start();
    Client client(port);
    for (const char c : one.raw + std::string(kBehind)) {
      client.send(std::string_view(&c, 1));
      context.poll();
    }
    ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
    EXPECT_EQ(client.answers().size(), 1U) << client.received;
    EXPECT_FALSE(saw_behind());
    handler.targets.clear();
  }
}

TEST_F(Strictness, AcceptedRequestsEndWhereTheySay) {
  for (const std::string& raw : accepted_cases()) {
    for (const bool is_split : {false, true}) {
      if (is_split && raw.size() > 1000) continue;
      SCOPED_TRACE(raw.substr(0, 200) + (is_split ? " (split)" : ""));
      start();
      Client client(port);
      if (is_split) {
        for (const char c : raw + std::string(kBehind)) {
          client.send(std::string_view(&c, 1));
          context.poll();
        }
      } else {
        client.send(raw + std::string(kBehind));
      }
      ASSERT_TRUE(run_until([&] { return client.has_closed(); }));
      const auto answers = client.answers();
      ASSERT_EQ(answers.size(), 2U) << client.received;
      EXPECT_EQ(answers[0].status, 200);
      EXPECT_EQ(answers[1].status, 200);
      EXPECT_TRUE(saw_behind());
      handler.targets.clear();
    }
  }
}

}  // namespace
}  // namespace insula::http
