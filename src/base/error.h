// SPDX-License-Identifier: Apache-2.0
//
// Error and Result: the one error type of the native code, and what a function that can fail returns.
//
// ErrorCode says what the caller can do, not what went wrong; the message says what, with which value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "src/base/here.h"

namespace insula {

enum class ErrorCode : std::uint8_t {
  InvalidInput,
  NotFound,
  Denied,
  LimitExceeded,
  Overloaded,
  Unavailable,
  TimedOut,
  Cancelled,
  Conflict,
  Corrupt,
  Unsupported,
  Internal,
};

// "InvalidInput", "NotFound", ... (a name for logs).
std::string_view name_of(ErrorCode code) noexcept;

class Error {
 public:
  Error(ErrorCode code, std::string message,
        Here here = Here::current())
      : code_(code), message_(std::move(message)), here_(here) {}

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const Here& here() const noexcept { return here_; }

  // The same error with "context: " in front of its message.
  Error within(std::string_view context) const;

 private:
  ErrorCode code_;
  std::string message_;
  Here here_;
};

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor)
};

}  // namespace insula

#define INSULA_CONCAT_INNER(a, b) a##b
#define INSULA_CONCAT(a, b) INSULA_CONCAT_INNER(a, b)

// TRY(declaration, expression): returns the error of `expression`, or binds its value.
// TRY_VOID(expression): the same for a Result<> without a value.
#define INSULA_TRY(return_word, result, declaration, expression)          \
  auto result = (expression);                                             \
  if (!result) return_word ::insula::Error(std::move(result).error());    \
  declaration = *std::move(result)
#define TRY(declaration, expression) \
  INSULA_TRY(return, INSULA_CONCAT(try_result_, __COUNTER__), declaration, expression)
#define CO_TRY(declaration, expression) \
  INSULA_TRY(co_return, INSULA_CONCAT(try_result_, __COUNTER__), declaration, expression)
#define TRY_VOID(expression)                                                                    \
  do {                                                                                          \
    if (auto try_void_ = (expression); !try_void_) return ::insula::Error(std::move(try_void_).error()); \
  } while (false)
#define CO_TRY_VOID(expression)                                                                    \
  do {                                                                                             \
    if (auto try_void_ = (expression); !try_void_) co_return ::insula::Error(std::move(try_void_).error()); \
  } while (false)

// A bug, not an Error: prints where and aborts, in release builds too.
#define INSULA_CHECK(condition)                                                       \
  do {                                                                                \
    if (!(condition)) [[unlikely]]                                                    \
      ::insula::check_failed(#condition, ::insula::Here::current());            \
  } while (false)

namespace insula {
[[noreturn]] void check_failed(const char* condition, Here here) noexcept;
}  // namespace insula
