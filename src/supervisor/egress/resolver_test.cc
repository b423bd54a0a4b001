// SPDX-License-Identifier: Apache-2.0
//
// NameCache and SystemResolver.
#include "src/supervisor/egress/resolver.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "src/supervisor/egress/loopback_test_kit.h"
#include "src/supervisor/egress/name_cache.h"

namespace insula::egress::testing {
namespace {

// Answers when it is told to.
class SlowResolver final : public Resolver {
 public:
  explicit SlowResolver(std::vector<Callback>& asked) : asked_(asked) {}
  void resolve(const std::string&, const std::string&, Callback callback) override { asked_.push_back(std::move(callback)); }

 private:
  std::vector<Callback>& asked_;
};

class NameCacheTest : public ::testing::Test {
 protected:
  void ask(const std::string& partition = "p") {
    cache_.resolve("a.test", partition, [this](Result<Addresses> answer) { answers_.push_back(answer.has_value()); });
  }
  ManualClock clock_;
  std::vector<Resolver::Callback> asked_;
  NameCache cache_{std::make_unique<SlowResolver>(asked_), clock_};
  std::vector<bool> answers_;
  const Addresses address_{asio::ip::make_address("1.2.3.4")};
};

TEST_F(NameCacheTest, AsksOnceForAllWhoWait) {
  ask();
  ask();
  ASSERT_EQ(asked_.size(), 1U);
  EXPECT_TRUE(answers_.empty());
  asked_[0](address_);
  EXPECT_EQ(answers_, (std::vector<bool>{true, true}));
  ask();
  EXPECT_EQ(asked_.size(), 1U);
  EXPECT_EQ(answers_.size(), 3U);
}

TEST_F(NameCacheTest, NobodyWaitsForAQuestionOfSomebodyElse) {
  ask("a");
  ask("b");
  ASSERT_EQ(asked_.size(), 2U);
  asked_[1](address_);
  EXPECT_EQ(answers_, std::vector<bool>{true});
  ask("c");  // what one has learned all know
  EXPECT_EQ(asked_.size(), 2U);
  asked_[0](Error(ErrorCode::Unavailable, "no"));
  EXPECT_EQ(answers_, (std::vector<bool>{true, true, false}));
}

TEST_F(NameCacheTest, ForgetsAfterFiveSeconds) {
  ask();
  asked_[0](address_);
  clock_.advance(std::chrono::seconds(5));
  ask();
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(NameCacheTest, DoesNotRememberFailures) {
  ask();
  asked_[0](Error(ErrorCode::Unavailable, "no"));
  EXPECT_EQ(answers_, std::vector<bool>{false});
  ask();
  EXPECT_EQ(asked_.size(), 2U);
}

TEST_F(NameCacheTest, BoundsNamesUnderWay) {
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    cache_.resolve("n" + std::to_string(i) + ".test", "p", [&](Result<Addresses> answer) {
      ASSERT_FALSE(answer.has_value());
      EXPECT_EQ(answer.error().code(), ErrorCode::Overloaded);
      ++refused;
    });
  }
  EXPECT_EQ(asked_.size(), 4096U);
  EXPECT_EQ(refused, 5000 - 4096);
}

TEST_F(NameCacheTest, MakesRoomByForgettingWhatIsStale) {
  for (int i = 0; i < 4096; ++i) {
    cache_.resolve("n" + std::to_string(i) + ".test", "p", [](auto) {});
    asked_.back()(address_);
  }
  clock_.advance(std::chrono::seconds(5));
  ask();
  asked_.back()(address_);
  EXPECT_EQ(answers_, std::vector<bool>{true});
}

TEST(SystemResolverTest, ResolvesOnAThreadOfItsOwnAndAnswersAtHome) {
  asio::io_context io;
  SystemResolver resolver(io.get_executor(), true);
  std::optional<Result<Addresses>> answer;
  const auto home = std::this_thread::get_id();
  resolver.resolve("localhost", "p", [&](Result<Addresses> found) {
    EXPECT_TRUE(std::this_thread::get_id() == home);
    answer = std::move(found);
  });
  const auto work = asio::make_work_guard(io);
  ASSERT_TRUE(run_until(io, [&] { return answer.has_value(); }));
  ASSERT_TRUE(answer->has_value()) << answer->error().message();
  for (const auto& address : **answer) EXPECT_TRUE(address.is_loopback());
}

// Look-ups of names that begin with "greedy" hang until the test lets them go.
struct HangingLookUp {
  std::mutex mutex;
  std::condition_variable changed;
  int greedy = 0;
  int greedy_most = 0;
  bool is_open = false;

  Result<Addresses> operator()(const std::string& name) {
    std::unique_lock lock(mutex);
    if (name.starts_with("greedy")) {
      greedy_most = std::max(greedy_most, ++greedy);
      changed.notify_all();
      changed.wait(lock, [&] { return is_open; });
      --greedy;
    }
    return Addresses{asio::ip::make_address("1.2.3.4")};
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return greedy >= count; });
  }
  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
};

TEST(SystemResolverTest, APartitionHasAQuarterOfTheThreadsAndOthersGoOn) {
  asio::io_context io;
  const auto hanging = std::make_shared<HangingLookUp>();
  SystemResolver resolver(io.get_executor(), true, [hanging](const std::string& name) { return (*hanging)(name); });
  int answered = 0;
  int refused = 0;
  int others = 0;
  for (int i = 0; i < 200; ++i) {
    resolver.resolve("greedy" + std::to_string(i), "greedy",
                     [&](Result<Addresses> found) { ++(found ? answered : refused); });
  }
  EXPECT_GE(refused, 200 - 128 - 4);
  hanging->wait_for(4);
  for (int i = 0; i < 40; ++i) {
    resolver.resolve("modest", "p" + std::to_string(i % 10), [&](Result<Addresses> found) { others += found ? 1 : 0; });
  }
  const auto work = asio::make_work_guard(io);
  ASSERT_TRUE(run_until(io, [&] { return others == 40; }));
  EXPECT_EQ(answered, 0);
  hanging->open();
  ASSERT_TRUE(run_until(io, [&] { return answered + refused == 200; }));
  EXPECT_EQ(hanging->greedy_most, 4);
}

TEST(SystemResolverTest, CallsNobodyAfterItsEnd) {
  asio::io_context io;
  bool is_called = false;
  {
    SystemResolver resolver(io.get_executor(), true);
    for (int i = 0; i < 50; ++i) resolver.resolve("localhost", "p", [&](auto) { is_called = true; });
  }
  settle(io);
  EXPECT_FALSE(is_called);
}

}  // namespace
}  // namespace insula::egress::testing
