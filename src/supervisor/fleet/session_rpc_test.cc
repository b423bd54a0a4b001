// SPDX-License-Identifier: Apache-2.0
//
// Session: references, streams beside values, and results that are kept.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/supervisor/fleet/forwarded_call.h"
#include "src/supervisor/fleet/runner_export.h"
#include "src/supervisor/fleet/session_rpc_world_test.h"

namespace insula::fleet {
namespace {

// ---- References from the runner

TEST_F(SessionTest, AReferenceOfTheRunnerIsReleasedOnceWhenItsLastHolderLetsGo) {
  greet();
  say(rpc_of_runner(*this, 1, 0, {sender_hosted(7)}));
  ASSERT_EQ(holder->arguments.size(), 1u);
  auto held = holder->arguments[0].capabilities.at(0);
  holder->arguments.clear();
  settle();
  EXPECT_EQ(runner().next_of<protocol::Release>(), nullptr);
  EXPECT_EQ(session->export_count(), 1u);
  held.reset();
  settle();
  const auto* const release = runner().next_of<protocol::Release>();
  ASSERT_NE(release, nullptr);
  EXPECT_EQ(release->capability, 7u);
  EXPECT_EQ(runner().next_of<protocol::Release>(), nullptr);
  EXPECT_EQ(session->export_count(), 0u);
}

TEST_F(SessionTest, AReleasedNumberMayBeUsedAgain) {
  greet();
  say(rpc_of_runner(*this, 1, 0, {sender_hosted(7)}));
  holder->arguments.clear();
  settle();
  say(rpc_of_runner(*this, 2, 0, {sender_hosted(7)}));
  EXPECT_EQ(ends, 0);
  EXPECT_EQ(session->export_count(), 1u);
}

TEST_F(SessionTest, AReferenceGoesHomeUnderItsOwnNumber) {
  greet();
  say(rpc_of_runner(*this, 1, 0, {sender_hosted(7)}));
  ask_rpc(*this, holder->arguments[0]);
  const auto& references = arguments_of(*next_invoke(*this)).capabilities;
  ASSERT_EQ(references.size(), 1u);
  EXPECT_EQ(references[0].kind, CapabilityRef::Kind::ReceiverHosted);
  EXPECT_EQ(references[0].number, 7u);
}

TEST_F(SessionTest, AReferenceThatTheRunnerBringsHomeIsWhatWasGranted) {
  greet();
  say(rpc_of_runner(*this, 1, 0, {receiver_hosted(capability)}));
  EXPECT_EQ(holder->arguments.at(0).capabilities.at(0), holder);
}

TEST_F(SessionTest, AReferenceToWhatIsGoneIsBrokenAndNoCrime) {
  greet();
  const auto loose = session->mint(worker, holder);
  say(protocol::Release{loose});
  say(rpc_of_runner(*this, 1, 0, {receiver_hosted(loose)}));
  EXPECT_EQ(ends, 0);
  const auto broken = holder->arguments.at(0).capabilities.at(0);
  EXPECT_NE(broken, holder);
}

TEST_F(SessionTest, AnEntrypointBecomesWhatTheHandlerMakesOfIt) {
  greet();
  say(rpc_of_runner(*this, 1, 0, {entrypoint(worker, "Named")}));
  EXPECT_EQ(entrypoints, std::vector<std::string>{"Named"});
  EXPECT_EQ(holder->arguments.at(0).capabilities.at(0), holder);
}

TEST_F(SessionTest, AnEntrypointOfAWorkerThatIsGoneIsBrokenAndNoCrime) {
  greet();
  const auto other = session->add_worker(owner);
  say(protocol::Evicted{other, "idle"});
  say(rpc_of_runner(*this, 1, 0, {entrypoint(other, "Named")}));
  EXPECT_EQ(ends, 0);
  EXPECT_TRUE(entrypoints.empty());
  EXPECT_EQ(holder->arguments.at(0).capabilities.size(), 1u);
}

TEST_F(SessionTest, AnEntrypointOfAStaticWorkerThatIsGoneLeadsToTheWorker) {
  greet();
  owner->id.clear();
  const auto other = session->add_worker(owner);
  say(protocol::Evicted{other, "condemned"});
  say(rpc_of_runner(*this, 1, 0, {entrypoint(other, "Named")}));
  EXPECT_EQ(holder->arguments.at(0).capabilities.at(0), holder);
  auto invoke = rpc_of_runner(*this, 2, 0);
  invoke.target.kind = protocol::Target::Kind::Own;
  invoke.target.number = other;
  invoke.target.entrypoint = "Other";
  say(invoke);
  EXPECT_EQ(entrypoints, (std::vector<std::string>{"Named", "Other"}));
  EXPECT_EQ(holder->questions, (std::vector<QuestionId>{1, 2}));
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, ACallOnADynamicWorkerThatIsGoneIsLostAndNoCrime) {
  greet();
  const auto other = session->add_worker(owner);
  say(protocol::Evicted{other, "condemned"});
  auto invoke = rpc_of_runner(*this, 1, 0);
  invoke.target.kind = protocol::Target::Kind::Own;
  invoke.target.number = other;
  say(invoke);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(runner().next_of<protocol::Return>()->outcome).fault, "ERR_ISOLATE_LOST");
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, TheRunnerIsToldWhichReferencesAreObjects) {
  greet();
  testing::FakeStarter others;
  auto elsewhere = std::make_shared<Session>(io, std::move(others.start()->socket), *this, *this);
  const auto object = std::make_shared<RunnerExport>(elsewhere, 9);
  ask_rpc(*this, {{object, holder}, {}});
  const auto& references = arguments_of(*next_invoke(*this)).capabilities;
  ASSERT_EQ(references.size(), 2u);
  EXPECT_TRUE(references[0].is_object);
  EXPECT_FALSE(references[1].is_object);
}

TEST_F(SessionTest, ReferencesInAnAnswerThatNobodyWantsAreReleased) {
  greet();
  const QuestionId question = ask_rpc(*this);
  session->cancel(question);
  session->finish(question);
  say(value_of_runner(question, {sender_hosted(3), sender_hosted(4)}));
  EXPECT_NE(runner().next_of<protocol::Release>(), nullptr);
  EXPECT_NE(runner().next_of<protocol::Release>(), nullptr);
  EXPECT_EQ(session->export_count(), 0u);
}

TEST_F(SessionTest, ReferencesOfACallWhoseInvocationIsOverAreReleased) {
  greet();
  const QuestionId parent = ask();
  say(answer_with(parent));
  say(rpc_of_runner(*this, 1, parent, {sender_hosted(3)}));
  EXPECT_TRUE(holder->questions.empty());
  ASSERT_NE(runner().next_of<protocol::Return>(), nullptr);
  EXPECT_EQ(session->export_count(), 0u);
  EXPECT_EQ(ends, 0);
}

// ---- References to the runner

TEST_F(SessionTest, EachReferenceToTheRunnerIsAnImportOfItsOwn) {
  greet();
  const std::size_t before = session->import_count();
  ask_rpc(*this, {{holder, holder}, {}});
  const auto& references = arguments_of(*next_invoke(*this)).capabilities;
  ASSERT_EQ(references.size(), 2u);
  EXPECT_NE(references[0].number, references[1].number);
  EXPECT_EQ(session->import_count(), before + 2);
  auto call = rpc_of_runner(*this, 1, 0);
  call.target.number = references[1].number;
  say(call);
  EXPECT_EQ(holder->questions.size(), 1u);
  say(protocol::Release{references[0].number});
  say(protocol::Release{references[1].number});
  EXPECT_EQ(session->import_count(), before);
}

TEST_F(SessionTest, AReleasedImportCannotBeCalled) {
  greet();
  ask_rpc(*this, {{holder}, {}});
  const auto number = arguments_of(*next_invoke(*this)).capabilities[0].number;
  say(protocol::Release{number});
  auto call = rpc_of_runner(*this, 1, 0);
  call.target.number = number;
  say(call);
  EXPECT_TRUE(holder->questions.empty());
  EXPECT_NE(runner().next_of<protocol::Return>(), nullptr);
  // Released twice, it is still nothing: the number never names anybody else.
  say(protocol::Release{number});
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, AnAnswerCarriesReferences) {
  greet();
  say(rpc_of_runner(*this, 1, 0));
  protocol::Return result = value_of_runner(0);
  session->answer(1, result, nullptr, {{holder}, {}});
  settle();
  const auto* const answer = runner().next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  const auto& references = std::get<protocol::RpcValue>(answer->outcome).payload.capabilities;
  ASSERT_EQ(references.size(), 1u);
  EXPECT_EQ(references[0].kind, CapabilityRef::Kind::SenderHosted);
  EXPECT_NE(references[0].number, capability);
}

// An entrypoint of a Worker in the very runner that it is given to.
class Neighbour final : public Capability {
 public:
  explicit Neighbour(protocol::WorkerId worker) : worker_(worker) {}
  void invoke(IncomingCall&) override {}
  Place place_in(const Session&) const override { return {worker_, "Named", "props", nullptr}; }

 private:
  const protocol::WorkerId worker_;
};

TEST_F(SessionTest, ARunnerHearsThatAnImportLeadsToItselfBeforeItCanUseIt) {
  greet();
  ask_rpc(*this, {{std::make_shared<Neighbour>(worker)}, {}});
  const auto* const local = runner().next_of<protocol::Local>();
  ASSERT_NE(local, nullptr);
  EXPECT_EQ(local->worker, worker);
  EXPECT_EQ(local->entrypoint, "Named");
  EXPECT_EQ(local->props.bytes, "props");
  const auto* const invoke = next_invoke(*this);
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(arguments_of(*invoke).capabilities[0].number, local->capability);
}

// ---- Streams beside values

TEST_F(SessionTest, StreamsOfArgumentsFlowAndComeBackUndelivered) {
  greet();
  const auto first = std::make_shared<FedSource>();
  const auto second = std::make_shared<FedSource>();
  Carried carried;
  carried.streams = {first, nullptr, second};
  const QuestionId question = ask_rpc(*this, carried, {{Body::Kind::Stream, {}, 9, -1},
                                                       {Body::Kind::Inline, "abc", 0, 3},
                                                       {Body::Kind::HandedBack, {}, 9, -1}});
  const auto& streams = arguments_of(*next_invoke(*this)).streams;
  ASSERT_EQ(streams.size(), 3u);
  EXPECT_EQ(streams[0].kind, Body::Kind::Stream);
  EXPECT_EQ(streams[1].bytes, "abc");
  EXPECT_EQ(streams[2].kind, Body::Kind::Stream);
  say(protocol::StreamCredit{streams[2].stream, 5});
  EXPECT_EQ(second->granted, 5u);
  say(error_of_runner(question, true));
  EXPECT_EQ(outcome->undelivered, 1);
  ASSERT_EQ(outcome->streams.size(), 2u);
  EXPECT_EQ(outcome->streams[0], first);
  EXPECT_EQ(outcome->streams[1], nullptr);  // it was read from
}

TEST_F(SessionTest, StreamsOfAValueReachTheSink) {
  greet();
  protocol::Return result = value_of_runner(ask_rpc(*this));
  std::get<protocol::RpcValue>(result.outcome).payload.streams = {{Body::Kind::Stream, {}, 5, -1}};
  say(result);
  ASSERT_EQ(outcome->carried.streams.size(), 1u);
  Collector sink;
  outcome->carried.streams[0]->attach(sink);
  outcome->carried.streams[0]->grant(3);
  say(protocol::StreamData{5, "abc"});
  EXPECT_EQ(sink.bytes, "abc");
  say(protocol::StreamEnd{5, {}});
  EXPECT_EQ(sink.ends, 1);
}

// ---- Results that are kept

TEST_F(SessionTest, AnRpcQuestionIsKeptUntilItIsFinished) {
  greet();
  const QuestionId question = ask_rpc(*this);
  say(value_of_runner(question));
  EXPECT_EQ(outcome->bytes, "value");
  EXPECT_EQ(session->question_count(), 0u);
  EXPECT_EQ(session->kept_result_count(), 1u);
  EXPECT_FALSE(session->has_work());
  EXPECT_EQ(runner().next_of<protocol::Finish>(), nullptr);
  session->finish(question);
  session->finish(question);
  settle();
  EXPECT_EQ(runner().next_of<protocol::Finish>()->question, question);
  EXPECT_EQ(runner().next_of<protocol::Finish>(), nullptr);
  EXPECT_EQ(session->kept_result_count(), 0u);
}

TEST_F(SessionTest, AFinishBeforeTheReturnIsSaidAfterIt) {
  greet();
  const QuestionId question = ask_rpc(*this);
  session->cancel(question);
  session->finish(question);
  settle();
  EXPECT_EQ(runner().next_of<protocol::Finish>(), nullptr);
  say(error_of_runner(question));
  EXPECT_EQ(runner().next_of<protocol::Finish>()->question, question);
  EXPECT_EQ(session->question_count() + session->kept_result_count(), 0u);
  EXPECT_EQ(outcome->returns, 0);
}

TEST_F(SessionTest, AResultWithObjectsIsOpenUntilItsInvocationIsFinishedToo) {
  greet();
  const QuestionId question = ask_rpc(*this);
  auto result = value_of_runner(question, {sender_hosted(2)});
  result.continues = true;
  say(result);
  session->finish(question);
  settle();
  EXPECT_NE(runner().next_of<protocol::Finish>(), nullptr);
  EXPECT_EQ(session->question_count(), 1u);
  // Its invocation may still call out.
  say(rpc_of_runner(*this, 1, question));
  EXPECT_EQ(holder->questions.size(), 1u);
  say(protocol::Finished{question, 0});
  EXPECT_EQ(session->question_count() + session->kept_result_count(), 0u);
}

TEST_F(SessionTest, ACallOnAFinishedInvocationsBehalfIsLateEvenWhileItsResultIsKept) {
  greet();
  const QuestionId question = ask_rpc(*this);
  say(value_of_runner(question));
  say(rpc_of_runner(*this, 1, question));
  EXPECT_TRUE(holder->questions.empty());
  EXPECT_EQ(std::get<protocol::ErrorInfo>(runner().next_of<protocol::Return>()->outcome).fault, "ERR_CANCELLED");
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, ACallOnTheResultOfAFailedCallFailsTheSameWay) {
  greet();
  say(rpc_of_runner(*this, 1, 0));
  session->answer_error(1, error_of(Fault::Overloaded));
  settle();
  auto promised = rpc_of_runner(*this, 2, 0);
  promised.target.kind = protocol::Target::Kind::Promised;
  promised.target.number = 1;
  say(promised);
  runner().next_of<protocol::Return>();
  const auto* const answer = runner().next_of<protocol::Return>();
  ASSERT_NE(answer, nullptr);
  EXPECT_EQ(answer->question, 2u);
  EXPECT_EQ(std::get<protocol::ErrorInfo>(answer->outcome).fault, "ERR_OVERLOADED");
  say(protocol::Finish{1});
  say(protocol::Finish{2});
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, ANumberIsFreeAgainAfterFinish) {
  greet();
  say(rpc_of_runner(*this, 1, 0));
  session->answer_error(1, error_of(Fault::Internal));
  say(protocol::Finish{1});
  say(rpc_of_runner(*this, 1, 0));
  EXPECT_EQ(ends, 0);
  EXPECT_EQ(holder->questions.size(), 2u);
}

TEST_F(SessionTest, ACancelledRpcCallWaitsForItsFinish) {
  greet();
  say(rpc_of_runner(*this, 1, 0));
  say(protocol::Cancel{1});
  EXPECT_EQ(std::get<protocol::ErrorInfo>(runner().next_of<protocol::Return>()->outcome).fault, "ERR_CANCELLED");
  say(protocol::Cancel{1});
  EXPECT_EQ(runner().next_of<protocol::Return>(), nullptr);
  say(protocol::Finish{1});
  EXPECT_EQ(ends, 0);
}

TEST_F(SessionTest, TheEndOfTheRunnerLetsGoOfEverything) {
  greet();
  const std::weak_ptr<Holder> weak = holder;
  say(rpc_of_runner(*this, 1, 0, {sender_hosted(7)}));
  const auto reference = holder->arguments[0].capabilities[0];
  say(value_of_runner(ask_rpc(*this, {{holder}, {}})));
  holder.reset();
  runner().die();
  settle();
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(weak.expired());
  EXPECT_EQ(session->import_count() + session->export_count() + session->kept_result_count(), 0u);
  EXPECT_NE(reference->as_runner_export(), nullptr);  // it may live on: calls on it hear of the loss
}

}  // namespace
}  // namespace insula::fleet
