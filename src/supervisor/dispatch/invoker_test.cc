// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/dispatch/invoker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace insula::dispatch {
namespace {

class TestEvent final : public Event {
 public:
  std::string fault;

 private:
  protocol::Invoke* invoke() override { return nullptr; }
  bool may_replay() const override { return false; }
  void on_outcome(const protocol::Return&, io::ByteSourcePtr, fleet::Carried) override {}
  void on_refused(const protocol::ErrorInfo& error) override { fault = std::string(error.fault); }
};

// Lets calls wait until the test ends them.
class TestWorker final : public fleet::Destination {
 public:
  void reach(const std::shared_ptr<fleet::RoutedCall>& call) override { calls.push_back(call); }
  void forget(fleet::Session&, protocol::WorkerId) override {}
  void leave(fleet::RoutedCall&) override {}
  void withdraw(fleet::RoutedCall& call) override { withdrawn.push_back(&call); }
  void end_oldest() {
    const auto call = calls.front();
    calls.pop_front();
    call->refuse(fleet::error_of(Fault::Internal));
  }
  std::deque<std::shared_ptr<fleet::RoutedCall>> calls;
  std::vector<fleet::RoutedCall*> withdrawn;
};

class InvokerTest : public ::testing::Test {
 public:
  InvokerTest() { invoker.add_worker(worker); }
  ~InvokerTest() override {
    while (!worker->calls.empty()) worker->end_oldest();
  }
  std::shared_ptr<TestEvent> submit() {
    auto event = std::make_shared<TestEvent>();
    invoker.submit(0, event);
    return event;
  }
  ManualClock clock;
  std::shared_ptr<TestWorker> worker = std::make_shared<TestWorker>();
  Invoker invoker{clock, 2, 2};
};

TEST_F(InvokerTest, RunsAsManyEventsAsAreAllowed) {
  for (int count = 0; count < 4; ++count) submit();
  EXPECT_EQ(worker->calls.size(), 2u);
  EXPECT_EQ(invoker.running(), 2u);
}

TEST_F(InvokerTest, RunsTheNextWhenOneEnds) {
  for (int count = 0; count < 3; ++count) submit();
  worker->end_oldest();
  EXPECT_EQ(worker->calls.size(), 2u);
  worker->end_oldest();
  worker->end_oldest();
  EXPECT_EQ(invoker.running(), 0u);
}

TEST_F(InvokerTest, ShedsTheOldestThatWaits) {
  submit();
  submit();
  const auto oldest = submit();
  const auto next = submit();
  const auto newest = submit();
  EXPECT_EQ(oldest->fault, "ERR_OVERLOADED");
  EXPECT_EQ(next->fault, "");
  EXPECT_EQ(newest->fault, "");
}

TEST_F(InvokerTest, RefusesWhoWaitedTooLong) {
  submit();
  submit();
  const auto waiting = submit();
  clock.advance(fleet::kQueueWaitMax - std::chrono::milliseconds(1));
  invoker.expire();
  EXPECT_EQ(waiting->fault, "");
  clock.advance(std::chrono::milliseconds(1));
  invoker.expire();
  EXPECT_EQ(waiting->fault, "ERR_OVERLOADED");
}

TEST_F(InvokerTest, ACancelledEventLeavesTheQueue) {
  submit();
  submit();
  const auto waiting = submit();
  waiting->cancel();
  worker->end_oldest();
  EXPECT_EQ(worker->calls.size(), 1u);
  EXPECT_EQ(invoker.running(), 1u);
  EXPECT_EQ(waiting->fault, "");
}

TEST_F(InvokerTest, ACancelledEventThatRanMakesRoom) {
  const auto running = submit();
  submit();
  submit();
  running->cancel();
  EXPECT_EQ(worker->withdrawn, std::vector<fleet::RoutedCall*>{running.get()});
  EXPECT_EQ(worker->calls.size(), 3u);
  EXPECT_EQ(invoker.running(), 2u);
}

}  // namespace
}  // namespace insula::dispatch
