// SPDX-License-Identifier: Apache-2.0
//
// The machine, one behaviour at a time, with the texts of the contract.
#include "src/durable/machine.h"

#include <gtest/gtest.h>

namespace insula::durable {
namespace {

// One instance with its clock, and what it last wanted done.
class Instance {
 public:
  explicit Instance(Settings with = {}) : settings(with), machine(settings) {
    tell(CreateAsked{"params"});
    tell(SlotGranted{});
  }

  Reaction& tell(Happening what) {
    last = machine.handle(Event{now, std::move(what)});
    return last;
  }
  Reaction& at(TimeMs time) {
    now = time;
    return tell(TimerFired{});
  }
  StepAsked step(std::string name, std::uint64_t call = 0) {
    StepAsked asked;
    asked.epoch = machine.epoch();
    asked.call = call != 0 ? call : ++calls;
    asked.name = std::move(name);
    return asked;
  }
  StepAsked sleep(std::string name, double ms) {
    auto asked = step(std::move(name));
    asked.kind = StepKind::Sleep;
    asked.length = {RawDuration::Form::Number, ms, {}};
    return asked;
  }
  StepAsked wait(std::string name, std::string type, double timeout_ms = 0) {
    auto asked = step(std::move(name));
    asked.kind = StepKind::Wait;
    asked.event_type = std::move(type);
    if (timeout_ms > 0) asked.timeout = {RawDuration::Form::Number, timeout_ms, {}};
    return asked;
  }
  AttemptEnded returned(Bytes value, std::uint32_t attempt = 1) {
    AttemptEnded ended;
    ended.epoch = machine.epoch();
    ended.call = calls;
    ended.attempt = attempt;
    ended.value.bytes = std::move(value);
    return ended;
  }
  AttemptEnded threw(std::string name, std::string message, std::uint32_t attempt = 1) {
    auto ended = returned({}, attempt);
    ended.how = AttemptEnded::How::Threw;
    ended.failure = {std::move(name), std::move(message), {}};
    return ended;
  }
  template <class What>
  const What* action() const {
    for (const auto& one : last.actions) {
      if (const auto* found = std::get_if<What>(&one.what)) return found;
    }
    return nullptr;
  }
  // The run dies and another replays.
  void replay(std::string version = {}) {
    tell(RunGone{machine.epoch(), RunGone::Cause::Withdrawn});
    tell(SlotGranted{std::move(version)});
    calls = 0;
  }

  Settings settings;
  Machine machine;
  Reaction last;
  TimeMs now = 1'000'000;
  std::uint64_t calls = 0;
};

RawConfig retries(double limit, double delay_ms, std::string backoff = {}) {
  RawConfig config;
  config.has_retries = config.has_limit = true;
  config.limit = limit;
  config.delay = {RawDuration::Form::Number, delay_ms, {}};
  config.backoff = std::move(backoff);
  return config;
}

TEST(Machine, DefaultsAreResolvedForTheCallback) {
  Instance i;
  i.tell(i.step("a"));
  const auto* const invoke = i.action<InvokeStep>();
  ASSERT_NE(invoke, nullptr);
  EXPECT_EQ(invoke->attempt, 1U);
  EXPECT_EQ(invoke->config.retries, 5U);
  EXPECT_EQ(invoke->config.delay.ms, 1'000);
  EXPECT_EQ(invoke->config.backoff, Backoff::Exponential);
  EXPECT_EQ(invoke->config.timeout.text, "10 minutes");
}

TEST(Machine, ARunGoesAheadWhereNothingIsLeftToBeReplayed) {
  Instance i;
  ASSERT_NE(i.action<StartRun>(), nullptr);
  EXPECT_TRUE(i.action<StartRun>()->may_go_ahead);
  for (const char* const name : {"a", "b"}) {
    i.tell(i.step(name));
    i.tell(i.returned("value"));
    ASSERT_NE(i.action<AnswerStep>(), nullptr);
    EXPECT_TRUE(i.action<AnswerStep>()->may_go_ahead);
    EXPECT_TRUE(i.action<AnswerStep>()->is_own);
    EXPECT_EQ(i.action<AnswerStep>()->value.bytes, "") << "the run has it";
  }
  i.tell(RunGone{i.machine.epoch(), RunGone::Cause::Withdrawn});
  i.tell(SlotGranted{});
  ASSERT_NE(i.action<StartRun>(), nullptr);
  EXPECT_FALSE(i.action<StartRun>()->may_go_ahead) << "two steps are to be replayed";
  i.calls = 0;
  i.tell(i.step("a"));
  ASSERT_NE(i.action<AnswerStep>(), nullptr);
  EXPECT_EQ(i.action<AnswerStep>()->value.bytes, "value");
  EXPECT_FALSE(i.action<AnswerStep>()->is_own);
  EXPECT_FALSE(i.action<AnswerStep>()->may_go_ahead) << "one is left";
}

TEST(Machine, ARunDoesNotGoAheadNearTheLimitOfSteps) {
  Settings settings;
  settings.steps_max = 1'001;
  Instance i(settings);
  EXPECT_TRUE(i.action<StartRun>()->may_go_ahead);
  for (int count = 1; count <= 2; ++count) {
    i.tell(i.step("s" + std::to_string(count)));
    i.tell(i.returned("value"));
    EXPECT_EQ(i.action<AnswerStep>()->may_go_ahead, count == 1);
  }
}

TEST(Machine, AfterALossEachAttemptIsCountedBeforeItBegins) {
  Instance i;
  i.tell(RunGone{i.machine.epoch(), RunGone::Cause::Crash});
  i.tell(SlotGranted{});
  ASSERT_NE(i.action<StartRun>(), nullptr);
  EXPECT_FALSE(i.action<StartRun>()->may_go_ahead);
}

TEST(Machine, AnAnswerNeedsItsRecord) {
  Instance i;
  i.tell(i.step("a"));
  i.tell(i.returned("value"));
  ASSERT_EQ(i.last.records.size(), 1U);
  ASSERT_EQ(i.last.actions.size(), 1U);
  EXPECT_EQ(i.last.actions[0].needs, i.machine.records());
}

TEST(Machine, TheLastAttemptWaitsForItsRecordAndOthersDoNot) {
  Instance i;
  auto asked = i.step("once");
  asked.config = retries(0, 0);
  i.tell(asked);
  EXPECT_EQ(i.last.actions[0].needs, i.machine.records());
  i.tell(i.step("often"));
  EXPECT_LT(i.last.actions[0].needs, i.machine.records());
}

TEST(Machine, BackoffsGrowAsStated) {
  const std::pair<const char*, std::vector<TimeMs>> cases[] = {
      {"constant", {100, 100, 100, 100}}, {"linear", {100, 200, 300, 400}}, {"exponential", {100, 200, 400, 800}}};
  for (const auto& [backoff, delays] : cases) {
    Instance i;
    auto asked = i.step("a");
    asked.config = retries(4, 100, backoff);
    i.tell(asked);
    std::uint32_t attempt = 1;
    for (const auto delay : delays) {
      i.tell(i.threw("Error", "no", attempt));
      EXPECT_EQ(i.machine.next_due(), i.now + delay) << backoff << attempt;
      i.at(i.now + delay - 1);
      EXPECT_EQ(i.action<InvokeStep>(), nullptr);
      i.at(i.now + 1);
      ASSERT_NE(i.action<InvokeStep>(), nullptr);
      EXPECT_EQ(i.action<InvokeStep>()->attempt, ++attempt);
    }
    i.tell(i.threw("TypeError", "the end", attempt));
    const auto* const answer = i.action<AnswerStep>();
    ASSERT_NE(answer, nullptr);
    EXPECT_EQ(answer->failure.name, "TypeError");
  }
}

TEST(Machine, ATimeOutCountsAsAFailedAttemptAndTheLateResultIsIgnored) {
  Instance i;
  auto asked = i.step("slow");
  asked.config = retries(0, 0);
  asked.config.timeout = {RawDuration::Form::Number, 250, {}};
  i.tell(asked);
  i.at(i.now + 250);
  ASSERT_NE(i.action<AnswerStep>(), nullptr);
  EXPECT_EQ(i.action<AnswerStep>()->failure.name, "WorkflowTimeoutError");
  EXPECT_EQ(i.action<AnswerStep>()->failure.message, "Execution timed out after 250ms");
  EXPECT_TRUE(i.tell(i.returned("late")).records.empty());
}

TEST(Machine, BadCallsGetTheStatedTexts) {
  Instance i;
  const auto text_of = [&](StepAsked asked) {
    i.tell(std::move(asked));
    const auto* const answer = i.action<AnswerStep>();
    return answer == nullptr ? std::string("no answer") : answer->failure.name + ": " + answer->failure.message;
  };
  auto asked = i.step("a");
  asked.has_callback = false;
  EXPECT_EQ(text_of(asked), "WorkflowFatalError: Step \"a\" requires a callback function");
  EXPECT_EQ(text_of(i.step(std::string(257, 'n'))).substr(0, 35), "WorkflowFatalError: Step name \"nnnn");
  asked = i.step("a");
  asked.config = retries(-1, 5);
  EXPECT_EQ(text_of(asked).substr(0, 60), "WorkflowFatalError: Step config for \"a\" is in a invalid form");
  asked = i.step("a");
  asked.config = retries(7, 5);
  asked.config.delay.form = RawDuration::Form::Absent;
  EXPECT_NE(text_of(asked).find("retries.delay is missing"), std::string::npos);
  asked = i.step("a");
  asked.rollback_problem = "must be a function";
  EXPECT_EQ(text_of(asked), "WorkflowFatalError: Rollback for \"a\" must be a function");
  asked = i.step("nap");
  asked.kind = StepKind::Sleep;
  asked.is_until = true;
  asked.until = static_cast<double>(i.now - 1);
  EXPECT_EQ(text_of(asked), "Error: You can't sleep until a time in the past, time-traveler");
}

TEST(Machine, StepsAreLimitedAndSleepsDoNotCount) {
  Settings settings;
  settings.steps_max = 2;
  Instance i(settings);
  for (int n = 0; n < 3; ++n) i.tell(i.sleep("nap", 1));
  i.tell(i.step("a"));
  i.tell(i.step("b"));
  EXPECT_NE(i.action<InvokeStep>(), nullptr);
  i.tell(i.step("c"));
  EXPECT_EQ(i.action<AnswerStep>()->failure.message,
            "The limit of 2 steps has been reached. This limit can be changed in your worker configuration.");
}

TEST(Machine, ResultsOverTheLimitAreRetriedAndUnserialisableOnesEndTheInstance) {
  Instance i;
  i.tell(i.step("big"));
  i.tell(i.returned(std::string(1 << 20, 'x')));
  EXPECT_EQ(i.last.records[0].type, RecordType::StepCompleted);
  ASSERT_EQ(i.last.values.size(), 1U);
  EXPECT_EQ(i.last.values[0].bytes.size(), 1U << 20);
  i.tell(i.step("big"));
  i.tell(i.returned(std::string((1 << 20) + 1, 'x')));
  EXPECT_EQ(i.last.records[0].type, RecordType::AttemptFailed);
  EXPECT_EQ(i.last.records[0].failure.message, "Step big-2 output is too large. Maximum allowed size is 1MiB.");
  i.tell(i.step("function"));
  auto ended = i.returned({});
  ended.how = AttemptEnded::How::NotSerialisable;
  i.tell(ended);
  EXPECT_EQ(i.machine.status(), Status::Errored);
  EXPECT_EQ(i.machine.failure()->message,
            "The execution of the Workflow instance was terminated, as the step \"function\" returned a value which is "
            "not serialisable");
}

TEST(Machine, ANonRetryableErrorIsNotRetriedAndHasItsTextWhenNobodyCatchesIt) {
  Instance i;
  i.tell(i.step("a"));
  i.tell(i.threw("Renamed", "NonRetryableError: no"));
  ASSERT_NE(i.action<AnswerStep>(), nullptr);
  i.tell(RunThrew{1, i.action<AnswerStep>()->failure});
  EXPECT_EQ(i.machine.failure()->name, "WorkflowFatalError");
  Settings settings;
  settings.keeps_non_retryable_error = true;
  Instance newer(settings);
  newer.tell(RunThrew{1, {"NonRetryableError", "mine", {}}});
  EXPECT_EQ(newer.machine.failure()->message, "mine");
}

TEST(Machine, ReplayAnswersFromTheRecordsWithoutCallbacks) {
  Instance i;
  i.tell(i.step("a"));
  i.tell(i.returned("one"));
  i.tell(i.step("a"));
  i.tell(i.returned("two"));
  i.replay();
  for (const auto* expected : {"one", "two"}) {
    i.tell(i.step("a"));
    EXPECT_EQ(i.action<InvokeStep>(), nullptr);
    ASSERT_NE(i.action<AnswerStep>(), nullptr);
    EXPECT_EQ(i.action<AnswerStep>()->value.bytes, expected);
  }
  i.tell(i.step("a"));
  EXPECT_EQ(i.action<InvokeStep>()->count, 3U);
}

TEST(Machine, AReplayOfTheSameCodeThatAsksForAnotherStepIsStoppedAndSaysWhich) {
  const auto run = [](const char* second) {
    Instance i;
    i.replay("v1");
    i.tell(i.step("a"));
    i.tell(i.returned("one"));
    i.replay(second);
    i.tell(i.step("b"));
    return i.machine.failure() ? i.machine.failure()->name + " " + i.machine.failure()->message : std::string();
  };
  EXPECT_EQ(run("v1"),
            "WorkflowNonDeterminismError ERR_NONDETERMINISM: step \"b-1\" was asked for where the recorded run asked "
            "for step \"a-1\". Code outside of steps must do the same at each replay");
  EXPECT_EQ(run("v2"), "") << "new code is matched by name only";
}

TEST(Machine, AWaitThatChangesItsTypeIsStopped) {
  Instance i;
  i.tell(i.wait("approval", "yes"));
  i.replay();
  i.tell(i.wait("approval", "no"));
  ASSERT_TRUE(i.machine.failure());
  EXPECT_NE(i.machine.failure()->message.find("waitForEvent \"approval-1\" waits for type \"no\""), std::string::npos);
}

TEST(Machine, EventsAreServedInOrderOldestWaiterFirst) {
  Instance i;
  i.tell(EventSent{"x", "early"});
  i.tell(i.wait("first", "x"));
  ASSERT_NE(i.action<AnswerStep>(), nullptr);
  EXPECT_EQ(i.action<AnswerStep>()->value.bytes, "early");
  i.tell(i.wait("second", "x"));
  i.tell(i.wait("third", "x"));
  const auto third = i.calls;
  i.tell(EventSent{"y", "other"});
  EXPECT_EQ(i.action<AnswerStep>(), nullptr);
  i.tell(EventSent{"x", "1"});
  EXPECT_EQ(i.action<AnswerStep>()->call, third - 1);
  i.tell(EventSent{"x", "2"});
  EXPECT_EQ(i.action<AnswerStep>()->call, third);
}

TEST(Machine, AWaiterThatTimedOutDoesNotSwallowTheEvent) {
  Instance i;
  i.tell(i.wait("short", "x", 1'000));
  i.at(i.now + 1'000);
  EXPECT_EQ(i.action<AnswerStep>()->failure.message, "Execution timed out after 1000ms");
  i.tell(EventSent{"x", "late"});
  i.tell(i.wait("next", "x"));
  EXPECT_EQ(i.action<AnswerStep>()->value.bytes, "late");
  i.replay();
  i.tell(i.wait("short", "x", 1'000));
  EXPECT_EQ(i.action<AnswerStep>()->failure.name, "WorkflowTimeoutError") << "it is cached";
}

TEST(Machine, AWaitLastsADayUnlessSaidOtherwise) {
  Instance i;
  i.tell(i.wait("w", "x"));
  EXPECT_EQ(i.machine.next_due(), i.now + kDayMs);
}

TEST(Machine, PauseLetsTheStepFinishAndResumeShiftsTheTimers) {
  Instance i;
  i.tell(i.sleep("nap", 10'000));
  const auto due = i.machine.next_due();
  i.tell(i.step("a"));
  i.tell(PauseAsked{});
  EXPECT_EQ(i.machine.status(), Status::WaitingForPause);
  i.tell(i.returned("done"));
  EXPECT_EQ(i.machine.status(), Status::Paused);
  EXPECT_NE(i.action<ReleaseRun>(), nullptr);
  i.at(i.now + 60'000);
  EXPECT_TRUE(i.last.records.empty());
  i.tell(ResumeAsked{});
  EXPECT_EQ(i.machine.status(), Status::Queued);
  EXPECT_EQ(i.machine.next_due(), due + 60'000);
}

TEST(Machine, ResumeCancelsAPauseThatIsUnderWay) {
  Instance i;
  i.tell(i.step("a"));
  i.tell(PauseAsked{});
  i.tell(ResumeAsked{});
  EXPECT_EQ(i.machine.status(), Status::Running);
  i.tell(i.returned("done"));
  EXPECT_NE(i.action<AnswerStep>(), nullptr);
}

TEST(Machine, AnIdleRunHibernatesUnlessItsReportCrossedAnAnswer) {
  Settings settings;
  settings.linger_ms = 100;
  Instance i(settings);
  i.tell(i.step("a"));
  i.tell(i.returned("done"));
  i.tell(i.sleep("nap", 10'000));
  i.tell(RunIdle{1, 0});
  EXPECT_EQ(i.machine.status(), Status::Running);
  i.tell(RunIdle{1, 1});
  EXPECT_EQ(i.machine.status(), Status::Waiting);
  EXPECT_FALSE(i.machine.may_unload());
  i.at(i.now + 100);
  EXPECT_NE(i.action<ReleaseRun>(), nullptr);
  EXPECT_TRUE(i.machine.may_unload());
  i.at(i.now + 9'900);
  EXPECT_EQ(i.machine.status(), Status::Queued);
}

TEST(Machine, ALostRunFailsItsAttemptsAndGoesOn) {
  Instance i;
  auto asked = i.step("a");
  asked.config = retries(1, 100);
  i.tell(asked);
  i.tell(RunGone{1, RunGone::Cause::Crash});
  EXPECT_EQ(i.last.records[0].failure.message, "Attempt failed due to internal workflows error");
  EXPECT_EQ(i.machine.status(), Status::Queued);
  i.tell(SlotGranted{});
  i.calls = 0;
  i.at(i.now + 100);
  i.tell(i.step("a"));
  ASSERT_NE(i.action<InvokeStep>(), nullptr);
  EXPECT_EQ(i.action<InvokeStep>()->attempt, 2U);
}

TEST(Machine, AnInstanceThatOnlyLosesRunsEnds) {
  Settings settings;
  settings.losses_max = 3;
  Instance i(settings);
  for (int n = 0; n < 10 && !is_final(i.machine.status()); ++n) {
    i.tell(RunGone{i.machine.epoch(), RunGone::Cause::Crash});
    if (i.machine.next_due() != kNever) i.at(i.machine.next_due());
    i.tell(SlotGranted{});
  }
  EXPECT_EQ(i.machine.status(), Status::Errored);
}

TEST(Machine, RollbackRunsBackwardsAndIncludesTheFailedStep) {
  Instance i;
  for (const auto* name : {"a", "b", "c"}) {
    auto asked = i.step(name);
    asked.has_rollback = true;
    asked.config = retries(0, 0);
    i.tell(asked);
    i.tell(std::string(name) == "c" ? i.threw("Error", "c failed") : i.returned(name));
  }
  i.tell(RunThrew{1, {"Error", "c failed", {}}});
  std::string order;
  for (int n = 0; n < 3; ++n) {
    const auto* const rollback = i.action<InvokeRollback>();
    ASSERT_NE(rollback, nullptr);
    order += rollback->name + (rollback->has_output ? "+" : "-");
    EXPECT_EQ(rollback->failure.message, "c failed");
    EXPECT_EQ(i.machine.status(), Status::Running);
    i.tell(RollbackEnded{1, rollback->call, rollback->attempt, true, {}});
  }
  EXPECT_EQ(order, "c-b+a+");
  EXPECT_EQ(i.machine.status(), Status::Errored);
  EXPECT_EQ(i.machine.failure()->message, "c failed");
}

TEST(Machine, ARollbackThatCannotBeRebuiltStopsTheChain) {
  Instance i;
  auto asked = i.step("a");
  asked.has_rollback = true;
  i.tell(asked);
  i.tell(i.returned("one"));
  i.tell(TerminateAsked{true});
  ASSERT_NE(i.action<InvokeRollback>(), nullptr);
  EXPECT_EQ(i.action<InvokeRollback>()->failure.name, "Terminated");
  i.tell(RunGone{1, RunGone::Cause::Crash});
  i.at(i.machine.next_due() == kNever ? i.now : i.machine.next_due());
  i.tell(SlotGranted{});
  ASSERT_NE(i.action<StartRun>(), nullptr);
  EXPECT_TRUE(i.action<StartRun>()->only_rollback);
  i.tell(RunReturned{i.machine.epoch(), {}});
  i.at(i.now + 60'000);
  EXPECT_EQ(i.machine.status(), Status::Terminated);
}

TEST(Machine, FinalInstancesRefuse) {
  Instance i;
  i.tell(RunReturned{1, Value::inline_of("output")});
  EXPECT_EQ(i.machine.status(), Status::Complete);
  ASSERT_TRUE(i.tell(TerminateAsked{}).refusal);
  EXPECT_EQ(i.last.refusal->message, "(instance.cannot_terminate) Cannot terminate instance since its on a finite state");
  EXPECT_TRUE(i.tell(EventSent{"x", ""}).refusal);
  ASSERT_TRUE(i.tell(RestartAsked{RestartFrom{StepKind::Do, "no", 1}}).refusal);
  EXPECT_EQ(i.last.refusal->message, "(instance.cannot_restart) Step \"no\" not found in execution history");
}

TEST(Machine, ADelayFunctionIsAskedAndItsFailureEndsTheStep) {
  const auto failed_with = [](DelayComputed computed) {
    Instance i;
    auto asked = i.step("a");
    asked.config = retries(3, 0);
    asked.config.delay.form = RawDuration::Form::Function;
    i.tell(asked);
    i.tell(i.threw("Error", "first"));
    EXPECT_EQ(i.action<ComputeDelay>()->failure.message, "first");
    computed.epoch = 1;
    computed.call = 1;
    computed.attempt = 1;
    i.tell(computed);
    return i.action<AnswerStep>() != nullptr ? i.action<AnswerStep>()->failure.name : std::to_string(i.machine.next_due() - i.now);
  };
  DelayComputed computed;
  computed.delay = {RawDuration::Form::Text, 0, "2 seconds"};
  EXPECT_EQ(failed_with(computed), "2000");
  computed.delay.text = "soon";
  EXPECT_EQ(failed_with(computed), "NonRetryableDelayError");
  computed.problem = "threw an error";
  EXPECT_EQ(failed_with(computed), "NonRetryableDelayError");
}

}  // namespace
}  // namespace insula::durable
