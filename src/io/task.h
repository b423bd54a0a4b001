// SPDX-License-Identifier: Apache-2.0
//
// Task, Deadline, OneShot, TaskScope: the coroutine vocabulary of the supervisor, over Asio.
//
// One io_context per thread, one thread per io_context; every object here belongs to that thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "src/base/error.h"

namespace insula::io {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;

template <class T = void>
using Task = asio::awaitable<Result<T>, Executor>;

// co_await with these: `auto [error, bytes] = co_await socket.async_read_some(buffer, io::use_task_tuple)`.
inline constexpr asio::use_awaitable_t<Executor> use_task{};

// An absolute, monotonic point in time after which a wait gives up. `never()` is for waits that something else ends.
class Deadline {
 public:
  static Deadline never() { return Deadline(std::chrono::steady_clock::time_point::max()); }
  static Deadline in(std::chrono::milliseconds from_now) {
    return Deadline(std::chrono::steady_clock::now() + from_now);
  }
  explicit Deadline(std::chrono::steady_clock::time_point at) : at_(at) {}
  std::chrono::steady_clock::time_point at() const noexcept { return at_; }
  bool is_never() const noexcept { return at_ == std::chrono::steady_clock::time_point::max(); }

 private:
  std::chrono::steady_clock::time_point at_;
};

// One value, handed from the code that learns it to the one coroutine that waits for it.
//
// set() may come before or after wait(); a second set() is ignored. The waiter is resumed through the executor, not
// inside set(), so that the setter's state is settled first.
template <class T>
class OneShot {
 public:
  explicit OneShot(Executor executor) : executor_(std::move(executor)) {}
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;

  bool is_set() const noexcept { return value_.has_value() || taken_; }
  void set(T value) {
    if (is_set()) return;
    value_.emplace(std::move(value));
    if (resume_) std::exchange(resume_, nullptr)();
  }

  // Waits for the value. The OneShot must outlive the wait.
  asio::awaitable<T, Executor> wait() {
    if (!value_.has_value()) {
      co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
          [this](auto handler) {
            auto held = std::make_shared<decltype(handler)>(std::move(handler));
            resume_ = [this, held] {
              asio::post(executor_, [held] { std::move (*held)(); });
            };
          },
          use_task);
    }
    taken_ = true;
    T value = std::move(*value_);
    value_.reset();
    co_return value;
  }

 private:
  Executor executor_;
  std::optional<T> value_;
  bool taken_ = false;
  std::function<void()> resume_;
};

}  // namespace insula::io
