// SPDX-License-Identifier: Apache-2.0
//
// ResponseHead on the wire.
#include "src/supervisor/http/response_head.h"

#include <string>

#include <gtest/gtest.h>

#include "src/base/header_block.h"

namespace insula::http {
namespace {

Bytes block(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  Bytes result;
  for (const auto& [name, value] : fields) append_header(result, name, value);
  return result;
}

DateLine date_of(std::int64_t unix_seconds) {
  DateLine date;
  date.refresh(WallTime(std::chrono::seconds(unix_seconds)));
  return date;
}

TEST(ResponseHead, WritesStatusFieldsDateAndLength) {
  Bytes out;
  const Bytes fields = block({{"content-type", "text/plain"}, {"set-cookie", "a=1"}, {"set-cookie", "b=2"}});
  ASSERT_TRUE(append_response_head(out, {.status = 404, .reason = {}, .headers = fields},
                                   {.kind = Framing::Kind::Length, .length = 12}, date_of(784111777), HttpLimits{}));
  EXPECT_EQ(out,
            "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 12\r\n\r\n");
}

TEST(ResponseHead, IgnoresFramingOfTheHandlerAndKeepsItsDate) {
  Bytes out;
  const Bytes fields = block({{"content-length", "99"}, {"transfer-encoding", "gzip"}, {"connection", "x"},
                              {"keep-alive", "1"}, {"upgrade", "h2c"}, {"te", "t"}, {"trailer", "x"}, {"date", "today"}});
  ASSERT_TRUE(append_response_head(out, {.status = 200, .reason = {}, .headers = fields},
                                   {.kind = Framing::Kind::Chunked, .says_close = true}, date_of(0), HttpLimits{}));
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\ndate: today\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
}

TEST(ResponseHead, RefusesWhatCouldSplitTheResponse) {
  HttpLimits limits;
  limits.header_count_max = 2;
  limits.header_bytes_max = 100;
  using std::string_literals::operator""s;
  const Bytes bad[] = {
      block({{"x", "a\r\nset-cookie: b"}}), block({{"x", "a\nb"}}), block({{"x", "a\x7f"}}), block({{"X", "a"}}),
      block({{"x y", "a"}}), block({{"", "a"}}), block({{"x:", "a"}}), "x\0a"s, "x"s, "x\0a\0y"s,
      block({{"a", ""}, {"b", ""}, {"c", ""}}), block({{"a", std::string(200, 'v')}})};
  for (const Bytes& fields : bad) {
    Bytes out = "before";
    EXPECT_FALSE(append_response_head(out, {.status = 200, .reason = {}, .headers = fields}, {}, date_of(0), limits))
        << fields;
    EXPECT_EQ(out, "before");
  }
  for (const int status : {-1, 0, 99, 100, 101, 199, 600, 1000}) {
    Bytes out;
    EXPECT_FALSE(append_response_head(out, {.status = status, .reason = {}, .headers = {}}, {}, date_of(0), limits));
  }
}

TEST(ResponseHead, UsesTheStandardPhraseInsteadOfAHostileOne) {
  const struct {
    std::string_view reason;
    std::string_view line;
  } cases[] = {{"Fine", "HTTP/1.1 299 Fine\r\n"}, {"a\r\nb", "HTTP/1.1 299 Unknown\r\n"}, {"", "HTTP/1.1 299 Unknown\r\n"}};
  for (const auto& one : cases) {
    Bytes out;
    ASSERT_TRUE(append_response_head(out, {.status = 299, .reason = one.reason, .headers = {}}, {}, date_of(0), {}));
    EXPECT_TRUE(out.starts_with(one.line)) << out;
  }
}

}  // namespace
}  // namespace insula::http
