// SPDX-License-Identifier: Apache-2.0
//
// Url: a table of spellings, those that are read and those that must not be.
#include "src/supervisor/egress/url.h"

#include <string>

#include <gtest/gtest.h>

namespace insula::egress {
namespace {

struct Good {
  const char* text;
  const char* host;
  std::uint16_t port;
  const char* authority;
  const char* target;
};

const Good kGood[] = {
    {"http://example.com", "example.com", 80, "example.com", "/"},
    {"https://example.com", "example.com", 443, "example.com", "/"},
    {"HTTPS://EXAMPLE.com/Path", "example.com", 443, "example.com", "/Path"},
    {"http://example.com:80/", "example.com", 80, "example.com", "/"},
    {"http://example.com:443/", "example.com", 443, "example.com:443", "/"},
    {"https://example.com:8443/a?b", "example.com", 8443, "example.com:8443", "/a?b"},
    {"http://example.com?a[]=1&b={x|y}", "example.com", 80, "example.com", "/?a[]=1&b={x|y}"},
    {"http://example.com#top", "example.com", 80, "example.com", "/"},
    {"http://example.com/a#b?c", "example.com", 80, "example.com", "/a"},
    {"http://example.com/a//b/../c", "example.com", 80, "example.com", "/a//b/../c"},
    {"http://example.com/@user:pass", "example.com", 80, "example.com", "/@user:pass"},
    {"http://a_b.example.com/", "a_b.example.com", 80, "a_b.example.com", "/"},
    {"http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/"},
    {"http://1.2.3.4/", "1.2.3.4", 80, "1.2.3.4", "/"},
    {"http://255.255.255.255:65535/", "255.255.255.255", 65535, "255.255.255.255:65535", "/"},
    {"http://[::1]/", "::1", 80, "[::1]", "/"},
    {"http://[2606:4700::ABCD]:81/x", "2606:4700::abcd", 81, "[2606:4700::abcd]:81", "/x"},
    {"http://localhost/", "localhost", 80, "localhost", "/"},
    {"http://1a/", "1a", 80, "1a", "/"},
    {"http://1.2.3.4a/", "1.2.3.4a", 80, "1.2.3.4a", "/"},
};

TEST(Url, ReadsPlainUrls) {
  for (const Good& row : kGood) {
    const auto url = parse_url(row.text);
    ASSERT_TRUE(url.has_value()) << row.text << ": " << url.error().message();
    EXPECT_EQ(url->host, row.host) << row.text;
    EXPECT_EQ(url->port, row.port) << row.text;
    EXPECT_EQ(url->authority, row.authority) << row.text;
    EXPECT_EQ(url->target, row.target) << row.text;
  }
}

TEST(Url, TellsLiteralsFromNames) {
  EXPECT_TRUE(parse_url("http://1.2.3.4/")->address.has_value());
  EXPECT_TRUE(parse_url("http://[::ffff:127.0.0.1]/")->address.has_value());
  EXPECT_FALSE(parse_url("http://a.b/")->address.has_value());
  EXPECT_TRUE(parse_url("https://a.b/")->is_secure);
  EXPECT_FALSE(parse_url("http://a.b/")->is_secure);
}

TEST(Url, RefusesEverySpellingThatAnotherReaderMightTakeForSomethingElse) {
  for (const std::string text : {
           "", "example.com", "//example.com/", "/path", "http:example.com", "http:/example.com", "http://", "http:///a",
           // user info
           "http://user@example.com/", "http://user:pass@example.com/", "http://@example.com/",
           "http://example.com@127.0.0.1/", "http://127.0.0.1:80@example.com/",
           // IPv4 in other clothes
           "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/",
           "http://127.0.1/", "http://0/", "http://00000177.1/", "http://127.0.0.01/", "http://127.0.0.1./",
           "http://127.0.0.1.0x/", "http://127.0.0.0x1/", "http://256.1.1.1/", "http://1.2.3.4.5/", "http://1.2.3/",
           "http://017700000001/", "http://0x7F.1/", "http://foo.0x7f/", "http://foo.123/", "http://-1.2.3.4/",
           "http://+127.0.0.1/", "http://127.0.0.1%00/", "http://127。0。0。1/", "http://１２７.0.0.1/",
           "http://ⓛocalhost/", "http://①②⑦.0.0.1/", "http://127.0.0.1,example.com/",
           // names
           "http://example.com./", "http://localhost./", "http://.example.com/", "http://a..b/", "http://-a.b/",
           "http://a-.b/", "http://exa mple.com/", "http://exa%6dple.com/", "http://%6c%6f%63%61%6c/", "http://a;b/",
           "http://a\\b/", "http://example.com\\@127.0.0.1/", "http://b\xc3\xbc" "cher.example/", "http://*/",
           "http://a\tb/",
           // IPv6
           "http://[::1/", "http://::1/", "http://[::1]x/", "http://[::1%25lo]/", "http://[fe80::1%eth0]/",
           "http://[::g]/", "http://[]/", "http://[127.0.0.1]/", "http://[::1].example.com/", "http://[v1.x]/",
           "http://[::ffff:0x7f.1]/", "http://x[::1]/", "http://[[::1]]/",
           // ports
           "http://example.com:/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:+80/",
           "http://example.com:080/", "http://example.com:80a/", "http://example.com:8 0/", "http://example.com:80:80/",
           "http://example.com:-1/", "http://[::1]:/", "http://[::1]80/",
           // targets
           "http://example.com/a b", "http://example.com/\r\nx: y", "http://example.com/\x7f",
           "http://example.com/\xc3\xbc",
           "http://example.com/?a\tb", "http://example.com\r\n/",
       }) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url.has_value()) << text << " was read as host " << url->host;
    EXPECT_EQ(url.error().code(), ErrorCode::InvalidInput) << text;
  }
  EXPECT_FALSE(parse_url(std::string("http://a\0b/", 11)).has_value());
  EXPECT_FALSE(parse_url(std::string("http://[::1\0]/", 14)).has_value());
  EXPECT_FALSE(parse_url("http://" + std::string(64, 'a') + ".com/").has_value());
  EXPECT_FALSE(parse_url("http://example.com/" + std::string(16 * 1024, 'a')).has_value());
  std::string long_name = "a";
  while (long_name.size() <= 253) long_name += ".a";
  EXPECT_FALSE(parse_url("http://" + long_name + "/").has_value());
}

TEST(Url, DeniesOtherSchemes) {
  for (const char* text : {"ftp://example.com/", "file:///etc/passwd", "ws://example.com/", "gopher://example.com/",
                           "unix://run/x.sock", "httpx://example.com/", " http://example.com/"}) {
    const auto url = parse_url(text);
    ASSERT_FALSE(url.has_value()) << text;
    EXPECT_EQ(url.error().code(), ErrorCode::Denied) << text;
  }
}

TEST(Url, KnowsTheNamesOfLoopback) {
  EXPECT_TRUE(is_localhost_name("localhost"));
  EXPECT_TRUE(is_localhost_name("a.localhost"));
  EXPECT_FALSE(is_localhost_name("notlocalhost"));
  EXPECT_FALSE(is_localhost_name("localhost.com"));
}

}  // namespace
}  // namespace insula::egress
