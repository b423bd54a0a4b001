// SPDX-License-Identifier: Apache-2.0
//
// Here: where in the source an error was made. std::source_location, which clang before 15 does not offer with
// libstdc++ 12; the fuzzers and the thread sanitizer are built with that clang.
#pragma once

#if defined(__clang__) && __clang_major__ < 15
#include <cstdint>
#else
#include <source_location>
#endif

namespace insula {

#if defined(__clang__) && __clang_major__ < 15
class Here {
 public:
  static constexpr Here current(const char* file = __builtin_FILE(), const char* function = __builtin_FUNCTION(),
                                std::uint_least32_t line = __builtin_LINE()) noexcept {
    Here here;
    here.file_ = file;
    here.function_ = function;
    here.line_ = line;
    return here;
  }
  constexpr const char* file_name() const noexcept { return file_; }
  constexpr const char* function_name() const noexcept { return function_; }
  constexpr std::uint_least32_t line() const noexcept { return line_; }

 private:
  const char* file_ = "";
  const char* function_ = "";
  std::uint_least32_t line_ = 0;
};
#else
using Here = std::source_location;
#endif

}  // namespace insula
