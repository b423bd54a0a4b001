// SPDX-License-Identifier: Apache-2.0
//
// Records, and the bridge between a socket and two byte streams: messages, credit, and every way to end.
#include "src/supervisor/websocket/socket_bridge.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "src/base/limits.h"
#include "tests/support/byte_ends.h"

namespace insula::websocket {
namespace {

using insula::testing::FedSource;

// ---- Records

std::string told(BytesView input, std::size_t piece_bytes) {
  RecordReader reader;
  std::string said;
  std::string message;
  for (std::size_t at = 0; at < input.size(); at += piece_bytes) {
    BytesView piece = input.substr(at, piece_bytes);
    for (;;) {
      const ReadRecord record = reader.next(piece);
      if (record.kind == ReadRecord::Kind::NeedInput) break;
      if (record.kind == ReadRecord::Kind::Piece) {
        EXPECT_EQ(record.piece.is_first, message.empty());
        if (record.piece.is_first) message = record.piece.is_text ? "text:" : "bytes:";
        message += record.piece.bytes;
        if (record.piece.is_final) said += std::exchange(message, {}) + ";";
      } else if (record.kind == ReadRecord::Kind::Close) {
        said += "close:" + std::to_string(record.code) + ":" + std::string(record.piece.bytes) + ";";
      } else if (record.kind == ReadRecord::Kind::Broken) {
        said += "broken:" + std::string(record.piece.bytes) + ";";
      } else {
        said += "malformed;";
      }
    }
    EXPECT_TRUE(piece.empty());
  }
  return said;
}

void expect_told(const Bytes& input, const std::string& wanted) {
  for (const std::size_t piece_bytes : std::initializer_list<std::size_t>{input.size() + 1, 1, 3, 70000}) {
    EXPECT_EQ(told(input, piece_bytes), wanted) << piece_bytes;
  }
}

Bytes record_of(BytesView bytes, bool is_text = true, bool is_final = true) {
  Bytes out;
  append_piece_record(out, {is_text, true, is_final, bytes});
  return out;
}
Bytes close_of(std::uint16_t code, std::string_view reason) {
  Bytes out;
  append_close_record(out, code, reason);
  return out;
}
Bytes broken_of(std::string_view why) {
  Bytes out;
  append_broken_record(out, why);
  return out;
}

TEST(Record, ReadsWhatWasWritten) {
  expect_told(record_of("a") + record_of("", false) + record_of(std::string(65536, 'x')) + close_of(1000, "bye"),
              "text:a;bytes:;text:" + std::string(65536, 'x') + ";close:1000:bye;");
  expect_told(broken_of("why"), "broken:why;");
}

TEST(Record, PutsPiecesTogether) {
  expect_told(record_of("hel", true, false) + record_of("", true, false) + record_of("lo") + record_of("b", false),
              "text:hello;bytes:b;");
}

TEST(Record, GivesALongMessageInPieces) {
  const Bytes input = record_of(std::string(200000, 'y'), false);
  expect_told(input, "bytes:" + std::string(200000, 'y') + ";");
  RecordReader reader;
  BytesView rest = input;
  const ReadRecord first = reader.next(rest);
  EXPECT_EQ(first.piece.bytes.size(), kSocketPieceBytesMax);
  EXPECT_FALSE(first.piece.is_final);
}

TEST(Record, ReadsNothingAfterTheEnd) {
  expect_told(close_of(1000, "") + record_of("late"), "close:1000:;");
  expect_told(broken_of("") + close_of(1000, ""), "broken:;");
}

TEST(Record, RefusesWhatIsNone) {
  const Bytes zero(1, '\0');
  expect_told(zero + Bytes("\1\0\0\0x", 5), "malformed;");
  expect_told(Bytes("\5\0\0\0\0", 5), "malformed;");
  expect_told(Bytes("\x81\0\0\0\0\2\0\0\0\0", 10), "malformed;");   // changes its kind in the middle
  expect_told(Bytes("\x83\2\0\0\0\xe8\3", 7), "malformed;");        // a close that goes on
  expect_told(Bytes("\3\1\0\0\0x", 6), "malformed;");               // half a code
  expect_told(Bytes("\3\xff\xff\0\0", 5), "malformed;");            // a reason of 64 KiB
  expect_told(close_of(999, ""), "malformed;");
  expect_told(close_of(1000, "\xff"), "malformed;");
}

// ---- The bridge

class FakeSocket final : public io::MessageSocket {
 public:
  void attach(io::MessageSink& to) override { sink = &to; }
  void grant(std::size_t bytes) override { granted += bytes; }
  void send(const io::MessagePiece& piece) override {
    sent.append(piece.bytes).append(piece.is_final ? ";" : "|");
  }
  void close(std::uint16_t code, std::string_view reason) override {
    sent += "close:" + std::to_string(code) + ":" + std::string(reason) + ";";
  }
  void drop() override { sent += "drop;"; }

  io::MessageSink* sink = nullptr;
  std::size_t granted = 0;
  std::string sent;
};

class WorkerSide final : public insula::testing::Collector {
 public:
  void on_failure(const Error&) override { ADD_FAILURE() << "a bridge ends with records"; }
};

class SocketBridgeTest : public ::testing::Test {
 protected:
  // A bridge that is still open keeps itself alive.
  void TearDown() override {
    const auto open_one = opened.lock();
    if (open_one == nullptr) return;
    socket->sink->on_gone(Error(ErrorCode::Cancelled, "the test is over"));
    open_one->stop();
  }

  void open() {
    opened = bridge;
    bridge->attach(up);
    bridge->open(socket, down);
  }
  static io::MessagePiece piece(BytesView bytes, bool is_text = true) { return {is_text, true, true, bytes}; }
  void from_worker(const Bytes& bytes) {
    ASSERT_NE(down->sink, nullptr);
    down->sink->on_data(bytes);
  }

  std::shared_ptr<SocketBridge> bridge = std::make_shared<SocketBridge>();
  std::shared_ptr<FakeSocket> socket = std::make_shared<FakeSocket>();
  std::shared_ptr<FedSource> down = std::make_shared<FedSource>();
  WorkerSide up;
  std::weak_ptr<SocketBridge> opened;
};

TEST_F(SocketBridgeTest, PassesMessagesBothWays) {
  open();
  bridge->grant(1000);
  socket->sink->on_granted(1000);
  socket->sink->on_piece(piece("hello"));
  EXPECT_EQ(told(up.bytes, 100), "text:hello;");
  from_worker(record_of("hi") + record_of("x", false));
  EXPECT_EQ(socket->sent, "hi;x;");
}

TEST_F(SocketBridgeTest, ReadsFromTheSocketWhatTheWorkerHasRoomFor) {
  open();
  EXPECT_EQ(socket->granted, 0U);
  bridge->grant(1000);
  EXPECT_EQ(socket->granted, 1000U);
  socket->sink->on_piece(piece(std::string(500, 'x')));
  // 505 bytes went on, 564 were charged: the difference is given again.
  EXPECT_EQ(up.bytes.size(), 505U);
  EXPECT_EQ(socket->granted, 1000U + 59U);
  // One piece beyond the credit waits here, and the socket stays overdrawn.
  socket->sink->on_piece(piece(std::string(2000, 'y')));
  EXPECT_EQ(up.bytes.size(), 1000U);
  EXPECT_LT(socket->granted, 564U + 2064U);
  bridge->grant(10000);
  EXPECT_EQ(up.bytes.size(), 505U + 2005U);
  EXPECT_GT(socket->granted, 564U + 2064U);
}

TEST_F(SocketBridgeTest, NeverGrantsTheSocketMoreThanAWindow) {
  open();
  bridge->grant(100 * kMiB);
  EXPECT_EQ(socket->granted, kSocketWindowBytes);
}

TEST_F(SocketBridgeTest, SendsWhatTheSocketHasRoomFor) {
  open();
  EXPECT_EQ(down->granted, kSocketWindowBytes);
  from_worker(record_of("one") + record_of("two") + record_of("three"));
  EXPECT_EQ(socket->sent, "");
  socket->sink->on_granted(1);
  EXPECT_EQ(socket->sent, "one;");  // overdrawn by one
  socket->sink->on_granted(200);
  EXPECT_EQ(socket->sent, "one;two;three;");
}

TEST_F(SocketBridgeTest, TheWorkerGetsCreditForWhatWasSent) {
  open();
  from_worker(record_of(Bytes(kSocketWindowBytes - kRecordHeadBytes, 'x'), false));
  EXPECT_EQ(down->granted, kSocketWindowBytes);
  socket->sink->on_granted(kSocketWindowBytes * 2);
  EXPECT_EQ(down->granted, 2 * kSocketWindowBytes);
}

TEST_F(SocketBridgeTest, TheClientClosesFirst) {
  open();
  bridge->grant(1000);
  socket->sink->on_granted(1000);
  socket->sink->on_close(3000, "enough");
  EXPECT_EQ(told(up.bytes, 100), "close:3000:enough;");
  EXPECT_EQ(up.ends, 0);
  from_worker(record_of("last") + close_of(3000, "enough"));
  EXPECT_EQ(socket->sent, "last;close:3000:enough;");
  EXPECT_EQ(up.ends, 1);
  std::weak_ptr<SocketBridge> weak = bridge;
  bridge.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_F(SocketBridgeTest, TheWorkerClosesFirst) {
  open();
  bridge->grant(1000);
  socket->sink->on_granted(1000);
  from_worker(close_of(1000, "bye"));
  down->sink->on_end();
  EXPECT_EQ(socket->sent, "close:1000:bye;");
  socket->sink->on_piece(piece("on the way"));
  socket->sink->on_close(1000, "");
  EXPECT_EQ(told(up.bytes, 100), "text:on the way;close:1000:;");
  EXPECT_EQ(up.ends, 1);
  std::weak_ptr<SocketBridge> weak = bridge;
  bridge.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_F(SocketBridgeTest, ACloseWaitsForRoomAtTheWorker) {
  open();
  socket->sink->on_close(1000, "bye");
  EXPECT_EQ(up.ends, 0);
  bridge->grant(6);
  EXPECT_EQ(up.ends, 0);
  bridge->grant(6);
  EXPECT_EQ(told(up.bytes, 100), "close:1000:bye;");
  socket->sink->on_gone(Error(ErrorCode::Cancelled, "gone before anybody answered"));
  EXPECT_EQ(told(up.bytes, 100), "close:1000:bye;");
  EXPECT_EQ(up.ends, 1);
}

TEST_F(SocketBridgeTest, ABrokenConnectionIsTold) {
  open();
  bridge->grant(1000);
  socket->sink->on_gone(Error(ErrorCode::Cancelled, "http: inner matters"));
  EXPECT_EQ(told(up.bytes, 100), "broken:;");
  EXPECT_EQ(up.ends, 1);
  EXPECT_TRUE(down->is_stopped);
}

TEST_F(SocketBridgeTest, AViolationIsToldWithItsText) {
  open();
  bridge->grant(1000);
  socket->sink->on_gone(Error(ErrorCode::LimitExceeded, "1009: Message is too large"));
  EXPECT_EQ(told(up.bytes, 100), "broken:1009: Message is too large;");
}

TEST_F(SocketBridgeTest, AWorkerThatEndsWithoutACloseBreaksTheConnection) {
  open();
  bridge->grant(1000);
  socket->sink->on_granted(1000);
  from_worker(record_of("x"));
  down->sink->on_failure(Error(ErrorCode::Unavailable, "The invocation has ended."));
  EXPECT_EQ(socket->sent, "x;drop;");
  EXPECT_EQ(told(up.bytes, 100), "broken:;");
  std::weak_ptr<SocketBridge> weak = bridge;
  bridge.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_F(SocketBridgeTest, WhatWasSaidBeforeTheEndIsSentFirst) {
  open();
  from_worker(record_of("x"));
  down->sink->on_end();
  EXPECT_EQ(socket->sent, "");
  socket->sink->on_granted(1000);
  EXPECT_EQ(socket->sent, "x;drop;");
}

TEST_F(SocketBridgeTest, AStreamOfOtherThingsBreaksTheConnection) {
  open();
  socket->sink->on_granted(1000);
  from_worker("GET / HTTP/1.1");
  EXPECT_EQ(socket->sent, "drop;");
  EXPECT_TRUE(down->is_stopped);
}

TEST_F(SocketBridgeTest, AWorkerThatStoppedReadingCanStillClose) {
  open();
  socket->sink->on_granted(1000);
  bridge->stop();
  EXPECT_EQ(socket->granted, kSocketWindowBytes);
  socket->sink->on_piece(piece(std::string(1000, 'x')));
  EXPECT_EQ(socket->granted, kSocketWindowBytes + 1064U);
  from_worker(close_of(1000, ""));
  socket->sink->on_close(1000, "");
  EXPECT_EQ(socket->sent, "close:1000:;");
  EXPECT_EQ(up.bytes, "");
  std::weak_ptr<SocketBridge> weak = bridge;
  bridge.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_F(SocketBridgeTest, AnAnswerThatIsNo101LeavesNothing) {
  bridge->attach(up);
  bridge->grant(1000);
  bridge->stop();
  std::weak_ptr<SocketBridge> weak = bridge;
  bridge.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_F(SocketBridgeTest, AHandshakeThatFailsIsABrokenConnection) {
  bridge->refuse();
  bridge->attach(up);
  bridge->grant(1000);
  EXPECT_EQ(told(up.bytes, 100), "broken:;");
  EXPECT_EQ(up.ends, 1);
}

TEST_F(SocketBridgeTest, KeepsItselfAliveWhileItIsOpen) {
  open();
  std::weak_ptr<SocketBridge> weak = bridge;
  bridge.reset();
  ASSERT_FALSE(weak.expired());
  socket->sink->on_gone(Error(ErrorCode::Cancelled, "gone"));
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace insula::websocket
