// SPDX-License-Identifier: Apache-2.0
//
// ClientSocket on a real server over loopback: upgrade, messages, back-pressure, closes in every order, endings.
#include "src/supervisor/websocket/client_socket.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "src/supervisor/http/server_fixture.h"

namespace insula::websocket {
namespace {

using http::Client;
using http::Exchange;

constexpr MaskKey kKey{1, 2, 3, 4};
const std::string kUpgrade =
    "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

Bytes frame(Opcode opcode, BytesView payload, bool is_final = true) {
  Bytes out;
  append_frame(out, opcode, is_final, payload, kKey);
  return out;
}
Bytes close_frame(std::uint16_t code, std::string_view reason = {}) {
  Bytes out;
  append_close(out, code, reason, kKey);
  return out;
}
Bytes from_server(Opcode opcode, BytesView payload, bool is_final = true) {
  Bytes out;
  append_frame(out, opcode, is_final, payload, {});
  return out;
}
Bytes close_from_server(std::uint16_t code, std::string_view reason = {}) {
  Bytes out;
  append_close(out, code, reason, {});
  return out;
}

// Notes what it hears; grants a window at first and nothing more by itself.
class Holder final : public io::MessageSink {
 public:
  void on_piece(const io::MessagePiece& piece) override {
    message += piece.bytes;
    bytes += piece.bytes.size();
    if (piece.is_final) heard.push_back((piece.is_text ? "text:" : "binary:") + std::exchange(message, {}));
    if (on_message) on_message();
  }
  void on_close(std::uint16_t code, std::string_view reason) override {
    heard.push_back("close:" + std::to_string(code) + ":" + std::string(reason));
  }
  void on_granted(std::size_t more) override { granted += more; }
  void on_gone(const Error& why) override { gone.push_back(why); }

  std::string message;
  std::vector<std::string> heard;
  std::vector<Error> gone;
  std::size_t granted = 0;
  std::size_t bytes = 0;
  std::function<void()> on_message;
};

class ClientSocketTest : public http::ServerTest {
 protected:
  // Before the holders, which hear of the end.
  void TearDown() override { server.reset(); }

  // Upgrades one client; its socket is `socket`, its holder `holder`.
  void open(std::size_t window = kSocketWindowBytes, int receive_buffer_bytes = 0) {
    handler.reaction = [this, window](std::shared_ptr<Exchange> exchange) {
      EXPECT_TRUE(exchange->head().wants_websocket);
      socket = accept_client(*exchange, {});
      if (socket == nullptr) return;
      socket->attach(holder);
      if (window > 0) socket->grant(window);
    };
    start();
    client.emplace(port, receive_buffer_bytes);
    client->send(kUpgrade);
    ASSERT_TRUE(run_until([&] { return client->has_received("\r\n\r\n"); }));
    head = client->received.substr(0, client->received.find("\r\n\r\n") + 4);
    client->received.erase(0, head.size());
  }
  bool client_gets(const Bytes& wanted) {
    const bool came = run_until([&] {
      client->receive();
      return client->received.size() >= wanted.size() || client->is_closed;
    });
    return came && client->received == wanted;
  }
  bool holder_hears(std::vector<std::string> wanted) {
    run_until([&] { return holder.heard.size() >= wanted.size() || !holder.gone.empty(); });
    settle();
    return holder.heard == wanted;
  }
  bool connection_ends() {
    return run_until([&] { return client->has_closed(); });
  }
  static io::MessagePiece piece(BytesView bytes, bool is_text = true) { return {is_text, true, true, bytes}; }

  Holder holder;
  std::shared_ptr<ClientSocket> socket;
  std::optional<Client> client;
  std::string head;
};

TEST_F(ClientSocketTest, AnswersTheHandshake) {
  open();
  EXPECT_TRUE(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << head;
  EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos);
  EXPECT_NE(head.find("Connection: Upgrade\r\n"), std::string::npos);
  EXPECT_NE(head.find("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Content-Length"), std::string::npos);
}

TEST_F(ClientSocketTest, CarriesMessagesBothWays) {
  open();
  client->send(frame(Opcode::Text, "hello") + frame(Opcode::Binary, std::string("\0\xff", 2)));
  EXPECT_TRUE(holder_hears({"text:hello", std::string("binary:\0\xff", 9)}));
  socket->send(piece("hi"));
  socket->send(piece("bytes", false));
  EXPECT_TRUE(client_gets(from_server(Opcode::Text, "hi") + from_server(Opcode::Binary, "bytes")));
}

TEST_F(ClientSocketTest, SendsPiecesAsFragments) {
  open();
  socket->send({true, true, false, "a"});
  socket->send({true, false, false, "b"});
  socket->send({true, false, true, "c"});
  socket->send(piece("d"));
  EXPECT_TRUE(client_gets(from_server(Opcode::Text, "a", false) + from_server(Opcode::Continuation, "b", false) +
                          from_server(Opcode::Continuation, "c") + from_server(Opcode::Text, "d")));
}

TEST_F(ClientSocketTest, TakesFramesThatCameWithTheRequest) {
  handler.reaction = [this](std::shared_ptr<Exchange> exchange) {
    socket = accept_client(*exchange, {});
    socket->attach(holder);
    socket->grant(1000);
  };
  start();
  client.emplace(port);
  client->send(kUpgrade + frame(Opcode::Text, "early"));
  EXPECT_TRUE(holder_hears({"text:early"}));
}

TEST_F(ClientSocketTest, AnswersPingsItself) {
  open();
  client->send(frame(Opcode::Ping, "are you there") + frame(Opcode::Pong, "unasked"));
  EXPECT_TRUE(client_gets(from_server(Opcode::Pong, "are you there")));
  EXPECT_TRUE(holder.heard.empty());
}

TEST_F(ClientSocketTest, AnswersOnlyTheLastOfManyPingsToAClientThatDoesNotRead) {
  open(kSocketWindowBytes, 4096);
  std::size_t sent = 0;
  const Bytes chunk(64 * kKiB, 'x');
  while (sent < holder.granted) {
    socket->send(piece(chunk, false));
    sent += chunk.size() + io::kPieceOverheadBytes;
  }
  settle();
  for (int i = 0; i < 1000; ++i) client->send(frame(Opcode::Ping, std::to_string(i)));
  client->send(frame(Opcode::Text, "done"));
  ASSERT_TRUE(holder_hears({"text:done"}));
  const Bytes last = from_server(Opcode::Pong, "999");
  ASSERT_TRUE(run_until([&] { return client->has_received(last); }));
  std::size_t pongs = 0;
  for (std::size_t at = 0; (at = client->received.find('\x8a', at)) != std::string::npos; ++at) ++pongs;
  EXPECT_LT(pongs, 1000U);
}

TEST_F(ClientSocketTest, ReadsNoMoreThanTheHolderWants) {
  open(100000);
  const Bytes message = frame(Opcode::Binary, Bytes(8 * kKiB, 'x'));
  std::size_t taken = 0;
  run_until([&] {
    const std::size_t more = client->send(message);
    taken += more;
    settle();
    return more < message.size();
  });
  EXPECT_LT(holder.bytes, 100000U + kSocketPieceBytesMax);
  EXPECT_GT(taken, holder.bytes);  // the rest waits in the kernel
  const std::size_t before = holder.bytes;
  settle();
  EXPECT_EQ(holder.bytes, before);
  socket->grant(1 * kMiB);
  EXPECT_TRUE(run_until([&] { return holder.bytes > before; }));
}

TEST_F(ClientSocketTest, EmptyMessagesUseUpCreditToo) {
  open(10 * io::kPieceOverheadBytes);
  for (int i = 0; i < 50; ++i) client->send(frame(Opcode::Text, ""));
  run_until([&] { return holder.heard.size() >= 10; });
  settle();
  EXPECT_EQ(holder.heard.size(), 10U);
}

TEST_F(ClientSocketTest, GivesCreditBackAsTheClientReads) {
  open(kSocketWindowBytes, 4096);
  EXPECT_EQ(holder.granted, kSocketWindowBytes);
  const Bytes chunk(32 * kKiB, 'x');
  std::size_t cost = 0;
  std::size_t count = 0;
  const auto fill = [&] {
    while (cost < holder.granted) {
      socket->send(piece(chunk, false));
      cost += io::piece_cost(piece(chunk, false));
      ++count;
    }
    settle();
  };
  // The kernel takes some megabytes; then the client's refusal to read arrives here.
  std::size_t before = 0;
  do {
    before = holder.granted;
    fill();
  } while (holder.granted > before);
  const std::size_t stuck = holder.granted;
  EXPECT_LT(stuck, 16 * kMiB);
  std::size_t received = 0;
  EXPECT_TRUE(run_until([&] {
    client->receive();
    received += std::exchange(client->received, {}).size();
    return holder.granted > stuck && received >= count * chunk.size();
  }));
}

TEST_F(ClientSocketTest, AHolderThatSendsWithoutCreditLosesTheConnection) {
  open(kSocketWindowBytes, 4096);
  const Bytes chunk(64 * kKiB, 'x');
  for (int i = 0; i < 100; ++i) socket->send(piece(chunk, false));
  EXPECT_TRUE(run_until([&] { return !holder.gone.empty(); }));
  EXPECT_TRUE(connection_ends());
}

TEST_F(ClientSocketTest, TheClientClosesFirst) {
  open();
  client->send(close_frame(3001, "enough"));
  ASSERT_TRUE(holder_hears({"close:3001:enough"}));
  EXPECT_TRUE(client->received.empty());
  socket->send(piece("a last word"));
  socket->close(3001, "enough");
  EXPECT_TRUE(client_gets(from_server(Opcode::Text, "a last word") + close_from_server(3001, "enough")));
  EXPECT_TRUE(connection_ends());
  EXPECT_FALSE(client->was_reset);
  EXPECT_TRUE(holder.gone.empty());
}

TEST_F(ClientSocketTest, TheHolderClosesFirstAndStillHears) {
  open();
  socket->close(1000, "bye");
  socket->send(piece("not sent any more"));
  ASSERT_TRUE(client_gets(close_from_server(1000, "bye")));
  client->send(frame(Opcode::Text, "on the way") + close_frame(1000));
  EXPECT_TRUE(holder_hears({"text:on the way", "close:1000:"}));
  EXPECT_TRUE(connection_ends());
  EXPECT_EQ(client->received, close_from_server(1000, "bye"));
  EXPECT_TRUE(holder.gone.empty());
}

TEST_F(ClientSocketTest, ACloseWithoutCodeHasNoBody) {
  open();
  socket->close(kCloseNoCode, {});
  EXPECT_TRUE(client_gets(std::string("\x88\0", 2)));
}

TEST_F(ClientSocketTest, AClientThatDoesNotAnswerTheCloseIsCut) {
  open();
  socket->close(1000, {});
  ASSERT_TRUE(client_gets(close_from_server(1000)));
  advance(kSocketCloseWithin - milliseconds(1));
  EXPECT_FALSE(client->has_closed());
  advance(milliseconds(1));
  EXPECT_TRUE(connection_ends());
  ASSERT_EQ(holder.gone.size(), 1U);
}

TEST_F(ClientSocketTest, SilenceIsNoReasonToEnd) {
  open();
  advance(std::chrono::hours(24));
  client->send(frame(Opcode::Text, "still here"));
  EXPECT_TRUE(holder_hears({"text:still here"}));
}

TEST_F(ClientSocketTest, AClientThatGoesWithoutACloseIsGone) {
  open();
  client->close();
  ASSERT_TRUE(run_until([&] { return !holder.gone.empty(); }));
  EXPECT_EQ(holder.gone.front().code(), ErrorCode::Cancelled);
  EXPECT_EQ(server->connection_count(), 0U);
}

TEST_F(ClientSocketTest, AClientThatShutsItsHalfIsGoneToo) {
  open();
  client->send(frame(Opcode::Text, "last"));
  client->shut_writing();
  EXPECT_TRUE(run_until([&] { return !holder.gone.empty(); }));
  EXPECT_EQ(holder.heard, std::vector<std::string>{"text:last"});
}

TEST_F(ClientSocketTest, AClientThatGoesAfterItsCloseIsGoneAsWell) {
  open();
  client->send(close_frame(1000));
  ASSERT_TRUE(holder_hears({"close:1000:"}));
  client->close();
  EXPECT_TRUE(run_until([&] { return holder.gone.size() == 1; }));
}

TEST_F(ClientSocketTest, AViolationIsAnsweredWithItsCode) {
  open();
  Bytes unmasked;
  append_frame(unmasked, Opcode::Text, true, "x", {});
  client->send(frame(Opcode::Text, "good") + unmasked + frame(Opcode::Text, "not read"));
  ASSERT_TRUE(run_until([&] { return !holder.gone.empty(); }));
  EXPECT_EQ(holder.heard, std::vector<std::string>{"text:good"});
  EXPECT_EQ(holder.gone.front().code(), ErrorCode::InvalidInput);
  EXPECT_TRUE(client_gets(close_from_server(kCloseProtocolError, "a frame of a client is not masked")));
  EXPECT_TRUE(connection_ends());
  EXPECT_FALSE(client->was_reset);
}

TEST_F(ClientSocketTest, AMessageThatIsTooLargeIsAnsweredWith1009) {
  open();
  Bytes announced;
  append_frame_head(announced, Opcode::Binary, true, kSocketMessageBytesMax + 1, kKey);
  client->send(announced);
  EXPECT_TRUE(client_gets(close_from_server(kCloseTooBig, "Message is too large")));
  ASSERT_EQ(holder.gone.size(), 1U);
  EXPECT_EQ(holder.gone.front().code(), ErrorCode::LimitExceeded);
}

TEST_F(ClientSocketTest, TextThatIsNotUtf8IsAnsweredWith1007) {
  open();
  client->send(frame(Opcode::Text, "\xff"));
  EXPECT_TRUE(client_gets(close_from_server(kCloseBadText, "the text is not UTF-8")));
}

TEST_F(ClientSocketTest, ADroppedSocketBreaksTheConnection) {
  open();
  socket->drop();
  EXPECT_TRUE(connection_ends());
  EXPECT_TRUE(client->received.empty());
  EXPECT_TRUE(holder.gone.empty());
}

TEST_F(ClientSocketTest, MayBeDroppedFromInsideItsOwnCall) {
  open();
  holder.on_message = [this] { socket->drop(); };
  client->send(frame(Opcode::Text, "a") + frame(Opcode::Text, "b"));
  EXPECT_TRUE(connection_ends());
  EXPECT_EQ(holder.heard.size(), 1U);
}

TEST_F(ClientSocketTest, AServerThatGoesSaysSo) {
  open();
  bool is_empty = false;
  server->drain(seconds(5), [&] { is_empty = true; });
  EXPECT_TRUE(client_gets(close_from_server(kCloseGoingAway, "the server is going away")));
  ASSERT_EQ(holder.gone.size(), 1U);
  EXPECT_FALSE(is_empty);
  client->send(frame(Opcode::Text, "dropped") + close_frame(kCloseGoingAway));
  EXPECT_TRUE(connection_ends());
  client->close();
  EXPECT_TRUE(run_until([&] { return is_empty; }));
  EXPECT_TRUE(holder.heard.empty());
}

TEST_F(ClientSocketTest, AClosedServerCutsSockets) {
  open();
  server->close();
  EXPECT_TRUE(run_until([&] { return !holder.gone.empty(); }));
  EXPECT_TRUE(connection_ends());
}

TEST_F(ClientSocketTest, AClientThatStopsReadingIsCutInTheEnd) {
  open(kSocketWindowBytes, 4096);
  const Bytes chunk(32 * kKiB, 'x');
  std::size_t cost = 0;
  std::size_t before = 0;
  do {
    before = holder.granted;
    while (cost < holder.granted) {
      socket->send(piece(chunk, false));
      cost += io::piece_cost(piece(chunk, false));
    }
    settle();
  } while (holder.granted > before);
  advance(limits.write_idle_timeout);
  EXPECT_TRUE(run_until([&] { return !holder.gone.empty(); }));
  EXPECT_EQ(holder.gone.front().code(), ErrorCode::TimedOut);
}

struct Refusal {
  std::string request;
  int status;
};

TEST_F(ClientSocketTest, RefusesBadHandshakes) {
  int refused = 0;
  handler.reaction = [&](std::shared_ptr<Exchange> exchange) {
    ASSERT_TRUE(exchange->head().wants_websocket);
    EXPECT_EQ(accept_client(*exchange, {}), nullptr);
    ++refused;
  };
  start();
  const std::string start_lines = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n";
  Client one(port);
  one.send(start_lines + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n" +
           start_lines +
           "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return one.answers().size() == 2; }));
  EXPECT_EQ(one.answers()[0].status, 426);
  EXPECT_NE(one.answers()[0].head.find("sec-websocket-version: 13\r\n"), std::string::npos);
  EXPECT_EQ(one.answers()[1].status, 400);
  EXPECT_EQ(refused, 2);
}

TEST_F(ClientSocketTest, OnlyAWholeUpgradeRequestIsOne) {
  std::vector<bool> wanted;
  std::vector<bool> has_field;
  handler.reaction = [&](std::shared_ptr<Exchange> exchange) {
    wanted.push_back(exchange->head().wants_websocket);
    has_field.push_back(find_header(exchange->head().headers, "upgrade").data() != nullptr);
    http::respond_text(*exchange, "ok");
  };
  start();
  Client one(port);
  const auto ask = [&](const std::string& lines) { one.send(lines + "Host: a\r\n\r\n"); };
  ask("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  ask("GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: keep-alive, UPGRADE\r\nContent-Length: 0\r\n");
  ask("GET / HTTP/1.1\r\nUpgrade: websocket\r\n");
  ask("GET / HTTP/1.1\r\nConnection: Upgrade\r\n");
  ask("GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n");
  ask("GET / HTTP/1.1\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\n");
  ask("GET / HTTP/1.1\r\nUpgrade: websocket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  ask("POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n");
  ask("HEAD / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  one.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 1\r\n\r\nx");
  ask("GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  ASSERT_TRUE(run_until([&] { return wanted.size() == 11; })) << wanted.size();
  const std::vector<bool> expected{true, true, false, false, false, false, false, false, false, false, false};
  EXPECT_EQ(wanted, expected);
  EXPECT_EQ(has_field, expected);
}

TEST_F(ClientSocketTest, AnOrdinaryAnswerLeavesTheConnectionInUse) {
  handler.reaction = [&](std::shared_ptr<Exchange> exchange) { http::respond_text(*exchange, "no", 426); };
  start();
  Client one(port);
  one.send(kUpgrade + kUpgrade);
  ASSERT_TRUE(run_until([&] { return one.answers().size() == 2; }));
  EXPECT_EQ(one.answers()[1].status, 426);
}

TEST_F(ClientSocketTest, AnUpgradeThatNobodyAskedForIsRefused) {
  std::vector<Error> gone;
  handler.reaction = [&](std::shared_ptr<Exchange> exchange) {
    const auto orphan = std::make_shared<ClientSocket>();
    orphan->attach(holder);
    exchange->upgrade({.status = 101, .reason = {}, .headers = {}}, orphan);
    http::respond_text(*exchange, "ordinary");
  };
  start();
  Client one(port);
  one.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return one.answers().size() == 1; }));
  ASSERT_EQ(holder.gone.size(), 1U);
  EXPECT_EQ(holder.gone.front().code(), ErrorCode::Conflict);
}

TEST_F(ClientSocketTest, AHeadThatCannotBeSentIsA502) {
  handler.reaction = [&](std::shared_ptr<Exchange> exchange) {
    Bytes fields;
    append_header(fields, "x-a", "b\r\nc: d");
    const auto refused = accept_client(*exchange, fields);
    refused->attach(holder);
  };
  start();
  Client one(port);
  one.send(kUpgrade);
  ASSERT_TRUE(run_until([&] { return one.answers().size() == 1; }));
  EXPECT_EQ(one.answers()[0].status, 502);
}

TEST_F(ClientSocketTest, ManySocketsAtOnce) {
  limits.connections_per_address_max = 2000;
  std::vector<std::unique_ptr<Holder>> holders;
  std::vector<std::shared_ptr<ClientSocket>> sockets;
  handler.reaction = [&](std::shared_ptr<Exchange> exchange) {
    sockets.push_back(accept_client(*exchange, {}));
    holders.push_back(std::make_unique<Holder>());
    sockets.back()->attach(*holders.back());
    sockets.back()->grant(1000);
  };
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(std::make_unique<Client>(port));
    clients.back()->send(kUpgrade);
    settle();
  }
  ASSERT_TRUE(run_until([&] { return sockets.size() == clients.size(); }));
  for (const auto& one : clients) one->send(frame(Opcode::Text, "x"));
  EXPECT_TRUE(run_until([&] {
    for (const auto& one : holders) {
      if (one->heard.empty()) return false;
    }
    return true;
  }));
  clients.clear();
  ASSERT_TRUE(run_until([&] { return server->connection_count() == 0; }));
  for (const auto& one : holders) EXPECT_EQ(one->gone.size(), 1U);
}

}  // namespace
}  // namespace insula::websocket
