// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of what the supervisor reads from WebSocket clients and servers.
//
// Besides memory errors it looks for disagreement: cut into pieces of any size, the same bytes must give the same
// messages, pings, closes and violations, as either role. What the writer makes of the messages is read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "src/supervisor/websocket/frame.h"
#include "src/supervisor/websocket/frame_parser.h"
#include "src/supervisor/websocket/handshake.h"

namespace {

using insula::Bytes;
using insula::BytesView;
using insula::websocket::append_close;
using insula::websocket::append_frame;
using insula::websocket::FrameParser;
using insula::websocket::MaskKey;
using insula::websocket::Opcode;
using insula::websocket::ParsedEvent;
using insula::websocket::Role;

constexpr std::size_t kMessageBytesMax = 4096;

void require(bool fact) {
  if (!fact) std::abort();
}

struct Told {
  std::string events;
  Bytes rewritten;  // the same messages and controls as frames of the other role
};

// Pieces are heap blocks of their exact size, so that a sanitizer sees a read beyond one.
Told tell(Role role, BytesView input, std::size_t piece_bytes, std::size_t data_bytes_max) {
  FrameParser parser(role, kMessageBytesMax);
  const auto mask = role == Role::Client ? std::optional(MaskKey{1, 2, 3, 4}) : std::nullopt;
  Told told;
  Bytes unmasked;
  std::string message;
  bool is_in_message = false;
  bool is_over = false;
  for (std::size_t at = 0; at < input.size(); at += piece_bytes) {
    const Bytes copy(input.substr(at, piece_bytes));
    BytesView piece = copy;
    for (;;) {
      const ParsedEvent event = parser.next(piece, unmasked, data_bytes_max);
      if (event.kind == ParsedEvent::Kind::NeedInput) break;
      require(!is_over);
      switch (event.kind) {
        case ParsedEvent::Kind::Message:
          require(event.bytes.size() <= data_bytes_max);
          require(event.is_first == !is_in_message);
          is_in_message = !event.is_final;
          message += event.bytes;
          require(message.size() <= kMessageBytesMax);
          if (!event.is_final) break;
          told.events += (event.is_text ? "t" : "b") + message + ";";
          append_frame(told.rewritten, event.is_text ? Opcode::Text : Opcode::Binary, true, std::exchange(message, {}),
                       mask);
          break;
        case ParsedEvent::Kind::Ping:
        case ParsedEvent::Kind::Pong: {
          const bool is_ping = event.kind == ParsedEvent::Kind::Ping;
          told.events += (is_ping ? "p" : "q") + std::string(event.bytes) + ";";
          append_frame(told.rewritten, is_ping ? Opcode::Ping : Opcode::Pong, true, event.bytes, mask);
          break;
        }
        case ParsedEvent::Kind::Close:
          told.events += "c" + std::to_string(event.code) + std::string(event.bytes) + ";";
          append_close(told.rewritten, event.code, event.bytes, mask);
          is_over = true;
          break;
        case ParsedEvent::Kind::Failed:
          told.events += "f" + std::to_string(event.code) + std::string(event.bytes) + ";";
          is_over = true;
          break;
        case ParsedEvent::Kind::NeedInput:
          break;
      }
    }
    require(piece.empty());
  }
  return told;
}

void compare(Role role, BytesView input, std::size_t piece_bytes, std::size_t data_bytes_max) {
  const Told whole = tell(role, input, input.size() + 1, kMessageBytesMax);
  require(tell(role, input, 1, kMessageBytesMax).events == whole.events);
  require(tell(role, input, piece_bytes, data_bytes_max).events == whole.events);
  const Role other = role == Role::Server ? Role::Client : Role::Server;
  const Told again = tell(other, whole.rewritten, piece_bytes, kMessageBytesMax);
  require(whole.events.starts_with(again.events));
  const std::string_view rest = std::string_view(whole.events).substr(again.events.size());
  require(rest.empty() || rest.front() == 'f');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece_bytes = 1 + data[0] % 64;
  const std::size_t data_bytes_max = 1 + data[1] % 32;
  const BytesView input(reinterpret_cast<const char*>(data + 2), size - 2);
  compare(Role::Server, input, piece_bytes, data_bytes_max);
  compare(Role::Client, input, piece_bytes, data_bytes_max);
  static_cast<void>(insula::websocket::check_request(input));
  static_cast<void>(insula::websocket::check_response(input, "dGhlIHNhbXBsZSBub25jZQ=="));
  return 0;
}
