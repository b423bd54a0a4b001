// SPDX-License-Identifier: Apache-2.0
//
// Log: events, not prose. Human-readable in a terminal, one JSON object a line otherwise.
//
//   log.warn("runner.exited", {{"runner", id}, {"signal", number}});
//
// Names are `room.past_tense`; keys carry units. No tenant payload, header or secret goes in, except the
// tenant's own console lines, which are data: control characters are escaped, lengths are capped by the caller.
//
// The human form leaves out empty fields and ends with the field "text" or "stack", without its key, each of its lines
// indented:  14:02:11.318 warn  [dispatcher] spin: GET / failed
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "src/base/clock.h"

namespace insula {

enum class LogLevel : std::uint8_t { Debug, Info, Warn, Error };
enum class LogFormat : std::uint8_t { Human, Json };

class LogField {
 public:
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  LogField(std::string_view name, std::string_view text) : key(name), value(text) {}
  LogField(std::string_view name, const std::string& text) : key(name), value(std::string_view(text)) {}
  LogField(std::string_view name, const char* text) : key(name), value(std::string_view(text)) {}
  LogField(std::string_view name, bool fact) : key(name), value(fact) {}
  LogField(std::string_view name, double number) : key(name), value(number) {}
  template <class Integer>
    requires(std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>)
  LogField(std::string_view name, Integer number) : key(name) {
    if constexpr (std::is_signed_v<Integer>) {
      value = static_cast<std::int64_t>(number);
    } else {
      value = static_cast<std::uint64_t>(number);
    }
  }

  std::string_view key;
  Value value;
};

class Log {
 public:
  // fd: where lines go, written with one write(2) each; not owned.
  Log(int fd, LogFormat format, LogLevel least, const Clock& clock)
      : fd_(fd), format_(format), least_(least), clock_(clock) {}

  using Fields = std::initializer_list<LogField>;
  void debug(std::string_view event, Fields fields = {}) { write(LogLevel::Debug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(LogLevel::Info, event, fields); }
  void warn(std::string_view event, Fields fields = {}) { write(LogLevel::Warn, event, fields); }
  void error(std::string_view event, Fields fields = {}) { write(LogLevel::Error, event, fields); }
  void write(LogLevel level, std::string_view event, Fields fields);

  LogFormat format() const noexcept { return format_; }
  bool enabled(LogLevel level) const noexcept { return level >= least_; }

 private:
  const int fd_;
  const LogFormat format_;
  const LogLevel least_;
  const Clock& clock_;
};

}  // namespace insula
