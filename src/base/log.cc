// SPDX-License-Identifier: Apache-2.0
//
// Log: formats one event and writes it with one system call, so that lines of several threads never mix.
#include "src/base/log.h"

#include <unistd.h>

#include <array>
#include <ctime>

#include <fmt/format.h>

namespace insula {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 4> kColours = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};

// Escapes control characters, quotes and backslashes, so that a value cannot forge a record.
void append_escaped(std::string& out, std::string_view text) {
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    switch (byte) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (code < 0x20 || code == 0x7f) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
        } else {
          out += byte;
        }
    }
  }
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (code <= 0x20 || byte == '"' || byte == '=' || byte == '\\' || code == 0x7f) return true;
  }
  return false;
}

void append_value(std::string& out, const LogField::Value& value, LogFormat format) {
  std::visit(
      [&](auto item) {
        using Item = decltype(item);
        if constexpr (std::is_same_v<Item, std::string_view>) {
          const bool quoted = format == LogFormat::Json || needs_quotes(item);
          if (quoted) out += '"';
          append_escaped(out, item);
          if (quoted) out += '"';
        } else {
          fmt::format_to(std::back_inserter(out), "{}", item);
        }
      },
      value);
}

std::string timestamp(WallTime now, LogFormat format) {
  const auto since = now.time_since_epoch();
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const char* pattern = format == LogFormat::Json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S";
  const auto length = std::strftime(text.data(), text.size(), pattern, &parts);
  return fmt::format("{}.{:03}{}", std::string_view(text.data(), length), millis,
                     format == LogFormat::Json ? "Z" : "");
}

}  // namespace

void Log::write(LogLevel level, std::string_view event, Fields fields) {
  if (!enabled(level)) return;
  const auto index = static_cast<std::size_t>(level);
  std::string line;
  line.reserve(160);
  if (format_ == LogFormat::Json) {
    line += R"({"time":")" + timestamp(clock_.wall_now(), format_) + R"(","level":")";
    line += kNames[index];
    line += R"(","event":")";
    append_escaped(line, event);
    line += '"';
    for (const LogField& field : fields) {
      line += ",\"";
      append_escaped(line, field.key);
      line += "\":";
      append_value(line, field.value, format_);
    }
    line += "}\n";
  } else {
    line += fmt::format("{} {}{:<5}\x1b[0m {}", timestamp(clock_.wall_now(), format_),
                        kColours[index], kNames[index], event);
    for (const LogField& field : fields) {
      line += ' ';
      line += field.key;
      line += '=';
      append_value(line, field.value, format_);
    }
    line += '\n';
  }
  // A log that cannot be written must not stop the server; there is nowhere to report it.
  [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
}

}  // namespace insula
