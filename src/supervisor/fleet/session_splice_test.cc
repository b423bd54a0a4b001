// SPDX-License-Identifier: Apache-2.0
//
// Session: Splice, by which a runner gives a stream of the supervisor away as the rest of one of its own.
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "src/supervisor/fleet/session.h"
#include "src/supervisor/fleet/session_world_test.h"

namespace insula::fleet {
namespace {

class SpliceTest : public SessionTest {
 protected:
  // A request with a stream of ours, during which the runner makes a call whose body is its own stream 7.
  void open() {
    greet();
    source = std::make_shared<FedSource>();
    question = ask(source);
    ours = std::get<protocol::FetchRequest>(runner().next_of<protocol::Invoke>()->call).body.stream;
    say(call_of_runner(9, question, {Body::Kind::Stream, {}, 7, -1}));
    ASSERT_EQ(holder->bodies.size(), 1u);
    theirs = holder->bodies[0];
  }

  std::shared_ptr<FedSource> source;
  QuestionId question = 0;
  protocol::StreamId ours = 0;
  io::ByteSourcePtr theirs;
  Collector sink;
};

TEST_F(SpliceTest, TheReaderGetsWhatOurStreamGives) {
  open();
  theirs->attach(sink);
  theirs->grant(10);
  say(protocol::Splice{7, ours});
  ASSERT_NE(source->sink, nullptr);
  EXPECT_EQ(source->granted, 10u);
  source->sink->on_data("abc");
  theirs->grant(5);
  EXPECT_EQ(source->granted, 15u);
  source->sink->on_end();
  EXPECT_EQ(sink.bytes, "abc");
  EXPECT_EQ(sink.ends, 1);
  EXPECT_EQ(ends, 0);
}

TEST_F(SpliceTest, AReaderThatComesLaterGetsItToo) {
  open();
  say(protocol::Splice{7, ours});
  EXPECT_EQ(source->sink, nullptr);
  theirs->attach(sink);
  theirs->grant(4);
  ASSERT_NE(source->sink, nullptr);
  EXPECT_EQ(source->granted, 4u);
  source->sink->on_data("x");
  EXPECT_EQ(sink.bytes, "x");
}

TEST_F(SpliceTest, ItOutlivesTheInvocationAndTheRunner) {
  open();
  theirs->attach(sink);
  say(protocol::Splice{7, ours});
  say(answer_with(question));
  EXPECT_FALSE(source->is_stopped);
  say(protocol::Splice{99, 99});  // a violation: that is the end of it
  EXPECT_EQ(ends, 1);
  EXPECT_FALSE(source->is_stopped);
  theirs->grant(1);
  ASSERT_NE(source->sink, nullptr);
  source->sink->on_data("x");
  EXPECT_EQ(sink.bytes, "x");
}

TEST_F(SpliceTest, StoppingReachesTheSource) {
  open();
  theirs->attach(sink);
  say(protocol::Splice{7, ours});
  theirs->stop();
  EXPECT_TRUE(source->is_stopped);
  settle();
  EXPECT_EQ(runner().next_of<protocol::StreamStop>(), nullptr);
}

TEST_F(SpliceTest, WhatCrossesItIsNoCrime) {
  open();
  say(protocol::Splice{7, ours});
  say(protocol::StreamEnd{7, {}});
  say(protocol::StreamCredit{ours, 5});
  say(protocol::StreamStop{ours});
  EXPECT_FALSE(source->is_stopped);
  EXPECT_EQ(ends, 0);
}

TEST_F(SpliceTest, ASourceThatNobodyWaitsForIsStopped) {
  open();
  theirs->stop();
  say(protocol::Splice{7, ours});
  EXPECT_TRUE(source->is_stopped);
  EXPECT_EQ(ends, 0);
}

TEST_F(SpliceTest, ASourceThatHasEndedOnTheWayIsAnEnd) {
  open();
  theirs->attach(sink);
  say(protocol::StreamStop{ours});
  say(protocol::Splice{7, ours});
  EXPECT_EQ(sink.ends, 1);
  EXPECT_EQ(ends, 0);
}

TEST_F(SpliceTest, AStreamThatIsBeingReadCannotBeGivenAway) {
  open();
  say(protocol::StreamCredit{ours, 5});
  say(protocol::Splice{7, ours});
  EXPECT_EQ(ends, 1);
}

TEST_F(SpliceTest, AStreamThatWasNeverThereIsAViolation) {
  open();
  say(protocol::Splice{8, ours});
  EXPECT_EQ(ends, 1);
}

TEST_F(SpliceTest, ASourceThatWasNeverThereIsAViolation) {
  open();
  say(protocol::Splice{7, ours + 1});
  EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace insula::fleet
