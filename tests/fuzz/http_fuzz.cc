// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of what the supervisor reads from clients: heads and bodies of HTTP/1 requests.
//
// Besides memory errors it looks for disagreement. A head must parse the same whole and byte by byte, a body must
// decode the same in any pieces, and whatever we accept Beast's independent parser must read alike: same method and
// target, same end of the head, same framing of the body. (That Beast accepts more than we do is intended.)
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "src/base/header_block.h"
#include "src/supervisor/http/body_decoder.h"
#include "src/supervisor/http/head_parser.h"

namespace {

using insula::http::BodyDecoder;
using insula::http::HeadOutcome;
using insula::http::HeadParser;
using insula::http::HeadStorage;

void require(bool fact) {
  if (!fact) std::abort();
}

// Copies to a heap block of the exact size, so that a sanitizer sees a read beyond the input.
HeadOutcome parse_exact(HeadParser& parser, HeadStorage& storage, std::string_view input) {
  const std::string copy(input);
  return parser.parse(copy, storage);
}

void compare_with_beast(const HeadParser& ours, std::string_view input) {
  namespace beast_http = boost::beast::http;
  beast_http::request_parser<beast_http::empty_body> beast;
  beast.header_limit(1 << 20);
  beast.body_limit(boost::none);
  beast.eager(false);
  if (input.starts_with("\r\n")) input.remove_prefix(2);
  boost::beast::error_code error;
  const std::size_t used = beast.put(boost::asio::buffer(input.data(), input.size()), error);
  const auto& head = ours.head();
  require(!error && beast.is_header_done());
  const auto& message = beast.get();
  require(std::string_view(message.method_string().data(), message.method_string().size()) == head.method);
  const std::string_view target(message.target().data(), message.target().size());
  // Absolute form is cut down to its path.
  require(target == head.target || (!target.starts_with('/') && (target.ends_with(head.target) || head.target == "/" ||
                                                                  target.ends_with(head.target.substr(1)))));
  require(beast.chunked() == head.is_chunked);
  require(message.version() == (head.is_http_1_0 ? 10U : 11U));
  if (head.content_length) require(beast.content_length() && *beast.content_length() == *head.content_length);
  if (!head.is_chunked && !head.content_length) require(!beast.content_length());
  require(input.substr(0, used).ends_with("\r\n\r\n"));
}

void decode(std::string_view body, std::size_t piece_bytes, bool is_chunked, std::string& data, BodyDecoder::Kind& end,
            std::size_t& used) {
  BodyDecoder decoder;
  if (is_chunked) {
    decoder.expect_chunks(4096);
  } else {
    decoder.expect_length(body.size() / 2);
  }
  end = BodyDecoder::Kind::NeedInput;
  used = 0;
  while (used < body.size() && end == BodyDecoder::Kind::NeedInput) {
    std::string_view piece = body.substr(used, piece_bytes);
    const std::size_t size = piece.size();
    for (;;) {
      const auto step = decoder.next(piece, 7);
      if (step.kind != BodyDecoder::Kind::Data) {
        end = step.kind;
        break;
      }
      data.append(step.data);
    }
    used += size - piece.size();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const insula::HttpLimits limits{.target_bytes_max = 256, .header_bytes_max = 1024, .header_count_max = 16};

  HeadStorage storage;
  HeadParser whole(limits);
  const HeadOutcome outcome = parse_exact(whole, storage, input);

  HeadStorage piece_storage;
  HeadParser pieces(limits);
  HeadOutcome piece_outcome = HeadOutcome::Incomplete;
  std::size_t piece_end = 0;
  while (piece_outcome == HeadOutcome::Incomplete && piece_end < size) {
    ++piece_end;
    piece_outcome = parse_exact(pieces, piece_storage, input.substr(0, piece_end));
  }
  require((outcome == HeadOutcome::Complete) == (piece_outcome == HeadOutcome::Complete));

  if (outcome == HeadOutcome::Complete) {
    const auto& head = whole.head();
    require(whole.head_bytes() == piece_end && pieces.head_bytes() == piece_end);
    require(pieces.head().headers == head.headers && pieces.head().target == head.target);
    require(pieces.head().authority == head.authority && pieces.head().content_length == head.content_length);
    require(insula::is_valid_header_block(head.headers));
    require(head.target.starts_with('/') && !head.authority.empty());
    require(insula::find_header(head.headers, "host") == head.authority);
    require(insula::find_header(head.headers, "transfer-encoding").data() == nullptr);
    require(insula::find_header(head.headers, "connection").data() == nullptr);
    require(!(head.is_chunked && head.content_length));
    compare_with_beast(whole, input.substr(0, whole.head_bytes()));
  }

  for (const bool is_chunked : {true, false}) {
    std::string all;
    std::string cut;
    BodyDecoder::Kind all_end;
    BodyDecoder::Kind cut_end;
    std::size_t all_used = 0;
    std::size_t cut_used = 0;
    decode(input, size, is_chunked, all, all_end, all_used);
    decode(input, 1, is_chunked, cut, cut_end, cut_used);
    require(all == cut && all_end == cut_end);
    if (all_end == BodyDecoder::Kind::End) require(all_used == cut_used);
    require(all.size() <= size);
  }
  return 0;
}
