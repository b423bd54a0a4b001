// SPDX-License-Identifier: Apache-2.0
//
// FrameParser against the well-known list of cases: framing, pings, reserved bits, opcodes, fragments, UTF-8, closes
// and limits. Every case runs whole, byte by byte and in pieces of other sizes, and must tell the same each time.
#include "src/supervisor/websocket/frame_parser.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace insula::websocket {
namespace {

constexpr MaskKey kKey{0x37, static_cast<char>(0xfa), 0x21, 0x3d};
constexpr std::size_t kMessageMax = 1 * kMiB;

// One frame of a client, with whatever is wrong about it.
struct Shape {
  bool is_final = true;
  int reserved = 0;  // 0 to 7
  bool is_masked = true;
};

Bytes frame(int opcode, BytesView payload, Shape shape = {}) {
  Bytes out;
  append_frame(out, Opcode::Binary, shape.is_final, payload, shape.is_masked ? std::optional(kKey) : std::nullopt);
  out[0] = static_cast<char>((shape.is_final ? 0x80 : 0) | shape.reserved << 4 | opcode);
  return out;
}
Bytes text(BytesView payload) { return frame(1, payload); }
Bytes close_frame(int code, BytesView reason = {}) {
  return frame(8, Bytes{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)}.append(reason));
}

// What a parser said: messages put together again.
std::string told(BytesView input, std::size_t piece_bytes, Role role = Role::Server,
                 std::size_t data_bytes_max = 4096) {
  FrameParser parser(role, kMessageMax);
  Bytes unmasked;
  std::string said;
  std::string message;
  for (std::size_t at = 0; at < input.size(); at += piece_bytes) {
    const Bytes copy(input.substr(at, piece_bytes));
    BytesView piece = copy;
    for (;;) {
      const ParsedEvent event = parser.next(piece, unmasked, data_bytes_max);
      if (event.kind == ParsedEvent::Kind::NeedInput) break;
      switch (event.kind) {
        case ParsedEvent::Kind::Message:
          EXPECT_EQ(event.is_first, message.empty()) << said;
          if (event.is_first) message = event.is_text ? "text:" : "binary:";
          message += event.bytes;
          if (event.is_final) said += std::exchange(message, {}) + ";";
          break;
        case ParsedEvent::Kind::Ping:
          said += "ping:" + std::string(event.bytes) + ";";
          break;
        case ParsedEvent::Kind::Pong:
          said += "pong:" + std::string(event.bytes) + ";";
          break;
        case ParsedEvent::Kind::Close:
          said += "close:" + std::to_string(event.code) + ":" + std::string(event.bytes) + ";";
          break;
        case ParsedEvent::Kind::Failed:
          said += "failed:" + std::to_string(event.code) + ";";
          break;
        case ParsedEvent::Kind::NeedInput:
          break;
      }
    }
    EXPECT_TRUE(piece.empty());
  }
  return said;
}

void expect_told(const Bytes& input, const std::string& wanted, Role role = Role::Server) {
  for (const std::size_t piece_bytes : std::initializer_list<std::size_t>{input.size() + 1, 1, 2, 3, 997}) {
    if (piece_bytes < 4 && input.size() > 100000) continue;
    EXPECT_EQ(told(input, piece_bytes, role), wanted) << "in pieces of " << piece_bytes;
  }
  EXPECT_EQ(told(input, input.size() + 1, role, 1), wanted) << "data byte by byte";
}

TEST(FrameParser, TakesMessagesOfEveryLengthForm) {
  for (const std::size_t bytes : {0U, 1U, 7U, 125U, 126U, 127U, 128U, 65535U, 65536U, 65537U}) {
    expect_told(text(Bytes(bytes, '*')), "text:" + std::string(bytes, '*') + ";");
    expect_told(frame(2, Bytes(bytes, '\xfe')), "binary:" + std::string(bytes, '\xfe') + ";");
  }
}

TEST(FrameParser, TakesSeveralFramesFromOneBuffer) {
  expect_told(text("a") + frame(2, "b") + frame(9, "") + text("c"), "text:a;binary:b;ping:;text:c;");
}

TEST(FrameParser, TellsPingsAndPongs) {
  expect_told(frame(9, ""), "ping:;");
  expect_told(frame(9, "Hello"), "ping:Hello;");
  expect_told(frame(9, Bytes(125, '\xfe')), "ping:" + std::string(125, '\xfe') + ";");
  expect_told(frame(10, "unasked") + frame(9, "x"), "pong:unasked;ping:x;");
}

TEST(FrameParser, RefusesLongControlFrames) {
  for (const int opcode : {8, 9, 10}) {
    expect_told(text("a") + frame(opcode, Bytes(126, 'x')), "text:a;failed:1002;");
    expect_told(frame(opcode, Bytes(70000, 'x')), "failed:1002;");
  }
}

TEST(FrameParser, RefusesControlFramesInFragments) {
  for (const int opcode : {8, 9, 10}) expect_told(frame(opcode, "x", {.is_final = false}), "failed:1002;");
}

TEST(FrameParser, RefusesEveryReservedBit) {
  for (int reserved = 1; reserved <= 7; ++reserved) {
    for (const int opcode : {1, 2, 8, 9, 10}) {
      expect_told(text("a") + frame(opcode, "", {.reserved = reserved}) + text("b"), "text:a;failed:1002;");
    }
  }
}

TEST(FrameParser, RefusesEveryReservedOpcode) {
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
    expect_told(frame(opcode, ""), "failed:1002;");
    expect_told(text("a") + frame(opcode, "b") + text("c"), "text:a;failed:1002;");
  }
}

TEST(FrameParser, InsistsOnTheMaskThatTheRoleDemands) {
  expect_told(frame(1, "a", {.is_masked = false}), "failed:1002;");
  expect_told(frame(9, "", {.is_masked = false}), "failed:1002;");
  expect_told(frame(1, "a", {.is_masked = false}), "text:a;", Role::Client);
  expect_told(frame(1, "a"), "failed:1002;", Role::Client);
}

TEST(FrameParser, PutsFragmentsTogether) {
  const Bytes hel = frame(1, "hel", {.is_final = false});
  expect_told(hel + frame(0, "lo"), "text:hello;");
  expect_told(hel + frame(0, "", {.is_final = false}) + frame(0, "lo"), "text:hello;");
  expect_told(frame(1, "", {.is_final = false}) + frame(0, "", {.is_final = false}) + frame(0, ""), "text:;");
  expect_told(frame(2, "", {.is_final = false}) + frame(0, "x", {.is_final = false}) + frame(0, ""), "binary:x;");
}

TEST(FrameParser, TakesControlFramesBetweenFragments) {
  expect_told(frame(1, "hel", {.is_final = false}) + frame(9, "p") + frame(0, "lo") + frame(10, ""),
              "ping:p;text:hello;pong:;");
  expect_told(frame(1, "hel", {.is_final = false}) + close_frame(1000), "close:1000:;");
}

TEST(FrameParser, RefusesContinuationsOutOfPlace) {
  expect_told(frame(0, "x"), "failed:1002;");
  expect_told(frame(0, "x", {.is_final = false}), "failed:1002;");
  expect_told(frame(1, "a", {.is_final = false}) + frame(0, "b") + frame(0, "c"), "text:ab;failed:1002;");
  expect_told(frame(1, "a", {.is_final = false}) + text("b"), "failed:1002;");
  expect_told(frame(2, "a", {.is_final = false}) + frame(2, "b", {.is_final = false}), "failed:1002;");
}

TEST(FrameParser, RefusesLengthsThatAreNotInTheirShortestForm) {
  const auto with_length = [](const std::vector<int>& length) {
    Bytes out = "\x82";
    for (const int byte : length) out.push_back(static_cast<char>(byte));
    out.append(kKey.data(), kKey.size());
    return out.append(300, 'x');
  };
  expect_told(with_length({0xfe, 0, 125}), "failed:1002;");
  expect_told(with_length({0xfe, 0, 0}), "failed:1002;");
  expect_told(with_length({0xff, 0, 0, 0, 0, 0, 0, 0, 200}), "failed:1002;");
  expect_told(with_length({0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}), "failed:1002;");
  expect_told(with_length({0xff, 0x80, 0, 0, 0, 0, 1, 0, 0}), "failed:1002;");
}

TEST(FrameParser, TakesWellFormedText) {
  for (const std::string good :
       {"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
        "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
        "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xf0\x9f\x98\x80 and a long ASCII tail"}) {
    expect_told(text(good), "text:" + good + ";");
    // Each byte as a fragment of its own, whatever character it cuts.
    Bytes fragments;
    for (std::size_t i = 0; i < good.size(); ++i) {
      fragments += frame(i == 0 ? 1 : 0, good.substr(i, 1), {.is_final = i + 1 == good.size()});
    }
    expect_told(fragments, "text:" + good + ";");
  }
  expect_told(text(std::string("\0", 1)), std::string("text:\0;", 7));
}

TEST(FrameParser, RefusesMalformedTextAtOnce) {
  for (const std::string bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
        "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
        "long enough for words \xff"}) {
    expect_told(text(bad) + text("b"), "failed:1007;");
    expect_told(frame(2, bad), "binary:" + bad + ";");
  }
  // Not only when the message is complete: nothing after the bad byte is waited for.
  const Bytes unfinished = frame(1, "ok \xff" + std::string(1000, 'x'), {.is_final = false});
  EXPECT_EQ(told(unfinished.substr(0, 12), 100), "failed:1007;");
  expect_told(frame(1, "\xe2\x82", {.is_final = false}) + frame(0, ""), "failed:1007;");
}

TEST(FrameParser, ForgetsHalfACharacterWithItsMessage) {
  expect_told(frame(2, "\xe2\x82") + text("a"), "binary:\xe2\x82;text:a;");
}

TEST(FrameParser, TellsTheCloseAndNothingAfterIt) {
  expect_told(frame(8, ""), "close:1005:;");
  expect_told(close_frame(1000, "Hello World!") + text("late") + frame(9, ""), "close:1000:Hello World!;");
  expect_told(close_frame(1000, std::string(123, '*')), "close:1000:" + std::string(123, '*') + ";");
  expect_told(text("a") + close_frame(1001), "text:a;close:1001:;");
}

TEST(FrameParser, KnowsTheCodesThatMayBeSent) {
  for (const int code :
       {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}) {
    expect_told(close_frame(code), "close:" + std::to_string(code) + ":;");
  }
  for (const int code : {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
    expect_told(close_frame(code, "why"), "failed:1002;");
  }
}

TEST(FrameParser, RefusesMalformedCloses) {
  expect_told(frame(8, "x"), "failed:1002;");
  expect_told(close_frame(1000, "\xce\xba\xed\xa0\x80"), "failed:1007;");
  expect_told(close_frame(1000, "\xe2\x82"), "failed:1007;");
}

TEST(FrameParser, RefusesAMessageAboveTheLimitBeforeItsFirstByte) {
  Bytes head;
  append_frame_head(head, Opcode::Binary, true, kMessageMax + 1, kKey);
  expect_told(head.substr(0, 10), "failed:1009;");
  expect_told(frame(2, Bytes(kMessageMax, 'x')), "binary:" + std::string(kMessageMax, 'x') + ";");
  Bytes huge;
  append_frame_head(huge, Opcode::Text, false, 0x7fffffffffffffffU, kKey);
  expect_told(huge, "failed:1009;");
}

TEST(FrameParser, CountsTheLimitOverAllFragments) {
  const Bytes half = frame(2, Bytes(kMessageMax / 2, 'x'), {.is_final = false});
  const Bytes rest = frame(0, Bytes(kMessageMax / 2, 'y'));
  expect_told(half + rest, "binary:" + std::string(kMessageMax / 2, 'x') + std::string(kMessageMax / 2, 'y') + ";");
  expect_told(half + frame(0, Bytes(kMessageMax / 2 + 1, 'y')), "failed:1009;");
  // The next message starts from nothing.
  expect_told(half + rest + text("a"),
              "binary:" + std::string(kMessageMax / 2, 'x') + std::string(kMessageMax / 2, 'y') + ";text:a;");
}

TEST(FrameParser, EndsAMessageOfTooManyFragments) {
  for (const std::string fragment : {"", "x"}) {
    Bytes many = frame(1, fragment, {.is_final = false});
    for (std::uint32_t i = 1; i < kSocketFragmentsMax; ++i) many += frame(0, fragment, {.is_final = false});
    EXPECT_EQ(told(many, many.size()), "");
    EXPECT_EQ(told(many + frame(0, fragment), many.size() * 2), "failed:1008;");
  }
}

TEST(FrameParser, SaysWhetherSomethingIsUnderWay) {
  FrameParser parser(Role::Server, kMessageMax);
  Bytes unmasked;
  const auto feed = [&](BytesView input) {
    while (parser.next(input, unmasked, 100).kind != ParsedEvent::Kind::NeedInput) continue;
  };
  EXPECT_TRUE(parser.is_idle());
  feed(BytesView(text("a")).substr(0, 3));
  EXPECT_FALSE(parser.is_idle());
  feed(BytesView(text("a")).substr(3));
  EXPECT_TRUE(parser.is_idle());
  feed(frame(1, "a", {.is_final = false}));
  EXPECT_FALSE(parser.is_idle());
}

TEST(Frame, WritesTheShortestHead) {
  const auto head = [](std::uint64_t bytes, std::optional<MaskKey> mask) {
    Bytes out;
    append_frame_head(out, Opcode::Binary, true, bytes, mask);
    return out;
  };
  EXPECT_EQ(head(125, {}), "\x82\x7d");
  EXPECT_EQ(head(126, {}), std::string("\x82\x7e\x00\x7e", 4));
  EXPECT_EQ(head(65535, {}), "\x82\x7e\xff\xff");
  EXPECT_EQ(head(65536, {}), std::string("\x82\x7f\0\0\0\0\0\x01\0\0", 10));
  EXPECT_EQ(head(1, kKey), "\x82\x81\x37\xfa\x21\x3d");
}

TEST(Frame, MasksLikeTheExampleOfTheRfc) {
  Bytes out;
  append_frame(out, Opcode::Text, true, "Hello", kKey);
  EXPECT_EQ(out, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

TEST(Frame, MasksTheSameInPieces) {
  Bytes whole(1000, 'q');
  apply_mask(whole.data(), whole.size(), kKey, 0);
  for (const std::size_t cut : {1U, 2U, 3U, 4U, 5U, 7U, 8U, 13U, 999U}) {
    Bytes cut_up(1000, 'q');
    apply_mask(cut_up.data(), cut, kKey, 0);
    apply_mask(cut_up.data() + cut, cut_up.size() - cut, kKey, cut);
    EXPECT_EQ(cut_up, whole) << cut;
  }
}

TEST(Frame, CutsAReasonBetweenCharacters) {
  Bytes out;
  append_close(out, 1000, std::string(122, 'x') + "\xc3\xa4", {});
  EXPECT_EQ(told(out, out.size(), Role::Client), "close:1000:" + std::string(122, 'x') + ";");
  out.clear();
  append_close(out, kCloseNoCode, "not sent", {});
  EXPECT_EQ(out, std::string("\x88\0", 2));
}

}  // namespace
}  // namespace insula::websocket
