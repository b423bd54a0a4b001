// SPDX-License-Identifier: Apache-2.0
#include "src/io/run.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace insula::io {
namespace {

class RunTest : public ::testing::TestWithParam<bool> {
 public:
  void run() {
    io::run(context, [] { return GetParam(); });
  }
  boost::asio::io_context context{1};
};

TEST_P(RunTest, EndsWhenNothingIsLeft) {
  int left = 5;
  std::function<void()> next = [&] {
    if (--left > 0) boost::asio::post(context, next);
  };
  boost::asio::post(context, next);
  run();
  EXPECT_EQ(left, 0);
}

TEST_P(RunTest, WaitsForWhatComesLater) {
  bool has_fired = false;
  boost::asio::steady_timer timer(context, std::chrono::milliseconds(2));
  timer.async_wait([&](boost::system::error_code) { has_fired = true; });
  run();
  EXPECT_TRUE(has_fired);
}

TEST_P(RunTest, EndsWhenItIsStopped) {
  boost::asio::steady_timer timer(context, std::chrono::hours(1));
  timer.async_wait([](boost::system::error_code) { FAIL(); });
  boost::asio::post(context, [&] { context.stop(); });
  run();
  EXPECT_TRUE(context.stopped());
}

INSTANTIATE_TEST_SUITE_P(NearOrNot, RunTest, ::testing::Bool());

}  // namespace
}  // namespace insula::io
