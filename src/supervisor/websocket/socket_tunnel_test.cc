// SPDX-License-Identifier: Apache-2.0
//
// SocketTunnel between a Worker's records and a server's frames.
#include "src/supervisor/websocket/socket_tunnel.h"

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "src/base/limits.h"
#include "tests/support/byte_ends.h"

namespace insula::websocket {
namespace {

using insula::testing::FedSource;

class Side final : public insula::testing::Collector {
 public:
  void on_failure(const Error&) override { ADD_FAILURE() << "a tunnel ends with words of the protocol"; }
};

// What the server hears.
std::string heard_by_server(BytesView bytes) {
  FrameParser parser(Role::Server, kSocketMessageBytesMax);
  Bytes unmasked;
  std::string said;
  std::string message;
  for (;;) {
    const ParsedEvent event = parser.next(bytes, unmasked, 1 << 20);
    switch (event.kind) {
      case ParsedEvent::Kind::NeedInput: return said;
      case ParsedEvent::Kind::Message:
        message += event.bytes;
        if (event.is_final) said += (event.is_text ? "text:" : "bytes:") + std::exchange(message, {}) + ";";
        break;
      case ParsedEvent::Kind::Pong: said += "pong:" + std::string(event.bytes) + ";"; break;
      case ParsedEvent::Kind::Ping: said += "ping;"; break;
      case ParsedEvent::Kind::Close:
        said += "close:" + std::to_string(event.code) + ":" + std::string(event.bytes) + ";";
        break;
      case ParsedEvent::Kind::Failed: return said + "failed:" + std::string(event.bytes) + ";";
    }
  }
}

// What the Worker hears.
std::string heard_by_worker(BytesView bytes) {
  RecordReader reader;
  std::string said;
  for (;;) {
    const ReadRecord record = reader.next(bytes);
    switch (record.kind) {
      case ReadRecord::Kind::NeedInput: return said;
      case ReadRecord::Kind::Piece:
        said += (record.piece.is_text ? "text:" : "bytes:") + std::string(record.piece.bytes) +
                (record.piece.is_final ? ";" : "|");
        break;
      case ReadRecord::Kind::Close:
        said += "close:" + std::to_string(record.code) + ":" + std::string(record.piece.bytes) + ";";
        break;
      case ReadRecord::Kind::Broken: said += "broken:" + std::string(record.piece.bytes) + ";"; break;
      case ReadRecord::Kind::Malformed: return said + "malformed;";
    }
  }
}

Bytes frame(Opcode opcode, BytesView payload, bool is_final = true) {
  Bytes out;
  append_frame(out, opcode, is_final, payload, {});
  return out;
}
Bytes server_close(std::uint16_t code, std::string_view reason) {
  Bytes out;
  append_close(out, code, reason, {});
  return out;
}
Bytes record(BytesView bytes, bool is_text = true, bool is_final = true) {
  Bytes out;
  append_piece_record(out, {is_text, true, is_final, bytes});
  return out;
}
Bytes worker_close(std::uint16_t code, std::string_view reason) {
  Bytes out;
  append_close_record(out, code, reason);
  return out;
}

class SocketTunnelTest : public ::testing::Test {
 protected:
  void open(std::size_t credit = 1 * kMiB) {
    to_server = tunnel->to_server();
    to_server->attach(server);
    to_server->grant(credit);
    to_worker = tunnel->open(from_server);
    to_worker->attach(worker);
    to_worker->grant(credit);
  }

  std::shared_ptr<FedSource> from_worker = std::make_shared<FedSource>();
  std::shared_ptr<FedSource> from_server = std::make_shared<FedSource>();
  std::shared_ptr<SocketTunnel> tunnel = std::make_shared<SocketTunnel>(from_worker);
  io::ByteSourcePtr to_server;
  io::ByteSourcePtr to_worker;
  Side server;
  Side worker;
};

TEST_F(SocketTunnelTest, CarriesMessagesBothWays) {
  open();
  from_worker->sink->on_data(record("hello") + record("b", false) + record("par", true, false) + record("ts"));
  EXPECT_EQ(heard_by_server(server.bytes), "text:hello;bytes:b;text:parts;");
  from_server->sink->on_data(frame(Opcode::Text, "hi") + frame(Opcode::Binary, "x", false) +
                             frame(Opcode::Continuation, "y"));
  EXPECT_EQ(heard_by_worker(worker.bytes), "text:hi;bytes:x|bytes:y;");
}

TEST_F(SocketTunnelTest, MasksEachFrameWithAnotherKey) {
  open();
  from_worker->sink->on_data(record("same") + record("same"));
  ASSERT_EQ(server.bytes.size(), 20U);
  EXPECT_NE(server.bytes.substr(2, 4), server.bytes.substr(12, 4));
}

TEST_F(SocketTunnelTest, SaysNothingBeforeTheServerHasAgreed) {
  to_server = tunnel->to_server();
  to_server->attach(server);
  to_server->grant(1000);
  EXPECT_EQ(from_worker->sink, nullptr);
  EXPECT_EQ(from_worker->granted, 0U);
  EXPECT_EQ(server.bytes, "");
}

TEST_F(SocketTunnelTest, AnAnswerThatIsNo101EndsIt) {
  to_server = tunnel->to_server();
  to_server->attach(server);
  to_server->stop();
  EXPECT_TRUE(from_worker->is_stopped);
}

TEST_F(SocketTunnelTest, AnswersPings) {
  open();
  from_server->sink->on_data(frame(Opcode::Ping, "p"));
  EXPECT_EQ(heard_by_server(server.bytes), "pong:p;");
  EXPECT_EQ(worker.bytes, "");
}

TEST_F(SocketTunnelTest, ReadsFromTheServerWhatTheWorkerHasRoomFor) {
  open(1000);
  EXPECT_EQ(from_server->granted, 1000U);
  from_server->sink->on_data(frame(Opcode::Binary, Bytes(500, 'x')));
  EXPECT_EQ(worker.bytes.size(), 505U);
  from_server->sink->on_data(frame(Opcode::Binary, Bytes(490, 'x')));
  EXPECT_EQ(worker.bytes.size(), 1000U);
  EXPECT_EQ(from_server->granted, 1000U);
  to_worker->grant(500);
  EXPECT_EQ(from_server->granted, 998U + 500U);  // two of the first thousand are still to come
}

TEST_F(SocketTunnelTest, ReadsFromTheWorkerWhatTheServerHasRoomFor) {
  open(1000);
  EXPECT_EQ(from_worker->granted, kSocketWindowBytes);
  from_worker->sink->on_data(record(Bytes(kSocketWindowBytes - kRecordHeadBytes, 'x'), false));
  EXPECT_EQ(server.bytes.size(), 1000U);
  EXPECT_EQ(from_worker->granted, kSocketWindowBytes);
  to_server->grant(1 * kMiB);
  EXPECT_EQ(from_worker->granted, 2 * kSocketWindowBytes);
}

TEST_F(SocketTunnelTest, TheWorkerClosesFirst) {
  open();
  from_worker->sink->on_data(worker_close(3000, "bye"));
  EXPECT_EQ(heard_by_server(server.bytes), "close:3000:bye;");
  EXPECT_EQ(server.ends, 0);
  from_server->sink->on_data(frame(Opcode::Text, "on the way") + server_close(3000, "bye"));
  EXPECT_EQ(heard_by_worker(worker.bytes), "text:on the way;close:3000:bye;");
  EXPECT_EQ(worker.ends, 1);
  EXPECT_EQ(server.ends, 1);
}

TEST_F(SocketTunnelTest, TheServerClosesFirst) {
  open();
  from_server->sink->on_data(server_close(1001, "going"));
  EXPECT_EQ(heard_by_worker(worker.bytes), "close:1001:going;");
  EXPECT_EQ(worker.ends, 0);
  from_worker->sink->on_data(record("last") + worker_close(1001, "going"));
  EXPECT_EQ(heard_by_server(server.bytes), "text:last;close:1001:going;");
  EXPECT_EQ(worker.ends, 1);
  EXPECT_EQ(server.ends, 1);
  from_server->sink->on_end();
  EXPECT_TRUE(from_worker->is_stopped);
}

TEST_F(SocketTunnelTest, AConnectionThatIsLostIsBroken) {
  open();
  from_server->sink->on_failure(Error(ErrorCode::Unavailable, "egress: inner matters"));
  EXPECT_EQ(heard_by_worker(worker.bytes), "broken:;");
  EXPECT_EQ(worker.ends, 1);
  EXPECT_TRUE(from_worker->is_stopped);
}

TEST_F(SocketTunnelTest, AServerThatBreaksTheRulesHearsWhich) {
  open();
  Bytes masked;
  append_frame(masked, Opcode::Text, true, "x", MaskKey{1, 2, 3, 4});
  from_server->sink->on_data(masked);
  EXPECT_EQ(heard_by_worker(worker.bytes), "broken:1002: a frame of a server is masked;");
  EXPECT_EQ(heard_by_server(server.bytes), "close:1002:a frame of a server is masked;");
  EXPECT_EQ(server.ends, 1);
}

TEST_F(SocketTunnelTest, AWorkerThatGoesWithoutACloseTakesTheConnectionWithIt) {
  open();
  from_worker->sink->on_data(record("x"));
  from_worker->sink->on_failure(Error(ErrorCode::Unavailable, "The invocation has ended."));
  EXPECT_TRUE(from_server->is_stopped);
  EXPECT_EQ(server.ends, 1);
  EXPECT_EQ(heard_by_worker(worker.bytes), "broken:;");
}

TEST_F(SocketTunnelTest, AnUploadThatEndsTakesAllWithIt) {
  open();
  to_server->stop();
  EXPECT_TRUE(from_server->is_stopped);
  EXPECT_TRUE(from_worker->is_stopped);
  EXPECT_EQ(heard_by_worker(worker.bytes), "broken:;");
}

TEST_F(SocketTunnelTest, LeavesNothingBehind) {
  open();
  from_server->sink->on_data(server_close(1000, ""));
  from_worker->sink->on_data(worker_close(1000, ""));
  std::weak_ptr<SocketTunnel> weak = tunnel;
  tunnel.reset();
  to_worker.reset();
  EXPECT_FALSE(weak.expired());
  to_server.reset();
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace insula::websocket
