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
constexpr std::string_view kContinuation = "\n             ";  // as wide as the time in front of a record
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

// For people: lines stay lines, indented, so that none can pass for a record. Other control characters are escaped, those
// of the upper half too (U+0080 to U+009F, in UTF-8 two bytes): terminals obey both.
void append_prose(std::string& out, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  for (std::size_t index = 0; index < text.size(); ++index) {
    const auto code = static_cast<unsigned char>(text[index]);
    const auto next = index + 1 < text.size() ? static_cast<unsigned char>(text[index + 1]) : 0u;
    if (text[index] == '\n') {
      out += kContinuation;
    } else if (code == 0xc2 && next >= 0x80 && next < 0xa0) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", next);
      ++index;
    } else if ((code < 0x20 && text[index] != '\t') || code == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", code);
    } else {
      out += text[index];
    }
  }
}

// What is written for reading, not for searching: it ends the line, without its key.
bool is_prose(const LogField& field) {
  return (field.key == "text" || field.key == "stack") && std::holds_alternative<std::string_view>(field.value);
}

bool is_empty(const LogField& field) {
  const auto* const text = std::get_if<std::string_view>(&field.value);
  return text != nullptr && text->empty();
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
  // A person compares it with the clock on the wall, a machine with that of other machines.
  if (format == LogFormat::Json) {
    gmtime_r(&seconds, &parts);
  } else {
    localtime_r(&seconds, &parts);
  }
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
    line += fmt::format("{} {}{:<5}\x1b[0m ", timestamp(clock_.wall_now(), format_), kColours[index], kNames[index]);
    append_prose(line, event);
    for (const LogField& field : fields) {
      if (is_prose(field) || is_empty(field)) continue;
      line += ' ';
      line += field.key;
      line += '=';
      append_value(line, field.value, format_);
    }
    for (const LogField& field : fields) {
      if (!is_prose(field) || is_empty(field)) continue;
      line += ' ';
      append_prose(line, std::get<std::string_view>(field.value));
    }
    line += '\n';
  }
  // A log that cannot be written must not stop the server; there is nowhere to report it.
  [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
}

}  // namespace insula
