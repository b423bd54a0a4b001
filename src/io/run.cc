// SPDX-License-Identifier: Apache-2.0
//
// run(): sleeps in the kernel, or looks again.
#include "src/io/run.h"

#include <sched.h>

#include <chrono>

#include "src/base/short_wait.h"

namespace insula::io {
namespace {

// True: something was there, and has been done.
bool look_again(boost::asio::io_context& io) {
  const auto until = std::chrono::steady_clock::now() + ShortWait::kLongest;
  do {
    ::sched_yield();
    if (io.poll() > 0) return true;
  } while (!io.stopped() && std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace

void run(boost::asio::io_context& io, const std::function<bool()>& is_answer_near) {
  ShortWait wait;
  while (!io.stopped()) {
    if (is_answer_near()) {
      if (io.poll() > 0) continue;
      if (wait.is_worth_it()) {
        const bool was_short = look_again(io);
        wait.note(was_short);
        if (was_short) continue;
      }
    }
    if (!io.stopped()) io.run_one();
  }
}

}  // namespace insula::io
