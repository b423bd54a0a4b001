// SPDX-License-Identifier: Apache-2.0
//
// ResponseHead on the wire: what the handler says is checked field by field, what frames the message is ours alone.
#include "src/supervisor/http/response_head.h"

#include <array>
#include <charconv>
#include <cstring>
#include <iterator>

#include "src/supervisor/http/syntax.h"

namespace insula::http {
namespace {

constexpr std::size_t kReasonBytesMax = 128;

struct StatusName {
  int status;
  std::string_view phrase;
};

constexpr StatusName kStatusNames[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
};

constexpr int kStatusMin = 200;
constexpr int kStatusMax = 599;

constexpr std::array<std::string_view, kStatusMax - kStatusMin + 1> make_phrases() {
  std::array<std::string_view, kStatusMax - kStatusMin + 1> phrases{};
  for (auto& phrase : phrases) phrase = "Unknown";
  for (const StatusName& name : kStatusNames) phrases[static_cast<std::size_t>(name.status - kStatusMin)] = name.phrase;
  return phrases;
}

constexpr auto kPhrases = make_phrases();

bool is_valid_value(std::string_view value) noexcept {
  for (const char c : value) {
    if (!is_field_value_char(c)) return false;
  }
  return true;
}

bool is_lower_name(std::string_view name) noexcept {
  for (const char c : name) {
    if (lower_token_char(c) != c || c == 0) return false;
  }
  return !name.empty();
}

void append_status_line(Bytes& out, int status, std::string_view reason) {
  if (status == 200 && reason.empty()) {
    out.append("HTTP/1.1 200 OK\r\n");
    return;
  }
  if (reason.empty() || reason.size() > kReasonBytesMax || !is_valid_value(reason)) reason = reason_phrase(status);
  const char digits[] = {static_cast<char>('0' + status / 100), static_cast<char>('0' + status / 10 % 10),
                         static_cast<char>('0' + status % 10), ' '};
  out.append("HTTP/1.1 ");
  out.append(digits, sizeof digits);
  out.append(reason);
  out.append("\r\n");
}

void append_length(Bytes& out, std::uint64_t length) {
  char digits[24];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), length);
  out.append("Content-Length: ");
  out.append(digits, static_cast<std::size_t>(end - digits));
  out.append("\r\n");
}

// Fields that describe the connection or the framing, which are not the handler's to set.
bool is_ours(std::string_view name) noexcept {
  switch (name.size()) {
    case 2:
      return name == "te";
    case 7:
      return name == "upgrade" || name == "trailer";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 14:
      return name == "content-length";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return false;
  }
}

struct FieldsOutcome {
  bool is_valid = true;
  bool has_date = false;
  std::string_view declared_length;
};

FieldsOutcome append_fields(Bytes& out, BytesView block, std::size_t count_max) {
  FieldsOutcome outcome;
  std::size_t count = 0;
  while (!block.empty()) {
    const auto name_end = block.find('\0');
    const auto value_end = name_end == BytesView::npos ? name_end : block.find('\0', name_end + 1);
    outcome.is_valid = value_end != BytesView::npos && ++count <= count_max;
    if (!outcome.is_valid) return outcome;
    const auto name = block.substr(0, name_end);
    const auto value = block.substr(name_end + 1, value_end - name_end - 1);
    block.remove_prefix(value_end + 1);
    outcome.is_valid = is_lower_name(name) && is_valid_value(value);
    if (!outcome.is_valid) return outcome;
    if (is_ours(name)) {
      if (name == "content-length") outcome.declared_length = value;
      continue;
    }
    if (name == "date") outcome.has_date = true;
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  }
  return outcome;
}

}  // namespace

std::string_view reason_phrase(int status) noexcept {
  if (status < kStatusMin || status > kStatusMax) return "Unknown";
  return kPhrases[static_cast<std::size_t>(status - kStatusMin)];
}

bool allows_body(int status, bool is_head_request) noexcept {
  return !is_head_request && status != 204 && status != 205 && status != 304;
}

void DateLine::refresh(WallTime now) {
  const std::time_t second = std::chrono::system_clock::to_time_t(now);
  if (second == second_) return;
  second_ = second;
  std::tm parts{};
  ::gmtime_r(&second, &parts);
  // The C locale's names are what RFC 9110 section 5.6.7 wants; the program never sets another locale.
  bytes_ = std::strftime(text_, sizeof text_, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
}

bool append_response_head(Bytes& out, const ResponseHead& head, const Framing& framing, const DateLine& date,
                          const HttpLimits& limits) {
  if (head.status < kStatusMin || head.status > kStatusMax) return false;
  if (head.headers.size() > limits.header_bytes_max) return false;
  const std::size_t before = out.size();
  append_status_line(out, head.status, head.reason);
  const FieldsOutcome fields = append_fields(out, head.headers, limits.header_count_max);
  if (!fields.is_valid) {
    out.resize(before);
    return false;
  }
  if (!fields.has_date) out.append(date.text());
  switch (framing.kind) {
    case Framing::Kind::Length:
      append_length(out, framing.length);
      break;
    case Framing::Kind::Chunked:
      out.append("Transfer-Encoding: chunked\r\n");
      break;
    case Framing::Kind::AsDeclared:
      if (const auto length = parse_length(fields.declared_length)) append_length(out, *length);
      break;
    case Framing::Kind::None:
    case Framing::Kind::UntilClose:
      break;
  }
  if (framing.says_close) {
    out.append("Connection: close\r\n");
  } else if (framing.says_keep_alive) {
    out.append("Connection: keep-alive\r\n");
  }
  out.append("\r\n");
  return true;
}

bool append_switching_head(Bytes& out, const ResponseHead& head, std::string_view protocol, const HttpLimits& limits) {
  if (head.status != 101 || head.headers.size() > limits.header_bytes_max) return false;
  const std::size_t before = out.size();
  append_status_line(out, head.status, "Switching Protocols");
  out.append("Connection: Upgrade\r\nUpgrade: ");
  out.append(protocol);
  out.append("\r\n");
  if (!append_fields(out, head.headers, limits.header_count_max).is_valid) {
    out.resize(before);
    return false;
  }
  out.append("\r\n");
  return true;
}

}  // namespace insula::http
