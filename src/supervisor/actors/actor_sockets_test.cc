// SPDX-License-Identifier: Apache-2.0
//
// Hibernatable WebSockets in the directory: scripted runners accept, speak, sleep, are lost, and say what none may say.
#include "src/supervisor/actors/actor_sockets.h"

#include "src/supervisor/actors/directory_world_test.h"
#include "src/supervisor/websocket/record.h"

namespace insula::actors {
namespace {

using protocol::ActorClosed;
using protocol::Invoke;
using protocol::OpenActor;
using protocol::Return;
using protocol::Sockets;
using protocol::SocketSay;
using protocol::StreamData;
using protocol::StreamEnd;

constexpr protocol::StreamId kClient = 7;  // in which the client's words come

Bytes text_record(std::string_view text) {
  Bytes bytes;
  websocket::append_piece_record(bytes, {true, true, true, text});
  return bytes;
}

class ActorSocketsTest : public DirectoryTest {
 public:
  // Opens the object, and has it accept socket 1 of a client that reads everything.
  void accept() {
    call_object(id, 1);
    actor = wait_for<OpenActor>(home)->actor;
    home.peer->send(value(home.peer->next_of<Invoke>()->question));
    Invoke invoke;
    invoke.question = 50;
    invoke.target.kind = protocol::Target::Kind::OwnActor;
    invoke.target.actor = actor;
    protocol::FetchRequest fetch;
    fetch.method = "GET";
    fetch.url = "socket:";
    fetch.cf = R"({"socket":1,"tags":["a","b"]})";
    fetch.body.kind = protocol::Body::Kind::Stream;
    fetch.body.stream = kClient;
    invoke.call = fetch;
    home.peer->send(invoke);
    settle();
    // The first answers the caller's own call.
    for (const Return* answer = nullptr; (answer = home.peer->next_of<Return>()) != nullptr;) {
      if (answer->question != 50) continue;
      const auto& response = std::get<protocol::FetchResponse>(answer->outcome);
      EXPECT_EQ(response.status, 101);
      to_client = response.body.stream;
      break;
    }
    ASSERT_NE(to_client, 0u);
    home.peer->send(protocol::StreamCredit{to_client, 65536});
    settle();
  }
  void client_says(std::string_view text) {
    home.peer->send(StreamData{kClient, text_record(text)});
    settle();
  }
  void say(SocketSay::Kind kind, BytesView bytes, BytesView more = {}) {
    home.peer->send(SocketSay{actor, 1, kind, bytes, more, 0});
    settle();
  }
  void sleep(std::string_view reason = {}, bool is_lost = false) {
    home.peer->descriptors.clear();
    home.peer->send(ActorClosed{actor, reason, is_lost});
    settle();
  }

  protocol::ActorId actor = 0;
  protocol::StreamId to_client = 0;
};

TEST_F(ActorSocketsTest, AMessageIsAnEvent) {
  accept();
  client_says("hello");
  const auto* const invoke = home.peer->next_of<Invoke>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(invoke->target.actor, actor);
  const auto& event = std::get<protocol::EventCall>(invoke->call);
  EXPECT_EQ(event.name, "socket");
  EXPECT_EQ(event.detail, R"({"socket":1,"kind":"text"})");
  EXPECT_EQ(event.payload.bytes, "hello");
}

TEST_F(ActorSocketsTest, ASleepingActorIsOpenedAndGetsTheListFirst) {
  accept();
  say(SocketSay::Kind::Attachment, "kept");
  sleep();
  EXPECT_EQ(all->actor_count(), 1u);
  client_says("wake up");
  const auto* const open = wait_for<OpenActor>(home);
  ASSERT_NE(open, nullptr);
  const auto next = home.peer->next();
  ASSERT_TRUE(next.has_value());
  const auto* const list = std::get_if<Sockets>(&next->frame);
  ASSERT_NE(list, nullptr);
  EXPECT_EQ(list->actor, open->actor);
  EXPECT_EQ(list->next, 2u);
  EXPECT_NE(list->entries.find("kept"), BytesView::npos);
  const auto* const invoke = home.peer->next_of<Invoke>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(std::get<protocol::EventCall>(invoke->call).payload.bytes, "wake up");
}

TEST_F(ActorSocketsTest, AnAutomaticAnswerOpensNothing) {
  accept();
  home.peer->send(SocketSay{actor, 0, SocketSay::Kind::AutoResponse, "ping", "pong", 0});
  settle();
  sleep();
  client_says("ping");
  const auto* const said = home.peer->next_of<StreamData>();
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->stream, to_client);
  EXPECT_EQ(said->bytes, text_record("pong"));
  EXPECT_EQ(home.peer->next_of<OpenActor>(), nullptr);
}

TEST_F(ActorSocketsTest, AResetBreaksTheConnectionAndALossDoesNot) {
  accept();
  sleep("lost", true);
  EXPECT_EQ(home.peer->next_of<StreamEnd>(), nullptr);
  client_says("again");
  actor = wait_for<OpenActor>(home)->actor;
  sleep("reset by itself");
  const auto* const said = home.peer->next_of<StreamData>();
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(static_cast<unsigned char>(said->bytes.front()), static_cast<unsigned>(websocket::RecordKind::Broken));
  EXPECT_NE(home.peer->next_of<StreamEnd>(), nullptr);
}

TEST_F(ActorSocketsTest, ACloseThatIsNotAnsweredIsAnsweredForTheActor) {
  accept();
  Bytes record;
  websocket::append_close_record(record, 4000, "bye");
  home.peer->send(StreamData{kClient, record});
  settle();
  const auto* const invoke = home.peer->next_of<Invoke>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(std::get<protocol::EventCall>(invoke->call).detail, R"({"socket":1,"kind":"close"})");
  EXPECT_EQ(home.peer->next_of<StreamData>(), nullptr) << "not before the actor has heard of it";
  home.peer->send(value(invoke->question));
  settle();
  const auto* const said = home.peer->next_of<StreamData>();
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->bytes, record);
  EXPECT_NE(home.peer->next_of<StreamEnd>(), nullptr);
}

TEST_F(ActorSocketsTest, WordsBeyondTheCreditAreAViolation) {
  accept();
  say(SocketSay::Kind::Records, text_record(std::string(kSocketHomeWindowBytes, 'x')));
  EXPECT_NE(end_text.find("a word on a WebSocket"), std::string::npos) << end_text;
}

TEST_F(ActorSocketsTest, WhatIsNoRecordIsAViolation) {
  accept();
  say(SocketSay::Kind::Records, std::string(16, '\xee'));
  EXPECT_NE(end_text.find("a word on a WebSocket"), std::string::npos) << end_text;
}

TEST_F(ActorSocketsTest, AnAttachmentThatIsTooLargeIsAViolation) {
  accept();
  say(SocketSay::Kind::Attachment, std::string(kSocketAttachmentBytesMax + 1, 'x'));
  EXPECT_NE(end_text.find("a word on a WebSocket"), std::string::npos) << end_text;
}

}  // namespace
}  // namespace insula::actors
