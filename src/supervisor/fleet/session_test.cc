// SPDX-License-Identifier: Apache-2.0
//
// Session: streams, hand-backs, and what a hostile runner may try. The other end is a FakeRunner.
#include "src/supervisor/fleet/session.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "src/supervisor/fleet/session_world_test.h"

namespace insula::fleet {
namespace {

TEST_F(SessionTest, AnswersReachTheirQuestion) {
  greet();
  const QuestionId question = ask();
  say(answer_with(question));
  EXPECT_EQ(outcome->returns, 1);
  EXPECT_EQ(outcome->status, 200);
  EXPECT_EQ(session->question_count(), 0u);
}

TEST_F(SessionTest, AnInvocationThatContinuesStaysOpenUntilItIsFinished) {
  greet();
  const QuestionId question = ask();
  auto first = answer_with(question);
  first.continues = true;
  say(first);
  EXPECT_EQ(outcome->returns, 1);
  EXPECT_EQ(session->question_count(), 1u);
  say(protocol::Finished{question, 0});
  EXPECT_EQ(outcome->finished, 1);
  EXPECT_EQ(session->question_count(), 0u);
}

TEST_F(SessionTest, StreamsOfTheRunnerFlowOnlyAsFarAsTheyAreGranted) {
  greet();
  say(answer_with(ask(), {Body::Kind::Stream, {}, 5, -1}));
  ASSERT_NE(outcome->body, nullptr);
  Collector sink;
  outcome->body->attach(sink);
  outcome->body->grant(3);
  settle();
  const auto* const credit = runner().next_of<protocol::StreamCredit>();
  ASSERT_NE(credit, nullptr);
  EXPECT_EQ(credit->stream, 5u);
  EXPECT_EQ(credit->bytes, 3u);
  say(protocol::StreamData{5, "abc"});
  EXPECT_EQ(sink.bytes, "abc");
  say(protocol::StreamEnd{5, {}});
  EXPECT_EQ(sink.ends, 1);
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, AGrantBeyondTheWindowIsGivenInParts) {
  greet();
  say(answer_with(ask(), {Body::Kind::Stream, {}, 5, -1}));
  Collector sink;
  outcome->body->attach(sink);
  outcome->body->grant(kStreamWindowBytesMax + 10);
  settle();
  EXPECT_EQ(runner().next_of<protocol::StreamCredit>()->bytes, kStreamWindowBytesMax);
  EXPECT_EQ(runner().next_of<protocol::StreamCredit>(), nullptr);
  say(protocol::StreamData{5, "abc"});
  EXPECT_EQ(runner().next_of<protocol::StreamCredit>()->bytes, 3u);
  outcome->body->stop();
}

TEST_F(SessionTest, AStreamThatEndsBeforeItIsReadStillEnds) {
  greet();
  say(answer_with(ask(), {Body::Kind::Stream, {}, 5, -1}));
  say(protocol::StreamEnd{5, {}});
  Collector sink;
  outcome->body->attach(sink);
  EXPECT_EQ(sink.ends, 1);
}

TEST_F(SessionTest, DroppingAStreamStopsItAndLateDataIsNoCrime) {
  greet();
  say(answer_with(ask(), {Body::Kind::Stream, {}, 5, -1}));
  outcome->body.reset();
  settle();
  const auto* const stop = runner().next_of<protocol::StreamStop>();
  ASSERT_NE(stop, nullptr);
  EXPECT_EQ(stop->stream, 5u);
  say(protocol::StreamData{5, "late"});
  say(protocol::StreamEnd{5, {}});
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, OurStreamsAreReadAsTheRunnerGrants) {
  greet();
  const auto source = std::make_shared<FedSource>();
  ask(source);
  const auto* const invoke = runner().next_of<protocol::Invoke>();
  const auto& body = std::get<protocol::FetchRequest>(invoke->call).body;
  ASSERT_EQ(body.kind, Body::Kind::Stream);
  EXPECT_EQ(source->sink, nullptr);
  say(protocol::StreamCredit{body.stream, 4});
  ASSERT_NE(source->sink, nullptr);
  EXPECT_EQ(source->granted, 4u);
  source->sink->on_data("wxyz");
  settle();
  EXPECT_EQ(runner().next_of<protocol::StreamData>()->bytes, "wxyz");
  source->sink->on_end();
  settle();
  EXPECT_NE(runner().next_of<protocol::StreamEnd>(), nullptr);
  // Credit and Stop may cross the end.
  say(protocol::StreamCredit{body.stream, 4});
  say(protocol::StreamStop{body.stream});
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, LargeDataLeavesInChunks) {
  greet();
  const auto source = std::make_shared<FedSource>();
  ask(source);
  const auto body = std::get<protocol::FetchRequest>(runner().next_of<protocol::Invoke>()->call).body;
  say(protocol::StreamCredit{body.stream, 3 * kStreamChunkBytesMax});
  source->sink->on_data(Bytes(2 * kStreamChunkBytesMax + 1, 'x'));
  settle();
  EXPECT_EQ(runner().next_of<protocol::StreamData>()->bytes.size(), kStreamChunkBytesMax);
  EXPECT_EQ(runner().next_of<protocol::StreamData>()->bytes.size(), kStreamChunkBytesMax);
  EXPECT_EQ(runner().next_of<protocol::StreamData>()->bytes.size(), 1u);
}

TEST_F(SessionTest, AnUnreadStreamThatIsHandedBackComesOutAsItWentIn) {
  greet();
  const auto source = std::make_shared<FedSource>();
  const QuestionId question = ask(source);
  const auto body = std::get<protocol::FetchRequest>(runner().next_of<protocol::Invoke>()->call).body;
  say(answer_with(question, {Body::Kind::HandedBack, {}, body.stream, -1}));
  EXPECT_EQ(outcome->body, source);
  EXPECT_FALSE(source->is_stopped);
}

TEST_F(SessionTest, ARunnersOwnStreamGoesHomeAsItsOwn) {
  greet();
  const QuestionId parent = ask();
  say(call_of_runner(9, parent, {Body::Kind::Stream, {}, 7, -1}));
  ASSERT_EQ(holder->bodies.size(), 1u);
  ask(holder->bodies[0]);
  runner().next_of<protocol::Invoke>();
  const auto body = std::get<protocol::FetchRequest>(runner().next_of<protocol::Invoke>()->call).body;
  EXPECT_EQ(body.kind, Body::Kind::HandedBack);
  EXPECT_EQ(body.stream, 7u);
}

TEST_F(SessionTest, ARequestBodyThatNobodyBeganToReadIsStoppedWithTheInvocation) {
  greet();
  const auto source = std::make_shared<FedSource>();
  say(answer_with(ask(source)));
  EXPECT_TRUE(source->is_stopped);
}

TEST_F(SessionTest, AnUndeliveredCallGivesItsStreamBack) {
  greet();
  const auto source = std::make_shared<FedSource>();
  protocol::Return result;
  result.question = ask(source);
  protocol::ErrorInfo error;
  error.undelivered = true;
  result.outcome = error;
  say(result);
  EXPECT_EQ(outcome->undelivered, 1);
  EXPECT_EQ(outcome->body, source);
  EXPECT_FALSE(source->is_stopped);
}

TEST_F(SessionTest, CallsKnowTheirDepth) {
  greet();
  protocol::Invoke invoke;
  invoke.target.number = worker;
  invoke.depth = 4;
  invoke.call = protocol::FetchRequest{"GET", "http://a/", {}, {}, {}};
  const QuestionId parent = session->ask(invoke, nullptr, outcome);
  say(call_of_runner(1, parent));
  EXPECT_EQ(holder->depths, std::vector<std::uint32_t>{5});
}

TEST_F(SessionTest, AnEndedInvocationAnswersWhatItLeftOpen) {
  greet();
  const QuestionId parent = ask();
  say(call_of_runner(1, parent));
  runner().next_of<protocol::Invoke>();
  say(answer_with(parent));
  const auto* const answer = runner().next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->question, 1u);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_CANCELLED");
  // The job that comes too late is not heard, and its question can be used again.
  session->answer_error(1, error_of(Fault::Internal));
  settle();
  EXPECT_EQ(runner().next_of<protocol::Return>(), nullptr);
}

TEST_F(SessionTest, AnEvictedWorkerTakesItsCapabilitiesAlong) {
  greet();
  const QuestionId parent = ask();
  runner().next_of<protocol::Invoke>();
  say(protocol::Evicted{worker, "idle"});
  EXPECT_EQ(owner->reason, "idle");
  say(call_of_runner(1, parent));
  EXPECT_TRUE(holder->questions.empty());
  EXPECT_NE(runner().next_of<protocol::Return>(), nullptr);
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, DescriptorsAreRefused) {
  greet();
  Bytes frame;
  protocol::append_frame(frame, protocol::Pong{1});
  iovec part{frame.data(), frame.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = runner().fd();
  ASSERT_GT(::sendmsg(runner().fd(), &message, 0), 0);
  settle();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(end_code, ErrorCode::Denied);
}

TEST_F(SessionTest, TheEndOfTheRunnerReachesEverybodyOnce) {
  greet();
  const auto source = std::make_shared<FedSource>();
  ask(source);
  const QuestionId streaming = ask();
  auto result = answer_with(streaming, {Body::Kind::Stream, {}, 5, -1});
  result.continues = true;
  say(result);
  Collector sink;
  outcome->body->attach(sink);
  runner().die();
  settle();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(outcome->lost, 1);
  EXPECT_EQ(outcome->returns, 1);
  EXPECT_FALSE(sink.failure.empty());
  EXPECT_TRUE(source->is_stopped);
  EXPECT_EQ(owner->reason, "lost");
}

// ---- Hostile runners

TEST_P(HostileRunner, IsCutOffAndItsCallersHearOfIt) { expect_cut_off(); }

const Attack kAttacks[] = {
    {"FrameBeforeHello", [](SessionTest& test) { test.say(protocol::Pong{1}); }},
    {"SecondHello", [](SessionTest& test) { test.runner().hello(); }},
    {"Garbage", [](SessionTest& test) { test.runner().send_raw(Bytes(64, '\xff')); }},
    {"EmptyFrame", [](SessionTest& test) { test.runner().send_raw(Bytes(8, '\0')); }},
    {"HugeFrame", [](SessionTest& test) { test.runner().send_raw(Bytes("\0\0\0\0\xff\xff\xff\x7f", 8)); }},
    {"PointersIntoNowhere",
     [](SessionTest& test) {
       Bytes frame("\0\0\0\0\2\0\0\0", 8);
       frame += Bytes(16, '\x7f');
       test.runner().send_raw(frame);
     }},
    {"FramesOfTheSupervisor_Load", [](SessionTest& test) { test.say(protocol::Load{}); }},
    {"FramesOfTheSupervisor_Bind", [](SessionTest& test) { test.say(protocol::Bind{}); }},
    {"FramesOfTheSupervisor_NeedCode", [](SessionTest& test) { test.say(protocol::NeedCode{}); }},
    {"FramesOfTheSupervisor_Ping", [](SessionTest& test) { test.say(protocol::Ping{}); }},
    {"FramesOfTheSupervisor_Drain", [](SessionTest& test) { test.say(protocol::Drain{}); }},
    {"FramesOfTheSupervisor_Unload", [](SessionTest& test) { test.say(protocol::Unload{1}); }},
    {"AnswerToNoQuestion", [](SessionTest& test) { test.say(test.answer_with(0x7ff00001)); }},
    {"AnswerToQuestionZero", [](SessionTest& test) { test.say(test.answer_with(0)); }},
    {"AnswerTwice",
     [](SessionTest& test) {
       const auto other = test.outcome;
       test.outcome = std::make_shared<Outcome>();
       const QuestionId question = test.ask();
       test.outcome = other;
       test.say(test.answer_with(question));
       test.say(test.answer_with(question));
     }},
    {"FinishedWithoutAnswer",
     [](SessionTest& test) {
       const auto* const invoke = test.runner().next_of<protocol::Invoke>();
       test.say(protocol::Finished{invoke->question, 0});
     }},
    {"CapabilityThatWasNeverGranted",
     [](SessionTest& test) {
       auto invoke = test.call_of_runner(1, 0);
       invoke.target.number = test.capability + 1;
       test.say(invoke);
     }},
    {"CapabilityOfAnotherGeneration",
     [](SessionTest& test) {
       auto invoke = test.call_of_runner(1, 0);
       invoke.target.number = test.capability + (1u << 20);
       test.say(invoke);
     }},
    {"WorkerAsTarget",
     [](SessionTest& test) {
       auto invoke = test.call_of_runner(1, 0);
       invoke.target.kind = protocol::Target::Kind::Worker;
       invoke.target.number = test.worker;
       test.say(invoke);
     }},
    {"LoaderThatWasNeverGranted",
     [](SessionTest& test) {
       auto invoke = test.call_of_runner(1, 0);
       invoke.target.kind = protocol::Target::Kind::Dynamic;
       invoke.target.dynamic = {77, "a", 0, 0};
       test.say(invoke);
     }},
    {"IdTooLong",
     [](SessionTest& test) {
       const std::string id(kLoaderIdBytesMax + 1, 'a');
       auto invoke = test.call_of_runner(1, 0);
       invoke.target.kind = protocol::Target::Kind::Dynamic;
       invoke.target.dynamic = {test.capability, id, 0, 0};
       test.say(invoke);
     }},
    {"QuestionTwice",
     [](SessionTest& test) {
       test.say(test.call_of_runner(1, 0));
       test.say(test.call_of_runner(1, 0));
     }},
    {"QuestionZero", [](SessionTest& test) { test.say(test.call_of_runner(0, 0)); }},
    {"ParentOfSomebodyElse", [](SessionTest& test) { test.say(test.call_of_runner(1, 0x12300005)); }},
    {"HeaderInjection",
     [](SessionTest& test) {
       auto invoke = test.call_of_runner(1, 0);
       std::get<protocol::FetchRequest>(invoke.call).headers = std::string_view("a\0b\r\nc: d\0", 11);
       test.say(invoke);
     }},
    {"HeadersOfAnAnswerWithLineFeeds",
     [](SessionTest& test) {
       protocol::Return result = test.answer_with(test.runner().next_of<protocol::Invoke>()->question);
       std::get<protocol::FetchResponse>(result.outcome).headers = std::string_view("a\0b\nc\0", 6);
       test.say(result);
     }},
    {"DataOfNoStream", [](SessionTest& test) { test.say(protocol::StreamData{3, "x"}); }},
    {"EndOfNoStream", [](SessionTest& test) { test.say(protocol::StreamEnd{3, {}}); }},
    {"CreditForNoStream", [](SessionTest& test) { test.say(protocol::StreamCredit{3, 1}); }},
    {"StopOfNoStream", [](SessionTest& test) { test.say(protocol::StreamStop{3}); }},
    {"StreamTwice",
     [](SessionTest& test) {
       test.say(test.call_of_runner(1, 0, {Body::Kind::Stream, {}, 4, -1}));
       test.say(test.call_of_runner(2, 0, {Body::Kind::Stream, {}, 4, -1}));
     }},
    {"StreamZero", [](SessionTest& test) { test.say(test.call_of_runner(1, 0, {Body::Kind::Stream, {}, 0, -1})); }},
    {"DataBeforeCredit",
     [](SessionTest& test) {
       test.say(test.call_of_runner(1, 0, {Body::Kind::Stream, {}, 4, -1}));
       test.say(protocol::StreamData{4, "x"});
     }},
    {"DataBeyondCredit",
     [](SessionTest& test) {
       test.say(test.call_of_runner(1, 0, {Body::Kind::Stream, {}, 4, -1}));
       Collector sink;
       test.holder->bodies[0]->attach(sink);
       test.holder->bodies[0]->grant(2);
       test.say(protocol::StreamData{4, "xyz"});
       test.holder->bodies[0]->stop();
     }},
    {"InlineBodyTooLarge",
     [](SessionTest& test) {
       const Bytes large(kInlineBodyBytesMax + 1, 'x');
       test.say(test.call_of_runner(1, 0, {Body::Kind::Inline, large, 0, -1}));
     }},
    {"HandedBackThatWasNeverSent",
     [](SessionTest& test) { test.say(test.call_of_runner(1, 0, {Body::Kind::HandedBack, {}, 9, -1})); }},
    {"HandedBackAfterReading",
     [](SessionTest& test) {
       const auto other = test.outcome;
       test.outcome = std::make_shared<Outcome>();
       test.ask(std::make_shared<FedSource>());
       test.outcome = other;
       test.runner().next_of<protocol::Invoke>();
       const auto body = std::get<protocol::FetchRequest>(test.runner().next_of<protocol::Invoke>()->call).body;
       test.say(protocol::StreamCredit{body.stream, 1});
       test.say(test.call_of_runner(1, 0, {Body::Kind::HandedBack, {}, body.stream, -1}));
     }},
    {"CreditBeyondTheWindow",
     [](SessionTest& test) {
       const auto other = test.outcome;
       test.outcome = std::make_shared<Outcome>();
       test.ask(std::make_shared<FedSource>());
       test.outcome = other;
       test.runner().next_of<protocol::Invoke>();
       const auto body = std::get<protocol::FetchRequest>(test.runner().next_of<protocol::Invoke>()->call).body;
       test.say(protocol::StreamCredit{body.stream, static_cast<std::uint32_t>(kStreamWindowBytesMax)});
       test.say(protocol::StreamCredit{body.stream, 1});
     }},
    {"EvictionOfAStranger", [](SessionTest& test) { test.say(protocol::Evicted{test.worker + 1, "idle"}); }},
    {"CodeThatNobodyAskedFor", [](SessionTest& test) { test.say(protocol::Code{1, protocol::ErrorInfo{}}); }},
    {"LogOfAStranger", [](SessionTest& test) { test.say(protocol::LogLine{test.worker + 1, 0, "log", "x", false}); }},
    {"ReleaseOfWhatWasNeverGranted", [](SessionTest& test) { test.say(protocol::Release{test.capability + 1}); }},
    {"PreloadOfAStranger", [](SessionTest& test) { test.say(protocol::Preload{{55, "a", 0, 0}, 0}); }},
};

INSTANTIATE_TEST_SUITE_P(Attacks, HostileRunner, ::testing::ValuesIn(kAttacks),
                         [](const auto& attack) { return std::string(attack.param.name); });

}  // namespace
}  // namespace insula::fleet
