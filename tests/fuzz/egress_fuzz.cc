// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of what egress reads: a server's answer and a Worker's URL.
//
// The first byte chooses how the answer is cut into pieces and how much of a body may be taken at once. Besides not
// crashing, the parser must read every answer the same in pieces and whole, and Beast's parser, where it accepts the
// answer too, must see the same status and body.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <boost/beast/core/string_type.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "src/base/header_block.h"
#include "src/supervisor/egress/response_parser.h"
#include "src/supervisor/egress/url.h"

namespace insula::egress {
namespace {

struct Reading {
  bool is_complete = false;
  bool is_corrupt = false;
  int status = 0;
  Bytes headers;
  std::string body;
  std::size_t consumed = 0;
};

void require(bool fact) {
  if (!fact) std::abort();
}

Reading read(std::string_view input, std::size_t piece, std::size_t credit, bool is_head) {
  ResponseParser parser(is_head);
  Reading reading;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool has_ended = false;
  for (;;) {
    const auto step = parser.next(input.substr(begin, end - begin), credit);
    if (!step) {
      reading.is_corrupt = true;
      return reading;
    }
    require(step->consumed <= end - begin);
    begin += step->consumed;
    switch (step->event) {
      case ResponseParser::Event::Head:
        require(reading.status == 0);
        reading.status = parser.head().status;
        reading.headers = parser.head().headers;
        require(reading.status >= 200 && reading.status <= 599);
        require(is_valid_header_block(reading.headers));
        require(find_header(reading.headers, "transfer-encoding").data() == nullptr);
        break;
      case ResponseParser::Event::Body:
        require(!step->body.empty() && step->body.size() <= credit && parser.has_begun() && reading.status != 0);
        reading.body.append(step->body);
        break;
      case ResponseParser::Event::End:
        reading.is_complete = true;
        reading.consumed = begin;
        return reading;
      case ResponseParser::Event::Stalled: std::abort();  // there is always credit
      case ResponseParser::Event::NeedMore:
        // The connection's buffer holds a head of the greatest size; nothing else may need as much.
        require(end - begin <= kResponseHeadBytesMax + piece);
        if (end < input.size()) {
          end += std::min(piece, input.size() - end);
          break;
        }
        require(!has_ended);
        has_ended = true;
        if (!parser.end_of_input()) return reading;
        break;
    }
  }
}

void compare_with_beast(std::string_view input, const Reading& ours, bool is_head) {
  namespace http = boost::beast::http;
  if (!ours.is_complete || input.starts_with("HTTP/1.1 1") || input.starts_with("HTTP/1.0 1")) return;
  http::response_parser<http::string_body> beast;
  beast.body_limit(boost::none);
  beast.header_limit(1 << 20);
  beast.eager(true);
  beast.skip(is_head);
  boost::system::error_code error;
  std::size_t consumed = 0;
  while (!error && !beast.is_done() && consumed < input.size()) {
    consumed += beast.put(boost::asio::buffer(input.data() + consumed, input.size() - consumed), error);
  }
  if (!error && !beast.is_done() && beast.need_eof()) beast.put_eof(error);
  if (error || !beast.is_done()) return;  // it refuses some things that we read
  require(beast.get().result_int() == static_cast<unsigned>(ours.status));
  require(beast.get().body() == ours.body);
}

void read_url(std::string_view text) {
  const auto url = parse_url(text);
  if (!url) return;
  require(!url->host.empty() && url->port != 0 && url->target.starts_with('/'));
  require(url->host.find_first_of("@/\\?#% []") == std::string::npos);
  require(url->target.find_first_of(" \r\n\t#") == std::string::npos);
  // What was read once reads the same again.
  const auto again = parse_url((url->is_secure ? "https://" : "http://") + url->authority + url->target);
  require(again.has_value() && again->host == url->host && again->port == url->port && again->target == url->target);
}

}  // namespace
}  // namespace insula::egress

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace insula::egress;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool is_head = (data[0] & 0x80) != 0;
  const std::size_t piece = 1 + (data[0] & 0x0fU);
  const std::size_t credit = 1 + ((data[0] >> 4) & 0x07U);
  const auto whole = read(input, input.size() + 1, SIZE_MAX, is_head);
  const auto pieces = read(input, piece, credit, is_head);
  require(whole.is_complete == pieces.is_complete && whole.is_corrupt == pieces.is_corrupt);
  require(whole.status == pieces.status && whole.headers == pieces.headers && whole.body == pieces.body);
  require(whole.consumed == pieces.consumed);
  compare_with_beast(input, whole, is_head);
  read_url(input);
  return 0;
}
